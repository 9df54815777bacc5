"""When the last mail to a follower was begun, so that two processes never write at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011b_pause"
down_revision = "0014_co_authors"


def upgrade() -> None:
    """Go one step up."""
    op.add_column("follower", sa.Column("mailed_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Go one step down."""
    with op.batch_alter_table("follower") as batch:
        batch.drop_column("mailed_at")
