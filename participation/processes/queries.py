"""Finding processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    column,
    exists,
    func,
    or_,
    select,
    table,
)
from sqlalchemy.orm import contains_eager, joinedload, selectinload, with_expression
from sqlalchemy.orm.attributes import set_committed_value

from participation.db import Base
from participation.language import EASY, VARIANTS, translated
from participation.municipalities.models import Municipality
from participation.processes.models import (
    Phase,
    Process,
    ProcessDocument,
    ProcessNews,
    ProcessState,
    ProcessVersion,
    TextVariant,
    Theme,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

LISTED = 60
ARCHIVE_PAGE = 12
# Larger numbers do not fit into the column; PostgreSQL would refuse the query instead of finding nothing.
LARGEST_ID = 2**31 - 1


_IS_EASY_TITLE = and_(TextVariant.language == EASY, TextVariant.entity == "process", TextVariant.field == "title")
# Not the model: it belongs to a feature that builds on this one.
_ANNULMENT = table("annulment", column("process_id", Integer))
# Built once: it runs on nearly every page.
_BY_SLUG = (
    select(Process)
    .where(Process.municipality_id == bindparam("municipality_id"), Process.slug == bindparam("slug"))
    .options(joinedload(Process.phases),
             with_expression(Process.has_easy, exists().where(TextVariant.process_id == Process.id, _IS_EASY_TITLE)),
             with_expression(Process.has_annulments, exists().where(_ANNULMENT.c.process_id == Process.id)))
)

_RULES = (
    select(Process, Municipality.content_version)
    .join(Process.municipality)
    .where(Process.municipality_id == bindparam("municipality_id"), Process.slug == bindparam("slug"))
    .options(contains_eager(Process.municipality).load_only(Municipality.id, Municipality.parent_id),
             joinedload(Process.phases))
)


def process_by_slug(session: Session, municipality_id: int, slug: str) -> Process | None:
    """A process with its phases in one query; themes come with the second, when they are asked for."""
    found = session.execute(_BY_SLUG, {"municipality_id": municipality_id, "slug": slug})
    return found.unique().scalar_one_or_none()


def rules_of(session: Session, municipality_id: int, slug: str) -> tuple[int, Process] | None:
    """A process with phases and municipality as far as rules ask, and the content version that it has now."""
    found = session.execute(_RULES, {"municipality_id": municipality_id, "slug": slug}).unique().one_or_none()
    if found is None:
        return None
    for phase in found[0].phases:
        # Rules ask a phase for its process, and may do so without a session.
        set_committed_value(phase, "process", found[0])
    return found[1], found[0]


def published_processes(session: Session, municipality_id: int) -> Sequence[Process]:
    """What is not archived, in the order that editors chose; with phases. Two queries.

    Bounded: what is over belongs into the archive, which has pages.
    """
    return session.scalars(
        select(Process)
        .where(Process.municipality_id == municipality_id, Process.state == ProcessState.PUBLISHED)
        .options(selectinload(Process.phases))
        .order_by(Process.position, Process.id.desc())
        .limit(LISTED)
    ).all()


def archived_processes(session: Session, municipality_id: int, before_id: int | None, limit: int) -> list[Process]:
    """One page of the archive, newest first, and one more if there are more."""
    statement = select(Process).where(
        Process.municipality_id == municipality_id, Process.state == ProcessState.ARCHIVED
    )
    if before_id is not None:
        statement = statement.where(Process.id < min(before_id, LARGEST_ID))
    found = session.scalars(
        statement.options(selectinload(Process.phases)).order_by(Process.id.desc()).limit(limit + 1)
    )
    return list(found)


def process_for_editing(
    session: Session, municipality_id: int, process_id: int, *, to_change: bool = False
) -> Process | None:
    """A process of this municipality with all that editors change; `to_change` keeps other editors waiting."""
    if process_id > LARGEST_ID:
        return None
    statement = select(Process).where(Process.id == process_id, Process.municipality_id == municipality_id)
    return session.scalar(
        (statement.with_for_update() if to_change else statement)
        .options(selectinload(Process.phases), selectinload(Process.themes))
    )


def processes_of_staff(
    session: Session, municipality_id: int, process_ids: Sequence[int] | None, after: tuple[int, int] | None, limit: int
) -> list[Process]:
    """For editors: every process of a municipality, or only some, by (position, id); one more if there are more."""
    statement = select(Process).where(Process.municipality_id == municipality_id)
    if process_ids is not None:
        statement = statement.where(Process.id.in_(process_ids))
    if after is not None:
        position, number = after
        statement = statement.where(
            or_(Process.position > position, (Process.position == position) & (Process.id > number))
        )
    found = session.scalars(
        statement.options(selectinload(Process.phases)).order_by(Process.position, Process.id).limit(limit + 1)
    )
    return list(found)


def versions_of(process_id: int, before_id: int | None = None) -> Select[ProcessVersion]:
    """What a process was, the newest first."""
    statement = select(ProcessVersion).where(ProcessVersion.process_id == process_id)
    if before_id is not None:
        statement = statement.where(ProcessVersion.id < before_id)
    return statement.order_by(ProcessVersion.id.desc())


def variants_of(process_id: int, language: str) -> Select[TextVariant]:
    """The texts of a process in a language; and the title in Leichte Sprache, which says that there is such a version."""
    return select(TextVariant).where(
        TextVariant.process_id == process_id,
        or_(TextVariant.language == language, _IS_EASY_TITLE))


def names_in(process_ids: Sequence[int], language: str) -> Select[TextVariant]:
    """The short texts of many processes in a language; what lists show."""
    return select(TextVariant).where(
        TextVariant.process_id.in_(process_ids), TextVariant.language == language,
        TextVariant.field.in_(("title", "summary", "name", "theme_label", "vague_dates")),
        TextVariant.entity.not_in(("news", "document")))


def title_in(session: Session, process: Process, language: str) -> str:
    """The title of a process for mails, which no request of a reader belongs to; German where it is not translated."""
    if language not in VARIANTS:
        return process.title
    found = session.scalar(select(TextVariant.text).where(
        TextVariant.entity == "process", TextVariant.entity_id == process.id, TextVariant.field == "title",
        TextVariant.language == language))
    return translated(found, language) if found else process.title


def news_of(process_id: int, before_id: int | None = None) -> Select[ProcessNews]:
    """The news of a process, the newest first."""
    statement = select(ProcessNews).where(ProcessNews.process_id == process_id)
    if before_id is not None:
        statement = statement.where(ProcessNews.id < before_id)
    return statement.order_by(ProcessNews.published_at.desc(), ProcessNews.id.desc())


def process_of_preview(session: Session, municipality_id: int, token_hash: str, now: datetime) -> Process | None:
    """The process that a link to a draft shows, while the link holds."""
    return session.scalar(
        select(Process).where(Process.municipality_id == municipality_id, Process.preview_hash == token_hash,
                              Process.preview_until > now))


def documents_of(process_id: int) -> Select[ProcessDocument]:
    """The documents of a process with their files, in order."""
    return (
        select(ProcessDocument)
        .where(ProcessDocument.process_id == process_id)
        .options(joinedload(ProcessDocument.upload))
        .order_by(ProcessDocument.position, ProcessDocument.id)
    )


def slug_is_taken(session: Session, municipality_id: int, slug: str, but_not: int | None) -> bool:
    """Whether another process of the municipality has this address."""
    found = session.scalar(select(Process.id).where(Process.municipality_id == municipality_id, Process.slug == slug))
    return found is not None and found != but_not


# Who can tell how many supports some processes have: the features above that hold votes. By the number of the process.
SUPPORTS_OF: list[Callable[[Session, Sequence[int]], dict[int, int]]] = []


def supports_of(session: Session, process_ids: Sequence[int]) -> dict[int, int]:
    """The supports of the public proposals of some processes, as they are now."""
    found = dict.fromkeys(process_ids, 0)
    for counted in SUPPORTS_OF:
        for process_id, number in counted(session, process_ids).items():
            found[process_id] += number
    return found


def last_position(session: Session, municipality_id: int) -> int:
    """Where the last process stands, -1 without any."""
    found = session.scalar(select(func.max(Process.position)).where(Process.municipality_id == municipality_id))
    return -1 if found is None else found


def referred_ids(session: Session, model: type[Base], ids: Sequence[int]) -> set[int]:
    """Which of some rows anything stands under: contributions, measures, whatever a later feature adds.

    Asked of the tables themselves, since the features that refer to processes stand above this one. The smallest of the
    equal numbers is the first entry of an index: whether it exists, PostgreSQL would look up by reading the whole table.
    """
    own = Base.metadata.tables[model.__tablename__]
    return {
        number
        for table in Base.metadata.sorted_tables
        for key in table.foreign_keys
        if key.column.table is own
        for number in session.scalars(select(own.c.id).where(
            own.c.id.in_(ids), _first(key.parent, own.c.id).is_not(None)))
    }


def _first(parent: ColumnElement[int], number: ColumnElement[int]) -> ScalarSelect[int]:
    return select(func.min(parent)).where(parent >= number, parent <= number).scalar_subquery()


def is_referred_to(session: Session, row: Phase | Theme) -> bool:
    """Whether anything stands under a phase or a theme."""
    return bool(referred_ids(session, type(row), [row.id]))


def texts_in_all_languages(process_id: int) -> Select[TextVariant]:
    """Every text of a process in every other language."""
    return select(TextVariant).where(TextVariant.process_id == process_id)
