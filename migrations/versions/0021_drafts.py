"""Proposals that somebody put aside before handing them in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021_drafts"
down_revision = "0020_search_words"


def upgrade() -> None:
    """Go one step up."""
    op.create_table(
        "draft",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("owner_hash", sa.String(length=64), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("form_hash", sa.String(length=64), nullable=False),
        sa.Column("content_sealed", sa.Text(), nullable=False),
        sa.Column("upload_id", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("slot BETWEEN 1 AND 5", name="ck_draft_few_each"),
        sa.ForeignKeyConstraint(["process_id"], ["process.id"], name="fk_draft_process_id_process", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["upload_id"], ["upload.id"], name="fk_draft_upload_id_upload"),
        sa.PrimaryKeyConstraint("id", name="pk_draft"),
        sa.UniqueConstraint("owner_hash", "process_id", "slot", name="uq_draft_owner_hash_process_id_slot"),
        sa.UniqueConstraint("form_hash", name="uq_draft_form_hash"),
    )
    op.create_index("ix_draft_process_id", "draft", ["process_id"])
    op.create_index("ix_draft_upload_id", "draft", ["upload_id"])
    op.create_index("ix_draft_saved_at", "draft", ["saved_at"])


def downgrade() -> None:
    """Go one step down."""
    op.drop_table("draft")
