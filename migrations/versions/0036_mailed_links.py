"""Whether the link of a receipt stands in a mail: that one ends when the address was wrong, one on paper does not."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0036_mailed_links"
down_revision = "0035_sent_forms"


def upgrade() -> None:
    """Go one step up. Old mails are not known any more: where there is an address, they count as sent."""
    op.add_column("contribution", sa.Column("link_mailed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(sa.text(
        "UPDATE contribution SET link_mailed = true WHERE claim_token_hash IS NOT NULL AND EXISTS (SELECT 1 FROM participant "
        "WHERE participant.id = contribution.participant_id AND participant.contact_sealed IS NOT NULL)"))


def downgrade() -> None:
    """Go one step down."""
    op.drop_column("contribution", "link_mailed")
