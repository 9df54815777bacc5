"""Support: at most one per participant and contribution, by the primary key itself."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from participation.db import Base, Created

_KNOWN = text("source_hash IS NOT NULL")
_ANNULLED = text("annulment_id IS NOT NULL")


class Vote(Base):
    """One participant supports one contribution."""

    __tablename__ = "vote"
    __table_args__ = (
        Index("ix_vote_participant_id", "participant_id"),
        Index("ix_vote_source", "source_hash", sqlite_where=_KNOWN, postgresql_where=_KNOWN),
        Index("ix_vote_annulment", "annulment_id", sqlite_where=_ANNULLED, postgresql_where=_ANNULLED),
    )

    contribution_id: Mapped[int] = mapped_column(
        ForeignKey("contribution.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    participant_id: Mapped[int] = mapped_column(ForeignKey("participant.id"), primary_key=True, autoincrement=False)
    created_at: Mapped[Created]
    # Where it came from, under a key of the day; forgotten after two weeks (abuse.operations).
    source_hash: Mapped[str | None] = mapped_column(String(16))
    # Does not count because of proved abuse.
    annulment_id: Mapped[int | None] = mapped_column(ForeignKey("annulment.id"))
