"""Lists of answered proposals: what the answer says stands where lists are read, with an index of answered ones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005b_answered_lists"
down_revision = "0005_revisions"
ANSWERED = sa.text("answer_status IS NOT NULL")
ORDERS = {"newest": "published_at", "supported": "support_count", "discussed": "comment_count", "fair": "shuffle_key"}


def _move(source: str, target: str) -> None:
    op.add_column(target, sa.Column("answer_status", sa.String(length=40), nullable=True))
    op.execute(
        f"UPDATE {target} SET answer_status = (SELECT answer_status FROM {source} WHERE {source}.id = {target}.id) "  # noqa: S608 - our own tables
        f"WHERE id IN (SELECT id FROM {source} WHERE answer_status IS NOT NULL)"
    )
    op.drop_column(source, "answer_status")


def upgrade() -> None:
    """Go one step up."""
    _move("proposal", "contribution")
    for name, column in ORDERS.items():
        op.create_index(f"ix_contribution_answered_{name}", "contribution",
                        ["process_id", "kind", "state", column, "id"],
                        sqlite_where=ANSWERED, postgresql_where=ANSWERED)


def downgrade() -> None:
    """Go one step down."""
    for name in ORDERS:
        op.drop_index(f"ix_contribution_answered_{name}", table_name="contribution")
    _move("contribution", "proposal")
