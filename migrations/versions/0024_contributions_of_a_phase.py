"""Which contributions stand under a phase, without reading all."""

from __future__ import annotations

from alembic import op

revision = "0024_contributions_of_a_phase"
down_revision = "0023_own_fields"


def upgrade() -> None:
    """Go one step up."""
    op.create_index("ix_contribution_phase", "contribution", ["phase_id", "id"])


def downgrade() -> None:
    """Go one step down."""
    op.drop_index("ix_contribution_phase", "contribution")
