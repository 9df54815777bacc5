"""Lists, counts and points of published proposals.

Lists first find the ids of one page in `contribution` alone, which one index answers in its own order; the rest is
read for these twenty. So a page costs the same in a town with 100,000 proposals.
"""

from __future__ import annotations

import base64
import binascii
import enum
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    String,
    cast as cast_to,
    exists,
    func,
    literal,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import InstrumentedAttribute

from mapping.geometry import METRES_PER_DEGREE, BBox
from participation import search
from participation.accounts.models import Participant
from participation.contributions.models import SHUFFLE_RANGE, AnswerStatus, Contribution, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.contributions.queries import first_pictures
from participation.db import bounded_count, is_sqlite
from participation.i18n import N_

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

PAGE_SIZE = 20
# A search looks at the newest matches only: the cost of a frequent word does not grow with the town.
MATCHES_MAX = 1000
EXCERPT_LENGTH = 400
SEARCH_MAX = 100
SIMILAR_MAX = 4
# How far a list by distance looks around, in metres, until it has a page.
RINGS = (250, 1000, 4000, 16_000)
# Far from there even a narrow ring holds many.
NARROW = 50
_CURSOR = re.compile(r"([nudze])(\d{1,16})\.(\d{1,10})")
_LARGEST = 2**31 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Sort(enum.Enum):
    """How a list is ordered; the value stands in the address."""

    NEWEST = "neu"
    SUPPORTED = "unterstuetzt"
    DISCUSSED = "diskutiert"
    FAIR = "zufall"
    NEAR = "entfernung"

    @property
    def column(self) -> InstrumentedAttribute[Any]:
        """What it orders by, highest first (shuffled lists: from the reader's start on); each has an index.

        The distance is no column: see `_near_rows`.
        """
        return {
            Sort.NEAR: Contribution.id,
            Sort.NEWEST: Contribution.published_at,
            Sort.SUPPORTED: Contribution.support_count,
            Sort.DISCUSSED: Contribution.comment_count,
            Sort.FAIR: Contribution.shuffle_key,
        }[self]


SORT_LABELS = {
    Sort.NEWEST: N_("Neueste zuerst"),
    Sort.SUPPORTED: N_("Am meisten unterstützt"),
    Sort.DISCUSSED: N_("Am meisten kommentiert"),
    Sort.FAIR: N_("Zufällige Reihenfolge"),
    Sort.NEAR: N_("In meiner Nähe"),
}


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last entry of a page: the next one begins after it, also when entries were added meanwhile."""

    value: int
    """Microseconds since 1970 (UTC) for dates, square metres for distances, else the count itself."""
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a list shows. `theme_id` must be a theme of the process."""

    process_id: int
    theme_id: int | None = None
    query: str = ""
    sort: Sort = Sort.NEWEST
    after: Cursor | None = None
    start: int = 0
    """Where a shuffled list begins, 0 to SHUFFLE_RANGE - 1; the same for one reader on one day."""
    near: tuple[float, float] | None = None
    """From where distances are measured, (lon, lat); needed for Sort.NEAR."""
    with_point: bool = False
    answers: tuple[AnswerStatus, ...] = ()
    """Only proposals whose official answer says one of these; empty shows all."""


