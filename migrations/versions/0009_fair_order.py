"""A random number per contribution, by which lists can be shuffled and still be read page by page."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009_fair_order"
down_revision = "0008_reports"


def upgrade() -> None:
    """Go one step up."""
    op.add_column("contribution", sa.Column("shuffle_key", sa.Integer(), nullable=False, server_default="0"))
    number = "abs(random()) % 16777216" if op.get_bind().dialect.name == "sqlite" else "floor(random() * 16777216)::int"
    op.execute(f"UPDATE contribution SET shuffle_key = {number}")  # noqa: S608 - one of the two texts above
    op.create_index("ix_contribution_fair", "contribution", ["process_id", "kind", "state", "shuffle_key", "id"])
    op.create_index("ix_contribution_theme_fair", "contribution", ["theme_id", "kind", "state", "shuffle_key", "id"])


def downgrade() -> None:
    """Go one step down."""
    op.drop_index("ix_contribution_theme_fair", table_name="contribution")
    op.drop_index("ix_contribution_fair", table_name="contribution")
    op.drop_column("contribution", "shuffle_key")
