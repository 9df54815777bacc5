"""The history of a process, for its editors."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flask import flash, request, url_for
from flask_babel import gettext as _

from participation import text, web
from participation.actions import Action
from participation.errors import Conflict, NotFound
from participation.formats import CHOICE_LABELS, FORMATS, read_settings
from participation.i18n import N_
from participation.language import VARIANTS
from participation.own_fields import KIND_LABELS, OwnField, read_fields
from participation.processes import history, operations
from participation.processes.models import ProcessVersion
from participation.processes.queries import LARGEST_ID, versions_of
from participation.processes.views.pages import blueprint
from participation.processes.views.staff import is_number, load_for_editing, render_page
from participation.written import format_datetime

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

VERSIONS = 10
ACTIONS = {
    "before_first_change": N_("Vor der ersten Änderung"), "process_created": N_("Angelegt"),
    "process_filled": N_("Mit einer Vorlage gefüllt"),
    "process_copied": N_("Aus einem anderen Verfahren kopiert"), "process_edited": N_("Angaben geändert"),
    "process_picture_set": N_("Bild gewählt"), "process_picture_removed": N_("Bild entfernt"),
    "phase_added": N_("Phase hinzugefügt"), "phase_edited": N_("Phase geändert"), "phase_deleted": N_("Phase gelöscht"),
    "phase_moved": N_("Phase verschoben"), "theme_added": N_("Thema hinzugefügt"), "theme_edited": N_("Thema geändert"),
    "theme_deleted": N_("Thema gelöscht"), "theme_moved": N_("Thema verschoben"),
    "document_added": N_("Dokument hochgeladen"), "document_deleted": N_("Dokument gelöscht"),
    "document_renamed": N_("Dokument umbenannt"), "document_moved": N_("Dokument verschoben"), "process_news_saved": N_("Neuigkeit geschrieben"),
    "process_news_deleted": N_("Neuigkeit gelöscht"), "process_translated": N_("Übersetzung geändert"),
    "own_field_added": N_("Eigenes Feld hinzugefügt"), "own_field_edited": N_("Eigenes Feld geändert"),
    "own_field_moved": N_("Eigenes Feld verschoben"), "own_field_deleted": N_("Eigenes Feld gelöscht"),
    "process_restored": N_("Früheren Stand wiederhergestellt"),
}
NAMES = {
    "title": N_("Titel"), "slug": N_("Adresse"), "summary": N_("Kurzbeschreibung"), "body": N_("Text"),
    "faq": N_("Fragen und Antworten"), "contact": N_("Kontakt"), "theme_label": N_("Wie heißen Themen hier?"),
    "name": N_("Name"), "description": N_("Beschreibung"), "picture_id": N_("Bild"),
    "picture_alt": N_("Beschreibung des Bildes"), "starts_at": N_("Beginn"), "ends_at": N_("Ende"),
    "vague_dates": N_("Zeitraum in Worten"), "stored_settings": N_("Einstellungen"),
    "attribution": N_("Quelle der Beiträge"), "upload_id": N_("Datei"), "text": N_("Übersetzung"),
    "stored_fields": N_("Eigene Felder"), "format_key": N_("Format"), "tone": N_("Farbe"), "position": N_("Reihenfolge"),
}
OWN_FIELD = N_("Eigenes Feld")
GROUP_NAMES = {"phases": N_("Phase „%(title)s“"), "themes": N_("Thema „%(title)s“"),
               "documents": N_("Dokument „%(title)s“"), "news": N_("Neuigkeit „%(title)s“")}


@blueprint.get("/verwaltung/verfahren/<int:process_id>/verlauf")
@web.allows(Action.EDIT_PROCESS)
def versions(process_id: int) -> ResponseReturnValue:
    """Who changed what, word by word; every earlier state can come back, and what that would do is said before."""
    process, session = load_for_editing(process_id), web.current_session()
    raw = request.args.get("vor", "")
    before = min(int(raw), LARGEST_ID) if is_number(raw) else None
    rows = list(session.scalars(versions_of(process.id, before).limit(VERSIONS + 1)))
    current = history.content_of(session, process)
    held = history.held_rows(session, current)
    return render_page(
        "processes/versions.html", process, actions=ACTIONS, is_newest=before is None,
        rows=[(row, _differences(rows[place + 1] if place + 1 < len(rows) else None, row),
               _effect(history.effect_of(process, current, row.content, held, web.current_now())))
              for place, row in enumerate(rows[:VERSIONS])],
        next_url=url_for("processes.versions", process_id=process.id, vor=rows[VERSIONS - 1].id)
        if len(rows) > VERSIONS else None,
    )


def _named(rows: list[tuple[str, str]]) -> str:
    return ", ".join(_(GROUP_NAMES[group], title=title) for group, title in rows)


def _effect(effect: history.Effect) -> list[tuple[str, str]]:
    """What going back would do, as (what happens, to what)."""
    parts = ((_("Kommt zurück"), effect.returns), (_("Kommt weg"), effect.goes),
             (_("Bleibt, weil schon Beiträge dazugehören"), effect.stays),
             (_("Zeitraum bleibt, weil schon abgestimmt wurde"), effect.dates))
    return [(label, _named(rows)) for label, rows in parts if rows]


def _differences(before: ProcessVersion | None, after: ProcessVersion) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """(what it belongs to, its name, word by word) of everything that one change changed."""
    found: list[tuple[str, str, list[tuple[str, str]]]] = []
    for group in ("process", *history.GROUPS, "variants") if before is not None else ():
        old: dict[str, Any] = before.content.get(group, {}) if before is not None else {}
        new: dict[str, Any] = after.content.get(group, {})
        if group == "process":
            old, new = {"": old}, {"": new}
        # As editors see them, not by their lineage, which is random.
        for key in sorted({*old, *new}, key=lambda key: ((new.get(key) or old[key]).get("position", 0), key)):
            one, other = old.get(key, {}), new.get(key, {})
            owner = _owner_of(group, key, other or one, after, before)
            if group in history.GROUPS and not (one and other):
                # What came or went as a whole is one line, with what it said.
                label = _("hinzugefügt") if other else _("gelöscht")
                found.append((owner, label, text.difference(_whole(one), _whole(other))))
                continue
            found += [(owner, _(label), text.difference(*_both(name, one, other)))
                      for name, label in NAMES.items() if one.get(name) != other.get(name)]
    return found


def _whole(values: dict[str, Any]) -> str:
    return "\n".join(str(values[name]) for name in ("title", "name", "body", "description") if values.get(name))


def _owner_of(group: str, key: str, values: dict[str, Any], *versions: ProcessVersion | None) -> str:
    if group in GROUP_NAMES:
        return str(_(GROUP_NAMES[group], title=values[history.GROUPS[group].name]))
    if group == "variants":
        language, entity, lineage, name = key.split("/", 3)
        part = history.ENTITIES.get(entity, "")
        rows = [one.content.get(part, {}).get(lineage) for one in versions if one is not None]
        of = next((_owner_of(part, lineage, row) for row in rows if row), "")
        return ", ".join(one for one in (VARIANTS.get(language, language), of, _(NAMES.get(name, OWN_FIELD))) if one)
    return ""


def _both(name: str, one: dict[str, Any], other: dict[str, Any]) -> tuple[str, str]:
    """What a change replaced, and by what. A picture or a file has no words, and its number says nothing to anybody."""
    if name in {"picture_id", "upload_id"}:
        words = (_("bisheriges Bild"), _("neues Bild")) if name == "picture_id" else (_("bisherige Datei"), _("neue Datei"))
        return words[0] if one.get(name) else "", words[1] if other.get(name) else ""
    return _plain(name, one), _plain(name, other)


def _plain(name: str, values: dict[str, Any]) -> str:
    """A value as editors know it from the form."""
    value = values.get(name)
    if value is None:
        return ""
    if name == "stored_settings":
        return "\n".join(_shown_settings(values["format_key"], value))
    if name == "stored_fields":
        return "\n".join(_shown_field(one) for one in read_fields(value))
    if name == "format_key":
        return _(FORMATS[value].label) if value in FORMATS else str(value)
    if name in {"starts_at", "ends_at"}:
        shown = operations.shown_end if name == "ends_at" else operations.shown_start
        wall = shown(datetime.fromisoformat(value))
        return format_datetime(wall, "short") if wall else ""
    return str(value)


def _shown_settings(format_key: str, stored: dict[str, Any]) -> list[str]:
    settings = read_settings(format_key, stored)
    shown = []
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        word = _(CHOICE_LABELS[value]) if value in CHOICE_LABELS else value
        if isinstance(value, bool):
            word = _("ja") if value else _("nein")
        shown.append(f"{_(entry.metadata['label'])}: {word}")
    return shown


def _shown_field(one: OwnField) -> str:
    parts = [_(KIND_LABELS[one.kind]), one.hint, *one.options, _("Pflichtfeld") if one.is_required else "",
             "" if one.is_public else _("nur für die Verwaltung")]
    return f"{one.label}: {', '.join(part for part in parts if part)}"


@blueprint.post("/verwaltung/verfahren/<int:process_id>/verlauf/<int:version_id>/wiederherstellen")
@web.allows(Action.EDIT_PROCESS)
def restore(process_id: int, version_id: int) -> ResponseReturnValue:
    """Go back to an earlier state; what people use already stays, and is named."""
    process, session = load_for_editing(process_id), web.current_session()
    version = history.version_of(session, process, min(version_id, LARGEST_ID))
    if version is None:
        raise NotFound
    try:
        effect = history.restore_version(session, web.current_actor(), process, version, web.current_now())
    except Conflict as error:
        session.rollback()
        flash(web.translated(error), "error")
        return web.go("processes.versions", process_id=process_id)
    flash(_("Der frühere Stand ist wiederhergestellt. Auch das lässt sich hier rückgängig machen."), "success")
    if effect.stays:
        flash(_("Geblieben ist, weil schon Beiträge dazugehören: %(names)s.", names=_named(effect.stays)), "warning")
    if effect.dates:
        flash(_("Der Zeitraum ist geblieben, weil schon abgestimmt wurde: %(names)s.", names=_named(effect.dates)), "warning")
    return web.go("processes.versions", process_id=process_id)
