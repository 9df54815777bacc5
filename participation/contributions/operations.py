"""What happens to every contribution, whatever its kind: authors, states, revisions, visibility."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from sqlalchemy import bindparam, exists, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import object_session

from participation import audit, outbox
from participation.accounts.models import Participant, ParticipantKind
from participation.accounts.operations.leaving import hold_account
from participation.actions import Action
from participation.contributions.models import Contribution, ContributionState, Revision, Voter
from participation.contributions.queries import co_author_by_hash, lock_contribution
from participation.db import is_sqlite
from participation.errors import Conflict
from participation.events import ContributionPublished, ContributionWithdrawn, emit
from participation.i18n import N_
from participation.municipalities.operations import raise_content_version
from participation.permissions import Actor, require
from participation.processes.models import Process

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Table
    from sqlalchemy.orm import Session

    from participation.tokens import Keyring
    from participation.uploads import Upload


# Built once: it runs on the way of very many pages.
_PARTICIPANT = select(Participant).where(
    Participant.process_id == bindparam("process_id"), Participant.person_hash == bindparam("person_hash")
)
# No lock of the row's key is stronger: whoever attaches the guest's receipts waits for it, other texts of the guest don't.
_WRITING = _PARTICIPANT.with_for_update(read=True, key_share=True).execution_options(populate_existing=True)
_HAS_WRITTEN = select(exists().where(
    Participant.process_id == bindparam("process_id"), Participant.person_hash == bindparam("person_hash")
))
_HAS_VOTED = select(exists().where(Voter.id == bindparam("voter_id")))
_ADD_VOTER = {
    kind is sqlite: kind.insert(cast("Table", Voter.__table__)).on_conflict_do_nothing(index_elements=["id"])
    .returning(Voter.id)
    for kind in (sqlite, postgresql)
}


def find_participant(session: Session, keyring: Keyring, process_id: int, identity: str | None) -> Participant | None:
    """The participant that a person is within a process, if they took part already."""
    if identity is None:
        return None
    person_hash = keyring.person_hash(process_id, identity)
    return session.scalar(_PARTICIPANT, {"process_id": process_id, "person_hash": person_hash})


def ensure_participant(
    session: Session,
    keyring: Keyring,
    process_id: int,
    identity: str,
    *,
    kind: ParticipantKind,
    pseudonym: str,
    now: datetime,
    contact: str | None = None,
    is_staff: bool = False,
) -> Participant:
    """The participant, made at the first act; under a race both get the same row.

    `contact` is "account:<id>" or "mail:<address>" and is stored sealed.
    """
    person_hash = keyring.person_hash(process_id, identity)
    # A guest may become an account's meanwhile, and this row vanish (personal.operations.attach_to_account).
    known = _WRITING if kind is ParticipantKind.GUEST else _PARTICIPANT
    found = session.scalar(known, {"process_id": process_id, "person_hash": person_hash})
    if found is not None:
        return found
    insert = sqlite.insert if is_sqlite(session) else postgresql.insert
    created = session.scalar(
        insert(Participant)
        .values(
            process_id=process_id,
            person_hash=person_hash,
            kind=kind,
            pseudonym=pseudonym,
            is_staff=is_staff,
            created_at=now,
            contact_sealed=keyring.seal(contact) if contact else None,
        )
        .on_conflict_do_nothing(index_elements=["process_id", "person_hash"])
        .returning(Participant.id)
    )
    if created is not None:
        count_person(session, process_id, 1)
        count_as_one(session, process_id, keyring.voter_of(process_id, identity))
    participant = find_participant(session, keyring, process_id, identity)
    if participant is None:  # pragma: no cover - the row was made one statement earlier
        message = "participant vanished"
        raise RuntimeError(message)
    return participant


def ensure_voter(session: Session, voter_id: int, process_id: int, channel: ParticipantKind) -> bool:
    """Whether this made the voter; then `count_voter` is due, where the transaction may hold the process."""
    values = {"id": voter_id, "process_id": process_id, "channel": channel, "supports": 0}
    return session.scalar(_ADD_VOTER[is_sqlite(session)], values) is not None


def begin_voting(session: Session, keyring: Keyring, actor: Actor, process_id: int) -> tuple[int, bool]:
    """As whom the actor votes in a process, and whether `count_voter` is due. Raises AccountGone.

    Whoever leaves in this very moment begins nothing: what they voted was taken back just now, and another vote would
    stay counted beside those of a new account (see `personal.operations.delete_account`).
    """
    hold_account(session, actor.account_id)
    voter_id = keyring.voter_of(process_id, actor.identity or "")
    return voter_id, ensure_voter(session, voter_id, process_id, ParticipantKind.ACCOUNT)


def count_voter(session: Session, keyring: Keyring, process_id: int, identity: str) -> None:
    """A new voter is one more person in the process, unless the same person has written there."""
    count_person(session, process_id, 1)
    written = {"process_id": process_id, "person_hash": keyring.person_hash(process_id, identity)}
    if session.scalar(_HAS_WRITTEN, written):
        count_person(session, process_id, -1)


def count_as_one(session: Session, process_id: int, voter_id: int) -> None:
    """Whoever begins to write, and has voted in the process, is no further person there.

    Asked under the lock that counting takes: of a first vote and a first text at once, one is the second.
    """
    count_person(session, process_id, 0)
    if session.scalar(_HAS_VOTED, {"voter_id": voter_id}):
        count_person(session, process_id, -1)


def count_person(session: Session, process_id: int, step: int) -> None:
    """How many people take part in a process. Holds its row until the end of the transaction."""
    session.execute(
        update(Process).where(Process.id == process_id)
        .values(participant_count=Process.participant_count + step).execution_options(synchronize_session=False)
    )


def count_people(session: Session, keyring: Keyring, process_id: int) -> int:
    """The same anew: who wrote or voted, each once. Only the key can tell that two rows are one person."""
    voters = set(session.scalars(select(Voter.id).where(Voter.process_id == process_id)))
    hashes = session.scalars(select(Participant.person_hash).where(Participant.process_id == process_id)
                             .execution_options(yield_per=1000))
    return len(voters) + sum(keyring.voter_number(one) not in voters for one in hashes)


def mark_own(keyring: Keyring, actor: Actor, contribution: Contribution) -> bool:
    """Find out whether the actor wrote the contribution, alone or with others, for the rules `author`, `co_author`.

    Costs no query where the author was loaded with the contribution and nobody else writes it. Returns whether it is
    the actor's own.
    """
    if actor.identity is None:
        contribution.is_own = contribution.is_shared = False
        return False
    person_hash = keyring.person_hash(contribution.process_id, actor.identity)
    contribution.is_own = hmac.compare_digest(contribution.participant.person_hash, person_hash)
    session = object_session(contribution)
    contribution.is_shared = bool(
        contribution.co_author_count and not contribution.is_own and session is not None
        and session.scalar(co_author_by_hash(contribution.id, person_hash))
    )
    return contribution.is_own


def is_of_account(contribution: Contribution) -> bool:
    """Whether its author is known by an account; then the link of a receipt opens nothing for anybody else."""
    return contribution.participant.kind is ParticipantKind.ACCOUNT


def add_revision(contribution: Contribution, title: str, body: str, now: datetime) -> None:
    """Keep the text as it is now as the contribution's current revision."""
    contribution.revision_number = contribution.revision_number or 1
    contribution.revisions.append(Revision(number=contribution.revision_number, title=title, body=body, created_at=now))


