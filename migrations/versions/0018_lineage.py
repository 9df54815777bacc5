"""By which a phase, theme, document or news is known as the same one when it comes back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018_lineage"
down_revision = "0017_versions"
TABLES = ("phase", "theme", "process_news", "process_document")


def upgrade() -> None:
    """Go one step up. Versions so far know rows by their numbers."""
    for name in TABLES:
        op.add_column(name, sa.Column("lineage", sa.String(length=43), nullable=False, server_default=""))
        row = sa.table(name, sa.column("id", sa.Integer), sa.column("lineage", sa.String))
        op.execute(sa.update(row).values(lineage=sa.cast(row.c.id, sa.String(43))))


def downgrade() -> None:
    """Go one step down."""
    for name in TABLES:
        op.drop_column(name, "lineage")
