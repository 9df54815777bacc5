"""Attaching what a guest wrote to an account, one name for everything, and leaving."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sqlalchemy import delete, exists, func, or_, select, update

from participation import audit, outbox
from participation.accounts.models import Account, Participant, ParticipantKind, RoleGrant
from participation.accounts.names import require_own_name
from participation.accounts.operations.entered import clean_name
from participation.accounts.operations.leaving import GONE_NAME, empty_account, hold_account
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.ballots.models import Ballot
from participation.contributions.ballots.operations import move_ballots, take_back_all as take_back_ballots
from participation.contributions.coauthors.operations import pass_on
from participation.contributions.comments.models import Comment
from participation.contributions.drafts.operations import forget_account
from participation.contributions.models import (
    WITHDRAWABLE,
    Contribution,
    ContributionPicture,
    ContributionState,
    Revision,
    Voter,
)
from participation.contributions.personal.queries import participants_of, voters_of
from participation.contributions.proposals.models import Proposal
from participation.contributions.queries import lock_contribution
from participation.contributions.votes.models import Vote
from participation.contributions.votes.operations import hold_votes, move_supports, take_back_all as take_back_supports
from participation.contributions.votes.queries import counted_until
from participation.errors import Conflict
from participation.events import AccountDeleted, ParticipantsMerged, emit
from participation.i18n import N_
from participation.municipalities.models import Municipality
from participation.municipalities.operations import raise_content_version
from participation.permissions import Actor, Role, require
from participation.processes.models import Phase, PhaseState, Process
from participation.uploads import Upload

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
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
    hold_account(session, actor.account_id)
    process_id, identity = contribution.process_id, actor.identity or ""
    # Held until the end: no vote of the guest can come in between, and of two accounts one wins.
    guest = session.scalars(
        select(Participant).where(Participant.id == contribution.participant_id).with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    if guest.kind is not ParticipantKind.GUEST:
        raise Conflict(N_("Dieser Beitrag gehört schon zu einem Konto."))
    known = contributions.find_participant(session, keyring, process_id, identity)
    voter_id = keyring.voter_of(process_id, identity)
    is_moved = _move_votes(session, process_id, keyring.voter_number(guest.person_hash), voter_id)
    if known is None:
        guest.kind, guest.is_staff = ParticipantKind.ACCOUNT, actor.is_staff
        guest.person_hash = keyring.person_hash(process_id, identity)
        guest.contact_sealed = keyring.seal(f"account:{actor.account_id}")
        session.flush()
        if not is_moved:
            contributions.count_as_one(session, process_id, voter_id)
    else:
        _merge(session, guest, known, now)
    session.flush()
    raise_content_version(session, contribution.process.municipality_id)
    audit.record(session, at=now, actor=actor.label, action="attach_contribution", subject_type=contribution.kind,
                 subject_id=contribution.id)


def _merge(session: Session, source: Participant, target: Participant, now: datetime) -> None:
    """All that `source` wrote goes to `target`, and `source` vanishes. Locks: participants, contributions, process."""
    session.execute(update(Contribution).where(Contribution.participant_id == source.id)
                    .values(participant_id=target.id).execution_options(synchronize_session=False))
    emit(session, ParticipantsMerged(source.id, target.id, now))
    contributions.count_person(session, source.process_id, -1)
    session.execute(delete(Participant).where(Participant.id == source.id))
    session.expire_all()


def _move_votes(session: Session, process_id: int, source_id: int, target_id: int) -> bool:
    """All that one voter did is another's from now on. Whether that other one is new by this."""
    # Held until the end: no vote can come in between.
    channel = session.scalar(select(Voter.channel).where(Voter.id == source_id).with_for_update())
    if channel is None:
        return False
    is_new = contributions.ensure_voter(session, target_id, process_id, channel)
    move_supports(session, source_id, target_id)
    move_ballots(session, source_id, target_id)
    session.execute(delete(Voter).where(Voter.id == source_id).execution_options(synchronize_session=False))
    session.expire_all()
    return is_new


