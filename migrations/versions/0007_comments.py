"""Comments: a quoted passage, a stance, and when they were edited."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_comments"
down_revision = "0003_account_area"


def upgrade() -> None:
    """Go one step up."""
    op.add_column("comment", sa.Column("quote", sa.String(length=500), nullable=False, server_default=""))
    op.add_column("comment", sa.Column("stance", sa.String(length=40), nullable=True))
    op.add_column("comment", sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Go one step down."""
    op.drop_column("comment", "edited_at")
    op.drop_column("comment", "stance")
    op.drop_column("comment", "quote")
