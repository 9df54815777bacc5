"""Loads the process that an address names, for views of every feature."""

from __future__ import annotations

from dataclasses import replace
from datetime import time
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from flask import g

from participation import clock, web
from participation.actions import Action
from participation.db import Database
from participation.errors import NotAllowed, NotFound
from participation.language import EASY, VARIANTS, translated
from participation.own_fields import worded
from participation.processes.models import ONE_MOMENT, Phase, Process, Theme
from participation.processes.queries import names_in, process_by_slug, rules_of, variants_of
from participation.written import format_date

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from participation.own_fields import Answer, OwnField
    from participation.processes.models import ProcessDocument, ProcessNews, TextVariant

MIDNIGHT = time(0, 0)
# Of each database its own: ids say nothing about whose they are.
_rules: WeakKeyDictionary[Database, dict[tuple[int, str], tuple[int, Process]]] = WeakKeyDictionary()


def load_process(slug: str) -> Process:
    """The process of this municipality, if the reader may see it.

    Raises NotFound also where it exists but is a draft: its address must not tell that it is planned.
    """
    municipality = web.the_municipality()
    # Holes of a page ask again for what the page itself has loaded.
    loaded: dict[str, Process] = g.setdefault("processes", {})
    process = loaded.get(slug) or process_by_slug(web.current_session(), municipality.id, slug)
    if process is None:
        raise NotFound
    loaded[slug] = process
    if not process.is_visible:
        hide_unless(Action.SEE_PROCESS, process)
    return process


def hide_unless(action: Action, process: Process) -> None:
    """Whoever may not do this is told that there is nothing. Raises NotFound."""
    web.do_not_cache()
    try:
        web.require(action, process)
    except NotAllowed as error:
        raise NotFound from error


def kept_rules(municipality_id: int, slug: str, version: int) -> Process | None:
    """A process with phases, as rules ask for it, kept as long as no content changes: `version` is the one that holds now.

    It belongs to no session and to all threads, so nobody may change it; what was not loaded with it raises an error.
    """
    kept = _rules.setdefault(web.current_database(), {})
    known, process = kept.get((municipality_id, slug), (None, None))
    if known == version:
        return process
    with web.current_database().reading() as session:
        found = rules_of(session, municipality_id, slug)
        session.expunge_all()
    if found is None:
        return None
    kept[municipality_id, slug] = found
    # Read a moment later, it may be a newer one than asked for.
    return found[1]


class Shown:
    """A row as a reader sees it: its texts in their language where there are such, everything else as it is."""

    def __init__(self, row: Process | Phase | Theme | ProcessDocument | ProcessNews, texts: dict[str, str], **more: Any) -> None:  # noqa: ANN401 - attributes
        """`texts` by name of column."""
        self._row: Any = row
        self.__dict__.update(texts | more)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the row
        """What has no variant."""
        return getattr(self._row, name)


Texts = dict[tuple[str, int], dict[str, str]]


def _texts(rows: Iterable[TextVariant], reading: str) -> Texts:
    texts: Texts = {}
    for row in rows:
        if row.language == reading:
            texts.setdefault((row.entity, row.entity_id), {})[row.field] = translated(row.text, reading)
    return texts


class ShownProcess(Shown):
    """A process whose open phases are in the reader's language too."""

    def open_phases(self, now: datetime) -> list[Any]:
        """As Process.open_phases."""
        open_ones = {phase.id for phase in self._row.open_phases(now)}
        return [phase for phase in self.phases if phase.id in open_ones]


def _shown(process: Process, texts: Texts) -> Any:  # noqa: ANN401 - a process as it is read
    """Themes are loaded only where one of them has a text of its own."""
    more: dict[str, Any] = {"phases": [Shown(one, texts.get(("phase", one.id), {})) for one in process.phases]}
    if any(entity == "theme" for entity, _number in texts):
        more["themes"] = [Shown(one, texts.get(("theme", one.id), {})) for one in process.themes]
    return ShownProcess(process, texts.get(("process", process.id), {}), **more)


def shown_process(process: Process) -> tuple[Any, bool]:
    """The process as it is read, and whether there is a version in Leichte Sprache. One query, none for who reads German."""
    reading = web.reading()
    if reading not in VARIANTS and process.has_easy is not None:
        return process, process.has_easy
    rows = web.current_session().scalars(variants_of(process.id, reading)).all()
    has_easy = any(row.language == EASY for row in rows)
    texts = _texts(rows, reading)
    return (_shown(process, texts) if texts else process), has_easy