def rename(
    session: Session, keyring: Keyring, actor: Actor, account: Account, name: str, *, everywhere: bool, now: datetime
) -> None:
    """The name that others see: from now on, or with everything written so far. Raises InvalidInput."""
    require(actor, Action.MANAGE_OWN_ACCOUNT, account, now)
    hold_account(session, account.id)
    wording = clean_name(name)
    if not actor.is_staff:
        require_own_name(session, wording, "display_name")
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

    Votes that could still be taken back go along: whoever came again by another account could give them twice. Those
    of what is over stay (until it goes on: `take_back_of_left`) counted, of somebody whom nobody can name any more: the keyed hashes are replaced by random
    ones. Returns the uploads whose files the caller removes after the commit. Raises Conflict for the last
    administration of a town.
    """
    require(actor, Action.MANAGE_OWN_ACCOUNT, account, now)
    # Whoever acts by it meanwhile waits, and then learns that the account is gone.
    hold_account(session, account.id, alone=True)
    # What they changed has to go too, and the last mail goes to where they read it.
    session.refresh(account)
    _require_another_admin(session, account)
    participants = participants_of(session, keyring, account.id)
    ids = tuple(participant.id for participant in participants)
    voters = [(one.process_id, one.id) for one in voters_of(session, keyring, account.id)]
    _hold_all(session, ids, [voter_id for _process_id, voter_id in voters])
    pass_on(session, ids)
    forget_account(session, keyring, account.id)
    dropped = _take_along(session, actor, ids, now) if take_along else []
    session.execute(update(Contribution).where(Contribution.participant_id.in_(ids)).values(claim_token_hash=None)
                    .execution_options(synchronize_session=False))
    new_hashes = {participant.process_id: secrets.token_hex(32) for participant in participants}
    for process_id, voter_id in voters:
        # Where the person wrote too, the key tells as before that both are one: people are counted by that.
        new_hash = new_hashes.get(process_id)
        _leave_votes(session, process_id, voter_id, keyring.voter_number(new_hash or secrets.token_hex(32)),
                     writes=new_hash is not None, now=now)
    for participant in participants:
        participant.person_hash, participant.pseudonym = new_hashes[participant.process_id], GONE_NAME
        participant.contact_sealed = None
    _outdate_pages(session, participants)
    emit(session, AccountDeleted(account.id, ids, now))
    outbox.enqueue(session, "mail_account_deleted", f"mail-deleted:{account.id}", email=keyring.seal(account.email),
                   take_along=take_along)
    audit.record(session, at=now, actor=actor.label, action="delete_account", subject_type="account",
                 subject_id=account.id, take_along=take_along)
    empty_account(session, account, now)
    return dropped


def _hold_all(session: Session, participant_ids: Sequence[int], voter_ids: Sequence[int]) -> None:
    """Everything that many can wait for, in the order in which all take it: votes, voters, contributions."""
    hold_votes(session, Vote.voter_id.in_(voter_ids))
    session.execute(select(Voter.id).where(Voter.id.in_(voter_ids)).order_by(Voter.id).with_for_update())
    supported = select(Vote.contribution_id).where(Vote.voter_id.in_(voter_ids))
    commented = select(Comment.proposal_id).where(Contribution.participant_id.in_(participant_ids))
    # Whose ballot names one of them goes on meanwhile, hence the weaker lock.
    session.execute(
        select(Contribution.id)
        .where(or_(Contribution.participant_id.in_(participant_ids), Contribution.id.in_(supported),
                   Contribution.id.in_(commented)))
        .order_by(Contribution.id).with_for_update(of=Contribution, key_share=True))


def _leave_votes(
    session: Session, process_id: int, voter_id: int, new_id: int, *, writes: bool, now: datetime
) -> None:
    process = session.get_one(Process, process_id)
    lasting = [phase for phase in process.phases if phase.state(now) is not PhaseState.CLOSED]
    if any(phase.opens(Action.SUPPORT) for phase in lasting):
        take_back_supports(session, voter_id, counted_until(process.phases, now))
    take_back_ballots(session, voter_id, [phase.id for phase in lasting])
    if _has_voted(session, voter_id):
        _move_votes(session, process_id, voter_id, new_id)
        return
    session.execute(delete(Voter).where(Voter.id == voter_id).execution_options(synchronize_session=False))
    if not writes:
        contributions.count_person(session, process_id, -1)


def take_back_of_left(session: Session, keyring: Keyring, phase: Phase, now: datetime) -> int:
    """A vote that was over goes on: what stayed in it of deleted accounts is taken back; returns how many had left.

    Their owners could give it once more by a new account. Who they are nobody knows: it is what no account's number
    leads to, which only the key can tell.
    """
    # In this order: a voter that comes in between belongs to an account that the second statement sees.
    voters = set(session.scalars(select(Voter.id).where(
        Voter.process_id == phase.process_id, Voter.channel == ParticipantKind.ACCOUNT)))
    for account_id in session.scalars(select(Account.id).where(Account.deleted_at.is_(None))
                                      .execution_options(yield_per=1000)):
        voters.discard(keyring.voter_of(phase.process_id, f"account:{account_id}"))
    left = sorted(voters)
    _hold_all(session, (), left)
    for voter_id in left:
        if phase.opens(Action.SUPPORT):
            take_back_supports(session, voter_id, counted_until(phase.process.phases, now))
        take_back_ballots(session, voter_id, [phase.id])
        if not _has_voted(session, voter_id):
            session.execute(delete(Voter).where(Voter.id == voter_id).execution_options(synchronize_session=False))
    # Whoever also wrote stays one person; only all numbers together tell.
    contributions.count_person(session, phase.process_id, 0)
    session.execute(update(Process).where(Process.id == phase.process_id)
                    .values(participant_count=contributions.count_people(session, keyring, phase.process_id))
                    .execution_options(synchronize_session=False))
    session.expire_all()
    raise_content_version(session, phase.process.municipality_id)
    audit.record(session, at=now, actor="job:votes", action="take_back_of_left", subject_type="phase", subject_id=phase.id,
                 voters=len(left))
    return len(left)


def _has_voted(session: Session, voter_id: int) -> bool:
    return bool(session.scalar(select(
        or_(exists().where(Vote.voter_id == voter_id), exists().where(Ballot.voter_id == voter_id)))))


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
