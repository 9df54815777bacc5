"""Reading ballots and their results. What one ballot says is told to nobody but the person who cast it."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, case, exists, false, func, literal, null, or_, select, union_all

from participation import clock
from participation.accounts.models import ParticipantKind
from participation.actions import Action
from participation.contributions.abuse.models import Annulment
from participation.contributions.ballots.models import (
    Ballot,
    BallotMark,
    BallotOption,
    BallotTally,
    BallotTurnout,
)
from participation.contributions.models import Contribution, ContributionState, Voter
from participation.contributions.proposals.models import Proposal
from participation.contributions.votes.models import Vote
from participation.formats import BallotRule
from participation.i18n import N_
from participation.processes.models import Phase

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

RESULTS_SHOWN = 100
EXCERPT_LENGTH = 400
CHANNEL_LABELS = {
    ParticipantKind.ACCOUNT: N_("Mit Konto"),
    ParticipantKind.GUEST: N_("Ohne Konto"),
    ParticipantKind.KIOSK: N_("Am Gerät im DigitalLaden"),
    ParticipantKind.PAPER: N_("Auf Papier"),
    ParticipantKind.IMPORTED: N_("Von einer anderen Plattform"),
}


@dataclass(frozen=True, slots=True)
class OwnBallot:
    """What the person at hand marked in a phase: value by proposal."""

    marks: dict[int, int] = field(default_factory=dict)
    # What nobody can vote for any more: it gives back what was given with the next saving.
    gone: frozenset[int] = frozenset()
    # Of what can still be voted for.
    titles: dict[int, str] = field(default_factory=dict)
    # The reason that everybody reads, where it does not count.
    why_annulled: str = ""

    @property
    def standing(self) -> dict[int, int]:
        """The marks for what can still be voted for."""
        return {key: mark for key, mark in self.marks.items() if key not in self.gone}

    @property
    def spent(self) -> int:
        """How many votes or points are given away."""
        return sum(self.standing.values())


@dataclass(frozen=True, slots=True)
class Option:
    """A proposal with a price."""

    id: int
    title: str
    excerpt: str
    place: str
    theme_id: int | None
    cost: int


class Outcome(enum.Enum):
    """Whether the money of a budget goes to a proposal."""

    YES = "yes"
    NO = "no"
    # As many votes as others, and not enough money for all of them: the council decides.
    TIE = "tie"
    # Further down: what is left for it depends on what the council decides.
    OPEN = "open"
    GONE = "gone"


OUTCOME_LABELS = {
    Outcome.YES: N_("Ja"),
    Outcome.NO: N_("Nein"),
    Outcome.TIE: N_("Gleichstand: Der Rat entscheidet"),
    Outcome.OPEN: N_("Noch offen"),
    Outcome.GONE: N_("Entfällt"),
}


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one proposal. Of one that is not public any more there is no title."""

    id: int
    title: str
    state: ContributionState
    people: int
    against: int
    total: int
    cost: int | None = None
    outcome: Outcome = Outcome.NO

    @property
    def fits(self) -> bool:
        """Whether it is paid for."""
        return self.outcome is Outcome.YES

    @property
    def is_public(self) -> bool:
        """Whether everybody may read it."""
        return self.state is ContributionState.PUBLISHED

    @property
    def in_favour(self) -> int:
        """How many are for it."""
        return self.people - self.against


def own_ballot(session: Session, phase_id: int, voter_id: int) -> OwnBallot:
    """The ballot of a voter, in one query."""
    rows: Sequence[Any] = session.execute(
        select(BallotMark.contribution_id, BallotMark.value, Annulment.reason, Contribution.state, Proposal.__table__.c.title)
        .select_from(Ballot)
        .outerjoin(BallotMark, BallotMark.ballot_id == Ballot.id)
        .outerjoin(Contribution.__table__, Contribution.__table__.c.id == BallotMark.contribution_id)
        .outerjoin(Proposal.__table__, Proposal.__table__.c.id == BallotMark.contribution_id)
        .outerjoin(Annulment, Annulment.id == Ballot.annulment_id)
        .where(Ballot.phase_id == phase_id, Ballot.voter_id == voter_id)
    ).all()
    return OwnBallot({row[0]: row[1] for row in rows if row[0] is not None},
                     frozenset(row[0] for row in rows if row[0] is not None and row[3] is not ContributionState.PUBLISHED),
                     {row[0]: row[4] for row in rows if row[3] is ContributionState.PUBLISHED},
                     next((row[2] for row in rows if row[2]), ""))


def ballots_of(voter_ids: Sequence[int]) -> Select[*tuple[Any, ...]]:
    """(process, phase, its title, contribution, its title, value, when changed, whether it counts), for the voter only."""
    title = Proposal.__table__.c
    return (
        select(Voter.process_id, Ballot.phase_id, Phase.title, BallotMark.contribution_id, title.title, BallotMark.value,
               Ballot.changed_at, Ballot.annulment_id.is_(None))
        .select_from(Ballot)
        .join(Voter, Voter.id == Ballot.voter_id)
        .join(BallotMark, BallotMark.ballot_id == Ballot.id)
        .join(Phase, Phase.id == Ballot.phase_id)
        .outerjoin(Proposal.__table__, title.id == BallotMark.contribution_id)
        .where(Ballot.voter_id.in_(voter_ids))
        .order_by(Ballot.phase_id, BallotMark.contribution_id)
    )


