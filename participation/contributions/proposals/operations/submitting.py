"""Handing a proposal in, once however often its form is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from participation import audit, text
from participation.accounts.models import ParticipantKind
from participation.accounts.names import require_own_name
from participation.accounts.operations.leaving import hold_account
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.drafts.operations import consume_draft
from participation.contributions.guests import operations as guests
from participation.contributions.models import Contribution, ContributionPicture, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations.content import (
    ALT_MAX,
    CHANGEABLE,
    PICTURE_MISSING,
    ProposalDraft,
    check_answers,
    check_content,
)
from participation.errors import InvalidInput
from participation.events import ContributionSubmitted, emit
from participation.formats import CollectSettings, Moderation
from participation.i18n import N_
from participation.own_fields import store_answers
from participation.permissions import Actor, can, require
from participation.processes.models import Process

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

PSEUDONYM_MAX = 60


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the author is told: the number to write down, and the token of the link (never stored in plain)."""

    proposal: Proposal
    number: str
    token: str | None
    is_repeat: bool = False


def submit_proposal(
    session: Session,
    keyring: Keyring,
    actor: Actor,
    process: Process,
    draft: ProposalDraft,
    *,
    submission_key: str,
    now: datetime,
    pseudonym: str = "",
) -> Receipt:
    """Store a proposal with its revision and receipt, and hand it to moderation.

    `submission_key` is a random value of the form: the same form sent twice by the same person stays one proposal,
    also in parallel, and both get the same receipt. Raises InvalidInput, Conflict (phase over), SignInNeeded or NotAllowed.
    """
    repeated = find_submission(session, keyring, process.id, actor.identity, submission_key)
    if repeated is not None:
        return _receipt(keyring, repeated, is_repeat=True)
    require(actor, Action.SUBMIT_PROPOSAL, process, now)
    hold_account(session, actor.account_id)
    phase = process.phase_opening(Action.SUBMIT_PROPOSAL, now)
    settings = phase.settings if phase and isinstance(phase.settings, CollectSettings) else CollectSettings()
    draft.answers = draft.answers or []
    check_answers(draft.answers, phase.own_fields if phase else ())
    check_content(draft, process, settings, may_attach=can(actor, Action.ATTACH_PICTURES, process, now))
    if settings.picture_required and not draft.pictures:
        raise InvalidInput(PICTURE_MISSING, field="picture")
    identity = actor.identity
    if identity is None:
        raise InvalidInput(N_("Ihr Browser hat keine Sitzung. Bitte laden Sie die Seite neu."))
    if pseudonym and not actor.is_staff:
        require_own_name(session, text.clean_line(pseudonym), "pseudonym")
    shown_as = text.clean_line(pseudonym or actor.display_name)[:PSEUDONYM_MAX] or guests.GUEST_NAME
    contact = f"account:{actor.account_id}" if actor.is_signed_in else None
    author = contributions.ensure_participant(
        session, keyring, process.id, identity,
        kind=ParticipantKind.ACCOUNT if actor.is_signed_in else ParticipantKind.GUEST,
        pseudonym=shown_as, now=now, contact=contact, is_staff=actor.is_staff,
    )
    if contact and author.contact_sealed is None:
        author.contact_sealed = keyring.seal(contact)
    key = _bound_key(keyring, process.id, identity, submission_key)
    proposal = Proposal(
        process_id=process.id, phase_id=phase.id if phase else None, theme_id=draft.theme_id,
        participant_id=author.id, state=ContributionState.SUBMITTED, title=draft.title, body=draft.body,
        place=draft.place, lon=draft.lon, lat=draft.lat, district_id=draft.district_id, created_at=now,
        submitted_at=now, submission_key=key, stored_answers=store_answers(draft.answers),
    )
    proposal.process = process
    guests.give_receipt(keyring, proposal)
    proposal.pictures = _pictures(draft)
    contributions.add_revision(proposal, proposal.title, proposal.body, now)
    proposal.revisions[-1].changes = {name: getattr(draft, name) for name in CHANGEABLE} | {
        "answers": proposal.stored_answers}
    try:
        with session.begin_nested():
            session.add(proposal)
            session.flush()
    except IntegrityError:
        # The other half of a double click was faster.
        repeated = find_submission(session, keyring, process.id, identity, submission_key)
        if repeated is None:
            raise
        return _receipt(keyring, repeated, is_repeat=True)
    consume_draft(session, keyring, actor, submission_key)
    if settings.moderation is Moderation.AFTER:
        contributions.publish(session, proposal, now, is_checked=False)
    emit(session, ContributionSubmitted(proposal.id, proposal.revision_number, process.id, now))
    if author.contact_sealed is not None:
        guests.mail_receipt(session, keyring, proposal, keyring.unseal(author.contact_sealed) or "")
    audit.record(session, at=now, actor=actor.label, action="submit_proposal", subject_type="proposal",
                 subject_id=proposal.id)
    return _receipt(keyring, proposal)


def find_submission(
    session: Session, keyring: Keyring, process_id: int, identity: str | None, submission_key: str
) -> Proposal | None:
    """The proposal that a form already became, when it was sent by the same person."""
    if identity is None or not submission_key:
        return None
    key = _bound_key(keyring, process_id, identity, submission_key)
    return session.scalar(select(Proposal).where(Contribution.submission_key == key))


def _bound_key(keyring: Keyring, process_id: int, identity: str, submission_key: str) -> str:
    """The key as it is stored: nobody can claim another person's form by sending its key."""
    return keyring.person_hash(process_id, f"form:{identity}:{submission_key}")


def _receipt(keyring: Keyring, proposal: Proposal, *, is_repeat: bool = False) -> Receipt:
    return Receipt(proposal, proposal.receipt_number or "", guests.receipt_token(keyring, proposal), is_repeat=is_repeat)


def _pictures(draft: ProposalDraft) -> list[ContributionPicture]:
    return [
        ContributionPicture(upload=upload, alt=text.clean_line(alt)[:ALT_MAX], position=number)
        for number, (upload, alt) in enumerate(draft.pictures or [])
    ]
