"""Where editors change the phases of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, request, url_for
from flask_babel import gettext as _

from participation import text, web
from participation.actions import Action
from participation.errors import Conflict, InvalidInput, NotFound
from participation.formats import FORMATS
from participation.processes import history, operations
from participation.processes.forms import PhaseForm, phase_form_class, settings_data
from participation.processes.models import Phase, Process
from participation.processes.views.pages import blueprint
from participation.processes.views.staff import (
    load_for_editing,
    refuse_overwriting,
    render_page,
    try_change,
    wanted_step,
)
from participation.sent_forms import sent_once

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


def _phase(process: Process, phase_id: int) -> Phase:
    found = next((phase for phase in process.phases if phase.id == phase_id), None)
    if found is None:
        raise NotFound
    return found


@blueprint.get("/verwaltung/verfahren/<int:process_id>/phasen")
@web.allows(Action.EDIT_PROCESS)
def phases(process_id: int) -> ResponseReturnValue:
    """The timeline, with what each phase opens."""
    return render_page("processes/phases.html", load_for_editing(process_id), formats=FORMATS)


@blueprint.route("/verwaltung/verfahren/<int:process_id>/phasen/neu", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
@sent_once
def new_phase(process_id: int) -> ResponseReturnValue:
    """Add a phase; ?format= chooses which settings are asked."""
    return _phase_page(load_for_editing(process_id), None)


@blueprint.route("/verwaltung/verfahren/<int:process_id>/phasen/<int:phase_id>", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
def edit_phase(process_id: int, phase_id: int) -> ResponseReturnValue:
    """Change a phase."""
    process = load_for_editing(process_id)
    return _phase_page(process, _phase(process, phase_id))


def _phase_form(phase: Phase | None) -> tuple[PhaseForm, str]:
    """The form of the format that is wanted now, filled with what is stored or was sent."""
    stored_key = phase.format_key if phase else "collect"
    wanted = request.form.get("format_key") or request.args.get("format") or stored_key
    key = wanted if wanted in FORMATS else stored_key
    data: dict[str, Any] = {"format_key": key}
    if phase is not None:
        data |= {
            "title": phase.title, "body": phase.body, "vague_dates": phase.vague_dates, "ends_at": operations.shown_end(phase.ends_at),
            "starts_at": operations.shown_start(phase.starts_at),
        }
        if key == phase.format_key:
            data |= settings_data(phase.settings)
    return phase_form_class(key)(data=data), key


def _check(form: PhaseForm, key: str, phase: Phase | None) -> None:
    """What the operation would say of all that could be read. Raises InvalidInput."""
    operations.check_phase(
        web.current_session(), phase, web.current_now(), title=form.title.data or "", body=form.body.data or "",
        vague_dates=form.vague_dates.data or "", starts_at=form.starts_at.data, ends_at=form.ends_at.data,
        settings=form.settings(key), extension_reason=form.extension_reason.data or "", unread=form.errors,
    )


def _phase_page(process: Process, phase: Phase | None) -> ResponseReturnValue:
    form, key = _phase_form(phase)
    current = history.fingerprint(phase)
    shown: dict[str, Any] = {"form": form, "phase": phase, "format": FORMATS[key], "preview": "", "seen": web.seen_by_form(current)}
    if request.method == "GET":
        return render_page("processes/phase.html", process, **shown)
    # Whoever chose another format and saved at once has not seen its settings: they see them first.
    is_changing = "change_format" in request.form or request.form.get("shown_format", key) != key
    if is_changing or "preview" in request.form:
        if is_changing:
            # The settings of another format were not on the page that was sent: its defaults are no answer of anybody.
            form = phase_form_class(key)(formdata=None, data={
                "format_key": key, "title": form.title.data, "body": form.body.data, "vague_dates": form.vague_dates.data,
                "extension_reason": form.extension_reason.data,
            })
            for name in ("starts_at", "ends_at"):
                form[name].raw_data = [request.form.get(name, "")]
            shown["form"] = form
            flash(_("Das sind die Einstellungen des anderen Formats. Gespeichert ist noch nichts."), "info")
        else:
            shown["preview"] = text.clean_text(form.body.data)
        return render_page("processes/phase.html", process, **shown)
    if not web.all_right(form, lambda: _check(form, key, phase)):
        return render_page("processes/phase.html", process, **shown), 422
    try:
        refuse_overwriting(process, current)
        operations.save_phase(
            web.current_session(), web.current_actor(), process, phase, web.current_now(), format_key=key,
            title=form.title.data or "", body=form.body.data or "", starts_at=form.starts_at.data,
            ends_at=form.ends_at.data, settings=form.settings(key), vague_dates=form.vague_dates.data or "",
            extension_reason=form.extension_reason.data or "",
        )
    except (InvalidInput, Conflict) as error:
        web.attach(form, error)
        return render_page("processes/phase.html", process, **{**shown, "seen": web.seen_by_form(current, error)}), web.status_of(error)
    flash(_("Die Phase ist gespeichert."), "success")
    return web.go("processes.phases", process_id=process.id)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/phasen/<int:phase_id>/verschieben")
@web.allows(Action.EDIT_PROCESS)
def move_phase(process_id: int, phase_id: int) -> ResponseReturnValue:
    """Earlier or later in the timeline."""
    process = load_for_editing(process_id)
    operations.move_phase(
        web.current_session(), web.current_actor(), _phase(process, phase_id), wanted_step(), web.current_now()
    )
    return web.go("processes.phases", process_id=process.id)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/phasen/<int:phase_id>/loeschen")
@web.allows(Action.EDIT_PROCESS)
def drop_phase(process_id: int, phase_id: int) -> ResponseReturnValue:
    """Take it away while nothing came in."""
    process = load_for_editing(process_id)
    phase = _phase(process, phase_id)
    return try_change(
        lambda: operations.delete_phase(web.current_session(), web.current_actor(), phase, web.current_now()),
        _("Die Phase ist gelöscht."), lambda: render_page("processes/phases.html", process, formats=FORMATS),
        url_for("processes.phases", process_id=process.id),
    )
