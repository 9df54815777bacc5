"""Where votes came from for a while, what looks like abuse, and what was annulled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015_abuse"
down_revision = "0011b_pause"


def upgrade() -> None:
    """Go one step up."""
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "annulment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("votes", sa.Integer(), nullable=False),
        sa.Column("ballots", sa.Integer(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("created_by", sa.String(length=300), nullable=False),
        sa.Column("undone_at", instant, nullable=True),
        sa.Column("undone_reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["process_id"], ["process.id"], name="fk_annulment_process_id_process",
                                ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_annulment"),
    )
    op.create_index("ix_annulment_process_id", "annulment", ["process_id"])
    op.create_table(
        "vote_flag",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("source_hash", sa.String(length=16), nullable=False),
        sa.Column("first_at", instant, nullable=False),
        sa.Column("last_at", instant, nullable=False),
        sa.ForeignKeyConstraint(["process_id"], ["process.id"], name="fk_vote_flag_process_id_process",
                                ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_vote_flag"),
        sa.UniqueConstraint("process_id", "source_hash", name="uq_vote_flag_process_id_source_hash"),
    )
    for name in ("vote", "ballot"):
        with op.batch_alter_table(name) as table:
            table.add_column(sa.Column("source_hash", sa.String(length=16), nullable=True))
            table.add_column(sa.Column("annulment_id", sa.Integer(), nullable=True))
            table.create_foreign_key(f"fk_{name}_annulment_id_annulment", "annulment", ["annulment_id"], ["id"])
    for index, column in (("ix_vote_source", "source_hash"), ("ix_vote_annulment", "annulment_id")):
        known = sa.text(f"{column} IS NOT NULL")
        op.create_index(index, "vote", [column], sqlite_where=known, postgresql_where=known)
    op.create_index("ix_ballot_source_hash", "ballot", ["source_hash"])
    op.create_index("ix_ballot_annulment_id", "ballot", ["annulment_id"])


def downgrade() -> None:
    """Go one step down."""
    op.drop_index("ix_ballot_annulment_id", "ballot")
    op.drop_index("ix_ballot_source_hash", "ballot")
    op.drop_index("ix_vote_annulment", "vote")
    op.drop_index("ix_vote_source", "vote")
    for name in ("vote", "ballot"):
        with op.batch_alter_table(name) as table:
            table.drop_constraint(f"fk_{name}_annulment_id_annulment", type_="foreignkey")
            table.drop_column("annulment_id")
            table.drop_column("source_hash")
    op.drop_table("vote_flag")
    op.drop_table("annulment")
