"""Fields that editors add to the form of a phase, and what people answer there."""

from __future__ import annotations

from alembic import op

revision = "0023_own_fields"
down_revision = "0022_page_variants"


def upgrade() -> None:
    """Go one step up. Written out: SQLite takes a check along with its column, and in no other way."""
    op.execute("ALTER TABLE phase ADD COLUMN stored_fields JSON DEFAULT '[]' NOT NULL CONSTRAINT "
               "ck_phase_at_most_ten_fields CHECK (json_array_length(stored_fields) <= 10)")
    op.execute("ALTER TABLE proposal ADD COLUMN stored_answers JSON DEFAULT '[]' NOT NULL")


def downgrade() -> None:
    """Go one step down."""
    op.drop_column("proposal", "stored_answers")
    op.drop_column("phase", "stored_fields")
