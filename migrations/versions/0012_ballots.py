"""Ballots: for and against, points, a budget; their counters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012_ballots"
down_revision = "0011_following"


def upgrade() -> None:
    """Go one step up."""
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "ballot",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("phase_id", sa.Integer(), nullable=False),
        sa.Column("participant_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("changed_at", instant, nullable=False),
        sa.ForeignKeyConstraint(["phase_id"], ["phase.id"], name="fk_ballot_phase_id_phase", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["participant_id"], ["participant.id"], name="fk_ballot_participant_id_participant"),
        sa.PrimaryKeyConstraint("id", name="pk_ballot"),
        sa.UniqueConstraint("phase_id", "participant_id", name="uq_ballot_phase_id_participant_id"),
    )
    op.create_index("ix_ballot_participant_id", "ballot", ["participant_id"])
    op.create_table(
        "ballot_mark",
        sa.Column("ballot_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("contribution_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.CheckConstraint("value <> 0", name="ck_ballot_mark_says_something"),
        sa.ForeignKeyConstraint(["ballot_id"], ["ballot.id"], name="fk_ballot_mark_ballot_id_ballot", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["contribution_id"], ["contribution.id"],
                                name="fk_ballot_mark_contribution_id_contribution", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("ballot_id", "contribution_id", name="pk_ballot_mark"),
    )
    op.create_index("ix_ballot_mark_contribution_id", "ballot_mark", ["contribution_id"])
    for name, columns, checks in (
        ("ballot_option", [sa.Column("cost", sa.Integer(), nullable=False)], [("cost > 0", "costs_something")]),
        ("ballot_tally",
         [sa.Column(one, sa.Integer(), nullable=False) for one in ("people", "against", "total")],
         [("people >= 0 AND against >= 0 AND against <= people", "numbers_fit")]),
    ):
        op.create_table(
            name,
            sa.Column("phase_id", sa.Integer(), nullable=False, autoincrement=False),
            sa.Column("contribution_id", sa.Integer(), nullable=False, autoincrement=False),
            *columns,
            *(sa.CheckConstraint(text, name=f"ck_{name}_{label}") for text, label in checks),
            sa.ForeignKeyConstraint(["phase_id"], ["phase.id"], name=f"fk_{name}_phase_id_phase", ondelete="CASCADE"),
            sa.ForeignKeyConstraint(["contribution_id"], ["contribution.id"],
                                    name=f"fk_{name}_contribution_id_contribution", ondelete="CASCADE"),
            sa.PrimaryKeyConstraint("phase_id", "contribution_id", name=f"pk_{name}"),
        )
        op.create_index(f"ix_{name}_contribution_id", name, ["contribution_id"])
    op.create_index("ix_ballot_tally_order", "ballot_tally", ["phase_id", "total", "contribution_id"])
    op.create_table(
        "ballot_turnout",
        sa.Column("phase_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.CheckConstraint("people >= 0", name="ck_ballot_turnout_not_negative"),
        sa.ForeignKeyConstraint(["phase_id"], ["phase.id"], name="fk_ballot_turnout_phase_id_phase", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("phase_id", "channel", name="pk_ballot_turnout"),
    )


def downgrade() -> None:
    """Go one step down."""
    for name in ("ballot_turnout", "ballot_tally", "ballot_option", "ballot_mark", "ballot"):
        op.drop_table(name)
