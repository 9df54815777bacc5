"""Who supports what. Nobody but the person concerned is ever told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, and_, bindparam, func, null, or_, select, type_coerce
from sqlalchemy.orm import aliased

from participation.accounts.models import Participant
from participation.contributions.comments.models import Comment
from participation.contributions.models import Contribution, ContributionState, Voter
from participation.contributions.queries import ROW_OF_KNOWN_PROCESS
from participation.contributions.votes.models import Vote
from participation.formats import BallotRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Executable
    from sqlalchemy.orm import Session

    from participation.permissions import Actor
    from participation.processes.models import Phase

_OF_COMMENTS = select(Comment.__table__.c.id).where(Comment.__table__.c.proposal_id == bindparam("proposal_id"))
_OWN = (
    select(Participant.id, null(), null(), type_coerce(null(), Vote.given_at.type))
    .where(Participant.process_id == bindparam("process_id"), Participant.person_hash == bindparam("person_hash"))
    .union_all(
        select(null(), Vote.contribution_id, Vote.annulment_id, Vote.given_at)
        .where(Vote.voter_id == bindparam("voter_id"),
               or_(Vote.contribution_id == bindparam("proposal_id"), Vote.contribution_id.in_(_OF_COMMENTS)))
    )
)
# The same with what the buttons ask of the proposal, as many rows as there are supports: one way to the database less.
_own_id = aliased(Participant)
_STANDING_AND_OWN = (
    ROW_OF_KNOWN_PROCESS.add_columns(_own_id.id.label("own_id"), Vote.contribution_id.label("supported"),
                                     Vote.annulment_id, Vote.given_at)
    .outerjoin(_own_id, and_(_own_id.process_id == bindparam("process_id"),
                             _own_id.person_hash == bindparam("person_hash")))
    .outerjoin(Vote, and_(Vote.voter_id == bindparam("voter_id"),
                          or_(Vote.contribution_id == bindparam("contribution_id"),
                              Vote.contribution_id.in_(_OF_COMMENTS))))
)


@dataclass(frozen=True, slots=True)
class Aside:
    """What another feature shows of a reader on the page of a proposal: a column that comes along with their own part.

    `values` makes its parameters of the reader and the proposal's number; their names must be nobody else's.
    """

    column: ColumnElement[Any]
    values: Callable[[Actor, int], dict[str, Any]]


ASIDES: dict[str, Aside] = {}


@dataclass(frozen=True, slots=True)
class OwnPart:
    """What a person did on the page of a proposal: who they are there, and what they support of it."""

    participant_id: int | None
    voter_id: int | None
    supported: frozenset[int]
    # What does not count of this.
    annulled: frozenset[int] = frozenset()
    # What is kept of the time when they supported the proposal itself (see Vote).
    given_at: datetime | None = None
    # By name of the aside; empty where they were not asked along.
    asides: dict[str, Any] = field(default_factory=dict)


def own_part(
    read: Callable[[Executable, dict[str, Any]], Sequence[Any]],
    proposal_id: int, process_id: int, person_hash: str, voter_id: int,
) -> OwnPart:
    """The person behind the hash on the page of a proposal with its comments, in one query that `read` sends."""
    values = {"proposal_id": proposal_id, "process_id": process_id, "person_hash": person_hash, "voter_id": voter_id}
    rows: Sequence[Any] = read(_OWN, values)
    return OwnPart(next((row[0] for row in rows if row[0] is not None), None), voter_id,
                   frozenset(row[1] for row in rows if row[1] is not None),
                   frozenset(row[1] for row in rows if row[2] is not None),
                   next((row[3] for row in rows if row[1] == proposal_id), None))


def standing_and_own(
    read: Callable[[Executable, dict[str, Any]], Sequence[Any]],
    actor: Actor, proposal_id: int, process_id: int, person_hash: str, voter_id: int,
) -> tuple[dict[str, Any], OwnPart] | None:
    """The columns of ROW_OF_KNOWN_PROCESS, `own_part` and the asides, in one query; None where there is no such proposal."""
    values: dict[str, Any] = {
        "contribution_id": proposal_id, "proposal_id": proposal_id, "process_id": process_id, "person_hash": person_hash,
        "voter_id": voter_id,
    }
    for one in ASIDES.values():
        values |= one.values(actor, proposal_id)
    rows: Sequence[Any] = read(_standing_and_own(tuple(ASIDES)), values)
    if not rows:
        return None
    found = rows[0]._asdict()
    own_id, asides = found.pop("own_id"), {name: found.pop(name) for name in ASIDES}
    del found["supported"], found["annulment_id"], found["given_at"]
    return found, OwnPart(own_id, voter_id, frozenset(row.supported for row in rows if row.supported is not None),
                          frozenset(row.supported for row in rows if row.annulment_id is not None),
                          next((row.given_at for row in rows if row.supported == proposal_id), None), asides)


@cache
def _standing_and_own(names: tuple[str, ...]) -> Select[*tuple[Any, ...]]:
    return _STANDING_AND_OWN.add_columns(*(ASIDES[name].column.label(name) for name in names))


def supports_of(session: Session, process_ids: Sequence[int]) -> dict[int, int]:
    """How many supports the public proposals of some processes have, added up when somebody reads it.

    A counter of the process would change with every vote, and all voters would wait for each other at its row. Voters
    are fewer than proposals may become: what they gave is added up, less what stands under proposals that are not
    public, which an index finds.
    """
    given = (
        select(Voter.process_id, func.sum(Voter.supports)).where(Voter.process_id.in_(process_ids))
        .group_by(Voter.process_id)
    )
    unseen = (
        select(Contribution.process_id, -func.sum(Contribution.support_count))
        .where(Contribution.process_id.in_(process_ids), Contribution.kind == "proposal",
               Contribution.state.in_([state for state in ContributionState if state is not ContributionState.PUBLISHED]),
               Contribution.support_count > 0)
        .group_by(Contribution.process_id)
    )
    found: Counter[int] = Counter()
    for process_id, number in session.execute(given.union_all(unseen)):
        found[process_id] += int(number)
    return dict(found)


def counted_until(phases: Iterable[Phase], now: datetime) -> datetime | None:
    """The end of the last vote by supports that is over: what was given until then stands in its result."""
    return max((phase.ends_at for phase in phases if phase.ballot is BallotRule.SUPPORT and phase.ends_at and phase.ends_at <= now),
               default=None)


