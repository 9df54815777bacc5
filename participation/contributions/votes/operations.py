"""Supporting a contribution: exact under any race, by the primary key and ON CONFLICT."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Integer, bindparam, delete, exists, func, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm.attributes import set_committed_value

from participation import clock
from participation.accounts.operations.leaving import ACCOUNT_IS_THERE, await_leaving, hold_account
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.models import Contribution, ContributionState, Voter
from participation.contributions.votes.models import Vote
from participation.contributions.votes.queries import counted_until
from participation.db import is_sqlite
from participation.errors import Conflict
from participation.i18n import N_
from participation.permissions import Actor, require
from participation.prepared import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Table
    from sqlalchemy.orm import Session

    from participation.tokens import Keyring


AT_ONCE = 1000
# Built once: in a busy evening building them anew would cost more than running them.
_vote, _voter, _contribution = (cast("Table", model.__table__) for model in (Vote, Voter, Contribution))
_ADD = {
    kind is sqlite: kind.insert(_vote)
    .on_conflict_do_nothing(index_elements=["contribution_id", "voter_id"])
    .returning(_vote.c.contribution_id)
    for kind in (sqlite, postgresql)
}
_NAMES = ["contribution_id", "voter_id", "source_hash", "given_at"]
# The same for whoever has voted in the process before, which is most of an evening: one statement instead of three.
_ADD_OF_KNOWN = {
    kind is sqlite: kind.insert(_vote)
    .from_select(_NAMES, select(
        bindparam("contribution_id", type_=_vote.c.contribution_id.type), _voter.c.id,
        bindparam("source_hash", type_=_vote.c.source_hash.type), bindparam("given_at", type_=_vote.c.given_at.type),
    ).where(_voter.c.id == bindparam("voter_id"), ACCOUNT_IS_THERE))
    .on_conflict_do_nothing(index_elements=["contribution_id", "voter_id"])
    .returning(_vote.c.contribution_id)
    for kind in (sqlite, postgresql)
}
_COUNT_OF_VOTER = (
    update(_voter)
    .where(_voter.c.id == bindparam("key"))
    .values(supports=_voter.c.supports + bindparam("step", type_=Integer))
)
_OF_PROPOSAL = exists().where(_contribution.c.id == _vote.c.contribution_id, _contribution.c.kind == "proposal")
_COUNT = (
    update(_contribution)
    .where(_contribution.c.id == bindparam("key"), _contribution.c.state == ContributionState.PUBLISHED)
    .values(support_count=_contribution.c.support_count + bindparam("step", type_=Integer))
    .returning(_contribution.c.support_count)
)


def support(
    session: Session, keyring: Keyring, actor: Actor, contribution: Contribution, now: datetime,
    source: str | None = None,
) -> bool:
    """Add the actor's support. Returns False when it was there already. `source` says where it came from, sealed.

    Raises Conflict (phase over, or hidden this very moment), SignInNeeded or NotAllowed.
    """
    require(actor, Action.SUPPORT, contribution, now)
    process, identity = contribution.process, actor.identity or ""
    voter_id = keyring.voter_of(process.id, identity)
    values = {"contribution_id": contribution.id, "voter_id": voter_id, "source_hash": source,
              "given_at": coarse(now, clock.hour_of(now), (at for one in process.phases for at in (one.starts_at, one.ends_at)))}
    if _added_by_known(session, actor, values):
        _count(session, contribution, voter_id, 1)
        return True
    _voter_id, is_new = contributions.begin_voting(session, keyring, actor, process.id)
    if session.execute(_ADD[is_sqlite(session)], values).scalar_one_or_none() is None:
        return False
    _count(session, contribution, voter_id, 1)
    if is_new:
        contributions.count_voter(session, keyring, process.id, identity)
    return True


def _added_by_known(session: Session, actor: Actor, values: dict[str, Any]) -> bool:
    """Whether somebody who has voted in the process before gave one more vote; otherwise nothing has happened yet."""
    if actor.account_id is None:
        return False
    await_leaving(session, actor.account_id)
    return bool(run(session.connection(), _ADD_OF_KNOWN[is_sqlite(session)], values | {"account_id": actor.account_id}))


def coarse(at: datetime, begin: datetime, bounds: Iterable[datetime | None]) -> datetime:
    """What is kept of the time of a vote: the begin of its hour or day, or the last begin or end of a phase, if that is later.

    So what was given before a phase and after it can be told apart.
    """
    return max([begin, *(bound for bound in bounds if bound is not None and begin < bound <= at)])


def withdraw_support(
    session: Session, keyring: Keyring, actor: Actor, contribution: Contribution, now: datetime
) -> bool:
    """Take the actor's support back while the phase is open. Returns False when there was none.

    Raises Conflict, SignInNeeded or NotAllowed as `support`; Conflict also for what counts in a vote that is over.
    """
    require(actor, Action.SUPPORT, contribution, now)
    hold_account(session, actor.account_id)
    voter_id = keyring.voter_of(contribution.process_id, actor.identity or "")
    own = (Vote.contribution_id == contribution.id, Vote.voter_id == voter_id, Vote.annulment_id.is_(None))
    over = counted_until(contribution.process.phases, now) if contribution.kind == "proposal" else None
    removed = session.execute(delete(Vote).where(*own, *([Vote.given_at >= over] if over else [])))
    if not removed.rowcount:  # type: ignore[attr-defined]
        if over and session.scalar(select(exists().where(*own))):
            raise Conflict(N_("Diese Stimme zählt im Ergebnis einer Abstimmung, die zu Ende ist. Sie lässt sich nicht mehr "
                              "zurücknehmen."))
        return False
    _count(session, contribution, voter_id, -1)
    return True


def _count(session: Session, contribution: Contribution, voter_id: int, step: int) -> None:
    """In the order voter, contribution, always: two transactions can't wait for each other.

    The process is not touched, where all voters would wait for each other; its sum is made when it is read.
    """
    # Not by the session, which holds none of these rows: a vote would take a twentieth longer.
    connection = session.connection()
    if contribution.kind == "proposal":
        run(connection, _COUNT_OF_VOTER, {"key": voter_id, "step": step})
    counted = run(connection, _COUNT, {"key": contribution.id, "step": step})
    if not counted:
        raise Conflict(N_("Dieser Vorschlag ist gerade ausgeblendet worden. Ihre Stimme ist nicht gespeichert."))
    set_committed_value(contribution, "support_count", counted[0].support_count)


# ---- many votes at once


def count_many(session: Session, given: Sequence[tuple[int, int]], step: int) -> None:
    """These supports (contribution, voter) count now, or no more: every counter, in the order in which one vote does."""
    keys = sorted({key for key, _voter_id in given})
    proposals: set[int] = set()
    for start in range(0, len(keys), AT_ONCE):
        proposals.update(session.scalars(select(Contribution.id).where(
            Contribution.id.in_(keys[start : start + AT_ONCE]), Contribution.kind == "proposal")))
    of_voters = Counter(voter_id for key, voter_id in given if key in proposals)
    if of_voters:
        session.execute(_COUNT_OF_VOTER, [{"key": key, "step": step * of_voters[key]} for key in sorted(of_voters)])
    for key, number in sorted(Counter(key for key, _voter_id in given).items()):
        session.execute(
            update(Contribution).where(Contribution.id == key)
            .values(support_count=Contribution.support_count + step * number)
            .execution_options(synchronize_session=False)
        )


def hold_votes(session: Session, *conditions: ColumnElement[bool]) -> None:
    """Until the end of the transaction; always in one order, so that two who take many wait for each other in turn."""
    session.execute(select(Vote.contribution_id).where(*conditions).order_by(Vote.contribution_id, Vote.voter_id)
                    .with_for_update())


def move_supports(session: Session, source_id: int, target_id: int) -> None:
    """What one voter supports is another's from now on; what both support counts once."""
    # A vote of the target may come in this very moment, so the primary key decides which ones are new.
    kind = sqlite if is_sqlite(session) else postgresql
    votes = select(Vote.contribution_id, literal(target_id), Vote.given_at, Vote.source_hash, Vote.annulment_id).where(
        Vote.voter_id == source_id)
    moved = set(session.scalars(
        kind.insert(_vote)
        .from_select(["contribution_id", "voter_id", "given_at", "source_hash", "annulment_id"], votes)
        .on_conflict_do_nothing(index_elements=["contribution_id", "voter_id"])
        .returning(_vote.c.contribution_id)
    ))
    counted = [row[0] for row in session.execute(
        delete(Vote).where(Vote.voter_id == source_id).returning(Vote.contribution_id, Vote.annulment_id)
        .execution_options(synchronize_session=False)
    ) if row[1] is None]
    count_many(session, [(key, source_id) for key in counted], -1)
    count_many(session, [(key, target_id) for key in counted if key in moved], 1)


