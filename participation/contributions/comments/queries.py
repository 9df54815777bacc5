"""The threads under a proposal."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, bindparam, exists, func, literal, or_, select, true, tuple_

from participation.accounts.models import Participant
from participation.contributions.comments.models import Comment, Stance
from participation.contributions.models import Contribution, ContributionState
from participation.contributions.votes.queries import ASIDES
from participation.i18n import N_

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

THREADS_PER_PAGE = 50
# One thread may be long; a page never reads more than this many comments.
COMMENTS_PER_PAGE = 600
_SHOWN = (ContributionState.PUBLISHED, ContributionState.HIDDEN, ContributionState.WITHDRAWN)
# What its author alone sees, until somebody has decided or it is mended.
_UNSEEN = (ContributionState.SUBMITTED, ContributionState.RETURNED)
UNSEEN_SHOWN = 20
_CURSOR = re.compile(r"(?:([0-9]{1,9})-)?([0-9]{1,10})")
_LARGEST = 2**31 - 1


# Of the author who is known by the hash of a process: whether there are any, and (id, state, submitted_at, body) of each.
_AUTHOR = (
    select(Participant.id)
    .where(Participant.process_id == bindparam("process_id"), Participant.person_hash == bindparam("person_hash")).scalar_subquery()
)
# From the author's side, who wrote little: the proposal may have hundreds of comments.
_BY_AUTHOR = (
    select(Contribution.id, Contribution.state, Contribution.submitted_at, Contribution.body)
    .select_from(Contribution.__table__)
    .where(Contribution.participant_id == _AUTHOR, Contribution.kind == "comment",
           # Not by IN, whose parameters SQLAlchemy writes anew each time.
           or_(*(Contribution.state == state for state in _UNSEEN)),
           exists().where(Comment.__table__.c.id == Contribution.id,
                          Comment.__table__.c.proposal_id == bindparam("contribution_id")))
)
HAS_UNSEEN = _BY_AUTHOR.exists()
UNSEEN = _BY_AUTHOR.order_by(Contribution.id.desc()).limit(UNSEEN_SHOWN)


@cache
def asides_and_unseen(names: tuple[str, ...]) -> Select[*tuple[Any, ...]]:
    """What `votes.queries.ASIDES` asks of a reader, by name, beside each of UNSEEN; without these one row."""
    own = UNSEEN.subquery()
    return (
        select(*(ASIDES[name].column.label(name) for name in names), own.c.id, own.c.state, own.c.submitted_at, own.c.body)
        .select_from(select(literal(1).label("one")).subquery().outerjoin(own, true()))
        .order_by(own.c.id.desc())
    )


class Order(enum.Enum):
    """The order of threads; inside a thread the oldest comes first. The value stands in the address."""

    OLDEST = "alt"
    NEWEST = "neu"
    SUPPORTED = "unterstuetzt"


ORDER_LABELS = {
    Order.OLDEST: N_("Älteste zuerst"),
    Order.NEWEST: N_("Neueste zuerst"),
    Order.SUPPORTED: N_("Am meisten unterstützt"),
}


@dataclass(slots=True)
class Entry:
    """One comment on the page; `is_gone` ones stand for a place in the thread, without author and text."""

    id: int
    parent_id: int | None
    depth: int
    is_gone: bool
    author: str = ""
    participant_id: int = 0
    is_staff: bool = False
    body: str = ""
    quote: str = ""
    stance: Stance | None = None
    support_count: int = 0
    published_at: datetime | None = None
    edited_at: datetime | None = None
    replies: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ThreadPage:
    """Comments in reading order; `next_after` is the cursor of the last thread shown when more follow."""

    entries: list[Entry]
    next_after: str | None


def _after(order: Order, raw: str, value: ColumnElement[Any], key: ColumnElement[int]) -> ColumnElement[bool] | None:
    """The threads after the cursor of an address; None (the first page) for anything that is not one of ours."""
    match = _CURSOR.fullmatch(raw)
    if match is None or int(match[2]) > _LARGEST or (match[1] is None) == (order is Order.SUPPORTED):
        return None
    last = int(match[2])
    if order is Order.OLDEST:
        return key > last
    if order is Order.NEWEST:
        return key < last
    return tuple_(value, key) < (int(match[1]), last)


def thread_rows(proposal_id: int, after: str, order: Order) -> Select[Any]:
    """All comments of one page's threads (and of one thread more) in the order of the threads, in one query."""
    base, own = Contribution.__table__.c, Comment.__table__.c
    head, head_base = Comment.__table__.alias("head"), Contribution.__table__.alias("head_base")
    first = (
        select(head.c.id, head_base.c.support_count)
        .join(head_base, head_base.c.id == head.c.id)
        .where(head.c.proposal_id == proposal_id, head.c.thread_id == head.c.id, head_base.c.state.in_(_SHOWN))
    )
    later = _after(order, after, head_base.c.support_count, head.c.id)
    if later is not None:
        first = first.where(later)
    ways: dict[Order, tuple[ColumnElement[Any], ...]] = {
        Order.OLDEST: (head.c.thread_id,),
        Order.NEWEST: (head.c.thread_id.desc(),),
        Order.SUPPORTED: (head_base.c.support_count.desc(), head.c.id.desc()),
    }
    threads = first.order_by(*ways[order]).limit(THREADS_PER_PAGE + 1).cte("threads")
    outer: dict[Order, tuple[ColumnElement[Any], ...]] = {
        Order.OLDEST: (threads.c.id,),
        Order.NEWEST: (threads.c.id.desc(),),
        Order.SUPPORTED: (threads.c.support_count.desc(), threads.c.id.desc()),
    }
    return (
        select(
            own.id, own.parent_id, own.depth, own.thread_id, own.quote, own.stance, own.edited_at, base.state,
            base.body, base.published_at, base.support_count, base.participant_id, Participant.pseudonym,
            Participant.is_staff, threads.c.support_count.label("thread_supports"),
        )
        .select_from(threads)
        .join(Comment.__table__, own.thread_id == threads.c.id)
        .join(Contribution.__table__, base.id == own.id)
        .join(Participant, Participant.id == base.participant_id)
        .where(own.proposal_id == proposal_id, base.state.in_(_SHOWN))
        .order_by(*outer[order], own.id)
        .limit(COMMENTS_PER_PAGE + 1)
    )


