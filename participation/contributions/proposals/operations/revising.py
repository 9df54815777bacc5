"""Changing a proposal, taking it back, and what becomes of a change that awaits its decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update
from sqlalchemy.orm import joinedload

from participation import audit, text
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.comments.models import Comment
from participation.contributions.models import Contribution, ContributionPicture, ContributionState, Revision
from participation.contributions.proposals.models import WITHDRAWAL_REASONS, Proposal
from participation.contributions.proposals.operations.content import (
    ALT_MAX,
    CHANGEABLE,
    PICTURE_MISSING,
    ProposalDraft,
    check_answers,
    check_content,
)
from participation.contributions.queries import newest_revision, revision_of
from participation.contributions.votes.models import Vote
from participation.errors import Conflict, InvalidInput
from participation.events import ContributionSubmitted, emit
from participation.formats import CollectSettings, Moderation
from participation.i18n import N_
from participation.municipalities.models import District
from participation.own_fields import load_answers, store_answers
from participation.permissions import Actor, can, require
from participation.processes.models import PhaseState

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.uploads import Upload

# In these states its author may change it.
EDITABLE = frozenset({ContributionState.SUBMITTED, ContributionState.RETURNED, ContributionState.PUBLISHED})


class ChangedMeanwhile(Conflict):
    """Somebody else who writes it, or the author in another window, was faster."""

    def __init__(self) -> None:
        """There is one thing to say."""
        super().__init__(
            N_("Der Vorschlag wurde inzwischen an anderer Stelle geändert. Ihr Text ist nicht gespeichert."))


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
    phase = proposal.process.phase_opening(Action.EDIT_PROPOSAL, now)
    settings = phase.settings if phase and isinstance(phase.settings, CollectSettings) else CollectSettings()
    known = newest_revision(session, proposal.id)
    answered = [*proposal.answers, *load_answers((known.changes or {}).get("answers") if known else None)]
    if draft.answers is not None:
        check_answers(draft.answers, proposal.own_fields, answered)
    check_content(draft, proposal.process, settings, proposal.theme_id,
           may_attach=can(actor, Action.ATTACH_PICTURES, proposal.process, now))
    if settings.picture_required and draft.pictures == []:
        raise InvalidInput(PICTURE_MISSING, field="picture")
    # The other half of a double click, or a moderator, may have been faster.
    contributions.hold_own(session, actor, proposal, "revision_number", "pending_revision")
    if proposal.state not in EDITABLE:
        raise Conflict(N_("Das ist nicht mehr möglich: Der Beitrag hat inzwischen einen anderen Stand."))
    newest = newest_revision(session, proposal.id)
    answers = _latest_answers(proposal, newest) if draft.answers is None else store_answers(draft.answers)
    changes = {name: getattr(draft, name) for name in CHANGEABLE} | {
        "pictures": draft.pictures is not None, "answers": answers}
    if newest is not None and onto is not None and newest.number != onto:
        # What was noted of its pictures when it took effect is no difference.
        is_same = (newest.changes or {}) | changes == (newest.changes or {})
        if is_same and (newest.title, newest.body) == (draft.title, draft.body) and not draft.pictures:
            return newest.number == proposal.pending_revision
        raise ChangedMeanwhile
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
        if proposal.is_published:
            # Nobody has read the new text yet.
            proposal.decided_at = None
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
    if before is not None and _others_reacted(session, proposal, now):
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
        # Counted now: the files that go are gone when somebody reads what has changed.
        earlier, present = ({picture.upload_id for picture in some} for some in (replaced, proposal.pictures))
        revision.changes = {**changes, "pictures_added": len(present - earlier), "pictures_removed": len(earlier - present)}
        _drop_unused(session, proposal, [picture.upload for picture in replaced])
    if proposal.state is ContributionState.RETURNED:
        proposal.move_to(ContributionState.SUBMITTED, now)
    elif proposal.state is ContributionState.SUBMITTED:
        proposal.submitted_at = now
    session.flush()
    session.expire(proposal, ["theme", "district"])
    if was_published:
        contributions.count_in(session, proposal)


def may_be_voted_for(proposal: Proposal, now: datetime) -> bool:
    """Whether a ballot can be cast, or could since it is public; not whether somebody did, which may be secret."""
    since = proposal.published_at or now
    return any(phase.opens(Action.CAST_BALLOT) and phase.state(now) is not PhaseState.UPCOMING
               and (phase.ends_at is None or phase.ends_at > since) for phase in proposal.process.phases)


def _others_reacted(session: Session, proposal: Proposal, now: datetime) -> bool:
    """Whether anybody supported, or anybody but the author commented what is public now, or may have voted for it.

    The author's own support counts too: a change without a trace despite a support would say whose it is. Of ballots it is
    enough that they can be cast: whether somebody chose this proposal may be secret until the end.
    """
    if may_be_voted_for(proposal, now):
        return True
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
    # Two at once would both count it away.
    contributions.hold_own(session, actor, proposal, "decided_at")
    refuse_revision(session, proposal)
    contributions.withdraw(session, actor, proposal, now)
    proposal.withdrawal_reason = reason or None
