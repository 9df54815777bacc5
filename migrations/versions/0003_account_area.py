"""Passkeys, fresh proofs of who somebody is, deleted accounts, and the log by actor."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_account_area"
down_revision = "0001_initial"


def upgrade() -> None:
    """Go one step up. Columns are only added: making `account` anew would take its children along on SQLite."""
    op.add_column("account", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("sign_in_session", sa.Column("proven_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("one_time_token", sa.Column("payload_sealed", sa.String(length=600), nullable=True))
    op.create_table(
        "passkey",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("credential_hash", sa.String(length=64), nullable=False),
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("last_challenge_hash", sa.String(length=64), nullable=True),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_passkey_account_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passkey")),
        sa.UniqueConstraint("credential_hash", name=op.f("uq_passkey_credential_hash")),
    )
    op.create_index(op.f("ix_passkey_account_id"), "passkey", ["account_id"])
    op.create_index(op.f("ix_audit_entry_actor"), "audit_entry", ["actor"])


def downgrade() -> None:
    """Go one step down."""
    op.drop_index(op.f("ix_audit_entry_actor"), table_name="audit_entry")
    op.drop_index(op.f("ix_passkey_account_id"), table_name="passkey")
    op.drop_table("passkey")
    op.drop_column("one_time_token", "payload_sealed")
    op.drop_column("sign_in_session", "proven_at")
    op.drop_column("account", "deleted_at")
