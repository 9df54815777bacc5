"""Inviting somebody to write along, accepting, leaving, and what becomes of a text whose first author leaves."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from participation import audit, outbox
from participation.accounts.models import ParticipantKind
from participation.accounts.operations.entered import clean_email
from participation.accounts.operations.leaving import hold_account
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.coauthors.models import Invitation
from participation.contributions.models import CoAuthor, Contribution, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.contributions.queries import lock_contribution
from participation.db import is_sqlite
from participation.errors import Conflict, Gone
from participation.events import Event, ParticipantsMerged, listen
from participation.i18n import N_
from participation.municipalities.operations import raise_content_version
from participation.permissions import Actor, require
from participation.tokens import hash_token, new_token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

CO_AUTHORS_MAX = 5
OPEN_MAX = 10
HOLDS = timedelta(days=14)
# Nobody writes on such a text any more, and its link must not show it either.
OVER = frozenset({ContributionState.WITHDRAWN, ContributionState.REJECTED, ContributionState.HIDDEN})


def invite(
    session: Session, keyring: Keyring, actor: Actor, proposal: Proposal, now: datetime, *, email: str = ""
) -> str:
    """A token that lets one person write along, for two weeks; by mail too when an address is given.

    Raises InvalidInput (field "email"), Conflict when there are enough, SignInNeeded, NotAllowed.
    """
    require(actor, Action.INVITE_CO_AUTHORS, proposal, now)
    if proposal.state in OVER:
        raise Conflict(N_("An diesem Vorschlag lässt sich nicht mehr schreiben."))
    address = clean_email(email) if email.strip() else ""
    session.execute(delete(Invitation).where(Invitation.proposal_id == proposal.id, Invitation.expires_at <= now))
    waiting = session.scalar(
        select(func.count()).select_from(Invitation).where(Invitation.proposal_id == proposal.id)) or 0
    if proposal.co_author_count >= CO_AUTHORS_MAX or waiting >= OPEN_MAX:
        raise Conflict(N_("Mehr Menschen können Sie zu diesem Vorschlag nicht einladen."))
    token = new_token()
    invitation = Invitation(proposal_id=proposal.id, token_hash=hash_token(token), created_at=now, expires_at=now + HOLDS)
    session.add(invitation)
    session.flush()
    if address:
        outbox.enqueue(session, "mail_invite_co_author", f"mail-co-author:{invitation.token_hash[:40]}", email=keyring.seal(address),
                       token=keyring.seal(token), proposal_id=proposal.id)
    audit.record(session, at=now, actor=actor.label, action="invite_co_author", subject_type="proposal",
                 subject_id=proposal.id)
    return token


def open_invitations(session: Session, proposal_id: int, now: datetime) -> int:
    """How many links still let somebody in."""
    return session.scalar(select(func.count()).select_from(Invitation).where(
        Invitation.proposal_id == proposal_id, Invitation.expires_at > now)) or 0


def revoke_invitations(session: Session, actor: Actor, proposal: Proposal, now: datetime) -> None:
    """All open links lead nowhere from now on; one may have come into wrong hands. Raises NotAllowed."""
    require(actor, Action.INVITE_CO_AUTHORS, proposal, now)
    session.execute(delete(Invitation).where(Invitation.proposal_id == proposal.id))
    audit.record(session, at=now, actor=actor.label, action="revoke_invitations", subject_type="proposal",
                 subject_id=proposal.id)


def invitation_of(session: Session, token: str, now: datetime) -> Invitation:
    """Raises Gone when there is none, it was used or has expired, or the text is not to be read any more: all the same."""
    found = session.scalar(select(Invitation).where(Invitation.token_hash == hash_token(token), Invitation.expires_at > now))
    if found is None or found.proposal.state in OVER:
        raise Gone(N_("Diese Einladung ist schon angenommen, abgelaufen oder zurückgenommen."))
    return found


def accept(session: Session, keyring: Keyring, actor: Actor, invitation: Invitation, now: datetime) -> Proposal:
    """Write along from now on; the invitation is used up. Raises SignInNeeded, NotAllowed, Conflict."""
    proposal = invitation.proposal
    require(actor, Action.FOLLOW, proposal.process, now)
    hold_account(session, actor.account_id)
    lock_contribution(session, proposal.id)
    session.refresh(proposal, ["co_author_count", "state"])
    if proposal.state in OVER:
        raise Conflict(N_("An diesem Vorschlag lässt sich nicht mehr schreiben."))
    used = session.execute(delete(Invitation).where(Invitation.id == invitation.id).returning(Invitation.id)).all()
    if not used:
        raise Conflict(N_("Diese Einladung ist schon angenommen."))
    if proposal.co_author_count >= CO_AUTHORS_MAX:
        raise Conflict(N_("An diesem Vorschlag schreiben schon genug Menschen mit."))
    participant = contributions.ensure_participant(
        session, keyring, proposal.process_id, actor.identity or "", kind=ParticipantKind.ACCOUNT,
        pseudonym=actor.display_name, now=now, contact=f"account:{actor.account_id}", is_staff=actor.is_staff,
    )
    if participant.id == proposal.participant_id:
        raise Conflict(N_("Das ist Ihr eigener Vorschlag. Geben Sie den Link jemand anderem."))
    if session.scalar(select(CoAuthor.participant_id).where(CoAuthor.contribution_id == proposal.id,
                                                            CoAuthor.participant_id == participant.id)):
        raise Conflict(N_("Sie schreiben hier schon mit. Geben Sie den Link jemand anderem."))
    kind = sqlite if is_sqlite(session) else postgresql
    session.execute(kind.insert(CoAuthor).values(contribution_id=proposal.id, participant_id=participant.id, joined_at=now)
                    .on_conflict_do_nothing(index_elements=["contribution_id", "participant_id"]))
    _changed(session, proposal, actor, now, "accept_co_authorship")
    return proposal


def leave(session: Session, keyring: Keyring, actor: Actor, proposal: Proposal, now: datetime) -> None:
    """Write along no more; what was written stays."""
    participant = contributions.find_participant(session, keyring, proposal.process_id, actor.identity)
    if participant is not None:
        _remove(session, proposal, participant.id, actor, now)


def remove(session: Session, actor: Actor, proposal: Proposal, participant_id: int, now: datetime) -> None:
    """The author goes on without somebody. Raises NotAllowed."""
    require(actor, Action.INVITE_CO_AUTHORS, proposal, now)
    _remove(session, proposal, participant_id, actor, now)


def _remove(session: Session, proposal: Proposal, participant_id: int, actor: Actor, now: datetime) -> None:
    lock_contribution(session, proposal.id)
    session.execute(delete(CoAuthor).where(CoAuthor.contribution_id == proposal.id,
                                           CoAuthor.participant_id == participant_id))
    _changed(session, proposal, actor, now, "end_co_authorship")


def _changed(session: Session, proposal: Proposal, actor: Actor, now: datetime, action: str) -> None:
    _count(session, proposal.id)
    session.expire(proposal, ["co_author_count"])
    raise_content_version(session, proposal.process.municipality_id)
    audit.record(session, at=now, actor=actor.label, action=action, subject_type="proposal", subject_id=proposal.id)


def _count(session: Session, contribution_id: int) -> None:
    number = select(func.count()).select_from(CoAuthor).where(CoAuthor.contribution_id == contribution_id)
    session.execute(update(Contribution).where(Contribution.id == contribution_id)
                    .values(co_author_count=number.scalar_subquery()).execution_options(synchronize_session=False))


def pass_on(session: Session, participant_ids: Sequence[int]) -> None:
    """Somebody leaves for good: what others write along belongs to the first of them, what they wrote along stays."""
    # Whom the first author invited, nobody else did.
    own = select(Contribution.id).where(Contribution.participant_id.in_(participant_ids))
    session.execute(delete(Invitation).where(Invitation.proposal_id.in_(own)).execution_options(synchronize_session=False))
    shared = session.scalars(
        select(Contribution.id).where(Contribution.participant_id.in_(participant_ids), Contribution.co_author_count > 0)
        .order_by(Contribution.id)
    ).all()
    for contribution_id in shared:
        lock_contribution(session, contribution_id)
        heir = session.scalar(
            select(CoAuthor.participant_id)
            .where(CoAuthor.contribution_id == contribution_id, CoAuthor.participant_id.not_in(participant_ids))
            .order_by(CoAuthor.joined_at, CoAuthor.participant_id).limit(1))
        if heir is not None:
            # The first author's secret link goes with them.
            session.execute(update(Contribution).where(Contribution.id == contribution_id)
                            .values(participant_id=heir, claim_token_hash=None)
                            .execution_options(synchronize_session=False))
            session.execute(delete(CoAuthor).where(CoAuthor.contribution_id == contribution_id,
                                                   CoAuthor.participant_id == heir))
            _count(session, contribution_id)
    written = session.scalars(
        select(CoAuthor.contribution_id).where(CoAuthor.participant_id.in_(participant_ids))).all()
    session.execute(delete(CoAuthor).where(CoAuthor.participant_id.in_(participant_ids)))
    for contribution_id in written:
        _count(session, contribution_id)
    session.flush()
    session.expire_all()


def _merged(session: Session, event: Event) -> None:
    """Two participants are one person: nobody writes along twice, or with themselves."""
    if not isinstance(event, ParticipantsMerged):
        return
    kept = set(session.scalars(select(CoAuthor.contribution_id).where(CoAuthor.participant_id == event.target_id)))
    for row in session.scalars(select(CoAuthor).where(CoAuthor.participant_id == event.source_id)).all():
        if row.contribution_id in kept:
            session.delete(row)
        else:
            row.participant_id = event.target_id
    session.flush()
    own = session.scalars(
        select(CoAuthor).join(Contribution, Contribution.id == CoAuthor.contribution_id)
        .where(CoAuthor.participant_id == event.target_id, Contribution.participant_id == event.target_id)).all()
    touched = kept | {row.contribution_id for row in own}
    for row in own:
        session.delete(row)
    session.flush()
    for contribution_id in sorted(touched):
        _count(session, contribution_id)


def forget_expired(session: Session, now: datetime) -> None:
    """Invitations that nobody accepted."""
    session.execute(delete(Invitation).where(Invitation.expires_at <= now))


def connect() -> None:
    """Called once when the application is built."""
    listen(ParticipantsMerged, _merged)
