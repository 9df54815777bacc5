"""What people do with proposals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from participation import audit, outbox, search, text
from participation.accounts.models import ParticipantKind
from participation.accounts.names import require_no_office
from participation.accounts.operations import hold_account
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.comments.models import Comment
from participation.contributions.drafts.operations import consume_draft
from participation.contributions.models import (
    AnswerStatus,
    Contribution,
    ContributionPicture,
    ContributionState,
    Revision,
)
from participation.contributions.proposals.models import WITHDRAWAL_REASONS, Proposal
from participation.contributions.queries import lock_contribution, newest_revision, revision_of
from participation.contributions.votes.models import Vote
from participation.contributions.votes.operations import recount as recount_votes
from participation.errors import Conflict, InvalidInput
from participation.events import ContributionSubmitted, Event, ProposalAnswered, PublicFieldsChanged, emit, listen
from participation.formats import CollectSettings, Moderation, PicturesFrom, PlaceRule, ThemeRule
from participation.i18n import N_
from participation.municipalities.models import District, Municipality
from participation.municipalities.operations import raise_content_version
from participation.own_fields import Answer, OwnField, load_answers, read_answers, store_answers
from participation.permissions import Actor, can, require
from participation.processes.models import Process, Theme

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import InstrumentedAttribute, Session

    from participation.tokens import Keyring
    from participation.uploads import Upload

TITLE_MAX = 120
BODY_MAX = 6000
PLACE_MAX = 200
PSEUDONYM_MAX = 60
ANSWER_MAX = 6000
COST_MAX = 1_000_000_000
ALT_MAX = 300
PICTURE_MISSING = N_("Bitte wählen Sie ein Bild aus.")
# In these states its author may change it.
EDITABLE = frozenset({ContributionState.SUBMITTED, ContributionState.RETURNED, ContributionState.PUBLISHED})
# What a revision changes besides title and text.
CHANGEABLE = ("theme_id", "place", "lon", "lat", "district_id")


@dataclass(slots=True)
class ProposalDraft:
    """What a person entered. The point is (lon, lat; EPSG:4326), checked against the boundary by the form."""

    title: str
    body: str
    theme_id: int | None = None
    place: str = ""
    lon: float | None = None
    lat: float | None = None
    district_id: int | None = None
    # All pictures in their order, each with its description; None means none, or "as they are" when revising.
    pictures: list[tuple[Upload, str]] | None = None
    # What was answered in the fields of the phase; None as for pictures.
    answers: list[Answer] | None = None


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
    _check_answers(draft.answers, phase.own_fields if phase else ())
    _check(draft, process, settings, may_attach=can(actor, Action.ATTACH_PICTURES, process, now))
    if settings.picture_required and not draft.pictures:
        raise InvalidInput(PICTURE_MISSING, field="picture")
    identity = actor.identity
    if identity is None:
        raise InvalidInput(N_("Ihr Browser hat keine Sitzung. Bitte laden Sie die Seite neu."))
    if pseudonym and not actor.is_staff:
        require_no_office(text.clean_line(pseudonym), "pseudonym")
    shown_as = text.clean_line(pseudonym or actor.display_name)[:PSEUDONYM_MAX] or contributions.GUEST_NAME
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
    contributions.give_receipt(keyring, proposal)
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
        contributions.publish(session, proposal, now)
    emit(session, ContributionSubmitted(proposal.id, proposal.revision_number, process.id, now))
    if author.contact_sealed is not None:
        outbox.enqueue(session, "mail_receipt", f"mail-receipt:{proposal.id}", contribution_id=proposal.id)
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
    return Receipt(proposal, proposal.receipt_number or "", contributions.receipt_token(keyring, proposal), is_repeat=is_repeat)


def _pictures(draft: ProposalDraft) -> list[ContributionPicture]:
    return [
        ContributionPicture(upload=upload, alt=text.clean_line(alt)[:ALT_MAX], position=number)
        for number, (upload, alt) in enumerate(draft.pictures or [])
    ]


def revise_proposal(
    session: Session, actor: Actor, proposal: Proposal, draft: ProposalDraft, now: datetime, *, onto: int | None = None
) -> bool:
    """Its author changed it: a new revision, which is checked like the first.

    What is not public yet is replaced at once. What is public stays to be read as it is until the change is approved
    where the phase checks before publishing, and is replaced at once where it checks afterwards. Returns whether the
    change awaits a decision of its own. `onto` is the number of the revision that the author went on from: when another
    one came meanwhile, the same words are taken for the other half of a double click and stored once. Raises Conflict
    (phase over, no longer to be changed, or changed elsewhere), InvalidInput, NotAllowed.
    """
    require(actor, Action.EDIT_PROPOSAL, proposal, now)
    hold_account(session, actor.account_id)
    phase = proposal.process.phase_opening(Action.EDIT_PROPOSAL, now)
    settings = phase.settings if phase and isinstance(phase.settings, CollectSettings) else CollectSettings()
    known = newest_revision(session, proposal.id)
    answered = [*proposal.answers, *load_answers((known.changes or {}).get("answers") if known else None)]
    if draft.answers is not None:
        _check_answers(draft.answers, proposal.own_fields, answered)
    _check(draft, proposal.process, settings, proposal.theme_id,
           may_attach=can(actor, Action.ATTACH_PICTURES, proposal.process, now))
    if settings.picture_required and draft.pictures == []:
        raise InvalidInput(PICTURE_MISSING, field="picture")
    # The other half of a double click, or a moderator, may have been faster.
    lock_contribution(session, proposal.id)
    session.refresh(proposal, ["state", "revision_number", "pending_revision"])
    if proposal.state not in EDITABLE:
        raise Conflict(N_("Das ist nicht mehr möglich: Der Beitrag hat inzwischen einen anderen Stand."))
    newest = newest_revision(session, proposal.id)
    answers = _latest_answers(proposal, newest) if draft.answers is None else store_answers(draft.answers)
    changes = {name: getattr(draft, name) for name in CHANGEABLE} | {
        "pictures": draft.pictures is not None, "answers": answers}
    if newest is not None and onto is not None and newest.number != onto:
        if (newest.title, newest.body, newest.changes) == (draft.title, draft.body, changes) and not draft.pictures:
            return newest.number == proposal.pending_revision
        raise Conflict(N_("Der Vorschlag wurde inzwischen an anderer Stelle geändert. Ihr Text ist nicht gespeichert."))
    number = newest.number + 1 if newest else 1
    revision = Revision(contribution_id=proposal.id, number=number, title=draft.title, body=draft.body, created_at=now,
                        changes=changes)
    earlier = _forget_pending(session, proposal)
    session.add(revision)
    session.add_all(
        ContributionPicture(contribution_id=proposal.id, upload=upload, alt=text.clean_line(alt)[:ALT_MAX],
                            position=position, revision_number=number)
        for position, (upload, alt) in enumerate(draft.pictures or [])
    )
    session.flush()
    waits = proposal.is_published and settings.moderation is Moderation.BEFORE
    if waits:
        proposal.pending_revision = number
        session.flush()
    else:
        _apply(session, proposal, revision, now)
    _drop_unused(session, proposal, earlier)
    emit(session, ContributionSubmitted(proposal.id, number, proposal.process_id, now))
    audit.record(session, at=now, actor=actor.label, action="revise_proposal", subject_type="proposal",
                 subject_id=proposal.id, revision=number)
    return waits


def _latest_answers(proposal: Proposal, newest: Revision | None) -> list[dict[str, Any]]:
    """What a revision goes on from that says nothing about answers: a change that awaits its decision, or what is there."""
    waits = newest is not None and newest.number == proposal.pending_revision
    found: list[dict[str, Any]] = (newest.changes or {}).get("answers", proposal.stored_answers) \
        if newest is not None and waits else proposal.stored_answers
    return found


def apply_revision(session: Session, proposal: Proposal, now: datetime) -> None:
    """A moderator approved the pending change: it is what everybody reads from now on."""
    revision = revision_of(session, proposal.id, proposal.pending_revision or 0)
    if revision is None:
        raise Conflict(N_("Der Text wurde inzwischen überarbeitet. Bitte lesen Sie die neue Fassung."))
    proposal.pending_revision = None
    _apply(session, proposal, revision, now)


def refuse_revision(session: Session, proposal: Proposal) -> None:
    """A moderator refused the pending change: what was public stays as it is."""
    _drop_unused(session, proposal, _forget_pending(session, proposal))


def _forget_pending(session: Session, proposal: Proposal) -> list[Upload]:
    """No revision waits any more; returns the pictures that came with the one that did."""
    proposal.pending_revision = None
    waiting = session.scalars(
        select(ContributionPicture).options(joinedload(ContributionPicture.upload))
        .where(ContributionPicture.contribution_id == proposal.id, ContributionPicture.revision_number.is_not(None))
    ).all()
    for picture in waiting:
        session.delete(picture)
    session.flush()
    return [picture.upload for picture in waiting]


def _drop_unused(session: Session, proposal: Proposal, uploads: list[Upload]) -> None:
    """Of these files, remove those that belong to the proposal no more."""
    used = set(session.scalars(
        select(ContributionPicture.upload_id).where(ContributionPicture.contribution_id == proposal.id)))
    contributions.drop_uploads(session, [upload for upload in uploads if upload.id not in used])


def _apply(session: Session, proposal: Proposal, revision: Revision, now: datetime) -> None:
    """Put a revision in the place of what was there: text, theme, place, pictures, counters, search, caches."""
    was_published = proposal.is_published
    if was_published:
        contributions.count_out(session, proposal)
    before = revision_of(session, proposal.id, proposal.revision_number)
    if before is not None and _others_reacted(session, proposal):
        before.was_seen = True
        proposal.edited_at = now
    changes = revision.changes or {}
    proposal.title, proposal.body, proposal.revision_number = revision.title, revision.body, revision.number
    revision.applied_at = now
    proposal.place, proposal.lon, proposal.lat = (changes.get(name, getattr(proposal, name)) for name in
                                                  ("place", "lon", "lat"))
    proposal.stored_answers = changes.get("answers", proposal.stored_answers)
    # What was chosen then may be gone by now.
    if "theme_id" in changes and changes["theme_id"] in {None, *(theme.id for theme in proposal.process.themes)}:
        proposal.theme_id = changes["theme_id"]
    district_id = changes.get("district_id")
    proposal.district_id = district_id if district_id and session.get(District, district_id) else None
    if changes.get("pictures"):
        replaced = list(proposal.pictures)
        for picture in replaced:
            session.delete(picture)
        session.execute(
            update(ContributionPicture)
            .where(ContributionPicture.contribution_id == proposal.id,
                   ContributionPicture.revision_number == revision.number)
            .values(revision_number=None)
        )
        session.flush()
        session.expire(proposal, ["pictures"])
        _drop_unused(session, proposal, [picture.upload for picture in replaced])
    if proposal.state is ContributionState.RETURNED:
        proposal.move_to(ContributionState.SUBMITTED, now)
    elif proposal.state is ContributionState.SUBMITTED:
        proposal.submitted_at = now
    session.flush()
    session.expire(proposal, ["theme", "district"])
    if was_published:
        contributions.count_in(session, proposal)


def _others_reacted(session: Session, proposal: Proposal) -> bool:
    """Whether anybody supported, or anybody but the author commented what is public now.

    The author's own support counts too: a change without a trace despite a support would say whose it is.
    """
    votes = select(Vote.contribution_id).where(Vote.contribution_id == proposal.id)
    comments = select(Comment.id).where(
        Comment.proposal_id == proposal.id, Contribution.participant_id != proposal.participant_id,
        Contribution.state == ContributionState.PUBLISHED,
    )
    return session.scalar(votes.limit(1)) is not None or session.scalar(comments.limit(1)) is not None


def withdraw_proposal(session: Session, actor: Actor, proposal: Proposal, now: datetime, reason: str = "") -> None:
    """Its author takes it back; a reason (a key of WITHDRAWAL_REASONS) then stands where it was.

    Without one, nobody learns that it was ever there. Raises InvalidInput, Conflict or NotAllowed.
    """
    if reason and reason not in WITHDRAWAL_REASONS:
        raise InvalidInput(N_("Bitte wählen Sie einen Grund aus der Liste, oder keinen."), field="reason")
    require(actor, Action.WITHDRAW_CONTRIBUTION, proposal, now)
    hold_account(session, actor.account_id)
    # Two at once would both count it away.
    lock_contribution(session, proposal.id)
    session.refresh(proposal, ["state", "decided_at"])
    refuse_revision(session, proposal)
    contributions.withdraw(session, actor, proposal, now)
    proposal.withdrawal_reason = reason or None


def _check_answers(answers: Sequence[Answer], asked: Sequence[OwnField], answered: Sequence[Answer] = ()) -> None:
    """Refuse what the form would; an option that was reworded since may stay where it was `answered` before."""
    wrong = read_answers(asked, {one.key: one.values for one in answers}, answered)[1]
    if wrong:
        raise wrong[0]


def possible_themes(process: Process, settings: CollectSettings) -> set[int | None]:
    """What a proposal may stand under; None is without a theme."""
    themes: set[int | None] = {theme.id for theme in process.themes}
    return themes | ({None} if settings.theme is ThemeRule.OPTIONAL else set())


def _check(
    draft: ProposalDraft, process: Process, settings: CollectSettings, theme_id: int | None = None, *,
    may_attach: bool,
) -> None:
    """Clean the draft in place and refuse what can't be stored."""
    draft.title = text.clean_line(draft.title)
    draft.body = text.clean_text(draft.body)
    draft.place = text.clean_line(draft.place)
    if not draft.title:
        raise InvalidInput(N_("Bitte geben Sie Ihrem Vorschlag einen Titel."), field="title")
    if len(draft.title) > TITLE_MAX:
        raise InvalidInput(N_("Der Titel ist zu lang. Höchstens %(number)s Zeichen sind möglich."), field="title",
                           number=TITLE_MAX)
    if not draft.body:
        raise InvalidInput(N_("Bitte beschreiben Sie Ihren Vorschlag."), field="body")
    if len(draft.body) > BODY_MAX:
        raise InvalidInput(N_("Der Text ist zu lang. Höchstens %(number)s Zeichen sind möglich."), field="body",
                           number=BODY_MAX)
    if len(draft.place) > PLACE_MAX:
        raise InvalidInput(N_("Die Beschreibung des Ortes ist zu lang."), field="place")
    if settings.theme is ThemeRule.HIDDEN:
        draft.theme_id = theme_id
    elif process.themes and draft.theme_id not in possible_themes(process, settings):
        raise InvalidInput(N_("Bitte wählen Sie ein Thema aus."), field="theme_id")
    if settings.place is PlaceRule.REQUIRED and draft.lon is None and not draft.place:
        raise InvalidInput(N_("Bitte nennen Sie den Ort, um den es geht."), field="place")
    if draft.pictures and not may_attach:
        raise InvalidInput(
            N_("Bilder sind hier nur mit Konto möglich. Bitte melden Sie sich an.")
            if settings.pictures is PicturesFrom.ACCOUNT else N_("Bilder sind in dieser Phase nicht möglich."),
            field="picture")


