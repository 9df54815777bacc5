"""What people do with proposals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Select, func, select, update
from sqlalchemy.exc import IntegrityError

from participation import audit, outbox, search, text, tokens
from participation.accounts.models import Participant, ParticipantKind
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.comments.models import Comment
from participation.contributions.models import Contribution, ContributionPicture, ContributionState
from participation.contributions.proposals.models import AnswerStatus, Proposal
from participation.contributions.queries import lock_contribution
from participation.contributions.votes.models import Vote
from participation.errors import Conflict, InvalidInput
from participation.events import ContributionSubmitted, emit
from participation.formats import CollectSettings, Moderation, PlaceRule
from participation.i18n import N_
from participation.municipalities.models import Municipality
from participation.municipalities.operations import raise_content_version
from participation.permissions import Actor, require
from participation.processes.models import Process, Theme

if TYPE_CHECKING:
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
    # Each with its description.
    pictures: list[tuple[Upload, str]] = field(default_factory=list)
    # When revising: whether the pictures that are there go; new ones always replace them.
    drops_pictures: bool = False


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
    guest_email: str = "",
) -> Receipt:
    """Store a proposal with its revision and receipt, and hand it to moderation.

    `submission_key` is a random value of the form: the same form sent twice by the same person stays one proposal,
    also in parallel, and both get the same receipt. `guest_email` counts for guests only.
    Raises InvalidInput, Conflict (phase over), SignInNeeded or NotAllowed.
    """
    repeated = find_submission(session, keyring, process.id, actor.identity, submission_key)
    if repeated is not None:
        return _receipt(keyring, repeated, is_repeat=True)
    require(actor, Action.SUBMIT_PROPOSAL, process, now)
    phase = process.phase_opening(Action.SUBMIT_PROPOSAL, now)
    settings = phase.settings if phase and isinstance(phase.settings, CollectSettings) else CollectSettings()
    _check(draft, process, settings)
    identity = actor.identity
    if identity is None:
        raise InvalidInput(N_("Ihr Browser hat keine Sitzung. Bitte laden Sie die Seite neu."))
    shown_as = text.clean_line(pseudonym or actor.display_name)[:PSEUDONYM_MAX] or N_("Gast")
    contact = f"account:{actor.account_id}" if actor.is_signed_in else (f"mail:{guest_email}" if guest_email else None)
    author = contributions.ensure_participant(
        session, keyring, process.id, identity,
        kind=ParticipantKind.ACCOUNT if actor.is_signed_in else ParticipantKind.GUEST,
        pseudonym=shown_as, now=now, contact=contact, is_staff=actor.is_staff,
    )
    if contact and author.contact_sealed is None:
        author.contact_sealed = keyring.seal(contact)
    key = _bound_key(keyring, process.id, identity, submission_key)
    token = _derived_token(keyring, process.id, key)
    proposal = Proposal(
        process_id=process.id, phase_id=phase.id if phase else None, theme_id=draft.theme_id,
        participant_id=author.id, state=ContributionState.SUBMITTED, title=draft.title, body=draft.body,
        place=draft.place, lon=draft.lon, lat=draft.lat, district_id=draft.district_id, created_at=now,
        submitted_at=now, submission_key=key, receipt_number=tokens.new_receipt_number(),
        claim_token_hash=tokens.hash_token(token),
    )
    proposal.process = process
    proposal.pictures = _pictures(draft)
    contributions.add_revision(proposal, proposal.title, proposal.body, now)
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


def receipt_token(keyring: Keyring, contribution: Contribution) -> str | None:
    """The token of the link that gives its holder the author's rights (`submissions.receipt`), for mails and retries.

    It is derived with the installation's key, so the database alone does not yield it. None for contributions without
    a receipt, and after the key was changed: older links go on to work, but can't be written anew.
    """
    if contribution.submission_key is None or contribution.claim_token_hash is None:
        return None
    token = _derived_token(keyring, contribution.process_id, contribution.submission_key)
    return token if tokens.hash_token(token) == contribution.claim_token_hash else None


def _bound_key(keyring: Keyring, process_id: int, identity: str, submission_key: str) -> str:
    """The key as it is stored: nobody can claim another person's form by sending its key."""
    return keyring.person_hash(process_id, f"form:{identity}:{submission_key}")


def _derived_token(keyring: Keyring, process_id: int, stored_key: str) -> str:
    # 192 bits; short enough for a QR code that a phone reads from paper.
    return keyring.person_hash(process_id, f"receipt:{stored_key}")[:48]


def _receipt(keyring: Keyring, proposal: Proposal, *, is_repeat: bool = False) -> Receipt:
    return Receipt(proposal, proposal.receipt_number or "", receipt_token(keyring, proposal), is_repeat=is_repeat)


