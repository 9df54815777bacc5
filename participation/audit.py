"""Append-only log of who did what. No text of contributions and no vote stands in it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from participation.db import Base, Key

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class AuditEntry(Base):
    """One act. `actor` is `account:<id>`, `guest`, `job:<name>` or `command:<name>`."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index("ix_audit_entry_subject", "subject_type", "subject_id"),)

    id: Mapped[Key]
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(60), index=True)
    action: Mapped[str] = mapped_column(String(60), index=True)
    subject_type: Mapped[str] = mapped_column(String(40))
    subject_id: Mapped[int | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


def record(
    session: Session,
    *,
    at: datetime,
    actor: str,
    action: str,
    subject_type: str,
    subject_id: int | None = None,
    **details: object,
) -> None:
    """Write one line in the running transaction. `details` may hold ids, states and numbers only."""
    session.add(
        AuditEntry(at=at, actor=actor, action=action, subject_type=subject_type, subject_id=subject_id, details=details)
    )
