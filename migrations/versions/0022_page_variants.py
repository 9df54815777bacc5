"""Pages that are owed, and the welcome, in other languages and in Leichte Sprache."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022_page_variants"
down_revision = "0021_drafts"


def upgrade() -> None:
    """Go one step up."""
    op.add_column("municipality", sa.Column("intro_variants", sa.JSON(), server_default="{}", nullable=False))
    with op.batch_alter_table("municipality_page") as table:
        table.add_column(sa.Column("language", sa.String(length=10), server_default="de", nullable=False))
        table.drop_constraint("uq_municipality_page_municipality_id_kind", type_="unique")
        table.create_unique_constraint("uq_municipality_page_municipality_id_kind_language",
                                       ["municipality_id", "kind", "language"])


def downgrade() -> None:
    """Go one step down. What is not German is lost."""
    op.execute("DELETE FROM municipality_page WHERE language <> 'de'")
    with op.batch_alter_table("municipality_page") as table:
        table.drop_constraint("uq_municipality_page_municipality_id_kind_language", type_="unique")
        table.drop_column("language")
        table.create_unique_constraint("uq_municipality_page_municipality_id_kind", ["municipality_id", "kind"])
    op.drop_column("municipality", "intro_variants")
