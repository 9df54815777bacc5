"""What proposals add to the numbers of their process and theme, and counting everything anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Select, func, select, update

from participation import search
from participation.contributions import operations as contributions
from participation.contributions.comments.models import Comment
from participation.contributions.models import Contribution, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations.searching import searched_text
from participation.contributions.votes.models import Vote
from participation.contributions.votes.operations import recount as recount_votes
from participation.municipalities.models import Municipality
from participation.municipalities.operations import raise_content_version
from participation.processes.models import Process, Theme

if TYPE_CHECKING:

    from sqlalchemy.orm import InstrumentedAttribute, Session

    from participation.tokens import Keyring


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