def searched_text(proposal: Proposal) -> str:
    """What a search looks through besides the title: all that everybody may read."""
    return " ".join([proposal.body, proposal.place, *(one.shown for one in proposal.public_answers)])


@contributions.counts_as("proposal")
def _count_proposal(session: Session, contribution: Contribution, step: int) -> None:
    # Its own count is read again under the lock that the change of state holds: a comment may have come meanwhile.
    comments = session.scalar(select(Contribution.comment_count).where(Contribution.id == contribution.id)) or 0
    session.execute(
        update(Process).where(Process.id == contribution.process_id)
        .values(proposal_count=Process.proposal_count + step,
                comment_count=Process.comment_count + step * comments)
        .execution_options(synchronize_session=False)
    )
    if contribution.theme_id is not None:
        session.execute(
            update(Theme).where(Theme.id == contribution.theme_id)
            .values(proposal_count=Theme.proposal_count + step)
            .execution_options(synchronize_session=False)
        )
    proposal = session.get_one(Proposal, contribution.id)
    if step > 0:
        search.index_proposal(session, proposal.id, proposal.process_id, proposal.title,
                              searched_text(proposal))
    else:
        search.remove_proposal(session, proposal.id)


def answer_proposal(
    session: Session,
    actor: Actor,
    proposal: Proposal,
    *,
    status: AnswerStatus | None,
    body: str,
    cost: str,
    now: datetime,
) -> None:
    """Give, or change, the administration's answer to a published proposal; its author hears of it by mail.

    `cost` is what was typed: whole euros, with or without points and the euro sign; empty for unknown. Raises
    InvalidInput, Conflict (not public), or NotAllowed.
    """
    require(actor, Action.ANSWER_PROPOSAL, proposal, now)
    if not proposal.is_published:
        raise Conflict(N_("Beantworten lässt sich nur, was öffentlich ist."))
    if status is None:
        raise InvalidInput(N_("Bitte wählen Sie, was aus dem Vorschlag wird."), field="status")
    clean = text.clean_text(body)
    if not clean:
        raise InvalidInput(N_("Bitte schreiben Sie eine Antwort. Alle können sie lesen."), field="body")
    if len(clean) > ANSWER_MAX:
        raise InvalidInput(N_("Die Antwort ist zu lang. Höchstens %(number)s Zeichen sind möglich."), field="body",
                           number=ANSWER_MAX)
    amount = _clean_cost(cost)
    is_new = (proposal.answer_status, proposal.answer_body) != (status, clean)
    proposal.answer_status, proposal.answer_body, proposal.answer_cost = status, clean, amount
    proposal.answered_at, proposal.answered_by = now, actor.display_name
    session.flush()
    raise_content_version(session, proposal.process.municipality_id)
    if is_new:
        emit(session, ProposalAnswered(proposal.id, proposal.process_id, now))
        outbox.enqueue(session, "mail_answer", f"mail-answer:{proposal.id}:{now.isoformat()}",
                       proposal_id=proposal.id)
    audit.record(session, at=now, actor=actor.label, action="answer_proposal", subject_type="proposal",
                 subject_id=proposal.id, status=status.value)


