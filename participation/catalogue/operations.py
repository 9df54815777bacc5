"""What planners do with the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from participation import audit, text
from participation.actions import Action
from participation.audit import AuditEntry
from participation.catalogue.models import Measure, MeasureSource, MeasureState, Priority
from participation.contributions.proposals.models import Proposal
from participation.db import is_sqlite
from participation.errors import Checks, Conflict, InvalidInput
from participation.events import ProposalsTakenUp, emit
from participation.i18n import N_
from participation.municipalities.operations import raise_content_version
from participation.permissions import Actor, require
from participation.processes.models import Process

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

CODE_MAX, TITLE_MAX, LINE_MAX, TEXT_MAX = 12, 200, 300, 8000
LINES = ("field_of_action", "responsible", "decided_by", "cost", "timeframe")
TEXTS = ("points", "remark", "deviation_reason", "goal", "approach", "target_group", "actors", "resources", "benefit",
         "communication")


def save_measure(
    session: Session, actor: Actor, process: Process, measure: Measure | None, values: dict[str, Any], *,
    version_seen: int, now: datetime,
) -> Measure:
    """Create or change a measure. `values` are the form's fields by name.

    Raises InvalidInput beside its field, or Conflict when somebody else changed the measure meanwhile.
    """
    require(actor, Action.MANAGE_CATALOGUE, process, now)
    if measure is not None and measure.version != version_seen:
        raise Conflict(N_("Jemand hat diese Maßnahme inzwischen geändert. Ihr Text steht noch im Formular; vergleichen "
                          "Sie ihn mit der neuen Fassung und speichern Sie noch einmal."))
    clean = checked_measure(process, values)
    is_new = measure is None
    if measure is None:
        last = session.scalar(select(func.max(Measure.position)).where(Measure.process_id == process.id))
        measure = Measure(process_id=process.id, position=(last or 0) + 1, created_at=now, version=0)
        measure.process = process
    for name, value in clean.items():
        setattr(measure, name, value)
    measure.updated_at = now
    measure.version += 1
    try:
        with session.begin_nested():
            session.add(measure)
            session.flush()
    except IntegrityError as error:
        raise InvalidInput(N_("Diese Kennung gibt es in diesem Katalog schon. Bitte wählen Sie eine andere."),
                           field="code") from error
    raise_content_version(session, process.municipality_id)
    audit.record(session, at=now, actor=actor.label, action="create_measure" if is_new else "change_measure",
                 subject_type="measure", subject_id=measure.id, version=measure.version)
    return measure


def checked_measure(process: Process, values: dict[str, Any]) -> dict[str, Any]:
    """What a form says of a measure, cleaned. Raises InvalidInput with everything that is wrong."""
    checks = Checks()
    clean: dict[str, Any] = {name: text.clean_line(values.get(name))[:LINE_MAX] for name in LINES}
    clean |= {name: text.clean_text(values.get(name))[:TEXT_MAX] for name in TEXTS}
    clean["code"] = text.clean_line(values.get("code"))
    clean["title"] = text.clean_line(values.get("title"))
    with checks:
        if not clean["code"] or len(clean["code"]) > CODE_MAX or "/" in clean["code"]:
            raise InvalidInput(N_("Bitte geben Sie eine kurze Kennung an, zum Beispiel K1."), field="code")
    with checks:
        if not clean["title"] or len(clean["title"]) > TITLE_MAX:
            raise InvalidInput(N_("Bitte geben Sie einen Titel an, höchstens %(number)s Zeichen."), field="title",
                               number=TITLE_MAX)
    theme_id = values.get("theme_id") or None
    with checks:
        if theme_id is not None and theme_id not in {theme.id for theme in process.themes}:
            raise InvalidInput(N_("Dieses Handlungsfeld gibt es nicht mehr."), field="theme_id")
    clean["theme_id"] = theme_id
    clean["is_greyed"] = bool(values.get("is_greyed"))
    with checks:
        if clean["is_greyed"] and not clean["remark"]:
            raise InvalidInput(N_("Ausgegraute Maßnahmen brauchen eine Anmerkung, zum Beispiel: läuft bereits."),
                               field="remark")
    with checks:
        _read_state(values, clean)
    with checks:
        if clean.get("deviating_priority") is not None and not clean["deviation_reason"]:
            raise InvalidInput(N_("Eine Abweichung von der Priorität aus der Beteiligung braucht einen Grund."),
                               field="deviation_reason")
    checks.done()
    return clean


def _read_state(values: dict[str, Any], clean: dict[str, Any]) -> None:
    try:
        clean["state"] = MeasureState(values.get("state") or "idea")
        clean["priority"] = Priority(values["priority"]) if values.get("priority") else None
        clean["deviating_priority"] = (
            Priority(values["deviating_priority"]) if values.get("deviating_priority") else None
        )
    except ValueError as error:
        raise InvalidInput(N_("Bitte wählen Sie einen Wert aus der Liste."), field="state") from error


def take_up_proposal(session: Session, actor: Actor, measure: Measure, proposal: Proposal, now: datetime) -> bool:
    """Link a published proposal to a measure; False when it was linked already. Raises NotAllowed, InvalidInput."""
    require(actor, Action.MANAGE_CATALOGUE, measure, now)
    if proposal.process_id != measure.process_id or not proposal.is_published:
        raise InvalidInput(N_("Nur veröffentlichte Vorschläge dieses Verfahrens können übernommen werden."))
    insert = sqlite.insert if is_sqlite(session) else postgresql.insert
    added = session.scalar(
        insert(MeasureSource)
        .values(measure_id=measure.id, proposal_id=proposal.id, taken_up_at=now, note="")
        .on_conflict_do_nothing(index_elements=["measure_id", "proposal_id"])
        .returning(MeasureSource.proposal_id)
    )
    if added is None:
        return False
    raise_content_version(session, measure.process.municipality_id)
    if measure.process.catalogue_is_public:
        emit(session, ProposalsTakenUp(measure.process_id, now))
    audit.record(session, at=now, actor=actor.label, action="take_up_proposal", subject_type="measure",
                 subject_id=measure.id, proposal=proposal.id)
    return True


def drop_source(session: Session, actor: Actor, measure: Measure, proposal_id: int, now: datetime) -> None:
    """Undo taking up."""
    require(actor, Action.MANAGE_CATALOGUE, measure, now)
    session.execute(delete(MeasureSource).where(MeasureSource.measure_id == measure.id,
                                                MeasureSource.proposal_id == proposal_id))
    raise_content_version(session, measure.process.municipality_id)
    audit.record(session, at=now, actor=actor.label, action="drop_source", subject_type="measure",
                 subject_id=measure.id, proposal=proposal_id)


def set_publication(session: Session, actor: Actor, process: Process, *, is_public: bool, now: datetime) -> None:
    """Show the catalogue to everybody, or take it back into the workbench."""
    require(actor, Action.MANAGE_CATALOGUE, process, now)
    changed = session.scalar(
        update(Process).where(Process.id == process.id, Process.catalogue_is_public != is_public)
        .values(catalogue_is_public=is_public).returning(Process.id))
    if changed is None:
        return
    if is_public:
        _begin_to_tell(session, process, now)
    raise_content_version(session, process.municipality_id)
    audit.record(session, at=now, actor=actor.label, action="publish_catalogue" if is_public else "unpublish_catalogue",
                 subject_type="process", subject_id=process.id)


def _begin_to_tell(session: Session, process: Process, now: datetime) -> None:
    """What was taken up in the workbench is taken up for everybody from now on; what was public before stays as it was."""
    hidden_at = session.scalar(select(func.max(AuditEntry.at)).where(
        AuditEntry.subject_type == "process", AuditEntry.subject_id == process.id,
        AuditEntry.action == "unpublish_catalogue"))
    unknown: list[ColumnElement[bool]] = [MeasureSource.measure_id.in_(select(Measure.id).where(Measure.process_id == process.id))]
    if hidden_at is not None:
        unknown.append(MeasureSource.taken_up_at > hidden_at)
    session.execute(update(MeasureSource).where(*unknown).values(taken_up_at=now)
                    .execution_options(synchronize_session=False))
    emit(session, ProposalsTakenUp(process.id, now))
