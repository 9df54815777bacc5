"""Where editors add fields of their own to the form of a phase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, render_template, request
from flask_babel import gettext as _

from participation import web
from participation.actions import Action
from participation.errors import InvalidInput, NotFound
from participation.own_fields import (
    CHOOSING,
    FIELDS_MAX,
    KIND_LABELS,
    LONGEST,
    FieldKind,
    OwnField,
    checked_field,
    new_key,
)
from participation.processes import operations
from participation.processes.forms import OwnFieldForm, own_field_data
from participation.processes.views.pages import blueprint
from participation.processes.views.staff import load_for_editing, tabs_of, wanted_step
from participation.sent_forms import sent_once

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from participation.processes.models import Phase

ADDRESS = "/verwaltung/verfahren/<int:process_id>/phasen/<int:phase_id>/felder"


def _phase(process_id: int, phase_id: int) -> Phase:
    process = load_for_editing(process_id)
    found = next((one for one in process.phases if one.id == phase_id), None)
    if found is None or Action.SUBMIT_PROPOSAL not in found.format.opens:
        raise NotFound
    return found


def _field(phase: Phase, key: str) -> OwnField:
    found = next((one for one in phase.own_fields if one.key == key), None)
    if found is None:
        raise NotFound
    return found


def _render(template: str, phase: Phase, **context: Any) -> str:  # noqa: ANN401 - as render_template
    return render_template(
        template, process=phase.process, phase=phase, tabs=tabs_of(phase.process), kinds=KIND_LABELS,
        choosing=CHOOSING, **context,
    )


@blueprint.route(ADDRESS, methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
@sent_once
def own_fields(process_id: int, phase_id: int) -> ResponseReturnValue:
    """The fields as residents will see them, and one more; ?art= chooses what is asked about it."""
    return _page(_phase(process_id, phase_id), None)


@blueprint.route(f"{ADDRESS}/<key>", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
def edit_own_field(process_id: int, phase_id: int, key: str) -> ResponseReturnValue:
    """Reword a field. What was answered keeps its words."""
    phase = _phase(process_id, phase_id)
    return _page(phase, _field(phase, key))


def _page(phase: Phase, one: OwnField | None) -> ResponseReturnValue:
    wanted = request.form.get("kind") or request.args.get("art", "")
    kind = one.kind if one else next((kind for kind in FieldKind if kind.value == wanted), None)
    form = OwnFieldForm(data=own_field_data(one) if one else {"kind": kind.value if kind else "", "is_public": True,
                                                              "longest": LONGEST.get(kind, 0) if kind else 0})
    if request.method == "POST" and kind is not None:
        given = OwnField(
            key=one.key if one else new_key(), kind=kind, label=form.label.data or "", hint=form.hint.data or "",
            is_required=bool(form.is_required.data), is_public=bool(form.is_public.data),
            longest=form.longest.data if form.longest.data is not None else LONGEST.get(kind, 1),
            options=tuple((form.options.data or "").splitlines()), low=form.low.data or "", high=form.high.data or "",
            has_decimals=bool(form.has_decimals.data), unit=form.unit.data or "",
        )
        if web.all_right(form, lambda: checked_field(given)):
            try:
                operations.save_own_field(web.current_session(), web.current_actor(), phase, given, web.current_now(),
                                          is_new=one is None)
            except InvalidInput as error:
                web.attach(form, error)
            else:
                flash(_("Das Feld ist gespeichert."), "success")
                return web.go("processes.own_fields", process_id=phase.process_id, phase_id=phase.id)
    page = _render("processes/own_fields.html", phase, form=form, one=one, kind=kind,
                   is_full=len(phase.own_fields) >= FIELDS_MAX, most=FIELDS_MAX,
                   longest=LONGEST.get(kind) if kind else None)
    return page, 422 if request.method == "POST" else 200


@blueprint.post(f"{ADDRESS}/<key>/verschieben")
@web.allows(Action.EDIT_PROCESS)
def move_own_field(process_id: int, phase_id: int, key: str) -> ResponseReturnValue:
    """Earlier or later in the form."""
    phase = _phase(process_id, phase_id)
    operations.move_own_field(web.current_session(), web.current_actor(), phase, _field(phase, key).key,
                              wanted_step(), web.current_now())
    return web.go("processes.own_fields", process_id=process_id, phase_id=phase_id)


@blueprint.post(f"{ADDRESS}/<key>/loeschen")
@web.allows(Action.EDIT_PROCESS)
def drop_own_field(process_id: int, phase_id: int, key: str) -> ResponseReturnValue:
    """Ask for it no more: the first post says how many answered, the second does it."""
    phase = _phase(process_id, phase_id)
    one = _field(phase, key)
    if request.form.get("confirmed") != "yes":
        return _render("processes/drop_own_field.html", phase, one=one,
                       answered=web.part("field_answers", phase_id=phase.id, key=one.key))
    operations.delete_own_field(web.current_session(), web.current_actor(), phase, one.key, web.current_now())
    flash(_("Das Feld ist gelöscht. Im Verlauf können Sie es zurückholen."), "success")
    return web.go("processes.own_fields", process_id=process_id, phase_id=phase_id)
