"""Where editors change the themes of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flask import flash, request, url_for
from flask_babel import gettext as _

from participation import web
from participation.actions import Action
from participation.errors import Conflict, InvalidInput, NotFound
from participation.processes import history, operations
from participation.processes.forms import ThemeForm, theme_data
from participation.processes.models import Process, Theme
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


def _theme(process: Process, theme_id: int) -> Theme:
    found = next((theme for theme in process.themes if theme.id == theme_id), None)
    if found is None:
        raise NotFound
    return found


@blueprint.route("/verwaltung/verfahren/<int:process_id>/themen", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
@sent_once
def themes(process_id: int) -> ResponseReturnValue:
    """The themes, and one more."""
    process = load_for_editing(process_id)
    return _theme_page(process, None)


@blueprint.route("/verwaltung/verfahren/<int:process_id>/themen/<int:theme_id>", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
def edit_theme(process_id: int, theme_id: int) -> ResponseReturnValue:
    """Rename a theme, or give it another tone."""
    process = load_for_editing(process_id)
    return _theme_page(process, _theme(process, theme_id))


def _theme_page(process: Process, theme: Theme | None) -> ResponseReturnValue:
    form = ThemeForm(data=theme_data(theme) if theme else {"tone": len(process.themes) % len(operations.TONES)})
    current = history.fingerprint(theme)
    if request.method == "GET":
        return render_page("processes/themes.html", process, form=form, theme=theme, seen=current)
    if not form.validate():
        return render_page("processes/themes.html", process, form=form, theme=theme, seen=web.seen_by_form(current)), 422
    try:
        refuse_overwriting(process, current)
        operations.save_theme(
            web.current_session(), web.current_actor(), process, theme, web.current_now(), name=form.name.data or "",
            description=form.description.data or "", tone=cast("int", form.tone.data),
        )
    except (InvalidInput, Conflict) as error:
        web.attach(form, error)
        page = render_page("processes/themes.html", process, form=form, theme=theme, seen=web.seen_by_form(current, error))
        return page, web.status_of(error)
    flash(_("Das Thema ist gespeichert."), "success")
    return web.go("processes.themes", process_id=process.id)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/themen/<int:theme_id>/verschieben")
@web.allows(Action.EDIT_PROCESS)
def move_theme(process_id: int, theme_id: int) -> ResponseReturnValue:
    """Earlier or later."""
    process = load_for_editing(process_id)
    operations.move_theme(
        web.current_session(), web.current_actor(), _theme(process, theme_id), wanted_step(), web.current_now()
    )
    return web.go("processes.themes", process_id=process.id)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/themen/<int:theme_id>/loeschen")
@web.allows(Action.EDIT_PROCESS)
def drop_theme(process_id: int, theme_id: int) -> ResponseReturnValue:
    """Take it away while nothing stands under it."""
    process = load_for_editing(process_id)
    theme = _theme(process, theme_id)
    return try_change(
        lambda: operations.delete_theme(web.current_session(), web.current_actor(), theme, web.current_now()),
        _("Das Thema ist gelöscht."),
        lambda: render_page("processes/themes.html", process, form=ThemeForm(formdata=None), theme=None, seen=""),
        url_for("processes.themes", process_id=process.id),
    )