def take_back_all(session: Session, voter_id: int, over: datetime | None) -> None:
    """Everything that a voter supports, but for what counts in a vote that was over at `over` (see `counted_until`).

    Whoever calls knows that it may be taken back. What was annulled goes too: whoever undid the annulment later would count it beside what a new account gave since.
    """
    gone = session.execute(
        delete(Vote).where(Vote.voter_id == voter_id, *([or_(Vote.given_at >= over, ~_OF_PROPOSAL)] if over else []))
        .returning(Vote.contribution_id, Vote.annulment_id).execution_options(synchronize_session=False)
    ).all()
    count_many(session, [(row[0], voter_id) for row in gone if row[1] is None], -1)


def recount(session: Session, process_id: int | None = None) -> dict[str, int]:
    """Count the supports of all voters (of one process) anew; returns how many were wrong. Commit is the caller's."""
    truth = (
        select(func.count()).select_from(Vote).join(Contribution, Contribution.id == Vote.contribution_id)
        .where(Vote.voter_id == Voter.id, Vote.annulment_id.is_(None), Contribution.kind == "proposal")
        .correlate(Voter).scalar_subquery()
    )
    statement = update(Voter).where(Voter.supports != truth).values(supports=truth)
    if process_id is not None:
        statement = statement.where(Voter.process_id == process_id)
    changed = session.execute(statement.execution_options(synchronize_session=False))
    return {"voter.supports": int(changed.rowcount)}  # type: ignore[attr-defined]
