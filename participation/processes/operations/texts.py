"""Texts in other languages, and news."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select

from participation import text
from participation.errors import Checks, InvalidInput
from participation.events import NewsPublished, emit
from participation.i18n import N_
from participation.language import VARIANTS
from participation.own_fields import variant_texts
from participation.permissions import Actor
from participation.processes.history import begin_change, changed, forget_variants, lineages_of
from participation.processes.models import Phase, Process, ProcessDocument, ProcessNews, TextVariant, Theme
from participation.processes.operations.common import (
    BODY_MAX,
    CONTACT_MAX,
    LABEL_MAX,
    LINE_MAX,
    SUMMARY_MAX,
    TITLE_MAX,
    VAGUE_MAX,
    checked_line,
    checked_text,
)
from participation.processes.queries import documents_of, news_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session

# Which texts have variants, with how long they may be.
VARIANT_FIELDS: dict[str, tuple[tuple[str, int], ...]] = {
    "process": (("title", TITLE_MAX), ("summary", SUMMARY_MAX), ("body", BODY_MAX), ("faq", BODY_MAX),
                ("contact", CONTACT_MAX), ("theme_label", LABEL_MAX), ("picture_alt", LINE_MAX)),
    "phase": (("title", TITLE_MAX), ("vague_dates", VAGUE_MAX), ("body", BODY_MAX)),
    "theme": (("name", TITLE_MAX), ("description", SUMMARY_MAX)),
    "document": (("title", TITLE_MAX),),
    "news": (("title", TITLE_MAX), ("body", BODY_MAX)),
}
# Older news are read by few; their translations stay, but are no longer offered for editing.
TRANSLATED_NEWS = 10
VariantKey = tuple[str, int, str]
# The act in the audit log.
TRANSLATED = "process_translated"


def variant_keys(session: Session, process: Process) -> dict[VariantKey, tuple[str, int]]:
    """Every text of a process that can have a variant: the German one, and how long it may be."""
    rows: list[tuple[str, Process | Phase | Theme | ProcessDocument | ProcessNews]] = [("process", process)]
    rows += [("phase", phase) for phase in process.phases] + [("theme", theme) for theme in process.themes]
    rows += [("document", one) for one in session.scalars(documents_of(process.id))]
    rows += [("news", news) for news in session.scalars(news_of(process.id).limit(TRANSLATED_NEWS))]
    found = {
        (entity, row.id, name): (getattr(row, name), limit)
        for entity, row in rows for name, limit in VARIANT_FIELDS[entity] if getattr(row, name)
    }
    for phase in process.phases:
        found |= {("phase", phase.id, name): entry for name, entry in variant_texts(phase.own_fields).items()}
    return found


def save_variants(
    session: Session, actor: Actor, process: Process, language: str, texts: dict[VariantKey, str], now: datetime,
    checked: Collection[VariantKey] = (),
) -> None:
    """Keep the texts of a process in another language; an empty one falls back to German. Raises InvalidInput.

    `checked` are those of which somebody says that they still fit a German text that was changed.
    """
    begin_change(session, actor, process, now)
    if language not in VARIANTS:
        raise InvalidInput(N_("Diese Sprache gibt es hier nicht."))
    known = variant_keys(session, process)
    kept = []
    checks = Checks()
    for key, raw in texts.items():
        if key not in known:
            continue
        wording = ""
        with checks:
            wording = _checked_variant(raw, key, *known[key])
        if wording:
            kept.append(TextVariant(process_id=process.id, entity=key[0], entity_id=key[1], field=key[2],
                                    language=language, text=wording))
    checks.done()
    for row in session.scalars(
        select(TextVariant).where(TextVariant.process_id == process.id, TextVariant.language == language)):
        if (row.entity, row.entity_id, row.field) in known:
            session.delete(row)
    session.flush()
    session.add_all(kept)
    lineages = lineages_of(session, process) if checked else {}
    written = {(one.entity, one.entity_id, one.field) for one in kept}
    changed(session, actor, process, now, TRANSLATED, language=language,
            checked=sorted(f"{entity}/{lineages[entity, number]}/{field}" for entity, number, field in written.intersection(checked)))


def _checked_variant(raw: str, key: VariantKey, german: str, limit: int) -> str:
    wording = checked_text(raw, "-".join(map(str, key)), limit)
    if key[2].endswith("-options"):
        wording = "\n".join(line for raw_line in wording.split("\n") if (line := text.clean_line(raw_line)))
        if wording and wording.count("\n") != german.count("\n"):
            raise InvalidInput(N_("Bitte schreiben Sie jede Antwort in eine eigene Zeile, so viele wie auf Deutsch."),
                               field="-".join(map(str, key)))
    return wording


def save_news(
    session: Session, actor: Actor, process: Process, news: ProcessNews | None, now: datetime, *, title: str, body: str
) -> ProcessNews:
    """Tell something new, or mend what was told. Raises InvalidInput."""
    begin_change(session, actor, process, now)
    checks = Checks()
    with checks:
        name = checked_line(title, "title", TITLE_MAX, N_("Bitte geben Sie der Neuigkeit eine Überschrift."))
    with checks:
        wording = checked_text(body, "body", BODY_MAX)
        if not wording:
            raise InvalidInput(N_("Bitte schreiben Sie einen Text."), field="body")
    checks.done()
    is_new = news is None
    if news is None:
        news = ProcessNews(process_id=process.id, published_at=now)
        session.add(news)
    news.title, news.body = name, wording
    if is_new:
        emit(session, NewsPublished(process.id, now))
    changed(session, actor, process, now, "process_news_saved")
    return news


def delete_news(session: Session, actor: Actor, process: Process, news: ProcessNews, now: datetime) -> None:
    """Take it down."""
    begin_change(session, actor, process, now)
    forget_variants(session, process, "news", news.id)
    session.delete(news)
    changed(session, actor, process, now, "process_news_deleted")