def phases_with_options(session: Session, phase_ids: Sequence[int]) -> set[int]:
    """Which of some phases have a ballot paper with something on it."""
    return set(session.scalars(select(BallotOption.phase_id).where(BallotOption.phase_id.in_(phase_ids)).distinct()))


def options_of(session: Session, phase_id: int) -> list[Option]:
    """The public proposals with a price, in an order that has nothing to do with their success."""
    base, own = Contribution.__table__.c, Proposal.__table__.c
    rows = session.execute(
        select(base.id, own.title, func.substr(base.body, 1, EXCERPT_LENGTH), own.place, base.theme_id,
               BallotOption.cost)
        .select_from(BallotOption)
        .join(Contribution.__table__, base.id == BallotOption.contribution_id)
        .join(Proposal.__table__, own.id == base.id)
        .where(BallotOption.phase_id == phase_id, base.state == ContributionState.PUBLISHED)
        .order_by(base.shuffle_key, base.id)
    )
    return [Option(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of a proposal that stood on a ballot. Of one that is not public any more there is no title."""

    id: int
    title: str
    state: ContributionState


def standing_of_marks(session: Session, process_id: int, ids: Sequence[int]) -> dict[int, Standing]:
    """Proposals of a process, public or not."""
    base, own = Contribution.__table__.c, Proposal.__table__.c
    rows = session.execute(
        select(base.id, case((base.state == ContributionState.PUBLISHED, own.title), else_=""), base.state)
        .select_from(Contribution.__table__).join(Proposal.__table__, own.id == base.id)
        .where(base.process_id == process_id, base.id.in_(ids)).order_by(base.id))
    return {row[0]: Standing(*row) for row in rows}


def is_option(phase_id: int, proposal_id: int) -> Select[*tuple[Any, ...]]:
    """Whether a proposal stands on the paper of a budget."""
    return select(exists().where(BallotOption.phase_id == phase_id, BallotOption.contribution_id == proposal_id))


def costs_of(phase_id: int) -> Select[*tuple[Any, ...]]:
    """(proposal, price in euros) of a phase, published or not."""
    return select(BallotOption.contribution_id, BallotOption.cost).where(BallotOption.phase_id == phase_id)


def has_ballots(phase_id: int) -> Select[*tuple[Any, ...]]:
    """Whether anybody voted in a phase."""
    return select(exists().where(Ballot.phase_id == phase_id, Ballot.size > 0))


def has_supports(process_id: int) -> Select[*tuple[Any, ...]]:
    """Whether anybody supported a proposal of a process."""
    return select(exists().where(Vote.contribution_id == Contribution.id, Contribution.process_id == process_id,
                                 Contribution.kind == "proposal"))


def has_supports_since(phase: Phase) -> Select[*tuple[Any, ...]]:
    """Whether anybody has supported a proposal since a phase began, as far as the times of votes tell.

    Not until its end: an end that is set back, and later set forth again, would free the rules.
    """
    given = [Vote.contribution_id == Contribution.id, Contribution.process_id == phase.process_id,
             Contribution.kind == "proposal"]
    if phase.starts_at is not None:
        given.append(Vote.given_at >= phase.starts_at)
    is_waiting = phase.starts_at is None and bool(phase.vague_dates)
    return select(false() if is_waiting else exists().where(*given))


def turnout(session: Session, phase: Phase) -> dict[ParticipantKind, int]:
    """How many people took part in the vote, by the way they did, the most first."""
    statement: Select[*tuple[Any, ...]] = select(BallotTurnout.channel, BallotTurnout.people).where(
        BallotTurnout.phase_id == phase.id, BallotTurnout.people > 0)
    if phase.ballot is BallotRule.SUPPORT:
        statement = (
            select(Voter.channel, func.count()).where(Voter.process_id == phase.process_id, Voter.supports > 0)
            .group_by(Voter.channel)
        )
        if _is_over(phase):
            statement = (
                select(Voter.channel, func.count(Voter.id.distinct()))
                .join(Vote, Vote.voter_id == Voter.id).join(Contribution, Contribution.id == Vote.contribution_id)
                .where(Voter.process_id == phase.process_id, Contribution.kind == "proposal", Vote.annulment_id.is_(None),
                       Vote.given_at < phase.ends_at)
                .group_by(Voter.channel)
            )
    return {row[0]: row[1] for row in sorted(session.execute(statement), key=lambda row: -row[1])}


def ranking(phase: Phase, limit: int | None) -> Select[*tuple[Any, ...]]:
    """(id, title, state, people, against, total, cost) of the proposals that got something, the best first.

    What people gave stays in the result when its proposal goes, so that sums add up; its title does not. For points the
    order is by points, for and against by the difference, for supports and baskets by people.
    """
    if phase.ballot is BallotRule.SUPPORT:
        return _ranking_of_supports(phase, limit)
    base, own, tally = Contribution.__table__.c, Proposal.__table__.c, BallotTally.__table__.c
    cost = (
        select(BallotOption.cost)
        .where(BallotOption.phase_id == phase.id, BallotOption.contribution_id == base.id).scalar_subquery()
    )
    statement: Select[*tuple[Any, ...]] = (
        select(base.id, case((base.state == ContributionState.PUBLISHED, own.title), else_=""), base.state, tally.people,
               tally.against, tally.total, cost)
        .select_from(BallotTally.__table__)
        .join(Contribution.__table__, base.id == tally.contribution_id)
        .join(Proposal.__table__, own.id == base.id)
        .where(tally.phase_id == phase.id, tally.people > 0)
        .order_by(tally.total.desc(), tally.contribution_id.desc())
    )
    return statement if limit is None else statement.limit(limit)


def _ranking_of_supports(phase: Phase, limit: int | None) -> Select[*tuple[Any, ...]]:
    """Public proposals, and those that were public when the phase began; the index gives the best of each state at once."""
    base, own = Contribution.__table__.c, Proposal.__table__.c
    later = (
        select(Vote.contribution_id.label("key"), func.count().label("number"))
        .join(Contribution, Contribution.id == Vote.contribution_id)
        .where(Contribution.process_id == phase.process_id, Vote.annulment_id.is_(None), Vote.given_at >= phase.ends_at)
        .group_by(Vote.contribution_id).subquery()
    ) if _is_over(phase) else None

    def standing(title: Any, *conditions: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:  # noqa: ANN401 - a column or a value
        count = base.support_count if later is None else base.support_count - func.coalesce(later.c.number, 0)
        rows = Contribution.__table__.join(Proposal.__table__, own.id == base.id)
        if later is not None:
            rows = rows.outerjoin(later, later.c.key == base.id)
        found: Select[*tuple[Any, ...]] = (
            select(base.id, title.label("title"), base.state, count.label("people"), literal(0).label("against"),
                   count.label("total"), null().label("cost"))
            .select_from(rows)
            .where(base.process_id == phase.process_id, base.kind == "proposal", count > 0, *conditions)
            .order_by(count.desc(), base.id.desc())
        )
        return found.limit(limit).subquery().select()

    left = [] if phase.starts_at is None else [or_(base.decided_at.is_(None), base.decided_at >= phase.starts_at)]
    both = union_all(
        standing(own.title, base.state == ContributionState.PUBLISHED),
        *(standing(literal(""), base.state == state, *left) for state in (ContributionState.HIDDEN, ContributionState.WITHDRAWN)),
    ).subquery()
    return select(both).order_by(both.c.people.desc(), both.c.id.desc()).limit(limit)


def _is_over(phase: Phase) -> bool:
    """Whether what comes now does not count in it. By the time alone: which other phases there are may change afterwards."""
    return phase.ends_at is not None and phase.ends_at <= clock.now()


def goes_on(phase: Phase) -> bool:
    """Whether supports can be given in the process after the end of a vote by supports, which do not count in its result."""
    end = phase.ends_at
    return end is not None and any(
        one is not phase and one.opens(Action.SUPPORT) and (one.ends_at is None or one.ends_at > end)
        for one in phase.process.phases)


def began_before(phase: Phase) -> bool:
    """Whether supports could be given in the process before a vote by supports, which count in its result."""
    start = phase.starts_at
    return start is not None and any(
        one is not phase and one.opens(Action.SUPPORT)
        and (not one.vague_dates if one.starts_at is None else one.starts_at < start)
        for one in phase.process.phases)


def results(session: Session, phase: Phase, limit: int | None = None) -> list[Result]:
    """The ranking; for a budget with what the money is enough for: from the top down, skipping what is too dear or gone.

    Equal numbers are no order. Where the money that is left is enough for each of some equal proposals but not for all
    of them, nothing the voters said decides between them: they are a tie, for the council to decide, and get no money
    here. What stands below a tie and is not too dear in any case is open until then, since the decision says how much is left.
    """
    found = [Result(*row) for row in session.execute(ranking(phase, limit))]
    if phase.ballot is not BallotRule.BUDGET:
        return found
    left, has_tie, shown = int(getattr(phase.settings, "total", 0)), False, list[Result]()
    for _total, group in groupby(found, key=lambda one: one.total):
        equal = list(group)
        able = [one for one in equal if one.is_public and one.cost is not None and one.cost <= left]
        wanted = sum(one.cost or 0 for one in able)
        outcome = Outcome.OPEN if has_tie else Outcome.YES if wanted <= left else Outcome.TIE
        shown += [replace(one, outcome=Outcome.GONE if not one.is_public else outcome if one in able else Outcome.NO)
                  for one in equal]
        has_tie = has_tie or outcome is Outcome.TIE
        left -= wanted if outcome is Outcome.YES else 0
    return shown
