"""Cases, what the checks found, and what moderators decided."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from participation.accounts.models import Account
from participation.contributions.models import Contribution
from participation.db import Base, Created, Key, Line, enum_type
from participation.i18n import N_
from participation.processes.models import Process


class CaseState(enum.Enum):
    """A case is open until one decision, or until its author withdrew the contribution."""

    OPEN = "open"
    DECIDED = "decided"
    OBSOLETE = "obsolete"


class Outcome(enum.Enum):
    """What a moderator can decide."""

    APPROVE = "approve"
    RETURN = "return"
    REJECT = "reject"
    HIDE = "hide"
    RESTORE = "restore"


OUTCOME_LABELS = {
    Outcome.APPROVE: N_("Freigegeben"),
    Outcome.RETURN: N_("Zur Überarbeitung zurückgegeben"),
    Outcome.REJECT: N_("Abgelehnt"),
    Outcome.HIDE: N_("Ausgeblendet"),
    Outcome.RESTORE: N_("Wieder eingeblendet"),
}


class Severity(enum.Enum):
    """How much a finding should weigh for the moderator; no finding decides by itself."""

    HINT = "hint"
    WARNING = "warning"


class Case(Base):
    """One revision of one contribution awaiting, or having, a decision."""

    __tablename__ = "moderation_case"
    __table_args__ = (
        UniqueConstraint("contribution_id", "revision_number"),
        Index("ix_moderation_case_queue", "process_id", "state", "warning_count", "opened_at", "id"),
        CheckConstraint("(state = 'open') = (decided_at IS NULL)", name="open_until_decided"),
    )

    id: Mapped[Key]
    contribution_id: Mapped[int] = mapped_column(ForeignKey("contribution.id", ondelete="CASCADE"))
    revision_number: Mapped[int]
    process_id: Mapped[int] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"))
    state: Mapped[CaseState] = mapped_column(enum_type(CaseState), default=CaseState.OPEN)
    opened_at: Mapped[datetime]
    checked_at: Mapped[datetime | None]
    warning_count: Mapped[int] = mapped_column(default=0)
    decided_at: Mapped[datetime | None]

    contribution: Mapped[Contribution] = relationship()
    process: Mapped[Process] = relationship()
    findings: Mapped[list[Finding]] = relationship(
        back_populates="case", order_by="Finding.id", cascade="all, delete-orphan"
    )
    decisions: Mapped[list[Decision]] = relationship(
        back_populates="case", order_by="Decision.id", cascade="all, delete-orphan"
    )


class Finding(Base):
    """What a check says, with the span of the text it means (start, end in characters; none for the whole)."""

    __tablename__ = "finding"
    __table_args__ = (Index("ix_finding_case_id", "case_id"),)

    id: Mapped[Key]
    case_id: Mapped[int] = mapped_column(ForeignKey("moderation_case.id", ondelete="CASCADE"))
    check_key: Mapped[str] = mapped_column(String(40))
    severity: Mapped[Severity] = mapped_column(enum_type(Severity))
    message: Mapped[Line]
    # "title" or "body"
    part: Mapped[str] = mapped_column(String(10), default="body")
    start: Mapped[int | None]
    end: Mapped[int | None]
    related_contribution_id: Mapped[int | None] = mapped_column(ForeignKey("contribution.id", ondelete="CASCADE"))

    case: Mapped[Case] = relationship(back_populates="findings")


class Decision(Base):
    """What a moderator did, with its statement of reasons."""

    __tablename__ = "decision"
    __table_args__ = (
        Index("ix_decision_case_id", "case_id"),
        CheckConstraint("outcome IN ('approve', 'restore') OR statement <> ''", name="statement_of_reasons"),
    )

    id: Mapped[Key]
    case_id: Mapped[int] = mapped_column(ForeignKey("moderation_case.id", ondelete="CASCADE"))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id", ondelete="SET NULL"))
    outcome: Mapped[Outcome] = mapped_column(enum_type(Outcome))
    # The rule that was broken, from the list in moderation/reasons.py.
    rule_key: Mapped[str] = mapped_column(String(40), default="")
    statement: Mapped[str] = mapped_column(Text, default="")
    decided_at: Mapped[Created]

    case: Mapped[Case] = relationship(back_populates="decisions")
    account: Mapped[Account | None] = relationship()


class Report(Base):
    """What a reader points out about a contribution (Art. 16 DSA). It brings the contribution back to the desk.

    It never hides anything by itself, however many there are.
    """

    __tablename__ = "report"
    __table_args__ = (Index("ix_report_open", "contribution_id", "handled_at"),)

    id: Mapped[Key]
    contribution_id: Mapped[int] = mapped_column(ForeignKey("contribution.id", ondelete="CASCADE"))
    reason_key: Mapped[str] = mapped_column(String(40))
    statement: Mapped[str] = mapped_column(Text)
    # Name and address of whoever wants to hear of the outcome; sealed, read by jobs only.
    contact_sealed: Mapped[str | None] = mapped_column(String(900))
    receipt_number: Mapped[str] = mapped_column(String(20), unique=True)
    submission_key: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[Created]
    handled_at: Mapped[datetime | None]
    decision_id: Mapped[int | None] = mapped_column(ForeignKey("decision.id", ondelete="SET NULL"))

    contribution: Mapped[Contribution] = relationship()
    decision: Mapped[Decision | None] = relationship()