def thread_page(session: Session, proposal_id: int, after: str = "", order: Order = Order.OLDEST) -> ThreadPage:
    """One page of threads in one query. What is hidden stays as an empty place only where a visible reply needs it."""
    rows = session.execute(thread_rows(proposal_id, after, order)).all()
    threads = {row.thread_id: row.thread_supports for row in rows}
    whole = list(threads)[:THREADS_PER_PAGE]
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
            entry.participant_id, entry.support_count = row.participant_id, row.support_count
            entry.quote, entry.stance = row.quote, row.stance
            entry.published_at, entry.edited_at = row.published_at, row.edited_at
        entries[row.id] = entry
        parent = entries.get(row.parent_id) if row.parent_id is not None else None
        (parent.replies if parent is not None else roots).append(entry)
    shown = [entry for root in roots for entry in _in_reading_order(root)]
    if not (more and whole):
        return ThreadPage(shown, None)
    last = whole[-1]
    return ThreadPage(shown, f"{threads[last]}-{last}" if order is Order.SUPPORTED else str(last))


def _in_reading_order(entry: Entry) -> list[Entry]:
    below = [shown for reply in entry.replies for shown in _in_reading_order(reply)]
    return [entry, *below] if below or not entry.is_gone else []


def stance_counts(session: Session, proposal_id: int) -> dict[Stance, int]:
    """How many published comments are for and against."""
    base, own = Contribution.__table__.c, Comment.__table__.c
    rows = session.execute(
        select(own.stance, func.count())
        .select_from(Comment.__table__)
        .join(Contribution.__table__, base.id == own.id)
        .where(own.proposal_id == proposal_id, own.stance.is_not(None), base.state == ContributionState.PUBLISHED)
        .group_by(own.stance)
    )
    return {row[0]: row[1] for row in rows}


def newest_first_of(thread_id: int) -> str:
    """The cursor whose page, oldest first, begins with this thread."""
    return str(thread_id - 1)
