"""What people do with comments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from participation import audit, text
from participation.accounts.models import Participant, ParticipantKind
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.comments.models import MAX_DEPTH, Comment
from participation.contributions.models import Contribution, ContributionState
from participation.contributions.queries import lock_contribution
from participation.errors import InvalidInput
from participation.events import ContributionSubmitted, emit
from participation.formats import Moderation
from participation.i18n import N_
from participation.permissions import Actor, require
from participation.processes.models import Process

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

BODY_MAX = 3000


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
) -> Comment:
    """Store a comment and hand it to moderation; the same form sent twice stays one.

    A reply to a reply of the last level joins that level. Raises InvalidInput, Conflict, SignInNeeded, NotAllowed.
    """
    require(actor, Action.COMMENT, proposal, now)
    # Bound to the sender: a value that somebody else has used must not swallow this comment.
    key = keyring.person_hash(proposal.process_id, f"comment:{proposal.id}:{actor.identity}:{submission_key}")
    repeated = _find_submission(session, key)
    if repeated is not None:
        return repeated
    clean = text.clean_text(body)
    if not clean:
        raise InvalidInput(N_("Bitte schreiben Sie einen Kommentar."), field="body")
    if len(clean) > BODY_MAX:
        raise InvalidInput(N_("Der Kommentar ist zu lang. Höchstens %(number)s Zeichen sind möglich."), field="body",
                           number=BODY_MAX)
    if parent is not None and (parent.proposal_id != proposal.id or not parent.is_published):
        raise InvalidInput(N_("Diesen Kommentar gibt es nicht mehr. Antworten Sie bitte auf einen anderen."),
                           field="body")
    phase = proposal.process.phase_opening(Action.COMMENT, now)
    author = _author(session, keyring, actor, proposal, now)
    if parent is not None and parent.depth >= MAX_DEPTH:
        parent = session.get_one(Comment, parent.parent_id)
    comment = Comment(
        process_id=proposal.process_id, phase_id=phase.id if phase else None, participant_id=author.id,
        state=ContributionState.SUBMITTED, body=clean, created_at=now, submitted_at=now,
        submission_key=key, proposal_id=proposal.id, parent_id=parent.id if parent else None,
        thread_id=parent.thread_id if parent else None, depth=parent.depth + 1 if parent else 0,
    )
    comment.process = proposal.process
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
    if phase is not None and getattr(phase.settings, "moderation", Moderation.BEFORE) is Moderation.AFTER:
        contributions.publish(session, comment, now)
    emit(session, ContributionSubmitted(comment.id, 1, proposal.process_id, now))
    audit.record(session, at=now, actor=actor.label, action="post_comment", subject_type="comment",
                 subject_id=comment.id)
    return comment


def _author(session: Session, keyring: Keyring, actor: Actor, proposal: Contribution, now: datetime) -> Participant:
    if contributions.find_participant(session, keyring, proposal.process_id, actor.identity) is None:
        lock_contribution(session, proposal.id)
    return contributions.ensure_participant(
        session, keyring, proposal.process_id, actor.identity or "", kind=ParticipantKind.ACCOUNT,
        pseudonym=actor.display_name, now=now, contact=f"account:{actor.account_id}", is_staff=actor.is_staff,
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