@dataclass(frozen=True, slots=True)
class Card:
    """One proposal in a list."""

    id: int
    title: str
    excerpt: str
    place: str
    theme_id: int | None
    author: str
    published_at: datetime
    support_count: int
    comment_count: int
    answer_status: AnswerStatus | None
    edited_at: datetime | None
    answered_at: datetime | None
    picture_id: int | None
    picture_alt: str
    distance: int | None = None
    """Metres from where the reader is, in lists by distance."""

    @property
    def updated_at(self) -> datetime:
        """When what everybody reads last changed: a word of it, or the answer to it."""
        return max(filter(None, (self.published_at, self.edited_at, self.answered_at)))


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. `matches` is None without a search, and at most MATCHES_MAX + 1, which means "more"."""

    cards: list[Card]
    next_cursor: str | None
    matches: int | None


def write_cursor(sort: Sort, value: datetime | int, proposal_id: int) -> str:
    """The cursor as it stands in the address: opaque, since nobody shall build on its form."""
    number = (value - _EPOCH) // timedelta(microseconds=1) if isinstance(value, datetime) else value
    return base64.urlsafe_b64encode(f"{sort.value[0]}{number}.{proposal_id}".encode()).decode().rstrip("=")


def read_cursor(sort: Sort, raw: str) -> Cursor | None:
    """The cursor of an address, or None (the first page) for anything that is not one of ours or of another order."""
    if not raw or len(raw) > 60 or not raw.isascii():  # noqa: PLR2004 - ours have at most 38 characters
        return None
    try:
        plain = base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    match = _CURSOR.fullmatch(plain)
    if match is None or match[1] != sort.value[0] or int(match[3]) > _LARGEST:
        return None
    value = int(match[2])
    if sort not in {Sort.NEWEST, Sort.NEAR} and value > _LARGEST:
        return None
    return Cursor(value, int(match[3]))


def published(process_id: int, theme_id: int | None = None) -> list[ColumnElement[bool]]:
    """The conditions of all public proposals of a process, or of one theme, in the order of the indexes.

    With a theme the process is not named again: the theme belongs to it, and the theme's own index is then taken.
    """
    scope = Contribution.process_id == process_id if theme_id is None else Contribution.theme_id == theme_id
    return [scope, Contribution.kind == "proposal", Contribution.state == ContributionState.PUBLISHED]


def _answered(listing: Listing) -> list[ColumnElement[bool]]:
    """The conditions of a list that shows answered proposals only; the first is that of the indexes."""
    if not listing.answers:
        return []
    conditions: list[ColumnElement[bool]] = [Contribution.answer_status.is_not(None)]
    if len(listing.answers) < len(AnswerStatus):
        conditions.append(Contribution.answer_status.in_(listing.answers))
    return conditions


def _shown(listing: Listing) -> list[ColumnElement[bool]]:
    """What belongs on a list without search."""
    answered = _answered(listing)
    if listing.theme_id is None or not answered:
        return [*published(listing.process_id, listing.theme_id), *answered]
    # Answered proposals are few and have indexes of their own, by process. The sum keeps the database from beginning
    # with the whole theme.
    return [*published(listing.process_id), Contribution.theme_id + 0 == listing.theme_id, *answered]


def count_answered(session: Session, listing: Listing) -> int:
    """How many answered proposals a list without search has, MATCHES_MAX + 1 at most."""
    found = select(Contribution.id).where(*_shown(listing))
    return session.scalar(select(func.count()).select_from(found.limit(MATCHES_MAX + 1).subquery())) or 0


def _has_point() -> ColumnElement[bool]:
    """Asked row by row (not by IN, which would collect every point of the town first)."""
    own = Proposal.__table__.c
    return exists().where(own.id == Contribution.__table__.c.id, own.lon.is_not(None))


def list_ids(listing: Listing, limit: int) -> Select[Any]:
    """(id, value of the order) of one page, from `contribution` alone. Without search."""
    column = listing.sort.column
    statement = select(Contribution.id, column).where(
        *_shown(listing))
    if listing.with_point:
        statement = statement.where(_has_point())
    if listing.after is not None:
        statement = statement.where(_after(column, Contribution.id, listing))
    return statement.order_by(column.desc(), Contribution.id.desc()).limit(limit)


def _shuffled_rows(session: Session, listing: Listing, limit: int) -> list[Any]:
    """(id, place) of one page of a shuffled list: from the reader's start to the end, then from the beginning."""
    place, after = Contribution.shuffle_key, listing.after
    rows: list[Any] = []
    for is_behind_start in (True, False):
        statement = select(Contribution.id, place).where(
            *_shown(listing),
            place >= listing.start if is_behind_start else place < listing.start,
        )
        if listing.with_point:
            statement = statement.where(_has_point())
        if after is not None:
            if is_behind_start and after.value < listing.start:
                continue
            if is_behind_start == (after.value >= listing.start):
                last = tuple_(literal(after.value, place.type), literal(after.id))
                statement = statement.where(tuple_(place, Contribution.id) > last)
        rows += session.execute(statement.order_by(place, Contribution.id).limit(limit - len(rows))).all()
        if len(rows) >= limit:
            break
    return rows


