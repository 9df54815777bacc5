"""Everybody reads when the votes were given that do not count."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030_time_of_annulled_votes"
down_revision = "0029_supports_of_a_process"


def upgrade() -> None:
    """Go one step up."""
    op.add_column("annulment", sa.Column("since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("annulment", sa.Column("until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Go one step down."""
    op.drop_column("annulment", "until")
    op.drop_column("annulment", "since")
