"""Support: at most one per voter and contribution, by the primary key itself."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from participation.db import Base, WideNumber

_KNOWN = text("source_hash IS NOT NULL")
_ANNULLED = text("annulment_id IS NOT NULL")


class Vote(Base):
    """One voter supports one contribution. Never joined with a participant: see Voter."""

    __tablename__ = "vote"
    __table_args__ = (
        Index("ix_vote_voter_id", "voter_id"),
        Index("ix_vote_source", "source_hash", sqlite_where=_KNOWN, postgresql_where=_KNOWN),
        Index("ix_vote_annulment", "annulment_id", sqlite_where=_ANNULLED, postgresql_where=_ANNULLED),
        # Rows lie by their key: no order of coming is kept.
        {"sqlite_with_rowid": False},
    )

    contribution_id: Mapped[int] = mapped_column(
        ForeignKey("contribution.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    voter_id: Mapped[int] = mapped_column(
        WideNumber, ForeignKey("voter.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    # The hour it was given in, or the begin or end of a phase if that is later; after two weeks the day. A precise time
    # would join it with what the same person wrote.
    given_at: Mapped[datetime]
    # Where it came from, under a key of the day and the process; forgotten after two weeks (abuse.operations).
    source_hash: Mapped[str | None] = mapped_column(String(16))
    # Does not count because of proved abuse.
    annulment_id: Mapped[int | None] = mapped_column(ForeignKey("annulment.id"))
