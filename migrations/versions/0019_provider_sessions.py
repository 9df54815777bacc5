"""Which provider a sign-in came from, so that leaving ends it there too, and the other way round."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019_provider_sessions"
down_revision = "0018_lineage"


def upgrade() -> None:
    """Go one step up."""
    with op.batch_alter_table("sign_in_session") as table:
        table.add_column(sa.Column("identity_id", sa.Integer(), nullable=True))
        table.add_column(sa.Column("provider_session_hash", sa.String(length=64), nullable=True))
        table.add_column(sa.Column("id_token_sealed", sa.Text(), nullable=True))
        table.create_foreign_key("fk_sign_in_session_identity_id_external_identity", "external_identity",
                                 ["identity_id"], ["id"], ondelete="SET NULL")
    op.create_index("ix_sign_in_session_identity_id", "sign_in_session", ["identity_id"])


def downgrade() -> None:
    """Go one step down."""
    op.drop_index("ix_sign_in_session_identity_id", "sign_in_session")
    with op.batch_alter_table("sign_in_session") as table:
        table.drop_constraint("fk_sign_in_session_identity_id_external_identity", type_="foreignkey")
        table.drop_column("id_token_sealed")
        table.drop_column("provider_session_hash")
        table.drop_column("identity_id")