def _pictures(draft: ProposalDraft) -> list[ContributionPicture]:
    return [
        ContributionPicture(upload=upload, alt=text.clean_line(alt)[:300], position=number)
        for number, (upload, alt) in enumerate(draft.pictures)
    ]


def resubmit_proposal(
    session: Session, actor: Actor, proposal: Proposal, draft: ProposalDraft, now: datetime
) -> list[Upload]:
    """Its author revised a returned proposal: a new revision goes to moderation.

    Returns the uploads that belong to it no more; their rows are deleted, their files are the caller's to remove after
    the commit. Raises Conflict (phase over, or no longer returned), InvalidInput, NotAllowed.
    """
    require(actor, Action.EDIT_PROPOSAL, proposal, now)
    phase = proposal.process.phase_opening(Action.EDIT_PROPOSAL, now)
    settings = phase.settings if phase and isinstance(phase.settings, CollectSettings) else CollectSettings()
    _check(draft, proposal.process, settings)
    # The other half of a double click, or a moderator, may have been faster.
    lock_contribution(session, proposal.id)
    session.refresh(proposal, ["state", "revision_number"])
    proposal.move_to(ContributionState.SUBMITTED, now)
    proposal.revision_number += 1
    proposal.title, proposal.body = draft.title, draft.body
    proposal.theme_id, proposal.place, proposal.district_id = draft.theme_id, draft.place, draft.district_id
    proposal.lon, proposal.lat = draft.lon, draft.lat
    dropped: list[Upload] = []
    if draft.pictures or draft.drops_pictures:
        dropped = [picture.upload for picture in proposal.pictures]
        proposal.pictures = _pictures(draft)
    contributions.add_revision(proposal, proposal.title, proposal.body, now)
    session.flush()
    for upload in dropped:
        session.delete(upload)
    session.flush()
    emit(session, ContributionSubmitted(proposal.id, proposal.revision_number, proposal.process_id, now))
    audit.record(session, at=now, actor=actor.label, action="resubmit_proposal", subject_type="proposal",
                 subject_id=proposal.id, revision=proposal.revision_number)
    return dropped


def _check(draft: ProposalDraft, process: Process, settings: CollectSettings) -> None:
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
    if process.themes and draft.theme_id not in {theme.id for theme in process.themes}:
        raise InvalidInput(N_("Bitte wählen Sie ein Thema aus."), field="theme_id")
    if settings.place is PlaceRule.REQUIRED and draft.lon is None and not draft.place:
        raise InvalidInput(N_("Bitte nennen Sie den Ort, um den es geht."), field="place")
    if draft.pictures and not settings.pictures_allowed:
        raise InvalidInput(N_("Bilder sind in dieser Phase nicht möglich."), field="picture")


@contributions.counts_as("proposal")
def _count_proposal(session: Session, contribution: Contribution, step: int) -> None:
    # Its own counts are read again under the lock that the change of state holds: a support may have come meanwhile.
    supports, comments = session.execute(
        select(Contribution.support_count, Contribution.comment_count).where(Contribution.id == contribution.id)
    ).one()
    session.execute(
        update(Process).where(Process.id == contribution.process_id)
        .values(proposal_count=Process.proposal_count + step,
                comment_count=Process.comment_count + step * comments,
                support_count=Process.support_count + step * supports)
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
                              f"{proposal.body} {proposal.place}")
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


def recount(session: Session) -> dict[str, int]:
    """Count everything anew and correct what differs; returns how many rows were wrong, per counter.

    Set-based: a handful of statements, whatever the size of the town. Cached pages are outdated when anything was
    wrong. Commit is the caller's.
    """
    base, own = Contribution.__table__.alias("base"), Comment.__table__
    published = ContributionState.PUBLISHED
    votes = select(func.count()).where(Vote.contribution_id == Contribution.id)
    comments = (
        select(func.count()).select_from(own.join(base, base.c.id == own.c.id))
        .where(own.c.proposal_id == Contribution.id, base.c.state == published)
    )
    visible = [base.c.process_id == Process.id, base.c.kind == "proposal", base.c.state == published]
    of_theme = [base.c.theme_id == Theme.id, base.c.kind == "proposal", base.c.state == published]
    # The sums of a process stand on the counts of its contributions, so these come first.
    corrected = {
        "contribution.support_count": _correct(session, Contribution.support_count, votes),
        "contribution.comment_count": _correct(session, Contribution.comment_count, comments),
        "process.proposal_count": _correct(
            session, Process.proposal_count, select(func.count()).select_from(base).where(*visible)),
        "process.comment_count": _correct(
            session, Process.comment_count, select(func.coalesce(func.sum(base.c.comment_count), 0)).where(*visible)),
        "process.support_count": _correct(
            session, Process.support_count, select(func.coalesce(func.sum(base.c.support_count), 0)).where(*visible)),
        "process.participant_count": _correct(
            session, Process.participant_count, select(func.count()).where(Participant.process_id == Process.id)),
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
