"""Who follows what by mail, and newsletters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011_following"
down_revision = "0005b_answered_lists"


def upgrade() -> None:
    """Go one step up."""
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "follower",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("municipality_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=True),
        sa.Column("email_sealed", sa.String(length=600), nullable=True),
        sa.Column("email_hash", sa.String(length=64), nullable=True),
        sa.Column("frequency", sa.String(length=40), nullable=False),
        sa.Column("locale", sa.String(length=10), nullable=False),
        sa.Column("link_salt", sa.String(length=32), nullable=False),
        sa.Column("told_until", instant, nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.CheckConstraint("(account_id IS NULL) <> (email_sealed IS NULL)", name="ck_follower_account_or_address"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_follower_account_id_account",
                                ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["municipality_id"], ["municipality.id"],
                                name="fk_follower_municipality_id_municipality", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_follower"),
        sa.UniqueConstraint("municipality_id", "account_id", name="uq_follower_municipality_id_account_id"),
        sa.UniqueConstraint("municipality_id", "email_hash", name="uq_follower_municipality_id_email_hash"),
    )
    op.create_index("ix_follower_account_id", "follower", ["account_id"])
    op.create_index("ix_follower_due", "follower", ["frequency", "id"])
    op.create_table(
        "subscription",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("follower_id", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("proposal_id", sa.Integer(), nullable=True),
        sa.Column("target", sa.String(length=24), nullable=False),
        sa.Column("confirmed_at", instant, nullable=True),
        sa.Column("created_at", instant, nullable=False),
        sa.ForeignKeyConstraint(["follower_id"], ["follower.id"], name="fk_subscription_follower_id_follower",
                                ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["process_id"], ["process.id"], name="fk_subscription_process_id_process",
                                ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposal.id"], name="fk_subscription_proposal_id_proposal",
                                ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_subscription"),
        sa.UniqueConstraint("follower_id", "target", name="uq_subscription_follower_id_target"),
    )
    op.create_index("ix_subscription_process", "subscription", ["process_id", "follower_id"])
    op.create_index("ix_subscription_proposal_id", "subscription", ["proposal_id"])
    op.create_table(
        "newsletter",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("author", sa.String(length=300), nullable=False),
        sa.Column("receivers", sa.Integer(), nullable=False),
        sa.Column("delivered", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("reached", sa.Integer(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("sent_at", instant, nullable=True),
        sa.CheckConstraint("delivered >= 0 AND refused >= 0", name="ck_newsletter_counts_not_negative"),
        sa.ForeignKeyConstraint(["process_id"], ["process.id"], name="fk_newsletter_process_id_process",
                                ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_newsletter"),
    )
    op.create_index("ix_newsletter_process", "newsletter", ["process_id", "id"])


def downgrade() -> None:
    """Go one step down."""
    op.drop_table("newsletter")
    op.drop_table("subscription")
    op.drop_table("follower")
