"""Attaching what a guest wrote to an account, one name for everything, and leaving."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from participation import audit, outbox
from participation.accounts.models import Account, Participant, ParticipantKind, RoleGrant
from participation.accounts.names import require_no_office
from participation.accounts.operations import GONE_NAME, clean_name, empty_account
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.coauthors.operations import pass_on
from participation.contributions.drafts.operations import forget_account
from participation.contributions.models import (
    WITHDRAWABLE,
    Contribution,
    ContributionPicture,
    ContributionState,
    Revision,
)
from participation.contributions.personal.queries import participants_of
from participation.contributions.proposals.models import Proposal
from participation.contributions.queries import lock_contribution
from participation.contributions.votes.models import Vote
from participation.db import is_sqlite
from participation.errors import Conflict
from participation.events import AccountDeleted, ParticipantsMerged, emit
from participation.i18n import N_
from participation.municipalities.models import Municipality
from participation.municipalities.operations import raise_content_version
from participation.permissions import Actor, Role, require
from participation.processes.models import Process
from participation.uploads import Upload

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

TAKEN_TITLE = N_("Zurückgezogener Vorschlag")


def attach_to_account(session: Session, keyring: Keyring, actor: Actor, contribution: Contribution, now: datetime) -> None:
    """Everything that the guest of this contribution did in its process belongs to the actor's account from now on.

    Whoever calls has checked that the actor holds the receipt (`is_own`). If the account took part already, both
    become one: votes for the same contribution count once. Raises SignInNeeded, NotAllowed, or Conflict when it
    belongs to an account already.
    """
    require(actor, Action.ATTACH_CONTRIBUTION, contribution, now)
    process_id, identity = contribution.process_id, actor.identity or ""
    # Held until the end: no vote of the guest can come in between, and of two accounts one wins.
    guest = session.scalars(
        select(Participant).where(Participant.id == contribution.participant_id).with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    if guest.kind is not ParticipantKind.GUEST:
        raise Conflict(N_("Dieser Beitrag gehört schon zu einem Konto."))
    known = contributions.find_participant(session, keyring, process_id, identity)
    if known is None:
        guest.kind, guest.is_staff = ParticipantKind.ACCOUNT, actor.is_staff
        guest.person_hash = keyring.person_hash(process_id, identity)
        guest.contact_sealed = keyring.seal(f"account:{actor.account_id}")
    else:
        _merge(session, guest, known, now)
    session.flush()
    raise_content_version(session, contribution.process.municipality_id)
    audit.record(session, at=now, actor=actor.label, action="attach_contribution", subject_type=contribution.kind,
                 subject_id=contribution.id)


def _merge(session: Session, source: Participant, target: Participant, now: datetime) -> None:
    """All of `source` goes to `target`, and `source` vanishes. Locks: participants, contributions, process."""
    # A vote of the account itself may come in this very moment, so the primary key decides which ones are new.
    upsert = sqlite.insert if is_sqlite(session) else postgresql.insert
    votes = select(Vote.contribution_id, literal(target.id), Vote.created_at, Vote.source_hash, Vote.annulment_id).where(
        Vote.participant_id == source.id)
    moved = set(session.scalars(
        upsert(Vote).from_select(["contribution_id", "participant_id", "created_at", "source_hash", "annulment_id"], votes)
        .on_conflict_do_nothing(index_elements=["contribution_id", "participant_id"])
        .returning(Vote.contribution_id)
    ))
    given = {row[0] for row in session.execute(
        delete(Vote).where(Vote.participant_id == source.id).returning(Vote.contribution_id, Vote.annulment_id)
        .execution_options(synchronize_session=False)
    ) if row[1] is None}
    session.execute(update(Contribution).where(Contribution.participant_id == source.id)
                    .values(participant_id=target.id).execution_options(synchronize_session=False))
    shown = 0
    for contribution_id in sorted(given - moved):
        state, kind = session.execute(
            update(Contribution).where(Contribution.id == contribution_id)
            .values(support_count=Contribution.support_count - 1).returning(Contribution.state, Contribution.kind)
            .execution_options(synchronize_session=False)
        ).one()
        # The process counts supports of proposals only.
        shown += state is ContributionState.PUBLISHED and kind == "proposal"
    emit(session, ParticipantsMerged(source.id, target.id, now))
    session.execute(
        update(Process).where(Process.id == source.process_id)
        .values(participant_count=Process.participant_count - 1, support_count=Process.support_count - shown)
        .execution_options(synchronize_session=False)
    )
    session.execute(delete(Participant).where(Participant.id == source.id))
    session.expire_all()


def rename(
    session: Session, keyring: Keyring, actor: Actor, account: Account, name: str, *, everywhere: bool, now: datetime
) -> None:
    """The name that others see: from now on, or with everything written so far. Raises InvalidInput."""
    require(actor, Action.MANAGE_OWN_ACCOUNT, account, now)
    wording = clean_name(name)
    if not actor.is_staff:
        require_no_office(wording, "display_name")
    account.display_name = wording
    if not everywhere:
        return
    participants = participants_of(session, keyring, account.id)
    for participant in participants:
        participant.pseudonym = account.display_name
    _outdate_pages(session, participants)


def _outdate_pages(session: Session, participants: Iterable[Participant]) -> None:
    session.flush()
    processes = {participant.process_id for participant in participants}
    for municipality_id in sorted(set(session.scalars(
        select(Process.municipality_id).where(Process.id.in_(processes))
    ))):
        raise_content_version(session, municipality_id)


def delete_account(
    session: Session, keyring: Keyring, actor: Actor, account: Account, *, take_along: bool, now: datetime
) -> list[Upload]:
    """Remove the account for good. What it wrote stays under "Gelöschtes Konto", or goes along (`take_along`).

    Votes stay counted, of somebody whom nobody can name any more: the keyed hash is replaced by a random one. Returns
    the uploads whose files the caller removes after the commit. Raises Conflict for the last administration of a town.
    """
    require(actor, Action.MANAGE_OWN_ACCOUNT, account, now)
    _require_another_admin(session, account)
    participants = participants_of(session, keyring, account.id)
    ids = tuple(participant.id for participant in participants)
    pass_on(session, ids)
    forget_account(session, keyring, account.id)
    dropped = _take_along(session, actor, ids, now) if take_along else []
    session.execute(update(Contribution).where(Contribution.participant_id.in_(ids)).values(claim_token_hash=None)
                    .execution_options(synchronize_session=False))
    for participant in participants:
        participant.person_hash, participant.pseudonym = secrets.token_hex(32), GONE_NAME
        participant.contact_sealed = None
    _outdate_pages(session, participants)
    emit(session, AccountDeleted(account.id, ids, now))
    outbox.enqueue(session, "mail_account_deleted", f"mail-deleted:{account.id}", email=keyring.seal(account.email),
                   take_along=take_along)
    audit.record(session, at=now, actor=actor.label, action="delete_account", subject_type="account",
                 subject_id=account.id, take_along=take_along)
    empty_account(session, account, now)
    return dropped


def _require_another_admin(session: Session, account: Account) -> None:
    """Somebody must remain who can give roles: confirmed and not shut out."""
    ruled = select(RoleGrant.municipality_id).where(RoleGrant.account_id == account.id, RoleGrant.role == Role.ADMIN,
                                                    RoleGrant.process_id.is_(None))
    for municipality_id in session.scalars(ruled.order_by(RoleGrant.municipality_id)).all():
        # One after the other: the last two would both count on the other one.
        session.execute(select(Municipality.id).where(Municipality.id == municipality_id).with_for_update())
        others = session.scalar(
            select(func.count()).select_from(RoleGrant).join(Account, Account.id == RoleGrant.account_id).where(
                RoleGrant.municipality_id == municipality_id, RoleGrant.role == Role.ADMIN,
                RoleGrant.process_id.is_(None), RoleGrant.account_id != account.id, Account.is_disabled.is_(False),
                Account.email_confirmed_at.is_not(None),
            ))
        if not others:
            raise Conflict(N_("Sie sind die letzte Administration. Geben Sie zuerst jemand anderem diese Rolle."))


def _take_along(session: Session, actor: Actor, participant_ids: tuple[int, ...], now: datetime) -> list[Upload]:
    """Withdraw what can be withdrawn, and wipe its words and pictures. What was refused stays as proof of why."""
    dropped: list[Upload] = []
    for contribution_id in session.scalars(
        select(Contribution.id).where(Contribution.participant_id.in_(participant_ids)).order_by(Contribution.id)
    ).all():
        # Two at once would both count it away.
        lock_contribution(session, contribution_id)
        contribution = session.get_one(Contribution, contribution_id)
        session.refresh(contribution, ["state"])
        if contribution.state in WITHDRAWABLE:
            contribution.is_own = True
            contributions.withdraw(session, actor, contribution, now)
        if contribution.state is not ContributionState.WITHDRAWN:
            continue
        contribution.body = ""
        if isinstance(contribution, Proposal):
            contribution.title, contribution.place, contribution.withdrawal_reason = TAKEN_TITLE, "", None
            contribution.lon = contribution.lat = contribution.district_id = None
        session.execute(update(Revision).where(Revision.contribution_id == contribution.id).values(title="", body="", changes=None)
                        .execution_options(synchronize_session=False))
        uploads = list(session.scalars(
            select(Upload).join(ContributionPicture, ContributionPicture.upload_id == Upload.id)
            .where(ContributionPicture.contribution_id == contribution.id).distinct()
        ))
        session.execute(delete(ContributionPicture).where(ContributionPicture.contribution_id == contribution.id))
        session.expire(contribution, ["pictures"])
        for upload in uploads:
            session.delete(upload)
        dropped += uploads
    session.flush()
    return dropped
