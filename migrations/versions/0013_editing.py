"""News, questions and answers, vague dates, and links to drafts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013_editing"
down_revision = "0012_ballots"


def upgrade() -> None:
    """Go one step up."""
    instant = sa.DateTime(timezone=True)
    op.add_column("phase", sa.Column("vague_dates", sa.String(length=60), nullable=False, server_default=""))
    op.add_column("process", sa.Column("faq", sa.Text(), nullable=False, server_default=""))
    op.add_column("process", sa.Column("preview_until", instant, nullable=True))
    with op.batch_alter_table("process") as table:
        table.add_column(sa.Column("preview_hash", sa.String(length=64), nullable=True))
        table.create_unique_constraint("uq_process_preview_hash", ["preview_hash"])
    op.create_table(
        "process_news",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("published_at", instant, nullable=False),
        sa.ForeignKeyConstraint(["process_id"], ["process.id"], name="fk_process_news_process_id_process",
                                ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_process_news"),
    )
    op.create_index("ix_process_news_newest", "process_news", ["process_id", "published_at", "id"])


def downgrade() -> None:
    """Go one step down."""
    op.drop_table("process_news")
    with op.batch_alter_table("process") as table:
        table.drop_constraint("uq_process_preview_hash", type_="unique")
        table.drop_column("preview_hash")
    op.drop_column("process", "preview_until")
    op.drop_column("process", "faq")
    op.drop_column("phase", "vague_dates")