def _clean_cost(raw: str) -> int | None:
    typed = text.clean_line(raw).replace(" ", "").replace("€", "").replace("Euro", "").removesuffix(",00").replace(".", "")
    if not typed:
        return None
    if not (typed.isascii() and typed.isdecimal()) or int(typed) > COST_MAX:
        raise InvalidInput(N_("Bitte schreiben Sie die Kosten als ganze Zahl in Euro, zum Beispiel 12.000."), field="cost")
    return int(typed)


def recount(session: Session, keyring: Keyring) -> dict[str, int]:
    """Count everything anew and correct what differs; returns how many rows were wrong, per counter.

    Set-based: a handful of statements, whatever the size of the town; but for people, whom only the key counts once when
    they both write and vote. Cached pages are outdated when anything was
    wrong. Commit is the caller's.
    """
    base, own = Contribution.__table__.alias("base"), Comment.__table__
    published = ContributionState.PUBLISHED
    votes = select(func.count()).where(Vote.contribution_id == Contribution.id, Vote.annulment_id.is_(None))
    comments = (
        select(func.count()).select_from(own.join(base, base.c.id == own.c.id))
        .where(own.c.proposal_id == Contribution.id, base.c.state == published)
    )
    visible = [base.c.process_id == Process.id, base.c.kind == "proposal", base.c.state == published]
    of_theme = [base.c.theme_id == Theme.id, base.c.kind == "proposal", base.c.state == published]
    # The sums of a process stand on the counts of its contributions, so these come first.
    corrected = {
        **recount_votes(session),
        "contribution.support_count": _correct(session, Contribution.support_count, votes),
        "contribution.comment_count": _correct(session, Contribution.comment_count, comments),
        "process.proposal_count": _correct(
            session, Process.proposal_count, select(func.count()).select_from(base).where(*visible)),
        "process.comment_count": _correct(
            session, Process.comment_count, select(func.coalesce(func.sum(base.c.comment_count), 0)).where(*visible)),
        "process.participant_count": _correct_people(session, keyring),
        "theme.proposal_count": _correct(
            session, Theme.proposal_count, select(func.count()).select_from(base).where(*of_theme)),
    }
    if any(corrected.values()):
        session.expire_all()
        for municipality_id in session.scalars(select(Municipality.id)):
            raise_content_version(session, municipality_id)
    return corrected


