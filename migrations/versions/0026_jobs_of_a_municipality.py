"""Whose administration sees a job."""

from __future__ import annotations

from alembic import op

revision = "0026_jobs_of_a_municipality"
down_revision = "0025_extended_votes"


def upgrade() -> None:
    """Go one step up. Written out: SQLite takes a reference along with its column, and in no other way."""
    op.execute("ALTER TABLE outbox ADD COLUMN municipality_id INTEGER CONSTRAINT fk_outbox_municipality_id_municipality "
               "REFERENCES municipality (id) ON DELETE SET NULL")
    op.create_index("ix_outbox_municipality", "outbox", ["municipality_id", "id"])


def downgrade() -> None:
    """Go one step down."""
    op.drop_index("ix_outbox_municipality", "outbox")
    with op.batch_alter_table("outbox") as table:
        table.drop_constraint("fk_outbox_municipality_id_municipality", type_="foreignkey")
        table.drop_column("municipality_id")