def publish(session: Session, contribution: Contribution, now: datetime, *, is_checked: bool = True) -> None:
    """Make a contribution visible: state, counters, search index, caches. Raises Conflict."""
    contribution.move_to(ContributionState.PUBLISHED, now)
    if not is_checked:
        contribution.decided_at = None
    _count(session, contribution, 1)
    emit(session, ContributionPublished(contribution.id, contribution.process_id, now))


def keep_published(session: Session, contribution: Contribution, now: datetime) -> None:
    """Somebody looked at what was published unread, and it stays."""
    if contribution.awaits_check:
        contribution.decided_at = now
        session.flush()
        raise_content_version(session, contribution.process.municipality_id)


def hide(session: Session, contribution: Contribution, reason: str, now: datetime) -> None:
    """Take a published contribution off every page, with the reason shown to its author. Raises Conflict."""
    contribution.move_to(ContributionState.HIDDEN, now, reason)
    _count(session, contribution, -1)


def return_to_author(session: Session, contribution: Contribution, now: datetime) -> None:
    """Give a submitted contribution back for another revision. Raises Conflict."""
    contribution.move_to(ContributionState.RETURNED, now)
    session.flush()


def reject(session: Session, contribution: Contribution, reason: str, now: datetime) -> None:
    """Refuse a submitted contribution, with the reason shown to its author. Raises Conflict."""
    contribution.move_to(ContributionState.REJECTED, now, reason)
    session.flush()


