"""What looks like abuse, and what was found to be."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from participation.db import Base, Created, Key, Line


class VoteFlag(Base):
    """Very many votes in a process came from one address within an hour. A hint for people, no judgement."""

    __tablename__ = "vote_flag"
    __table_args__ = (UniqueConstraint("process_id", "source_hash"),)

    id: Mapped[Key]
    process_id: Mapped[int] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"))
    # The address under a key of the day and the process; it names nobody, and is forgotten after two weeks.
    source_hash: Mapped[str] = mapped_column(String(16))
    # The hour: a precise time would place the votes around it.
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]


class Annulment(Base):
    """Votes that do not count because of proved abuse, with the reason that everybody reads.

    Which ones is said by where they came from, never by what they say.
    """

    __tablename__ = "annulment"

    id: Mapped[Key]
    process_id: Mapped[int] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"), index=True)
    reason: Mapped[str] = mapped_column(Text)
    # How many supports and ballots.
    votes: Mapped[int]
    ballots: Mapped[int]
    # Of the supports, those of proposals; comments have no result. Not known of the oldest ones.
    proposal_votes: Mapped[int | None]
    # The ballots by number of their phase: once they count again, nothing else tells. Not known of the oldest ones.
    ballots_by_phase: Mapped[dict[str, int] | None] = mapped_column(JSON)
    # When they were given, in whole hours, for everybody to read; not known of the oldest ones.
    since: Mapped[datetime | None]
    until: Mapped[datetime | None]
    created_at: Mapped[Created]
    created_by: Mapped[Line]
    undone_at: Mapped[datetime | None]
    undone_reason: Mapped[str] = mapped_column(Text, default="")
