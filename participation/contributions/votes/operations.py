"""Supporting a contribution: exact under any race, by the primary key and ON CONFLICT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm.attributes import set_committed_value

from participation.accounts.models import ParticipantKind
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.models import Contribution, ContributionState
from participation.contributions.queries import lock_contribution
from participation.contributions.votes.models import Vote
from participation.db import is_sqlite
from participation.errors import Conflict
from participation.i18n import N_
from participation.permissions import Actor, require
from participation.processes.models import Process

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring


def support(session: Session, keyring: Keyring, actor: Actor, contribution: Contribution, now: datetime) -> bool:
    """Add the actor's support. Returns False when it was there already.

    Raises Conflict (phase over, or hidden this very moment), SignInNeeded or NotAllowed.
    """
    require(actor, Action.SUPPORT, contribution, now)
    participant = contributions.find_participant(session, keyring, contribution.process_id, actor.identity)
    if participant is None:
        lock_contribution(session, contribution.id)
        participant = contributions.ensure_participant(
            session, keyring, contribution.process_id, actor.identity or "", kind=ParticipantKind.ACCOUNT,
            pseudonym=actor.display_name, now=now, contact=f"account:{actor.account_id}", is_staff=actor.is_staff,
        )
    insert = sqlite.insert if is_sqlite(session) else postgresql.insert
    added = session.scalar(
        insert(Vote)
        .values(contribution_id=contribution.id, participant_id=participant.id, created_at=now)
        .on_conflict_do_nothing(index_elements=["contribution_id", "participant_id"])
        .returning(Vote.contribution_id)
    )
    if added is None:
        return False
    _count(session, contribution, 1)
    return True


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
        delete(Vote).where(Vote.contribution_id == contribution.id, Vote.participant_id == participant.id)
    )
    if not removed.rowcount:  # type: ignore[attr-defined]
        return False
    _count(session, contribution, -1)
    return True


def _count(session: Session, contribution: Contribution, step: int) -> None:
    """In the order contribution, process, always: two transactions can't wait for each other.

    The state is asked again under the row's lock, since hiding takes the supports out of the process's sum.
    """
    counted = session.execute(
        update(Contribution)
        .where(Contribution.id == contribution.id, Contribution.state == ContributionState.PUBLISHED)
        .values(support_count=Contribution.support_count + step)
        .returning(Contribution.support_count)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    if counted is None:
        raise Conflict(N_("Dieser Vorschlag ist gerade ausgeblendet worden. Ihre Stimme ist nicht gespeichert."))
    set_committed_value(contribution, "support_count", counted)
    session.execute(
        update(Process).where(Process.id == contribution.process_id)
        .values(support_count=Process.support_count + step)
        .execution_options(synchronize_session=False)
    )
