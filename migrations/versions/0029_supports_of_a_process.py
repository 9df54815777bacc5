"""The supports of a process are added up when they are read: at its row all voters waited for each other."""

from __future__ import annotations

from alembic import op

revision = "0029_supports_of_a_process"
down_revision = "0028_voters"


def upgrade() -> None:
    """Go one step up."""
    op.drop_column("process", "support_count")


def downgrade() -> None:
    """Go one step down."""
    op.execute("ALTER TABLE process ADD COLUMN support_count INTEGER DEFAULT 0 NOT NULL")
    op.execute(
        "UPDATE process SET support_count = (SELECT coalesce(sum(support_count), 0) FROM contribution WHERE "
        "contribution.process_id = process.id AND contribution.kind = 'proposal' AND contribution.state = 'published')")