def _near_rows(session: Session, listing: Listing, limit: int) -> list[Any]:
    """(id, squared distance) of one page of a list by distance, the nearest first. Only what has a point.

    A few are sorted as they are. Of many, only those in a box around the reader are looked at, by the index of the
    points; the box grows until it holds a page. So at most one query per ring, and in a town with many proposals one.
    """
    base, own = Contribution.__table__.c, Proposal.__table__.c
    square = _square(listing)
    after: list[ColumnElement[bool]] = []
    if listing.after is not None:
        last = tuple_(literal(listing.after.value, BigInteger), literal(listing.after.id))
        # All of it stands in the index of the points, so what was passed is left out before anything else is read.
        after = [square >= listing.after.value, tuple_(square, own.id) > last]
    if listing.query:
        found = matching_ids(session, replace(listing, with_point=True)).cte("found")
        statement = select(base.id, square).join(found, found.c.id == base.id)
    else:
        few = select(Contribution.id).where(*_shown(listing))
        statement = select(base.id, square)
        if bounded_count(session, few, MATCHES_MAX + 1) > MATCHES_MAX:
            return _rows_in_rings(session, listing, square, after, limit)
        statement = statement.where(*_shown(listing))
    statement = (
        statement.select_from(Contribution.__table__).join(Proposal.__table__, own.id == base.id)
        .where(own.lon.is_not(None), *after).order_by(square, base.id).limit(limit)
    )
    return list(session.execute(statement).all())


def _rows_in_rings(
    session: Session, listing: Listing, square: ColumnElement[int], after: list[ColumnElement[bool]], limit: int
) -> list[Any]:
    base, own = Contribution.__table__.c, Proposal.__table__.c
    # The sums keep the database from beginning with all proposals of the process instead of those nearby.
    scope = base.process_id + 0 == listing.process_id if listing.theme_id is None else base.theme_id + 0 == listing.theme_id
    # A later page looks at a ring around what was passed: few of the many that its box holds are read.
    passed = math.isqrt(listing.after.value) if listing.after else 0
    rows: list[Any] = []
    for radius in (*(passed + metres for metres in ((NARROW, *RINGS) if passed > RINGS[1] else RINGS)), None):
        statement = (
            select(base.id, square).select_from(Proposal.__table__).join(Contribution.__table__, own.id == base.id)
            .where(scope, base.state == ContributionState.PUBLISHED, *_answered(listing), own.lon.is_not(None), *after)
            .order_by(square, base.id).limit(limit)
        )
        if radius is not None:
            lon, lat = listing.near or (0.0, 0.0)
            box = BBox(lon, lat, lon, lat).grown(radius)
            statement = statement.where(own.lon.between(box.west, box.east), own.lat.between(box.south, box.north),
                                        square <= radius * radius)
        rows = list(session.execute(statement).all())
        if len(rows) >= limit:
            break
    return rows


def _square(listing: Listing) -> ColumnElement[int]:
    """The squared distance in whole square metres, on a plane: exact enough across a town, easy for both databases."""
    lon, lat = listing.near or (0.0, 0.0)
    own = Proposal.__table__.c
    east = (own.lon - lon) * (METRES_PER_DEGREE * math.cos(math.radians(lat)))
    north = (own.lat - lat) * METRES_PER_DEGREE
    return cast_to(east * east + north * north, BigInteger)


def _distance(place: ColumnElement[Any], start: int) -> ColumnElement[Any]:
    """How far behind the reader's start a place of the shuffled order lies."""
    return (place + (SHUFFLE_RANGE - start)) % SHUFFLE_RANGE


