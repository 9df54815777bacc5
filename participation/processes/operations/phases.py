"""Phases, and the fields that editors add to their forms."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING

from participation.actions import Action
from participation.errors import Conflict, InvalidInput
from participation.events import PhaseRulesChanging, PublicFieldsChanged, emit
from participation.formats import FORMATS, PhaseSettings, Results, store_settings
from participation.i18n import N_
from participation.own_fields import FIELDS_MAX, OwnField, checked_field, store_field
from participation.permissions import Actor
from participation.processes.history import begin_change, changed, forget_variants
from participation.processes.models import Phase, Process, ProcessState
from participation.processes.operations.common import (
    BODY_MAX,
    LINE_MAX,
    PHASES_MAX,
    TITLE_MAX,
    VAGUE_MAX,
    checked_line,
    checked_text,
    move_row,
)
from participation.processes.operations.times import read_end, read_wall
from participation.processes.queries import is_referred_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session


def save_phase(
    session: Session,
    actor: Actor,
    process: Process,
    phase: Phase | None,
    now: datetime,
    *,
    format_key: str,
    title: str,
    body: str,
    vague_dates: str = "",
    starts_at: datetime | None,
    ends_at: datetime | None,
    settings: PhaseSettings,
) -> Phase:
    """Add a phase, or change one. `starts_at` and `ends_at` are wall-clock times in Berlin without zone.

    Raises InvalidInput for times that do not exist or contradict each other, and for settings out of range; Conflict
    when people have voted by other rules.
    """
    begin_change(session, actor, process, now)
    if format_key not in FORMATS or not isinstance(settings, FORMATS[format_key].settings):
        raise InvalidInput(N_("Bitte wählen Sie ein Format aus der Liste."), field="format_key")
    name = checked_line(title, "title", TITLE_MAX, N_("Bitte geben Sie der Phase einen Titel."))
    wording = checked_text(body, "body", BODY_MAX)
    start, end = read_wall(starts_at, "starts_at"), read_end(ends_at)
    if start is not None and end is not None and end <= start:
        raise InvalidInput(
            N_("Das Ende liegt vor dem Beginn. Bitte wählen Sie ein späteres Ende."), field="ends_at"
        )
    stored = checked_settings(settings)
    if end is None and getattr(settings, "results", None) is Results.AFTER:
        raise InvalidInput(
            N_("Ohne Ende kämen die Ergebnisse nie. Bitte geben Sie ein Ende an, oder zeigen Sie sie sofort."),
            field="ends_at",
        )
    is_new = phase is None
    if phase is None:
        if len(process.phases) >= PHASES_MAX:
            raise InvalidInput(N_("Mehr als %(limit)s Phasen sind nicht möglich."), limit=PHASES_MAX)
        phase = Phase(position=len(process.phases))
        process.phases.append(phase)
    elif (phase.format_key, phase.settings) != (format_key, settings):
        emit(session, PhaseRulesChanging(phase.id, phase.settings, settings))
    phase.format_key, phase.title, phase.body = format_key, name, wording
    phase.starts_at, phase.ends_at, phase.stored_settings = start, end, stored
    phase.vague_dates = checked_line(vague_dates, "vague_dates", VAGUE_MAX)
    session.flush()
    changed(session, actor, process, now, "phase_added" if is_new else "phase_edited", phase=phase.id)
    return phase


def checked_settings(settings: PhaseSettings) -> dict[str, object]:
    """Settings as they are stored. Raises InvalidInput (field "setting_<name>") for a number out of range."""
    stored = store_settings(settings)
    for entry in fields(settings):
        value = stored[entry.name]
        low, high = entry.metadata["low"], entry.metadata["high"]
        if isinstance(entry.default, int) and not isinstance(entry.default, bool) and not low <= value <= high:
            raise InvalidInput(
                N_("Bitte geben Sie eine ganze Zahl von %(low)s bis %(limit)s an."),
                field=f"setting_{entry.name}", low=low, limit=high,
            )
        if isinstance(entry.default, str):
            stored[entry.name] = checked_line(value, f"setting_{entry.name}", LINE_MAX)
    contradiction = settings.contradiction()
    if contradiction is not None:
        raise InvalidInput(contradiction[1], field=f"setting_{contradiction[0]}")
    return stored


def move_phase(session: Session, actor: Actor, phase: Phase, step: int, now: datetime) -> None:
    """Let it stand earlier (step -1) or later (+1) in the timeline."""
    begin_change(session, actor, phase.process, now)
    move_row(phase.process.phases, phase, step)
    changed(session, actor, phase.process, now, "phase_moved", phase=phase.id)


def delete_phase(session: Session, actor: Actor, phase: Phase, now: datetime) -> None:
    """Take a phase away. Raises Conflict when contributions came in during it."""
    process = phase.process
    begin_change(session, actor, process, now)
    if is_referred_to(session, phase):
        raise Conflict(N_("In dieser Phase gibt es schon Beiträge. Beenden Sie sie, statt sie zu löschen."))
    if process.state is ProcessState.PUBLISHED and len(process.phases) == 1:
        raise Conflict(N_("Ein veröffentlichtes Verfahren braucht mindestens eine Phase."))
    number = phase.id
    emit(session, PhaseRulesChanging(number, phase.settings, None))
    process.phases.remove(phase)
    forget_variants(session, process, "phase", number)
    changed(session, actor, process, now, "phase_deleted", phase=number)


def save_own_field(
    session: Session, actor: Actor, phase: Phase, one: OwnField, now: datetime, *, is_new: bool
) -> None:
    """Add a field to the form of a phase, or reword one; its key and its kind stay. Raises InvalidInput."""
    begin_change(session, actor, phase.process, now)
    if Action.SUBMIT_PROPOSAL not in phase.format.opens:
        raise InvalidInput(N_("In dieser Phase reicht niemand etwas ein."))
    rows = list(phase.own_fields)
    if is_new and len(rows) >= FIELDS_MAX:
        raise InvalidInput(N_("Mehr als %(limit)s eigene Felder sind nicht möglich."), limit=FIELDS_MAX)
    kept = checked_field(one)
    if any(other.label.casefold() == kept.label.casefold() and other.key != kept.key for other in rows):
        raise InvalidInput(N_("Danach fragt schon ein anderes Feld."), field="label")
    rows = [*rows, kept] if is_new else [kept if other.key == kept.key else other for other in rows]
    _keep_fields(session, actor, phase, rows, now, "own_field_added" if is_new else "own_field_edited")


def move_own_field(session: Session, actor: Actor, phase: Phase, key: str, step: int, now: datetime) -> None:
    """Let it stand earlier (step -1) or later (+1) in the form."""
    begin_change(session, actor, phase.process, now)
    rows = list(phase.own_fields)
    place = next(number for number, one in enumerate(rows) if one.key == key)
    target = place + (1 if step > 0 else -1)
    if 0 <= target < len(rows):
        rows[place], rows[target] = rows[target], rows[place]
    _keep_fields(session, actor, phase, rows, now, "own_field_moved")


def delete_own_field(session: Session, actor: Actor, phase: Phase, key: str, now: datetime) -> None:
    """Ask for it no more. What was answered stays with the administration, and comes back with the field."""
    begin_change(session, actor, phase.process, now)
    rows = [one for one in phase.own_fields if one.key != key]
    _keep_fields(session, actor, phase, rows, now, "own_field_deleted")


def _keep_fields(session: Session, actor: Actor, phase: Phase, rows: Sequence[OwnField], now: datetime, action: str) -> None:
    shown = {one.key for one in phase.own_fields if one.is_public}
    phase.stored_fields = [store_field(one) for one in rows]
    if shown != {one.key for one in rows if one.is_public}:
        emit(session, PublicFieldsChanged(phase.id, now))
    changed(session, actor, phase.process, now, action, phase=phase.id)
