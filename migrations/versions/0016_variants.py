"""Texts of processes in other languages and in Leichte Sprache."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016_variants"
down_revision = "0015_abuse"


def upgrade() -> None:
    """Go one step up."""
    op.create_table(
        "text_variant",
        sa.Column("entity", sa.String(length=10), nullable=False),
        sa.Column("entity_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("field", sa.String(length=20), nullable=False),
        sa.Column("language", sa.String(length=10), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["process_id"], ["process.id"], name="fk_text_variant_process_id_process",
                                ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("entity", "entity_id", "field", "language", name="pk_text_variant"),
    )
    op.create_index("ix_text_variant_process", "text_variant", ["process_id", "language"])


def downgrade() -> None:
    """Go one step down."""
    op.drop_table("text_variant")
