"""Where a process comes from: nothing, a template or another process."""

from __future__ import annotations

import tomllib
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, select

from participation import audit, clock, text
from participation.accounts.models import Participant
from participation.actions import Action
from participation.errors import Conflict, InvalidInput
from participation.formats import read_settings, store_settings
from participation.i18n import N_
from participation.own_fields import checked_field, new_key, read_fields, store_field
from participation.permissions import Actor, require
from participation.processes.history import changed
from participation.processes.models import Phase, Process, ProcessDocument, ProcessState, TextVariant, Theme
from participation.processes.operations.common import SUMMARY_MAX, TITLE_MAX, TONES, checked_line, checked_text
from participation.processes.operations.process import free_slug
from participation.processes.queries import last_position, texts_in_all_languages

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.municipalities.models import Municipality


@lru_cache(maxsize=1)
def templates() -> dict[str, dict[str, Any]]:
    """What a new process can be made from, by key: name, question, texts, themes, phases in days from its start."""
    found = tomllib.loads((Path(__file__).parent.parent / "templates.toml").read_text(encoding="utf-8"))
    return {entry["key"]: entry for entry in found["template"]}


def checked_title(title: str) -> str:
    """The title of a process, cleaned. Raises InvalidInput."""
    return checked_line(title, "title", TITLE_MAX, N_("Bitte geben Sie dem Verfahren einen Titel."))


def checked_summary(summary: str) -> str:
    """The short description of a process, cleaned. Raises InvalidInput."""
    return checked_text(summary, "summary", SUMMARY_MAX)


def create_process(
    session: Session, actor: Actor, municipality: Municipality, now: datetime, *, title: str, summary: str
) -> Process:
    """Begin a draft; its address is made from the title. Raises InvalidInput."""
    require(actor, Action.CREATE_PROCESS, municipality, now)
    name = checked_title(title)
    process = Process(
        municipality=municipality, title=name, slug=free_slug(session, municipality.id, text.make_slug(name), None),
        summary=checked_summary(summary), state=ProcessState.DRAFT, created_at=now,
        position=last_position(session, municipality.id) + 1, phases=[], themes=[],
    )
    session.add(process)
    changed(session, actor, process, now, "process_created")
    return process


def create_from_template(
    session: Session, actor: Actor, municipality: Municipality, now: datetime, *, title: str, summary: str, key: str,
    starts_on: date,
) -> Process:
    """Begin a draft with the phases, themes and texts of a template. Raises InvalidInput."""
    template = templates().get(key)
    if template is None:
        raise InvalidInput(N_("Bitte wählen Sie eine Vorlage aus der Liste."), field="source")
    process = create_process(session, actor, municipality, now, title=title, summary=summary.strip() or template["summary"])
    process.body, process.faq = template["body"].strip(), template.get("faq", "").strip()
    process.theme_label = template.get("theme_label", process.theme_label or "Thema")
    for position, theme in enumerate(template.get("theme", [])):
        process.themes.append(Theme(
            slug=text.make_slug(theme["name"], "thema"), name=theme["name"], description=theme.get("description", ""),
            tone=position % len(TONES), position=position))
    for position, phase in enumerate(template["phase"]):
        kind = phase["format"]
        process.phases.append(Phase(
            position=position, format_key=kind, title=phase["title"], body=phase.get("body", "").strip(),
            starts_at=_midnight(starts_on + timedelta(days=phase["first_day"])),
            ends_at=_midnight(starts_on + timedelta(days=phase["last_day"] + 1)),
            stored_settings=store_settings(read_settings(kind, phase.get("settings", {}))),
            stored_fields=[store_field(checked_field(one)) for one in read_fields(
                [{"key": new_key(), **entry} for entry in phase.get("field", [])])]))
    changed(session, actor, process, now, "process_filled")
    return process


def copy_process(
    session: Session, actor: Actor, source: Process, now: datetime, *, title: str, summary: str, starts_on: date
) -> Process:
    """Begin a draft with the texts in all languages, themes, phases, picture and documents of another process.

    Its dates move with the first one. Picture and documents are the same stored files: nothing deletes the file of a
    process. What people contributed and the news stay where they are. Raises InvalidInput.
    """
    require(actor, Action.EDIT_PROCESS, source, now)
    process = create_process(session, actor, source.municipality, now, title=title, summary=summary.strip() or source.summary)
    for name in ("body", "faq", "theme_label", "contact", "picture_id", "picture_alt"):
        setattr(process, name, getattr(source, name))
    process.themes = [
        Theme(slug=one.slug, name=one.name, description=one.description, tone=one.tone, position=one.position)
        for one in source.themes
    ]
    process.documents = [ProcessDocument(upload_id=one.upload_id, title=one.title, position=one.position)
                         for one in source.documents]
    known = [instant for one in source.phases if (instant := one.starts_at or one.ends_at) is not None]
    moved = starts_on - clock.to_berlin(min(known)).date() if known else timedelta()
    process.phases = [
        Phase(position=one.position, format_key=one.format_key, title=one.title, body=one.body, vague_dates=one.vague_dates,
              starts_at=_moved(one.starts_at, moved), ends_at=_moved(one.ends_at, moved),
              stored_settings=dict(one.stored_settings), stored_fields=list(one.stored_fields))
        for one in source.phases
    ]
    session.flush()
    _copy_variants(session, source, process)
    changed(session, actor, process, now, "process_copied", source=source.id)
    return process


def _copy_variants(session: Session, source: Process, process: Process) -> None:
    """Its texts in other languages, save those of a German text that is another one here."""
    copies: dict[tuple[str, int], Process | Phase | Theme | ProcessDocument] = {("process", source.id): process}
    copies |= {("phase", one.id): copy for one, copy in zip(source.phases, process.phases, strict=True)}
    copies |= {("document", one.id): copy for one, copy in zip(source.documents, process.documents, strict=True)}
    copies |= {("theme", one.id): copy for one, copy in zip(source.themes, process.themes, strict=True)}
    for row in session.scalars(texts_in_all_languages(source.id)).all():
        copy = copies.get((row.entity, row.entity_id))
        if copy is None or (copy is process and getattr(source, row.field) != getattr(process, row.field)):
            continue
        session.add(TextVariant(process_id=process.id, entity=row.entity, entity_id=copy.id, field=row.field,
                                language=row.language, text=row.text))


def _midnight(day: date) -> datetime:
    return clock.from_berlin(datetime.combine(day, time(0, 0)))


def _moved(instant: datetime | None, by: timedelta) -> datetime | None:
    """The same hour in Berlin on another day, whatever summer time does; an hour that is left out becomes the next."""
    if instant is None:
        return None
    wall = clock.to_berlin(instant).replace(tzinfo=None) + by
    try:
        return clock.from_berlin(wall)
    except ValueError:
        return clock.from_berlin(wall + timedelta(hours=1))


def delete_process(session: Session, actor: Actor, process: Process, now: datetime) -> None:
    """Drop a draft that nobody has contributed to. Raises Conflict."""
    require(actor, Action.EDIT_PROCESS, process, now)
    taken_part = session.scalar(select(exists().where(Participant.process_id == process.id)))
    if process.state is not ProcessState.DRAFT or process.published_at is not None or taken_part:
        raise Conflict(N_("Nur ein Entwurf, den noch niemand sonst gesehen hat, lässt sich löschen. Legen Sie das "
                          "Verfahren stattdessen ins Archiv."))
    audit.record(session, at=now, actor=actor.label, action="process_deleted", subject_type="process",
                 subject_id=process.id)
    session.delete(process)
    session.flush()
