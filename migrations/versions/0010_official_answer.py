"""What the administration answers to a proposal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010_official_answer"
down_revision = "0009_fair_order"


def upgrade() -> None:
    """Go one step up."""
    op.add_column("proposal", sa.Column("answer_status", sa.String(length=40), nullable=True))
    op.add_column("proposal", sa.Column("answer_body", sa.Text(), nullable=False, server_default=""))
    op.add_column("proposal", sa.Column("answer_cost", sa.Integer(), nullable=True))
    op.add_column("proposal", sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("proposal", sa.Column("answered_by", sa.String(length=300), nullable=False, server_default=""))


def downgrade() -> None:
    """Go one step down."""
    for column in ("answered_by", "answered_at", "answer_cost", "answer_body", "answer_status"):
        op.drop_column("proposal", column)
