"""Changes of published proposals: texts that await a decision, and texts that readers had reacted to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_revisions"
down_revision = "0010_official_answer"


def upgrade() -> None:
    """Go one step up."""
    op.add_column("contribution", sa.Column("pending_revision", sa.Integer(), nullable=True))
    op.add_column("contribution_picture", sa.Column("revision_number", sa.Integer(), nullable=True))
    op.add_column("revision", sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("revision", sa.Column("was_seen", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("revision", sa.Column("changes", sa.JSON(), nullable=True))
    op.add_column("proposal", sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("proposal", sa.Column("withdrawal_reason", sa.String(length=20), nullable=True))


def downgrade() -> None:
    """Go one step down. Texts that still await a decision become unreadable, so their pictures go first."""
    op.execute("DELETE FROM contribution_picture WHERE revision_number IS NOT NULL")
    op.drop_column("proposal", "withdrawal_reason")
    op.drop_column("proposal", "edited_at")
    op.drop_column("revision", "changes")
    op.drop_column("revision", "was_seen")
    op.drop_column("revision", "applied_at")
    op.drop_column("contribution_picture", "revision_number")
    op.drop_column("contribution", "pending_revision")
