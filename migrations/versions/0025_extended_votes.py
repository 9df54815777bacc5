"""A vote that went on after its end: everybody can read it."""

from __future__ import annotations

from alembic import op

revision = "0025_extended_votes"
down_revision = "0024_contributions_of_a_phase"


def upgrade() -> None:
    """Go one step up."""
    op.execute("ALTER TABLE phase ADD COLUMN stored_extensions JSON DEFAULT '[]' NOT NULL")


def downgrade() -> None:
    """Go one step down."""
    op.drop_column("phase", "stored_extensions")
