"""Supporting a contribution: exact under any race, by the primary key and ON CONFLICT."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlalchemy import Integer, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm.attributes import set_committed_value

from participation.accounts.models import Participant, ParticipantKind
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.models import Contribution, ContributionState
from participation.contributions.queries import lock_contribution
from participation.contributions.votes.models import Vote
from participation.contributions.votes.queries import limit_of, votes_given
from participation.db import is_sqlite
from participation.errors import Conflict
from participation.i18n import N_
from participation.permissions import Actor, require
from participation.processes.models import Phase, Process

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Table
    from sqlalchemy.orm import Session

    from participation.tokens import Keyring


# Built once: in a busy evening building them anew would cost more than running them.
_vote, _contribution, _process = (
    cast("Table", model.__table__) for model in (Vote, Contribution, Process)
)
_ADD = {
    kind is sqlite: kind.insert(_vote)
    .on_conflict_do_nothing(index_elements=["contribution_id", "participant_id"])
    .returning(_vote.c.contribution_id)
    for kind in (sqlite, postgresql)
}
_COUNT = (
    update(_contribution)
    .where(_contribution.c.id == bindparam("key"), _contribution.c.state == ContributionState.PUBLISHED)
    .values(support_count=_contribution.c.support_count + bindparam("step", type_=Integer))
    .returning(_contribution.c.support_count)
)
_COUNT_IN_PROCESS = (
    update(_process)
    .where(_process.c.id == bindparam("key"))
    .values(support_count=_process.c.support_count + bindparam("step", type_=Integer))
)


def support(
    session: Session, keyring: Keyring, actor: Actor, contribution: Contribution, now: datetime,
    source: str | None = None,
) -> bool:
    """Add the actor's support. Returns False when it was there already. `source` says where it came from, sealed.

    Raises Conflict (phase over, hidden this very moment, or no vote left), SignInNeeded or NotAllowed.
    """
    require(actor, Action.SUPPORT, contribution, now)
    participant = contributions.find_participant(session, keyring, contribution.process_id, actor.identity)
    if participant is None:
        lock_contribution(session, contribution.id)
        participant = contributions.ensure_participant(
            session, keyring, contribution.process_id, actor.identity or "", kind=ParticipantKind.ACCOUNT,
            pseudonym=actor.display_name, now=now, contact=f"account:{actor.account_id}", is_staff=actor.is_staff,
        )
    phase = contribution.process.phase_opening(Action.SUPPORT, now)
    if contribution.kind == "proposal" and phase is not None and limit_of(phase):
        _require_vote_left(session, participant, contribution, phase)
    added = session.execute(
        _ADD[is_sqlite(session)],
        {"contribution_id": contribution.id, "participant_id": participant.id, "created_at": now,
         "source_hash": source},
    )
    if added.scalar_one_or_none() is None:
        return False
    _count(session, contribution, 1)
    return True


def _require_vote_left(
    session: Session, participant: Participant, contribution: Contribution, phase: Phase
) -> None:
    """Held until the end: of many votes of one person at once, each sees those before it.

    What is not public any more gives its vote back, when it is needed.
    """
    session.execute(select(Participant.id).where(Participant.id == participant.id).with_for_update())
    given = session.execute(votes_given(phase, participant.id)).all()
    if len(given) < limit_of(phase) or any(row.contribution_id == contribution.id for row in given):
        return
    gone = next((row for row in given if row.state is not ContributionState.PUBLISHED and row.annulment_id is None), None)
    if gone is None:
        raise Conflict(N_("Sie haben schon alle %(number)s Stimmen vergeben. Nehmen Sie zuerst eine zurück."),
                       number=limit_of(phase))
    session.execute(delete(Vote).where(Vote.contribution_id == gone.contribution_id, Vote.participant_id == participant.id)
                    .execution_options(synchronize_session=False))
    session.execute(update(Contribution).where(Contribution.id == gone.contribution_id)
                    .values(support_count=Contribution.support_count - 1).execution_options(synchronize_session=False))


def withdraw_support(
    session: Session, keyring: Keyring, actor: Actor, contribution: Contribution, now: datetime
) -> bool:
    """Take the actor's support back while the phase is open. Returns False when there was none.

    Raises Conflict, SignInNeeded or NotAllowed as `support`.
    """
    require(actor, Action.SUPPORT, contribution, now)
    participant = contributions.find_participant(session, keyring, contribution.process_id, actor.identity)
    if participant is None:
        return False
    removed = session.execute(
        delete(Vote).where(Vote.contribution_id == contribution.id, Vote.participant_id == participant.id,
                           Vote.annulment_id.is_(None))
    )
    if not removed.rowcount:  # type: ignore[attr-defined]
        return False
    _count(session, contribution, -1)
    return True


def _count(session: Session, contribution: Contribution, step: int) -> None:
    """In the order contribution, process, always: two transactions can't wait for each other.

    The state is asked again under the row's lock, since hiding takes the supports out of the process's sum.
    """
    counted = session.execute(_COUNT, {"key": contribution.id, "step": step}).scalar_one_or_none()
    if counted is None:
        raise Conflict(N_("Dieser Vorschlag ist gerade ausgeblendet worden. Ihre Stimme ist nicht gespeichert."))
    set_committed_value(contribution, "support_count", counted)
    if contribution.kind != "proposal":
        # The figures of a process count supports of proposals; those of comments only order a discussion.
        return
    session.execute(_COUNT_IN_PROCESS, {"key": contribution.process_id, "step": step})
