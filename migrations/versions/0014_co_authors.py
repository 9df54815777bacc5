"""Writing a proposal together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014_co_authors"
down_revision = "0013_editing"


def upgrade() -> None:
    """Go one step up."""
    instant = sa.DateTime(timezone=True)
    op.add_column("contribution", sa.Column("co_author_count", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "co_author",
        sa.Column("contribution_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("participant_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("joined_at", instant, nullable=False),
        sa.ForeignKeyConstraint(["contribution_id"], ["contribution.id"],
                                name="fk_co_author_contribution_id_contribution", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["participant_id"], ["participant.id"], name="fk_co_author_participant_id_participant"),
        sa.PrimaryKeyConstraint("contribution_id", "participant_id", name="pk_co_author"),
    )
    op.create_index("ix_co_author_participant_id", "co_author", ["participant_id"])
    op.create_table(
        "co_author_invitation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("proposal_id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("expires_at", instant, nullable=False),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposal.id"], name="fk_co_author_invitation_proposal_id_proposal",
                                ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_co_author_invitation"),
        sa.UniqueConstraint("token_hash", name="uq_co_author_invitation_token_hash"),
    )
    op.create_index("ix_co_author_invitation_proposal_id", "co_author_invitation", ["proposal_id"])


def downgrade() -> None:
    """Go one step down."""
    op.drop_table("co_author_invitation")
    op.drop_table("co_author")
    op.drop_column("contribution", "co_author_count")
