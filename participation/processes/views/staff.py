"""What the pages of editors have in common: the process they change, its tabs, who saved meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from participation import web
from participation.actions import Action
from participation.errors import Conflict, NotFound
from participation.processes import history, operations
from participation.processes.models import Process
from participation.processes.queries import process_for_editing

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue

PER_PAGE = 50
STEPS = {"hoch": -1, "runter": 1}
_more_tabs: list[tuple[str, str, tuple[str, ...]]] = []


def add_tab(label: str, endpoint: str, endpoints: tuple[str, ...]) -> None:
    """Features above this one have pages about a process too: (German label, first page, all pages of the tab)."""
    _more_tabs.append((label, endpoint, endpoints))


def load_for_editing(process_id: int) -> Process:
    """The process that the address names, for those who may edit it."""
    process = process_for_editing(web.current_session(), web.the_municipality().id, process_id,
                                  to_change=request.method == "POST")
    if process is None:
        raise NotFound
    web.require(Action.EDIT_PROCESS, process)
    return process


def tabs_of(process: Process) -> list[tuple[str, str, bool]]:
    """The parts of a process as tabs: (label, address, whether it is this page)."""
    parts = (
        (_("Angaben"), "processes.edit", ("processes.edit",)),
        (_("Phasen"), "processes.phases", ("processes.phases", "processes.new_phase", "processes.edit_phase",
                                             "processes.own_fields", "processes.edit_own_field")),
        (_("Themen"), "processes.themes", ("processes.themes", "processes.edit_theme")),
        (_("Dokumente"), "processes.documents", ("processes.documents", "processes.edit_document")),
        (_("Sprachen"), "processes.variants", ("processes.variants",)),
        (_("Verlauf"), "processes.versions", ("processes.versions",)),
        (_("Neuigkeiten"), "processes.news", ("processes.news", "processes.edit_news")),
        *((_(label), endpoint, endpoints) for label, endpoint, endpoints in _more_tabs),
    )
    return [
        (label, url_for(endpoint, process_id=process.id), request.endpoint in covered)
        for label, endpoint, covered in parts
    ]


def render_page(template: str, process: Process, **context: Any) -> str:  # noqa: ANN401 - as render_template
    """A page about a process, with its tabs and how long its texts may be."""
    return render_template(template, process=process, tabs=tabs_of(process), limits=operations, **context)


def refuse_overwriting(process: Process, current: str) -> None:
    """Raises Conflict when somebody else saved since the form was opened."""
    history.refuse_overwriting(web.current_session(), process, request.form.get("seen", ""), current)


def wanted_step() -> int:
    """Which way a row is to be moved."""
    return STEPS.get(request.form.get("richtung", ""), 1)


def try_change(change: Callable[[], None], done: str, page: Callable[[], str], address: str) -> ResponseReturnValue:
    """Do it and go on, or show the same page with what hinders, 409."""
    try:
        change()
    except Conflict as error:
        flash(web.translated(error), "error")
        return page(), error.status
    flash(done, "success")
    return redirect(address, code=303)


def is_number(raw: str) -> bool:
    """Whether an address names a row that could exist."""
    return raw.isascii() and raw.isdecimal() and len(raw) < 10  # noqa: PLR2004 - fits into the column
