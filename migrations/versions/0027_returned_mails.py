"""Mails that were handed over and came back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027_returned_mails"
down_revision = "0026_jobs_of_a_municipality"


def upgrade() -> None:
    """Go one step up."""
    op.add_column("follower", sa.Column("bounces", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("follower", sa.Column("bounced_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("follower", sa.Column("bounced_mail", sa.String(length=32), nullable=True))


def downgrade() -> None:
    """Go one step down."""
    for name in ("bounced_mail", "bounced_at", "bounces"):
        op.drop_column("follower", name)
