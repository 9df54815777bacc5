"""Reading all contributions of a process in steps, so that an export needs the same memory at any size.

Each step goes on by number where the last one ended.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from participation.accounts.models import Participant
from participation.catalogue.models import Measure, MeasureSource
from participation.contributions.comments.models import Comment
from participation.contributions.models import Contribution, ContributionPicture, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.db import is_sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session
    from sqlalchemy.sql.base import ReadOnlyColumnCollection

STEP = 1000
PUBLIC = (ContributionState.PUBLISHED,)
# Drafts are nobody's business but their author's; what was taken back is gone.
ALL = (ContributionState.SUBMITTED, ContributionState.RETURNED, ContributionState.PUBLISHED, ContributionState.HIDDEN,
       ContributionState.REJECTED)


def _rest(
    session: Session, process_id: int, base: ReadOnlyColumnCollection[str, Any], own: ReadOnlyColumnCollection[str, Any],
    last: int,
) -> list[ColumnElement[bool]]:
    """What comes after a number, so that both databases walk along the numbers.

    The sum keeps SQLite from an index of the process, by which it would read and sort all of it for every step. From the
    sum PostgreSQL would expect few rows, and sort as well; it is told twice instead where both tables begin.
    """
    if is_sqlite(session):
        return [base.process_id + 0 == process_id, base.id > last]
    return [base.process_id == process_id, base.id > last, own.id > last]


def proposals_in_steps(
    session: Session, process_id: int, states: Sequence[ContributionState]
) -> Iterator[Sequence[Any]]:
    """All proposals in these states by number, some at a time."""
    base, own = Contribution.__table__.c, Proposal.__table__.c
    return _in_steps(session, process_id, states, Proposal, [
        base.phase_id, base.theme_id, base.comment_count, base.answer_status, own.title, own.place, own.lon, own.lat,
        own.district_id, own.answer_body, own.answer_cost, own.answered_at, own.stored_answers,
    ])


def comments_in_steps(
    session: Session, process_id: int, states: Sequence[ContributionState]
) -> Iterator[Sequence[Any]]:
    """All comments in these states by number, some at a time."""
    own = Comment.__table__.c
    return _in_steps(session, process_id, states, Comment, [own.proposal_id, own.parent_id, own.quote, own.stance])


def _in_steps(
    session: Session, process_id: int, states: Sequence[ContributionState], kind: type[Proposal | Comment],
    columns: Sequence[ColumnElement[Any]],
) -> Iterator[Sequence[Any]]:
    base, own = Contribution.__table__.c, kind.__table__.c
    last = 0
    while True:
        rows = session.execute(
            select(
                base.id, base.state, base.state_reason, base.body, base.support_count, base.submitted_at,
                base.published_at, Participant.pseudonym, Participant.kind.label("channel"), *columns,
            )
            .select_from(Contribution.__table__)
            .join(kind.__table__, own.id == base.id)
            .join(Participant, Participant.id == base.participant_id)
            .where(*_rest(session, process_id, base, own, last), base.state.in_(states))
            .order_by(base.id).limit(STEP)
        ).all()
        if not rows:
            return
        yield rows
        last = rows[-1].id


def codes_of_measures(session: Session, ids: Sequence[int]) -> dict[int, list[str]]:
    """The measures that took proposals up, by proposal."""
    found: dict[int, list[str]] = defaultdict(list)
    for proposal_id, code in session.execute(
        select(MeasureSource.proposal_id, Measure.code).join(Measure, Measure.id == MeasureSource.measure_id)
        .where(MeasureSource.proposal_id.in_(ids)).order_by(Measure.position, Measure.id)
    ):
        found[proposal_id].append(code)
    return found


def picture_counts(session: Session, ids: Sequence[int]) -> dict[int, int]:
    """How many pictures proposals have, by proposal."""
    return {row[0]: row[1] for row in session.execute(
        select(ContributionPicture.contribution_id, func.count())
        .where(ContributionPicture.contribution_id.in_(ids), ContributionPicture.revision_number.is_(None))
        .group_by(ContributionPicture.contribution_id)
    )}
