"""An annulment says of which votes its supports and ballots were, also when they count again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034_ballots_of_annulments"
down_revision = "0033_counted_out_votes"


def upgrade() -> None:
    """Go one step up; of older ones nobody can tell."""
    op.add_column("annulment", sa.Column("ballots_by_phase", sa.JSON(), nullable=True))
    op.add_column("annulment", sa.Column("proposal_votes", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Go one step down."""
    op.drop_column("annulment", "proposal_votes")
    op.drop_column("annulment", "ballots_by_phase")
