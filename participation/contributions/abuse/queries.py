"""Flags with their numbers, and annulments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, exists, func, literal, or_, select

from participation import clock
from participation.actions import Action
from participation.contributions.abuse.models import Annulment, VoteFlag
from participation.contributions.ballots.models import Ballot
from participation.contributions.models import Contribution
from participation.contributions.votes.models import Vote
from participation.formats import BallotRule
from participation.processes.models import Phase, Process

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy.orm import Session

SHOWN = 100
# How long the hour of a vote is known, and which votes came from one address.
KEPT = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Suspect:
    """Which votes are looked at: of one address under its key, within a time, or both; never by what they say."""

    source_hash: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def within(cls, source_hash: str | None, since: datetime, until: datetime, now: datetime) -> Suspect:
        """From one time to another, in whole hours, or whole days where nothing else is known any more."""
        floor: Callable[[datetime], datetime] = clock.hour_of
        step = timedelta(hours=1)
        if since < now - KEPT:
            floor, step = clock.day_of, timedelta(days=1)
        return cls(source_hash, floor(since), floor(until + step - timedelta(microseconds=1)))

    def votes(self) -> list[ColumnElement[bool]]:
        """The conditions for supports that count."""
        return [Vote.annulment_id.is_(None), *self._conditions(Vote.given_at, Vote.source_hash)]

    def ballots(self) -> list[ColumnElement[bool]]:
        """The same for ballots on which something stands, by when they were changed last."""
        return [Ballot.annulment_id.is_(None), Ballot.size > 0, *self._conditions(Ballot.changed_at, Ballot.source_hash)]

    def _conditions(self, at: Any, source: Any) -> list[ColumnElement[bool]]:  # noqa: ANN401 - columns of either table
        found = []
        if self.source_hash is not None:
            found.append(source == self.source_hash)
        if self.since is not None:
            found.append(at >= self.since)
        if self.until is not None:
            found.append(at < self.until)
        return found

    def described(self) -> dict[str, str]:
        """For the audit log: the time, and whether one address was meant. Which one, is forgotten like everywhere."""
        times = {"since": self.since, "until": self.until}
        return {name: at.isoformat() for name, at in times.items() if at} | {
            "of": "one address" if self.source_hash else "all addresses"}


@dataclass(frozen=True, slots=True)
class Effect:
    """What an annulment would take away: numbers only, nothing by proposal."""

    votes: int
    people: int
    ballots: int
    votes_counted: int
    ballots_counted: int

    @property
    def total(self) -> int:
        """Everything that would count no more."""
        return self.votes + self.ballots


def effect_of(session: Session, process: Process, suspect: Suspect) -> Effect:
    """What annulling would do, in two queries."""
    taken = [*suspect.votes()]
    votes = session.execute(
        select(func.count().filter(*taken), func.count(Vote.voter_id.distinct()).filter(*taken),
               func.count().filter(Vote.annulment_id.is_(None)))
        .select_from(Vote).join(Contribution, Contribution.id == Vote.contribution_id)
        .where(Contribution.process_id == process.id)
    ).one()
    ballots = session.execute(
        select(func.count().filter(*suspect.ballots()),
               func.count().filter(Ballot.annulment_id.is_(None), Ballot.size > 0))
        .select_from(Ballot).join(Phase, Phase.id == Ballot.phase_id).where(Phase.process_id == process.id)
    ).one()
    return Effect(votes[0], votes[1], ballots[0], votes[2], ballots[1])


def flags_of(process_id: int) -> Select[*tuple[Any, ...]]:
    """(flag, supports that count, people behind them, ballots that count), the newest first."""
    here = (
        select(Contribution.id).where(Contribution.id == Vote.contribution_id, Contribution.process_id == process_id)
        .exists()
    )
    counted = (Vote.source_hash == VoteFlag.source_hash, Vote.annulment_id.is_(None), here)
    votes = select(func.count()).select_from(Vote).where(*counted).scalar_subquery()
    people = select(func.count(Vote.voter_id.distinct())).where(*counted).scalar_subquery()
    ballots = (
        select(func.count()).select_from(Ballot).join(Phase, Phase.id == Ballot.phase_id)
        .where(Ballot.source_hash == VoteFlag.source_hash, Ballot.annulment_id.is_(None), Ballot.size > 0,
               Phase.process_id == process_id).scalar_subquery()
    )
    return (
        select(VoteFlag, votes, people, ballots).where(VoteFlag.process_id == process_id)
        .order_by(VoteFlag.last_at.desc(), VoteFlag.id.desc()).limit(SHOWN)
    )


def open_flags(municipality_id: int) -> Select[*tuple[Any, ...]]:
    """(process, number of its flags of which votes still count), the newest process first."""
    vote = (Vote.source_hash == VoteFlag.source_hash, Vote.annulment_id.is_(None))
    ballot = (Ballot.source_hash == VoteFlag.source_hash, Ballot.annulment_id.is_(None), Ballot.size > 0)
    return (
        select(Process, func.count(VoteFlag.id)).join(VoteFlag, VoteFlag.process_id == Process.id)
        .where(Process.municipality_id == municipality_id, or_(exists().where(*vote), exists().where(*ballot)))
        .group_by(Process.id).order_by(Process.id.desc()).limit(SHOWN)
    )


def annulments_of(process_id: int) -> Select[Annulment]:
    """The annulments of a process, the newest first."""
    return select(Annulment).where(Annulment.process_id == process_id).order_by(Annulment.id.desc()).limit(SHOWN)


# Of proposals, where that is known.
_SUPPORTS = func.coalesce(Annulment.proposal_votes, Annulment.votes)


def annulments_in(phase: Phase) -> Select[*tuple[Any, ...]]:
    """(annulment, supports, ballots) of what would count in the result of a phase, the newest first."""
    if phase.ballot is BallotRule.SUPPORT:
        return (
            annulments_of(phase.process_id).where(_SUPPORTS > 0, Annulment.undone_at.is_(None))
            .add_columns(_SUPPORTS, literal(0))
        )
    return (
        select(Annulment, literal(0), func.count()).join(Ballot, Ballot.annulment_id == Annulment.id)
        .where(Ballot.phase_id == phase.id).group_by(Annulment.id).order_by(Annulment.id.desc()).limit(SHOWN)
    )


def undone_in(session: Session, phase: Phase) -> list[tuple[Annulment, int, int]]:
    """(annulment, supports, ballots) of what was missing in the result of a phase for a time and counts again.

    A ballot that counts again does not tell any more that it was annulled. Where the annulment does not know of which phase
    its ballots were, the time when they were given says it; where that fits to several, their number is left out (0): it
    would be that of all of them.
    """
    undone = annulments_of(phase.process_id).where(Annulment.undone_at.is_not(None))
    if phase.ballot is BallotRule.SUPPORT:
        rows = session.execute(undone.where(_SUPPORTS > 0).add_columns(_SUPPORTS)).all()
        return [(row[0], row[1], 0) for row in rows]
    found = []
    for one in session.scalars(undone.where(Annulment.ballots > 0)):
        if one.ballots_by_phase is not None:
            if number := one.ballots_by_phase.get(str(phase.id)):
                found.append((one, 0, number))
            continue
        concerned = [other for other in phase.process.phases if other.opens(Action.CAST_BALLOT) and _was_open(other, one)]
        if phase in concerned:
            found.append((one, 0, one.ballots if len(concerned) == 1 else 0))
    return found


def _was_open(phase: Phase, annulment: Annulment) -> bool:
    """Whether ballots of a phase may be among those that were annulled."""
    begins_later = phase.starts_at is not None and phase.starts_at >= (annulment.until or annulment.created_at)
    was_over = phase.ends_at is not None and annulment.since is not None and phase.ends_at <= annulment.since
    return not begins_later and not was_over
