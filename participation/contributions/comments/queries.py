"""The threads under a proposal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, select

from participation.accounts.models import Participant
from participation.contributions.comments.models import Comment
from participation.contributions.models import Contribution, ContributionState

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

THREADS_PER_PAGE = 50
# One thread may be long; a page never reads more than this many comments.
COMMENTS_PER_PAGE = 600
_SHOWN = (ContributionState.PUBLISHED, ContributionState.HIDDEN, ContributionState.WITHDRAWN)


@dataclass(slots=True)
class Entry:
    """One comment on the page; `is_gone` ones stand for a place in the thread, without author and text."""

    id: int
    parent_id: int | None
    depth: int
    is_gone: bool
    author: str = ""
    is_staff: bool = False
    body: str = ""
    published_at: datetime | None = None
    replies: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ThreadPage:
    """Comments in reading order; `next_after` is the last thread shown when more follow."""

    entries: list[Entry]
    next_after: int | None


def thread_rows(proposal_id: int, after: int) -> Select[Any]:
    """All comments of one page's threads (and of one thread more), oldest thread first, in one query."""
    base, own = Contribution.__table__.c, Comment.__table__.c
    head, head_base = Comment.__table__.alias("head"), Contribution.__table__.alias("head_base")
    first = (
        select(head.c.id)
        .join(head_base, head_base.c.id == head.c.id)
        .where(
            head.c.proposal_id == proposal_id, head.c.thread_id == head.c.id, head.c.thread_id > after,
            head_base.c.state.in_(_SHOWN),
        )
        .order_by(head.c.thread_id)
        .limit(THREADS_PER_PAGE + 1)
    )
    return (
        select(
            own.id, own.parent_id, own.depth, own.thread_id, base.state, base.body, base.published_at,
            Participant.pseudonym, Participant.is_staff,
        )
        .select_from(Comment.__table__)
        .join(Contribution.__table__, base.id == own.id)
        .join(Participant, Participant.id == base.participant_id)
        .where(own.proposal_id == proposal_id, own.thread_id.in_(first), base.state.in_(_SHOWN))
        .order_by(own.thread_id, own.id)
        .limit(COMMENTS_PER_PAGE + 1)
    )


def thread_page(session: Session, proposal_id: int, after: int = 0) -> ThreadPage:
    """One page of threads in one query. What is hidden stays as an empty place only where a visible reply needs it."""
    rows = session.execute(thread_rows(proposal_id, after)).all()
    threads = list(dict.fromkeys(row.thread_id for row in rows))
    whole = threads[:THREADS_PER_PAGE]
    if len(rows) > COMMENTS_PER_PAGE and len(whole) > 1 and len(threads) == len(whole):
        # The last thread may be cut off; it begins the next page.
        whole.pop()
    more = len(threads) > len(whole)
    kept = set(whole)
    entries: dict[int, Entry] = {}
    roots: list[Entry] = []
    for row in rows:
        if row.thread_id not in kept:
            continue
        is_gone = row.state is not ContributionState.PUBLISHED
        entry = Entry(row.id, row.parent_id, row.depth, is_gone)
        if not is_gone:
            entry.author, entry.is_staff, entry.body = row.pseudonym, row.is_staff, row.body
            entry.published_at = row.published_at
        entries[row.id] = entry
        parent = entries.get(row.parent_id) if row.parent_id is not None else None
        (parent.replies if parent is not None else roots).append(entry)
    shown = [entry for root in roots for entry in _in_reading_order(root)]
    return ThreadPage(shown, whole[-1] if more and whole else None)


def _in_reading_order(entry: Entry) -> list[Entry]:
    below = [shown for reply in entry.replies for shown in _in_reading_order(reply)]
    return [entry, *below] if below or not entry.is_gone else []
