"""What a form held when its author put it aside.

A table of its own rather than a contribution in a state of its own: no list, count, search, export or desk can show
what none of them reads. Nothing here says in the open whose it is or what it says.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from participation.db import Base, Created, Key
from participation.processes.models import Process
from participation.uploads import Upload

DRAFTS_MAX = 5


class Draft(Base):
    """One form put aside. Its slot holds the number of drafts per person and process down, also under a race."""

    __tablename__ = "draft"
    __table_args__ = (
        CheckConstraint(f"slot BETWEEN 1 AND {DRAFTS_MAX}", name="few_each"),
        UniqueConstraint("owner_hash", "process_id", "slot"),
        Index("ix_draft_saved_at", "saved_at"),
    )

    id: Mapped[Key]
    process_id: Mapped[int] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"), index=True)
    # A keyed hash of the account: its own drafts are found by it, never the account by a draft.
    owner_hash: Mapped[str] = mapped_column(String(64))
    slot: Mapped[int]
    # The form it is: sent, it becomes one proposal, from however many windows.
    form_hash: Mapped[str] = mapped_column(String(64), unique=True)
    # Sealed: what nobody handed in, no reader of the database or of a backup may read either.
    content_sealed: Mapped[str] = mapped_column(Text)
    upload_id: Mapped[int | None] = mapped_column(ForeignKey("upload.id"), index=True)
    # Rises with each saving, so that two windows can't undo each other.
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[Created]
    saved_at: Mapped[datetime]

    process: Mapped[Process] = relationship()
    upload: Mapped[Upload | None] = relationship()