def _after(value: ColumnElement[Any] | InstrumentedAttribute[Any], key: Any, listing: Listing) -> ColumnElement[bool]:  # noqa: ANN401 - a column either way
    """The rows that come after the cursor in the order of the list."""
    cursor = listing.after or Cursor(0, 0)
    if listing.sort is Sort.FAIR:
        passed = (cursor.value + SHUFFLE_RANGE - listing.start) % SHUFFLE_RANGE
        distance = _distance(cast("ColumnElement[Any]", value), listing.start)
        return tuple_(distance, key) > tuple_(literal(passed), literal(cursor.id))
    last: Any = cursor.value
    if listing.sort is Sort.NEWEST:
        last = _EPOCH + timedelta(microseconds=cursor.value)
    return tuple_(value, key) < tuple_(literal(last, value.type), literal(cursor.id))


def matching_ids(session: Session, listing: Listing) -> Select[Any]:
    """(id, value of the order) of the newest matches of a search, MATCHES_MAX + 1 at most, unordered.

    The index holds published proposals of the process only; the sums keep the database from walking through all of
    these by an index of the list instead of beginning with the few that match.
    """
    base = Contribution.__table__.c
    is_narrowed = listing.with_point or listing.theme_id is not None or bool(listing.answers)
    newest = search.NEWEST if is_narrowed else MATCHES_MAX + 1
    # Of many matches PostgreSQL would look at all before the first is narrowed further. Answers have an index of their own.
    in_order = is_narrowed and not listing.answers and not is_sqlite(session)
    scope = base.process_id + 0 == listing.process_id if listing.theme_id is None else base.theme_id + 0 == listing.theme_id
    found = select(base.id, base[listing.sort.column.key].label("value")).where(
        scope, base.state == ContributionState.PUBLISHED, *_answered(listing))
    if listing.with_point:
        found = found.where(_has_point())
    if not in_order:
        found = found.where(search.matching(session, listing.process_id, listing.query, base.id, newest))
        return found.order_by(base.id.desc()).limit(MATCHES_MAX + 1)
    matches = search.matches(session, listing.process_id, listing.query, newest)
    # The offset keeps the two apart: one match after the other, the newest first, until there are enough.
    each = found.where(base.id == matches.c.proposal_id).offset(0).lateral()
    return (
        select(each.c.id, each.c.value).select_from(matches.join(each, true())).order_by(matches.c.proposal_id.desc())
        .limit(MATCHES_MAX + 1)
    )


def list_page(session: Session, listing: Listing) -> Page:
    """One page of a list in two queries (three with pictures), whatever its length; by distance a few more."""
    matches: int | None = None
    if listing.sort is Sort.NEAR:
        rows: Sequence[Any] = _near_rows(session, listing, PAGE_SIZE + 1)
    elif listing.query:
        found = matching_ids(session, listing).cte("found")
        total = select(func.count()).select_from(found).scalar_subquery()
        statement = select(found.c.id, found.c.value, total)
        if listing.after is not None:
            statement = statement.where(_after(found.c.value, found.c.id, listing))
        order: list[ColumnElement[Any]] = [found.c.value.desc(), found.c.id.desc()]
        if listing.sort is Sort.FAIR:
            order = [_distance(found.c.value, listing.start), found.c.id]
        statement = statement.order_by(*order).limit(PAGE_SIZE + 1)
        rows = session.execute(statement).all()
        matches = rows[0][2] if rows else 0
    elif listing.sort is Sort.FAIR:
        rows = _shuffled_rows(session, listing, PAGE_SIZE + 1)
    else:
        rows = session.execute(list_ids(listing, PAGE_SIZE + 1)).all()
    shown = rows[:PAGE_SIZE]
    next_cursor = write_cursor(listing.sort, shown[-1][1], shown[-1][0]) if len(rows) > PAGE_SIZE else None
    cards = _cards(session, [row[0] for row in shown])
    if listing.sort is Sort.NEAR:
        squares = dict(shown)
        cards = [replace(card, distance=round(math.sqrt(squares[card.id]))) for card in cards]
    return Page(cards, next_cursor, matches)


