"""Who gets mail about what, and how often."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from participation.contributions.proposals.models import Proposal
from participation.db import Base, Created, Key, enum_type
from participation.i18n import N_
from participation.processes.models import Process


class Frequency(enum.Enum):
    """How often somebody wants to hear of what they follow."""

    AT_ONCE = "at_once"
    DAILY = "daily"
    WEEKLY = "weekly"
    NEVER = "never"

FREQUENCY_LABELS = {
    Frequency.WEEKLY: N_("Einmal in der Woche"),
    Frequency.DAILY: N_("Einmal am Tag"),
    Frequency.AT_ONCE: N_("Sofort, wenn es etwas Neues gibt"),
    Frequency.NEVER: N_("Keine E-Mails"),
}
# After so many refusals by the recipient's server nothing is sent any more.
REFUSALS_MAX = 3


class Follower(Base):
    """Somebody who gets mail of one municipality: an account, or nothing but an address (sealed)."""

    __tablename__ = "follower"
    __table_args__ = (
        UniqueConstraint("municipality_id", "account_id"),
        UniqueConstraint("municipality_id", "email_hash"),
        CheckConstraint("(account_id IS NULL) <> (email_sealed IS NULL)", name="account_or_address"),
        Index("ix_follower_due", "frequency", "id"),
        Index("ix_follower_account_id", "account_id"),
    )

    id: Mapped[Key]
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id", ondelete="CASCADE"))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    email_sealed: Mapped[str | None] = mapped_column(String(600))
    email_hash: Mapped[str | None] = mapped_column(String(64))
    frequency: Mapped[Frequency] = mapped_column(enum_type(Frequency), default=Frequency.WEEKLY)
    locale: Mapped[str] = mapped_column(String(10), default="de")
    # Part of the links in mails; a new one makes all earlier links dead.
    link_salt: Mapped[str] = mapped_column(String(32))
    # Everything up to this instant has been told.
    told_until: Mapped[datetime]
    # When the last digest was begun: until PAUSES have passed no other process begins one, and none comes too soon.
    mailed_at: Mapped[datetime | None]
    # Refusals by the recipient's server in a row.
    refusals: Mapped[int] = mapped_column(default=0)
    # Mails that came back later, not far from each other; handing one over says nothing, so it does not begin anew then.
    bounces: Mapped[int] = mapped_column(default=0, server_default="0")
    bounced_at: Mapped[datetime | None]
    # The number of the last one: servers report the same one twice.
    bounced_mail: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[Created]

    subscriptions: Mapped[list[Subscription]] = relationship(
        back_populates="follower", order_by="Subscription.id", cascade="all, delete-orphan"
    )


class Subscription(Base):
    """What is followed: a process, or one proposal of it. Of an address it counts only once it is confirmed."""

    __tablename__ = "subscription"
    __table_args__ = (
        UniqueConstraint("follower_id", "target"),
        Index("ix_subscription_process", "process_id", "follower_id"),
        Index("ix_subscription_proposal_id", "proposal_id"),
    )

    id: Mapped[Key]
    follower_id: Mapped[int] = mapped_column(ForeignKey("follower.id", ondelete="CASCADE"))
    process_id: Mapped[int] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"))
    proposal_id: Mapped[int | None] = mapped_column(ForeignKey("proposal.id", ondelete="CASCADE"))
    # "process:7" or "proposal:12": unique where a NULL could not be.
    target: Mapped[str] = mapped_column(String(24))
    confirmed_at: Mapped[datetime | None]
    created_at: Mapped[Created]

    follower: Mapped[Follower] = relationship(back_populates="subscriptions")
    process: Mapped[Process] = relationship()
    proposal: Mapped[Proposal | None] = relationship()

    @property
    def shown_proposal(self) -> Proposal | None:
        """The proposal as long as everybody may read it: what was hidden is hidden from its followers too."""
        return self.proposal if self.proposal is not None and self.proposal.is_published else None
