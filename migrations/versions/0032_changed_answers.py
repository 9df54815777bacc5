"""Followers are told that an answer was changed: it stands beside the latest instant when the first one was given."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032_changed_answers"
down_revision = "0031_ballots_without_order"


def upgrade() -> None:
    """Go one step up."""
    op.add_column("proposal", sa.Column("first_answered_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Go one step down."""
    op.drop_column("proposal", "first_answered_at")
