"""Phases, and the fields that editors add to their forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from participation import audit, outbox
from participation.actions import Action
from participation.errors import Checks, Conflict, InvalidInput
from participation.events import PhaseRulesChanging, PublicFieldsChanged, emit
from participation.formats import FORMATS, BallotRule, PhaseSettings, Results, store_settings
from participation.i18n import N_
from participation.own_fields import FIELDS_MAX, OwnField, checked_field, store_field
from participation.permissions import Actor
from participation.processes.history import begin_change, changed, forget_variants
from participation.processes.models import Extension, Phase, PhaseState, Process, ProcessState
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
from participation.processes.operations.times import read_end, read_wall, shown_end
from participation.processes.queries import is_referred_to

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from sqlalchemy.orm import Session


class CheckedPhase(NamedTuple):
    """What a form about a phase said, as it may be kept."""

    title: str
    body: str
    starts_at: datetime | None
    ends_at: datetime | None
    vague_dates: str
    extension: Extension | None
    stored_settings: dict[str, object]


# Features above this one know how many people voted in a phase.
PEOPLE_OF_VOTE: list[Callable[[Session, Phase], int]] = []


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
    extension_reason: str = "",
) -> Phase:
    """Add a phase, or change one. `starts_at` and `ends_at` are wall-clock times in Berlin without zone.

    A vote that is over goes on only with a reason that everybody can read. Raises InvalidInput as `check_phase`, and
    Conflict when people have voted by other rules.
    """
    begin_change(session, actor, process, now)
    if format_key not in FORMATS or not isinstance(settings, FORMATS[format_key].settings):
        raise InvalidInput(N_("Bitte wählen Sie ein Format aus der Liste."), field="format_key")
    given = check_phase(session, phase, now, title=title, body=body, vague_dates=vague_dates, starts_at=starts_at,
                        ends_at=ends_at, settings=settings, extension_reason=extension_reason)
    name, wording, start, end, vague, extension, stored = given
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
    if not is_new and phase.vague_dates != vague:
        # "Spring 2027" beside "Herbst 2027" would be believed.
        forget_variants(session, process, "phase", phase.id, "vague_dates")
    phase.vague_dates = vague
    if extension is not None:
        phase.stored_extensions = [*phase.stored_extensions, extension.stored()]
    session.flush()
    changed(session, actor, process, now, "phase_added" if is_new else "phase_edited", phase=phase.id)
    if extension is not None:
        # Who left after its end can vote anew by a new account; only the key tells what they left.
        outbox.enqueue(session, "take_back_of_left", f"take-back-of-left:{phase.id}:{now.isoformat()}", phase_id=phase.id,
                       owner_id=process.municipality_id)
        audit.record(session, at=now, actor=actor.label, action="phase_extended", subject_type="phase",
                     subject_id=phase.id, **extension.stored())
    return phase


def check_phase(
    session: Session, phase: Phase | None, now: datetime, *, title: str, body: str, vague_dates: str,
    starts_at: datetime | None, ends_at: datetime | None, settings: PhaseSettings, extension_reason: str,
    unread: Container[str] = (),
) -> CheckedPhase:
    """What a phase is to be, cleaned. Raises InvalidInput with everything that is wrong.

    `unread`: what was entered but could not be read ("starts_at", "setting_points"), so that nothing is concluded from it.
    """
    checks = Checks()
    with checks:
        name = checked_line(title, "title", TITLE_MAX, N_("Bitte geben Sie der Phase einen Titel."))
    with checks:
        wording = checked_text(body, "body", BODY_MAX)
    wrong_before = len(checks.found)
    with checks:
        start, end, vague = _checked_times(phase, starts_at, ends_at, vague_dates)
    has_times = len(checks.found) == wrong_before and not any(one in unread for one in ("starts_at", "ends_at"))
    with checks:
        stored = _checked_settings(settings, unread)
    extension = None
    with checks:
        if has_times and end is None and getattr(settings, "results", None) is Results.AFTER:
            raise InvalidInput(
                N_("Ohne Ende kämen die Ergebnisse nie. Bitte geben Sie ein Ende an, oder zeigen Sie sie sofort."),
                field="ends_at",
            )
        if has_times and phase is not None:
            extension = _checked_end(session, phase, start, end, vague, extension_reason, now)
    checks.done()
    return CheckedPhase(name, wording, start, end, vague, extension, stored)


def _checked_times(
    phase: Phase | None, starts_at: datetime | None, ends_at: datetime | None, vague_dates: str
) -> tuple[datetime | None, datetime | None, str]:
    """The instants, and the words that stand in place of a beginning. Raises InvalidInput."""
    checks = Checks()
    start: datetime | None = None
    end: datetime | None = None
    with checks:
        start = read_wall(starts_at, "starts_at")
    with checks:
        end = read_end(ends_at)
        if phase is not None and _is_as_shown(phase.ends_at, ends_at):
            end = phase.ends_at
        if start is not None and end is not None and end <= start:
            raise InvalidInput(
                N_("Das Ende muss nach dem Beginn liegen. Bitte wählen Sie ein späteres Ende."), field="ends_at"
            )
    with checks:
        vague = checked_line(vague_dates, "vague_dates", VAGUE_MAX)
        if vague and starts_at is not None:
            raise InvalidInput(N_("Sie haben auch einen Beginn angegeben. Steht der Tag fest, dann lassen Sie die Worte bitte "
                                  "weg. Sonst lassen Sie den Beginn leer."), field="vague_dates")
    checks.done()
    return start, end, vague


def _is_as_shown(stored: datetime | None, wall: datetime | None) -> bool:
    """Whether an end came back as the form showed it, without its seconds."""
    shown = shown_end(stored)
    return shown is not None and wall is not None and shown.replace(second=0, microsecond=0) == wall


def _is_other_beginning(phase: Phase, start: datetime | None, now: datetime) -> bool:
    """Whether a vote by supports that has begun would begin at another minute."""
    if phase.ballot is not BallotRule.SUPPORT or phase.state(now) is PhaseState.UPCOMING:
        return False
    before, after = (None if one is None else one.replace(second=0, microsecond=0) for one in (phase.starts_at, start))
    return before != after


def _checked_end(
    session: Session, phase: Phase, start: datetime | None, end: datetime | None, vague: str, reason: str, now: datetime
) -> Extension | None:
    """What to publish about the new dates of a vote. Raises InvalidInput.

    Its end separates what everybody voted before and after they could read the result. So it never lies before votes
    that were given, and who reads the result can't quietly let the vote go on.
    """
    if phase.ballot is None or phase.process.published_at is None:
        return None
    wanted = Phase(starts_at=start, ends_at=end, vague_dates=vague).state(now)
    if phase.state(now) is PhaseState.OPEN and wanted is PhaseState.CLOSED:
        raise InvalidInput(N_("Bis jetzt konnten alle abstimmen. Bitte wählen Sie ein Ende, das noch kommt, zum Beispiel in "
                              "zwei Minuten."), field="ends_at")
    if (phase.state(now) is PhaseState.OPEN and wanted is PhaseState.UPCOMING
            and any(count(session, phase) for count in PEOPLE_OF_VOTE)):
        # Nothing of a phase that has not begun is secret: a later start, and back, would show what is hidden.
        raise InvalidInput(N_("Hier haben schon Menschen abgestimmt. Der Beginn kann nicht mehr in der Zukunft liegen."),
                           field="starts_at")
    if _is_other_beginning(phase, start, now) and any(count(session, phase) for count in PEOPLE_OF_VOTE):
        # Whether anybody has voted by the rules of a phase is told by when they did: a later start would set them free.
        raise InvalidInput(N_("Hier haben schon Menschen abgestimmt. Der Beginn bleibt, wie er ist: Von da an gelten die "
                              "Regeln dieser Abstimmung."), field="starts_at")
    if not phase.vote_is_over(now) or phase.ends_at is None or end == phase.ends_at:
        return None
    if wanted is not PhaseState.OPEN:
        raise InvalidInput(N_("Diese Abstimmung ist schon zu Ende. Sie können sie nur noch verlängern, mit einem Ende, das "
                              "noch kommt."), field="starts_at" if wanted is PhaseState.UPCOMING else "ends_at")
    why = checked_line(reason, "extension_reason", LINE_MAX, N_(
        "Diese Abstimmung war schon zu Ende. Bitte schreiben Sie, warum sie weitergeht. Alle können den Grund lesen."))
    return Extension(phase.ends_at, now, end, why, sum(count(session, phase) for count in PEOPLE_OF_VOTE))


def _checked_settings(settings: PhaseSettings, unread: Container[str]) -> dict[str, object]:
    """Settings as they are stored. Raises InvalidInput (field "setting_<name>") for a number out of range."""
    stored = store_settings(settings)
    checks = Checks()
    for entry in fields(settings):
        with checks:
            _check_number(entry, stored[entry.name])
            if isinstance(entry.default, str):
                stored[entry.name] = checked_line(stored[entry.name], f"setting_{entry.name}", LINE_MAX)
    contradiction = settings.contradiction()
    if contradiction is not None and not checks.found and not any(f"setting_{name}" in unread for name in stored):
        raise InvalidInput(contradiction[1], field=f"setting_{contradiction[0]}")
    checks.done()
    return stored


def _check_number(entry: Field[Any], value: Any) -> None:  # noqa: ANN401 - any setting
    """Raises InvalidInput (field "setting_<name>") for a number out of range; other settings pass."""
    low, high = entry.metadata["low"], entry.metadata["high"]
    if isinstance(entry.default, int) and not isinstance(entry.default, bool) and not low <= value <= high:
        raise InvalidInput(
            N_("Bitte geben Sie eine ganze Zahl von %(low)s bis %(limit)s an."),
            field=f"setting_{entry.name}", low=low, limit=high,
        )


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
