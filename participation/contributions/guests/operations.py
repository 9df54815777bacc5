"""What whoever writes without an account keeps and may say: a receipt, a name for others, an address for us."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import exists, or_, select

from participation import audit, outbox
from participation.accounts.models import Participant, ParticipantKind
from participation.accounts.names import require_own_name
from participation.actions import Action
from participation.contributions.models import WITHDRAWABLE, Contribution
from participation.contributions.operations import is_of_account
from participation.contributions.queries import lock_contribution
from participation.errors import Conflict
from participation.i18n import N_
from participation.permissions import Actor, require
from participation.processes.models import ProcessState
from participation.tokens import hash_token, new_receipt_number

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring


# Whom others read of when a guest gave no name.
GUEST_NAME = N_("Gast")
# 192 bits; short enough for a QR code that a phone reads from paper.
TOKEN_LENGTH = 48
# How often a guest may mend an address: each time a mail goes to one that nobody confirmed.
RENEWED_MAX = 5
# So many others of a guest's receipts are mailed anew with the one at hand.
MAILED_ANEW = 5
WAITING_READ = 50


def give_receipt(keyring: Keyring, contribution: Contribution) -> None:
    """A number to write down, and a link that makes its holder the author. Process and submission key must be set."""
    contribution.receipt_number = new_receipt_number()
    contribution.claim_token_hash = hash_token(_derived_tokens(keyring, contribution)[0])


def receipt_token(keyring: Keyring, contribution: Contribution) -> str | None:
    """The token of the link that gives its holder the author's rights (`submissions.receipt`), for mails and retries.

    It is derived with the installation's key, so the database alone does not yield it. None for contributions without
    a receipt, for those of an account, which needs none, and after the key was changed: older links go on to work, but
    can't be written anew.
    """
    if contribution.submission_key is None or contribution.claim_token_hash is None or is_of_account(contribution):
        return None
    return next((token for token in _derived_tokens(keyring, contribution)
                 if hash_token(token) == contribution.claim_token_hash), None)


def _derived_tokens(keyring: Keyring, contribution: Contribution) -> list[str]:
    """The first link of a receipt, and those that may follow it. Which one holds says its hash in the database."""
    stored = f"receipt:{contribution.submission_key or ''}"
    return [keyring.person_hash(contribution.process_id, f"{stored}:{place}" if place else stored)[:TOKEN_LENGTH]
            for place in range(RENEWED_MAX + 1)]


def may_be_named(session: Session, participant: Participant) -> bool:
    """Whether a guest may still say under which name others read them: once, and before anything is public.

    Whoever checks a contribution sees the name beside it, so nobody may give themselves another one afterwards.
    """
    return participant.kind is ParticipantKind.GUEST and participant.pseudonym == GUEST_NAME and not session.scalar(
        select(exists().where(Contribution.participant_id == participant.id, Contribution.published_at.is_not(None))))


def introduce_guest(
    session: Session, keyring: Keyring, actor: Actor, contribution: Contribution, *, name: str, email: str, now: datetime,
) -> list[Contribution]:
    """A guest says after handing in who they are: a name for others, an address for us, both if they want.

    `email` and `name` are clean. The name is said once. Another address takes the place of one that was mistyped; the
    same twice is no error: a button is pressed twice. Returns what else got a new link of which no mail tells. Raises
    InvalidInput (field "pseudonym"), or Conflict when there is a name already.
    """
    participant = _hold_guest(session, actor, contribution, now)
    if name and name != participant.pseudonym:
        require_own_name(session, name, "pseudonym")
        if not may_be_named(session, participant):
            raise Conflict(N_("Der Name steht schon fest."))
        participant.pseudonym = name
    untold = _write_to(session, keyring, participant, contribution, f"mail:{email}") if email else []
    audit.record(session, at=now, actor=actor.label, action="introduce_oneself", subject_type="contribution",
                 subject_id=contribution.id)
    return untold


def forget_guest_address(
    session: Session, keyring: Keyring, actor: Actor, contribution: Contribution, now: datetime,
) -> list[Contribution]:
    """A guest wants no mails any more, or sees that they go to a stranger. Returns what else got a new link. Raises Conflict."""
    participant, renewed = _hold_guest(session, actor, contribution, now), list[Contribution]()
    if participant.contact_sealed is None:
        return renewed
    for one in _told(contribution, _others_told_of(session, participant, contribution)):
        # Also where there is no further link to give: nobody has to keep an address with us (DSGVO Art. 17).
        with suppress(Conflict):
            _renew_receipt(keyring, one)
            renewed.append(one)
    participant.contact_sealed = None
    audit.record(session, at=now, actor=actor.label, action="forget_address", subject_type="contribution",
                 subject_id=contribution.id)
    return [one for one in renewed if one is not contribution]


def guest_address(keyring: Keyring, contribution: Contribution) -> str:
    """Where we write to the guest who wrote it; empty where there is no address, or an account."""
    kind, _, address = (keyring.unseal(contribution.participant.contact_sealed or "") or "").partition(":")
    return address if kind == "mail" else ""


def mail_receipt(session: Session, keyring: Keyring, contribution: Contribution, contact: str) -> None:
    """Number and link of one contribution, to one address once, however often that is given or asked for.

    The job is for this address alone: given up for another one meanwhile, it gets nothing.
    """
    mark = contact_mark(keyring, contact)
    # By the link as well: an address that comes back after another one needs the link that holds now.
    outbox.enqueue(session, "mail_receipt", f"mail-receipt:{contribution.id}:{mark}:{(contribution.claim_token_hash or '')[:12]}",
                   contribution_id=contribution.id, contact=mark)


def hold_for_mail(session: Session, contribution: Contribution) -> None:
    """Author, address and receipt as they are now stay so until the end of the transaction in which a mail is prepared.

    First the author, on whom the address lies, then the contribution, as `_hold_guest` does.
    """
    session.execute(select(Participant.id).where(Participant.id == contribution.participant_id).with_for_update())
    lock_contribution(session, contribution.id)
    session.refresh(contribution)
    session.refresh(contribution.participant)


def link_for_mail(keyring: Keyring, contribution: Contribution) -> str | None:
    """As `receipt_token`, for a mail that is about to go: noted before, so that the link ends with a wrong address."""
    token = receipt_token(keyring, contribution)
    contribution.link_mailed = contribution.link_mailed or token is not None
    return token


def contact_mark(keyring: Keyring, contact: str) -> str:
    """By which a job knows an address without telling it."""
    return keyring.mark("contact", contact)[:32]


def _write_to(
    session: Session, keyring: Keyring, participant: Participant, contribution: Contribution, contact: str,
) -> list[Contribution]:
    """From now on mails go to this address, and no link that lies in the postbox of an earlier one opens anything.

    Returns those whose new link is not mailed: an address that nobody confirmed is not flooded. Raises Conflict.
    """
    old, others = keyring.unseal(participant.contact_sealed or ""), list[Contribution]()
    if old == contact:
        return others
    if participant.contact_sealed is not None:
        others = _others_told_of(session, participant, contribution)
        for one in _told(contribution, others):
            _renew_receipt(keyring, one)
        session.flush()
    participant.contact_sealed = keyring.seal(contact)
    # What went to the wrong address goes to the right one, or nobody would find it again; and what was to go there next.
    for one in (contribution, *others[:MAILED_ANEW], *_waiting_of(session, participant, contribution)[:MAILED_ANEW]):
        mail_receipt(session, keyring, one, contact)
    return others[MAILED_ANEW:]


def _others_told_of(session: Session, participant: Participant, contribution: Contribution) -> list[Contribution]:
    """What else of the guest is in a mail to the address they have had so far, the newest first.

    What was never mailed keeps its link, which perhaps stands on paper.
    """
    return list(session.scalars(
        select(Contribution)
        .where(Contribution.participant_id == participant.id, Contribution.claim_token_hash.is_not(None),
               Contribution.link_mailed, Contribution.id != contribution.id)
        .order_by(Contribution.id.desc()).with_for_update().execution_options(populate_existing=True)
    ))


def _told(contribution: Contribution, others: list[Contribution]) -> list[Contribution]:
    """Which links end: of the contribution at hand too, if a mail told it."""
    return [contribution, *others] if contribution.link_mailed else others


def _waiting_of(session: Session, participant: Participant, contribution: Contribution) -> list[Contribution]:
    """What else of the guest has a receipt on its way, which finds another address: it is sent anew, with the link it has."""
    known = session.scalars(
        select(Contribution)
        .where(Contribution.participant_id == participant.id, Contribution.claim_token_hash.is_not(None),
               ~Contribution.link_mailed, Contribution.id != contribution.id)
        .order_by(Contribution.id.desc()).limit(WAITING_READ)
    ).all()
    jobs = session.scalars(select(outbox.OutboxRow.key).where(
        or_(*(outbox.OutboxRow.key.startswith(f"mail-receipt:{one.id}:") for one in known)), outbox.OutboxRow.done_at.is_(None)
    )).all() if known else []
    waiting = {int(key.split(":")[1]) for key in jobs}
    return [one for one in known if one.id in waiting]


def _renew_receipt(keyring: Keyring, contribution: Contribution) -> None:
    """Another link; the one there was opens nothing any more. Raises Conflict."""
    tokens = _derived_tokens(keyring, contribution)
    current = next((place for place, token in enumerate(tokens) if hash_token(token) == contribution.claim_token_hash), -1)
    if current + 1 >= len(tokens):
        raise Conflict(N_("Sie haben die Adresse schon sehr oft geändert. Mehr geht nicht. Schreiben Sie uns, wenn sie falsch ist."))
    contribution.claim_token_hash, contribution.link_mailed = hash_token(tokens[current + 1]), False


def _hold_guest(session: Session, actor: Actor, contribution: Contribution, now: datetime) -> Participant:
    """Who wrote it and the contribution, as they stay until the end of the transaction. Raises Conflict."""
    require(actor, Action.INTRODUCE_ONESELF, contribution, now)
    # Receipts of two contributions lead to one guest. First the guest, then the contribution, as attaching does.
    participant = session.scalars(
        select(Participant).where(Participant.id == contribution.participant_id).with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if participant is None or participant.kind is not ParticipantKind.GUEST:
        raise Conflict(N_("Dieser Beitrag gehört inzwischen zu einem Konto."))
    lock_contribution(session, contribution.id)
    link = contribution.claim_token_hash
    session.refresh(contribution)
    # Who came by a link that another window has just replaced may be the stranger it was replaced for.
    if contribution.state not in WITHDRAWABLE or contribution.claim_token_hash != link:
        raise Conflict(N_("Das ist nicht mehr möglich: Der Beitrag hat inzwischen einen anderen Stand."))
    if contribution.process.state is not ProcessState.PUBLISHED:
        # The notice promises that addresses of guests go when a process ends.
        raise Conflict(N_("Das Verfahren ist abgeschlossen."))
    return participant
