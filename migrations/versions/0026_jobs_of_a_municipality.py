"""Whose administration sees a job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026_jobs_of_a_municipality"
down_revision = "0025_extended_votes"


def upgrade() -> None:
    """Go one step up."""
    with op.batch_alter_table("outbox") as table:
        table.add_column(sa.Column("municipality_id", sa.Integer(), nullable=True))
        table.create_foreign_key("fk_outbox_municipality_id", "municipality", ["municipality_id"], ["id"], ondelete="SET NULL")
    op.create_index("ix_outbox_municipality", "outbox", ["municipality_id", "id"])


def downgrade() -> None:
    """Go one step down."""
    op.drop_index("ix_outbox_municipality", "outbox")
    with op.batch_alter_table("outbox") as table:
        table.drop_constraint("fk_outbox_municipality_id", type_="foreignkey")
        table.drop_column("municipality_id")
