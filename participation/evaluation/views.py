"""Where planners, editors and moderators take the contributions of a process along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, render_template, request, send_file
from sqlalchemy import select

from participation import audit, clock, web
from participation.actions import Action
from participation.errors import NotFound
from participation.evaluation.queries import ALL, PUBLIC
from participation.i18n import N_
from participation.municipalities.models import District
from participation.processes.queries import process_for_editing, supports_of
from participation.processes.views.staff import add_tab, tabs_of

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from participation.processes.models import Process

blueprint = Blueprint("evaluation", __name__)
add_tab(N_("Auswertung"), "evaluation.index", ("evaluation.index",))
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# What can be taken along: (name of the file, type, German name, what it is for).
FILES: dict[str, tuple[str, str, str, str]] = {
    "tabelle": ("beitraege", "xlsx", N_("Tabelle (XLSX)"),
                N_("Vorschläge und Kommentare auf zwei Blättern, für Excel und LibreOffice.")),
    "vorschlaege": ("vorschlaege", "csv", N_("Vorschläge (CSV)"), N_("Für andere Programme und für Statistik.")),
    "kommentare": ("kommentare", "csv", N_("Kommentare (CSV)"), N_("Für andere Programme und für Statistik.")),
    "karte": ("vorschlaege", "geojson", N_("Karte (GeoJSON)"),
              N_("Vorschläge mit Punkt auf der Karte, für QGIS und andere Geoinformationssysteme.")),
}
# The charset of a text is added when it is sent.
TYPES = {"xlsx": XLSX, "csv": "text/csv", "geojson": "application/geo+json"}


def _process(process_id: int) -> Process:
    found = process_for_editing(web.current_session(), web.the_municipality().id, process_id)
    if found is None:
        raise NotFound
    web.require(Action.EXPORT_CONTRIBUTIONS, found)
    return found


@blueprint.get("/verwaltung/verfahren/<int:process_id>/auswertung")
@web.allows(Action.EXPORT_CONTRIBUTIONS)
def index(process_id: int) -> ResponseReturnValue:
    """What there is, in numbers, and the files."""
    process = _process(process_id)
    # Planners have this one page of a process; the others are the editors'.
    tabs = tabs_of(process) if web.can(Action.EDIT_PROCESS, process) else []
    is_secret = process.hides_supports(web.current_now())
    supports = 0 if is_secret else supports_of(web.current_session(), [process.id])[process.id]
    return render_template("evaluation/index.html", process=process, tabs=tabs, files=FILES, supports=supports,
                           hides_supports=is_secret, may_plan=web.can(Action.MANAGE_CATALOGUE, process),
                           may_annul=web.can(Action.ANNUL_VOTES, process))


@blueprint.post("/verwaltung/verfahren/<int:process_id>/auswertung/<any(tabelle,vorschlaege,kommentare,karte):kind>")
@web.allows(Action.EXPORT_CONTRIBUTIONS)
@web.limiter.limit("60 per hour")
def export(process_id: int, kind: str) -> ResponseReturnValue:
    """One file. It is a POST, so that no link to it can lie about, and the log says who took what along."""
    # Heavy libraries, rarely needed: a web process that never exports does without.
    from participation.evaluation.export import (  # noqa: PLC0415
        Evaluation,
        as_csv,
        as_geojson,
        as_xlsx,
        comment_columns,
        comment_rows,
        proposal_columns,
        proposal_rows,
    )

    # Reading may take long; nobody who writes waits for it.
    web.reads_only()
    process, actor, now = _process(process_id), web.current_actor(), web.current_now()
    session, everything = web.current_session(), request.form.get("umfang") == "alle"
    districts = {row.id: row.name for row in session.execute(
        select(District.id, District.name).where(District.municipality_id == process.municipality_id))}
    evaluation = Evaluation(session, process, ALL if everything else PUBLIC, districts,
                            web.current_settings().base_url, now, actor.display_name)
    if kind == "tabelle":
        file = as_xlsx(evaluation)
    elif kind == "karte":
        file = as_geojson(evaluation)
    elif kind == "kommentare":
        file = as_csv(comment_columns(), comment_rows(evaluation))
    else:
        file = as_csv(proposal_columns(evaluation), proposal_rows(evaluation))
    with web.current_database().unit_of_work() as log:
        audit.record(log, at=now, actor=actor.label, action="export_contributions", subject_type="process",
                     subject_id=process.id, kind=kind, everything=everything)
    name, ending, _label, _use = FILES[kind]
    response: Response = send_file(
        file, mimetype=TYPES[ending], as_attachment=True,
        download_name=f"{name}-{process.slug}-{clock.to_berlin(now):%Y-%m-%d}.{ending}", etag=False,
    )
    # What nobody has published yet, and the names of many, lie in no cache.
    response.headers["Cache-Control"] = "no-store"
    return response
