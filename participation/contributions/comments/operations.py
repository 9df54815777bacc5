"""What people do with comments."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from participation import audit, text
from participation.accounts.models import Participant, ParticipantKind
from participation.accounts.operations.leaving import hold_account
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.comments.models import MAX_DEPTH, QUOTE_MAX, Comment, Stance
from participation.contributions.guests import operations as guests
from participation.contributions.models import Contribution, ContributionState
from participation.contributions.queries import lock_contribution
from participation.errors import Conflict, InvalidInput
from participation.events import ContributionSubmitted, emit
from participation.formats import CommentStyle, Moderation
from participation.i18n import N_
from participation.municipalities.operations import raise_content_version
from participation.permissions import Actor, OpenPhase, can, require
from participation.processes.models import Process

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

BODY_MAX = 3000
# How long a typo can be mended after a comment appeared without a check.
EDIT_WINDOW = timedelta(minutes=15)


def post_comment(
    session: Session,
    keyring: Keyring,
    actor: Actor,
    proposal: Contribution,
    body: str,
    *,
    submission_key: str,
    now: datetime,
    parent: Comment | None = None,
    quote: str = "",
    stance: Stance | None = None,
) -> Comment:
    """Store a comment and hand it to moderation; the same form sent twice stays one.

    Those of guests are always checked before they appear; who wrote them is said on the receipt (`introduce_guest`).
    A reply to a reply of the last level joins that level. `quote` is a passage that stands in the proposal; `stance`
    is needed, for a first comment of a thread, where the phase asks for it. Raises InvalidInput, Conflict,
    SignInNeeded, NotAllowed.
    """
    require(actor, Action.COMMENT, proposal, now)
    hold_account(session, actor.account_id)
    # Bound to the sender: a value that somebody else has used must not swallow this comment.
    key = keyring.person_hash(proposal.process_id, f"comment:{proposal.id}:{actor.identity}:{submission_key}")
    repeated = _find_submission(session, key)
    if repeated is not None:
        return repeated
    clean = _clean_body(body)
    passage = _clean_quote(quote, proposal)
    if parent is not None and (parent.proposal_id != proposal.id or not parent.is_published):
        raise InvalidInput(N_("Diesen Kommentar gibt es nicht mehr. Antworten Sie bitte auf einen anderen."),
                           field="body")
    phase = proposal.process.phase_opening(Action.COMMENT, now)
    if parent is not None or not asks_for_stance(phase):
        stance = None
    elif stance is None:
        raise InvalidInput(N_("Bitte wählen Sie: dafür, dagegen oder Anmerkung."), field="stance")
    author = _author(session, keyring, actor, proposal, now)
    if parent is not None and parent.depth >= MAX_DEPTH:
        parent = session.get_one(Comment, parent.parent_id)
    comment = Comment(
        process_id=proposal.process_id, phase_id=phase.id if phase else None, participant_id=author.id,
        state=ContributionState.SUBMITTED, body=clean, created_at=now, submitted_at=now,
        submission_key=key, proposal_id=proposal.id, parent_id=parent.id if parent else None,
        thread_id=parent.thread_id if parent else None, depth=parent.depth + 1 if parent else 0,
        quote=passage, stance=stance,
    )
    comment.process = proposal.process
    _give_receipt(keyring, actor, comment)
    contributions.add_revision(comment, "", clean, now)
    try:
        with session.begin_nested():
            session.add(comment)
            session.flush()
    except IntegrityError:
        repeated = _find_submission(session, key)
        if repeated is None:
            raise
        return repeated
    if comment.thread_id is None:
        comment.thread_id = comment.id
    after = phase is not None and getattr(phase.settings, "moderation", Moderation.BEFORE) is Moderation.AFTER
    if after and actor.is_signed_in:
        contributions.publish(session, comment, now, is_checked=False)
    emit(session, ContributionSubmitted(comment.id, 1, proposal.process_id, now))
    audit.record(session, at=now, actor=actor.label, action="post_comment", subject_type="comment",
                 subject_id=comment.id)
    return comment


def _give_receipt(keyring: Keyring, actor: Actor, comment: Comment) -> None:
    """For guests; an account finds its comments without one."""
    if not actor.is_signed_in:
        guests.give_receipt(keyring, comment)


def asks_for_stance(phase: OpenPhase | None) -> bool:
    """Whether first comments say that they are for or against."""
    style = getattr(phase.settings, "comment_style", CommentStyle.NEUTRAL) if phase else CommentStyle.NEUTRAL
    return style is CommentStyle.PRO_CONTRA


def may_edit(actor: Actor, comment: Comment, now: datetime) -> bool:
    """Whether the author may still change the text: before the check, after being asked to, or while it is fresh.

    What a moderator approved stays as it was approved.
    """
    if not can(actor, Action.EDIT_COMMENT, comment, now):
        return False
    if comment.state in {ContributionState.SUBMITTED, ContributionState.RETURNED}:
        return True
    phase = comment.process.phase_opening(Action.COMMENT, now)
    checked_after = getattr(phase.settings, "moderation", Moderation.BEFORE) is Moderation.AFTER if phase else False
    return comment.is_published and checked_after and actor.is_signed_in and now - comment.created_at <= EDIT_WINDOW


def edit_comment(session: Session, actor: Actor, comment: Comment, body: str, now: datetime) -> None:
    """Replace the text by a new revision, which is checked like the first.

    `comment.is_own` must be known. Raises InvalidInput, Conflict (too late), SignInNeeded or NotAllowed.
    """
    require(actor, Action.EDIT_COMMENT, comment, now)
    contributions.hold_own(session, actor, comment, "revision_number")
    if comment.state is ContributionState.WITHDRAWN:
        raise Conflict(N_("Diesen Kommentar haben Sie zurückgezogen. Ihre Änderung ist nicht gespeichert."))
    if not may_edit(actor, comment, now):
        raise Conflict(N_("Dieser Kommentar lässt sich nicht mehr ändern. Schreiben Sie bitte eine Antwort darauf."))
    clean = _clean_body(body)
    if clean == comment.body and comment.state is not ContributionState.RETURNED:
        return
    comment.body = clean
    comment.revision_number += 1
    contributions.add_revision(comment, "", clean, now)
    if comment.state is ContributionState.RETURNED:
        comment.move_to(ContributionState.SUBMITTED, now)
    if comment.is_published:
        comment.edited_at, comment.decided_at = now, None
        raise_content_version(session, comment.process.municipality_id)
    session.flush()
    emit(session, ContributionSubmitted(comment.id, comment.revision_number, comment.process_id, now))
    audit.record(session, at=now, actor=actor.label, action="edit_comment", subject_type="comment",
                 subject_id=comment.id)


def _clean_body(body: str) -> str:
    clean = text.clean_text(body)
    if not clean:
        raise InvalidInput(N_("Bitte schreiben Sie einen Kommentar."), field="body")
    if len(clean) > BODY_MAX:
        raise InvalidInput(N_("Der Kommentar ist zu lang. Höchstens %(number)s Zeichen sind möglich."), field="body",
                           number=BODY_MAX)
    return clean


def _clean_quote(quote: str, proposal: Contribution) -> str:
    """The passage as it stands in the proposal; nobody is quoted with words of somebody else.

    Blanks count for nothing: a field of one line joins the words around a line break. A sentence that is begun in the
    middle gets a capital letter, and loses it where one quotes into a sentence of one's own.
    """
    entered = "".join(text.clean_text(quote).split())
    if not entered:
        return ""
    places = [place for place, char in enumerate(proposal.body) if not char.isspace()]
    said = "".join(proposal.body[place] for place in places)
    # Whoever copies a passage that stands in quotation marks of their own means what is between them.
    bare = entered.strip("„“”‚‘’»«›‹\"'") or entered
    ways = (entered, *(way for one in (entered, bare) for way in (one[0].upper() + one[1:], one[0].lower() + one[1:])))
    found = next(((said.index(way), len(way)) for way in ways if way in said), None)
    passage = ""
    if found is not None:
        first, length = found
        passage = " ".join(proposal.body[places[first] : places[first + length - 1] + 1].split())
    if max(len(entered), len(passage)) > QUOTE_MAX:
        raise InvalidInput(N_("Die zitierte Stelle ist zu lang. Höchstens %(number)s Zeichen sind möglich."),
                           field="quote", number=QUOTE_MAX)
    if not passage:
        raise InvalidInput(N_("Diese Stelle steht so nicht im Vorschlag. Kopieren Sie bitte eine Stelle daraus."),
                           field="quote")
    return passage


def _author(
    session: Session, keyring: Keyring, actor: Actor, proposal: Contribution, now: datetime
) -> Participant:
    known = contributions.find_participant(session, keyring, proposal.process_id, actor.identity)
    if known is None:
        lock_contribution(session, proposal.id)
    return contributions.ensure_participant(
        session, keyring, proposal.process_id, actor.identity or "", now=now, is_staff=actor.is_staff,
        kind=ParticipantKind.ACCOUNT if actor.is_signed_in else ParticipantKind.GUEST,
        pseudonym=actor.display_name if actor.is_signed_in else guests.GUEST_NAME,
        contact=f"account:{actor.account_id}" if actor.is_signed_in else None,
    )


def _find_submission(session: Session, submission_key: str) -> Comment | None:
    return session.scalar(select(Comment).where(Contribution.submission_key == submission_key))


@contributions.counts_as("comment")
def _count_comment(session: Session, contribution: Contribution, step: int) -> None:
    """The process counts comments of visible proposals only; those of a hidden one come back with it."""
    comment = session.get_one(Comment, contribution.id)
    state = session.execute(
        update(Contribution).where(Contribution.id == comment.proposal_id)
        .values(comment_count=Contribution.comment_count + step)
        .returning(Contribution.state)
        .execution_options(synchronize_session=False)
    ).scalar_one()
    if state is not ContributionState.PUBLISHED:
        return
    session.execute(
        update(Process).where(Process.id == contribution.process_id)
        .values(comment_count=Process.comment_count + step)
        .execution_options(synchronize_session=False)
    )