def shown_names(processes: Sequence[Process]) -> list[Any]:
    """Processes as lists show them: the short texts as they are read. One query, none for who reads German."""
    reading = web.reading()
    if reading not in VARIANTS or not processes:
        return list(processes)
    wanted = names_in([process.id for process in processes], reading)
    texts: dict[int, list[TextVariant]] = {}
    for row in web.current_session().scalars(wanted):
        texts.setdefault(row.process_id, []).append(row)
    return [_shown(one, _texts(texts[one.id], reading)) if one.id in texts else one for one in processes]


def shown_name(process: Process) -> Any:  # noqa: ANN401 - a process as it is read
    """The same for one process, on pages about a part of it; asked once per request."""
    kept: dict[int, Any] = g.setdefault("shown_names", {})
    if process.id not in kept:
        texts = _short_texts(process.id)
        kept[process.id] = _shown(process, texts) if texts else process
    return kept[process.id]


def _short_texts(process_id: int) -> Texts:
    """Kept for the request, for a process and its parts alike; no query for who reads German."""
    reading = web.reading()
    if reading not in VARIANTS:
        return {}
    kept: dict[int, Texts] = g.setdefault("short_texts", {})
    if process_id not in kept:
        kept[process_id] = _texts(web.current_session().scalars(names_in([process_id], reading)), reading)
    return kept[process_id]


def as_read(row: Any) -> Any:  # noqa: ANN401 - a process, phase or theme, shown already or not
    """For templates about a part of a process: this row's short texts as they are read, the row itself for German."""
    if isinstance(row, Process):
        return shown_name(row)
    if not isinstance(row, (Phase, Theme)):
        return row
    texts = _short_texts(row.process_id).get(("phase" if isinstance(row, Phase) else "theme", row.id))
    return Shown(row, texts) if texts else row


def shown_news(process_id: int, rows: Sequence[ProcessNews]) -> list[Any]:
    """News as they are read."""
    reading = web.reading()
    if reading not in VARIANTS or not rows:
        return list(rows)
    texts = _texts(web.current_session().scalars(variants_of(process_id, reading)), reading)
    return [Shown(row, texts[("news", row.id)]) if ("news", row.id) in texts else row for row in rows]


def shown_documents(process_id: int, rows: Sequence[ProcessDocument]) -> list[Any]:
    """Documents under the names that readers know. One query, none for who reads German."""
    reading = web.reading()
    if reading not in VARIANTS or not rows:
        return list(rows)
    texts = _texts(web.current_session().scalars(variants_of(process_id, reading)), reading)
    return [Shown(row, texts[("document", row.id)]) if ("document", row.id) in texts else row for row in rows]


def shown_fields(process: Process, phase: Phase) -> Sequence[OwnField]:
    """The fields of a phase as they are read, German where a text is missing. One query, none for who reads German.

    What is chosen is kept in German.
    """
    fields, reading = phase.own_fields, web.reading()
    if not fields or reading not in VARIANTS:
        return fields
    texts = _texts(web.current_session().scalars(variants_of(process.id, reading)), reading)
    return [worded(one, texts.get(("phase", phase.id), {})) for one in fields]


def shown_answers(answers: Sequence[Answer], process: Process) -> Sequence[Answer]:
    """Questions and chosen options as they are read, what people wrote as it is. One query, none for who reads German."""
    reading = web.reading()
    if not answers or reading not in VARIANTS:
        return answers
    texts = _texts(web.current_session().scalars(variants_of(process.id, reading)), reading)
    fields = {one.key: (one, worded(one, texts.get(("phase", phase.id), {})))
              for phase in process.phases for one in phase.own_fields}
    return [_answer_as_read(one, *fields[one.key], reading) if one.key in fields else one for one in answers]


def _answer_as_read(answer: Answer, german: OwnField, shown: OwnField, reading: str) -> Answer:
    """A question that has been reworded since it was answered stays as it was asked."""
    options = {kept: translated(own, reading) for kept, own in shown.choices} if shown.shown_options else {}
    return replace(answer, label=shown.label if answer.label == german.label else answer.label,
                   values=tuple(options.get(value, value) for value in answer.values))


def day(instant: datetime) -> str:
    """A day in Berlin, in words."""
    return format_date(instant, "long")


def has_hour(instant: datetime | None) -> bool:
    """Whether a clock time was given, not only a day."""
    return instant is not None and clock.to_berlin(instant).time().replace(second=0, microsecond=0) != MIDNIGHT


def beginning(starts_at: datetime) -> str:
    """When a phase begins, in words; with the hour where one was given."""
    return web.date_and_time(starts_at) if has_hour(starts_at) else day(starts_at)


def ending(ends_at: datetime) -> str:
    """The last day of a phase in words, or its last hour; the end itself is the first instant after it."""
    return web.date_and_time(ends_at) if has_hour(ends_at) else day(ends_at - ONE_MOMENT)