def _correct(session: Session, counter: InstrumentedAttribute[int], truth: Select[int]) -> int:
    counted = truth.correlate(counter.class_.__table__).scalar_subquery()
    changed = session.execute(
        update(counter.class_).where(counter != counted).values({counter: counted})
        .execution_options(synchronize_session=False)
    )
    return int(changed.rowcount)  # type: ignore[attr-defined]


def _correct_people(session: Session, keyring: Keyring) -> int:
    wrong = 0
    for process_id, known in session.execute(select(Process.id, Process.participant_count)).all():
        people = contributions.count_people(session, keyring, process_id)
        if people != known:
            wrong += 1
            session.execute(update(Process).where(Process.id == process_id).values(participant_count=people)
                            .execution_options(synchronize_session=False))
    return wrong


def reindex(session: Session, proposal_ids: Sequence[int]) -> None:
    """What everybody may read of these is different now, without a change of their own."""
    for proposal in session.scalars(
        select(Proposal).where(Proposal.id.in_(proposal_ids), Contribution.state == ContributionState.PUBLISHED)
        .options(joinedload(Proposal.process).selectinload(Process.phases))
    ):
        search.index_proposal(session, proposal.id, proposal.process_id, proposal.title, searched_text(proposal))


def _fields_changed(session: Session, event: Event) -> None:
    if isinstance(event, PublicFieldsChanged):
        outbox.enqueue(session, "index_phase", f"index-phase:{event.phase_id}:{event.at.isoformat()}",
                       phase_id=event.phase_id)


def connect() -> None:
    """Listen; a second call changes nothing."""
    listen(PublicFieldsChanged, _fields_changed)
