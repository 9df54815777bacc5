"""What processes were after each change of their editors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017_versions"
down_revision = "0016_variants"


def upgrade() -> None:
    """Go one step up."""
    op.create_table(
        "process_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("made_by", sa.String(length=300), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["process_id"], ["process.id"], name="fk_process_version_process_id_process",
                                ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_process_version"),
    )
    op.create_index("ix_process_version_newest", "process_version", ["process_id", "id"])


def downgrade() -> None:
    """Go one step down."""
    op.drop_table("process_version")
