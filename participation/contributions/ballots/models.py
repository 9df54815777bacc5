"""One ballot per voter and phase, what stands on it, and the counters that results are read from."""

from __future__ import annotations

import secrets
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from participation.accounts.models import ParticipantKind
from participation.db import Base, WideNumber, enum_type


def new_number() -> int:
    """The number of a ballot. Counted up, it would tell in which order people voted."""
    return secrets.randbits(63)


class Ballot(Base):
    """Somebody voted in a phase; `size` says how many marks stand on it, 0 after everything was taken back."""

    __tablename__ = "ballot"
    __table_args__ = (
        UniqueConstraint("phase_id", "voter_id"),
        Index("ix_ballot_voter_id", "voter_id"),
    )

    id: Mapped[int] = mapped_column(WideNumber, primary_key=True, autoincrement=False, default=new_number)
    phase_id: Mapped[int] = mapped_column(ForeignKey("phase.id", ondelete="CASCADE"))
    voter_id: Mapped[int] = mapped_column(WideNumber, ForeignKey("voter.id", ondelete="CASCADE"))
    # By which way it was cast; kept here, since a guest may become an account later.
    channel: Mapped[ParticipantKind] = mapped_column(enum_type(ParticipantKind))
    size: Mapped[int] = mapped_column(default=0)
    # Where it came from, under a key of the day and the process; forgotten after two weeks (abuse.operations).
    source_hash: Mapped[str | None] = mapped_column(String(16), index=True)
    # Does not count because of proved abuse.
    annulment_id: Mapped[int | None] = mapped_column(ForeignKey("annulment.id"), index=True)
    # The hour; after two weeks the day (see Vote).
    changed_at: Mapped[datetime]


class BallotMark(Base):
    """What a ballot says of one proposal: 1 or -1 (for, against), a number of points, or 1 (into the basket)."""

    __tablename__ = "ballot_mark"
    __table_args__ = (
        CheckConstraint("value <> 0", name="says_something"),
        Index("ix_ballot_mark_contribution_id", "contribution_id"),
        # As with Vote: rows lie by their key.
        {"sqlite_with_rowid": False},
    )

    ballot_id: Mapped[int] = mapped_column(
        WideNumber, ForeignKey("ballot.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    contribution_id: Mapped[int] = mapped_column(
        ForeignKey("contribution.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    value: Mapped[int]


class BallotOption(Base):
    """A proposal that a budget can be spent on, with its price in whole euros."""

    __tablename__ = "ballot_option"
    __table_args__ = (
        CheckConstraint("cost > 0", name="costs_something"),
        Index("ix_ballot_option_contribution_id", "contribution_id"),
    )

    phase_id: Mapped[int] = mapped_column(
        ForeignKey("phase.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    contribution_id: Mapped[int] = mapped_column(
        ForeignKey("contribution.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    cost: Mapped[int]


class BallotTally(Base):
    """What all counted ballots of a phase say of one proposal. Changes with the marks, recountable."""

    __tablename__ = "ballot_tally"
    __table_args__ = (
        CheckConstraint("people >= 0 AND against >= 0 AND against <= people", name="numbers_fit"),
        Index("ix_ballot_tally_order", "phase_id", "total", "contribution_id"),
        Index("ix_ballot_tally_contribution_id", "contribution_id"),
    )

    phase_id: Mapped[int] = mapped_column(
        ForeignKey("phase.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    contribution_id: Mapped[int] = mapped_column(
        ForeignKey("contribution.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    # How many ballots mention it, how many of these are against it, and the sum of all marks.
    people: Mapped[int] = mapped_column(default=0)
    against: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)


class BallotTurnout(Base):
    """How many counted ballots a phase has, by the way they were cast. Never by choice: few kiosk votes are no secret."""

    __tablename__ = "ballot_turnout"
    __table_args__ = (CheckConstraint("people >= 0", name="not_negative"),)

    phase_id: Mapped[int] = mapped_column(
        ForeignKey("phase.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    channel: Mapped[ParticipantKind] = mapped_column(enum_type(ParticipantKind), primary_key=True)
    people: Mapped[int] = mapped_column(default=0)