def withdraw(session: Session, actor: Actor, contribution: Contribution, now: datetime) -> None:
    """Its author takes a contribution back. Raises Conflict or NotAllowed."""
    require(actor, Action.WITHDRAW_CONTRIBUTION, contribution, now)
    hold_own(session, actor, contribution)
    was_published = contribution.is_published
    contribution.move_to(ContributionState.WITHDRAWN, now)
    contribution.pending_revision = None
    if was_published:
        _count(session, contribution, -1)
    emit(session, ContributionWithdrawn(contribution.id, now))
    audit.record(
        session,
        at=now,
        actor=actor.label,
        action="withdraw_contribution",
        subject_type=contribution.kind,
        subject_id=contribution.id,
    )


def hold_own(session: Session, actor: Actor, contribution: Contribution, *columns: str) -> None:
    """Before its author changes a contribution: it stays as it is until the end of the transaction.

    Who acts by a receipt has no account to hold; somebody may have attached the contribution to one meanwhile, and
    deleted that: then the receipt is worth nothing any more. `columns` are read anew besides the state. Raises
    AccountGone, or Conflict.
    """
    hold_account(session, actor.account_id)
    had_receipt = contribution.claim_token_hash is not None
    lock_contribution(session, contribution.id)
    session.refresh(contribution, ["state", "claim_token_hash", "participant_id", *columns])
    if not had_receipt or actor.is_signed_in:
        return
    kind = session.scalar(select(Participant.kind).where(Participant.id == contribution.participant_id))
    if contribution.claim_token_hash is not None and kind is ParticipantKind.ACCOUNT:
        raise Conflict(N_("Dieser Beitrag gehört inzwischen zu einem Konto."))
    if contribution.claim_token_hash is None:
        raise Conflict(N_("Dieser Beleg gilt nicht mehr: Das Konto, zu dem der Beitrag gehörte, ist gerade gelöscht worden. "
                          "Nichts ist gespeichert."))


def drop_uploads(session: Session, uploads: Iterable[Upload]) -> None:
    """Remove files that belong to nothing any more: their rows now, the files once that is certain."""
    for upload in uploads:
        session.delete(upload)
        outbox.enqueue(session, "remove_picture", f"remove-picture:{upload.name}", file=upload.name)
    session.flush()


_counters: dict[str, Callable[[Session, Contribution, int], None]] = {}


def counts_as(kind: str) -> Callable[[Callable[[Session, Contribution, int], None]], None]:
    """Register what changes with the visibility of one kind of contribution (counters, search index)."""

    def register(function: Callable[[Session, Contribution, int], None]) -> None:
        _counters[kind] = function

    return register


def count_out(session: Session, contribution: Contribution) -> None:
    """Before a public contribution changes: take it out of counters and index."""
    _count(session, contribution, -1)


def count_in(session: Session, contribution: Contribution) -> None:
    """After it changed: put it back."""
    _count(session, contribution, 1)


def _count(session: Session, contribution: Contribution, step: int) -> None:
    """`step` is 1 when it becomes visible, -1 when it stops being so."""
    session.flush()
    _counters[contribution.kind](session, contribution, step)
    raise_content_version(session, contribution.process.municipality_id)