def _cards(session: Session, ids: list[int]) -> list[Card]:
    if not ids:
        return []
    base, own = Contribution.__table__.c, Proposal.__table__.c
    rows = session.execute(
        select(
            base.id, own.title, func.substr(base.body, 1, EXCERPT_LENGTH).label("excerpt"), own.place, base.theme_id,
            Participant.pseudonym, base.published_at, base.support_count, base.comment_count,
            base.answer_status, own.edited_at, own.answered_at,
        )
        .select_from(Contribution.__table__)
        .join(Proposal.__table__, own.id == base.id)
        .join(Participant, Participant.id == base.participant_id)
        .where(base.id.in_(ids))
    )
    pictures = first_pictures(session, ids)
    cards = {
        row.id: Card(
            row.id, row.title, row.excerpt, row.place, row.theme_id, row.pseudonym, row.published_at,
            row.support_count, row.comment_count, row.answer_status, row.edited_at, row.answered_at,
            *pictures.get(row.id, (None, "")),
        )
        for row in rows
    }
    return [cards[key] for key in ids if key in cards]


def similar_cards(
    session: Session, process_id: int, title: str, body: str, *, limit: int = SIMILAR_MAX, but: int | None = None
) -> list[Card]:
    """Published proposals of a process that say much the same as a text, best first. `but` is left out."""
    found = search.similar_ids(session, process_id, title, body, limit + 1)
    return _cards(session, [key for key in found if key != but][:limit])


def points(
    process_id: int, theme_ids: Sequence[int] = (), bbox: tuple[float, float, float, float] | None = None
) -> Select[Any]:
    """(id, lon, lat, theme_id) of all public proposals with a place; `bbox` is west, south, east, north (EPSG:4326)."""
    return _with_points(process_id, theme_ids, bbox, "id", "lon", "lat", "theme_id")


def described_points(process_id: int, theme_ids: Sequence[int] = (), ids: Sequence[int] | None = None) -> Select[Any]:
    """The same with title and counts, newest last; `ids` narrows it to these."""
    statement = _with_points(
        process_id, theme_ids, None, "id", "lon", "lat", "theme_id", "title", "support_count", "comment_count"
    )
    return statement if ids is None else statement.where(Contribution.__table__.c.id.in_(ids))


def _with_points(
    process_id: int, theme_ids: Sequence[int], bbox: tuple[float, float, float, float] | None, *names: str
) -> Select[Any]:
    base, own = Contribution.__table__.c, Proposal.__table__.c
    columns = [base[name] if name in base else own[name] for name in names]
    statement = (
        select(*columns)
        .select_from(Contribution.__table__)
        .join(Proposal.__table__, own.id == base.id)
        .where(
            base.process_id == process_id, base.kind == "proposal", base.state == ContributionState.PUBLISHED,
            own.lon.is_not(None),
        )
    )
    if theme_ids:
        statement = statement.where(base.theme_id.in_(theme_ids))
    if bbox is not None:
        west, south, east, north = bbox
        statement = statement.where(own.lon.between(west, east), own.lat.between(south, north))
    return statement


def count_answers(session: Session, phase_id: int, key: str) -> int:
    """How many proposals of a phase, in whatever state, answer a field that editors added. `key` is hexadecimal."""
    return session.scalar(
        select(func.count()).select_from(Proposal)
        .where(Contribution.phase_id == phase_id, cast_to(Proposal.stored_answers, String).contains(f'"{key}"'))
    ) or 0


def public_ids_of(phase_id: int, after_id: int, limit: int) -> Select[int]:
    """The next published proposals of a phase, by number."""
    return (
        select(Contribution.id)
        .where(Contribution.phase_id == phase_id, Contribution.kind == "proposal", Contribution.id > after_id,
               Contribution.state == ContributionState.PUBLISHED)
        .order_by(Contribution.id).limit(limit)
    )
