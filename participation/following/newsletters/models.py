"""A newsletter and where it is on its way."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from participation.db import Base, Created, Key, Line, enum_type
from participation.processes.models import Process


class NewsletterState(enum.Enum):
    """Where a newsletter is on its way."""

    DRAFT = "draft"
    SENDING = "sending"
    SENT = "sent"


class Newsletter(Base):
    """A letter of the editors to everybody who follows a process."""

    __tablename__ = "newsletter"
    __table_args__ = (
        CheckConstraint("delivered >= 0 AND refused >= 0", name="counts_not_negative"),
        Index("ix_newsletter_process", "process_id", "id"),
    )

    id: Mapped[Key]
    process_id: Mapped[int] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"))
    subject: Mapped[Line]
    body: Mapped[str] = mapped_column(Text)
    state: Mapped[NewsletterState] = mapped_column(enum_type(NewsletterState), default=NewsletterState.DRAFT)
    author: Mapped[Line] = mapped_column(default="")
    # How many were to get it when it started, how many got it, how many servers refused it.
    receivers: Mapped[int] = mapped_column(default=0)
    delivered: Mapped[int] = mapped_column(default=0)
    refused: Mapped[int] = mapped_column(default=0)
    # The follower that was reached last, in the order of their numbers.
    reached: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[Created]
    sent_at: Mapped[datetime | None]

    process: Mapped[Process] = relationship()
