"""The public catalogue, the planners' workbench, and the exports."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import or_, select
from sqlalchemy.orm import joinedload, selectinload

from participation import clock, web
from participation.actions import Action
from participation.catalogue import operations
from participation.catalogue.forms import MeasureForm
from participation.catalogue.models import MEASURE_STATE_LABELS, PRIORITY_LABELS, Measure
from participation.catalogue.queries import (
    PAGE,
    measure_by_code,
    measure_by_id,
    measures_of,
    measures_of_proposal,
    open_proposals,
    source_counts,
    sources_of,
)
from participation.contributions.models import Contribution
from participation.contributions.proposals.models import Proposal
from participation.errors import Conflict, InvalidInput, NotFound
from participation.municipalities.models import Municipality
from participation.page_cache import cached
from participation.permissions import Role
from participation.processes.edge import hide_unless, load_process
from participation.processes.models import Process
from participation.sent_forms import sent_once

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from participation.contributions.proposals.models import Proposal

blueprint = Blueprint("catalogue", __name__)
LARGEST_ID = 2**31 - 1
LISTED = 200


def proposal_measures(proposal: Proposal) -> str:
    """On a proposal's page: the measures that took it up, as far as the catalogue is public.

    A part, since contributions know nothing of the catalogue.
    """
    if not proposal.process.catalogue_is_public:
        return ""
    measures = measures_of_proposal(web.current_session(), proposal.id)
    return web.render_part("catalogue/_of_proposal.html", measures=measures, process=proposal.process)


@web.for_staff
def planning_links(proposal_id: int, slug: str) -> str:
    """On a proposal's page, for planners: the way into the catalogue, and what took it up before it is public."""
    process = load_process(slug)
    if not web.can(Action.MANAGE_CATALOGUE, process):
        return ""
    drafts = [] if process.catalogue_is_public else measures_of_proposal(web.current_session(), proposal_id)
    return web.render_part("catalogue/_planning_links.html", measures=drafts, process=process, proposal_id=proposal_id)


HOLES = {"planning_links": planning_links}
PARTS = {"proposal_measures": proposal_measures}


def _readable(slug: str) -> Process:
    """A process whose catalogue the reader may see: public, or their own workbench."""
    process = load_process(slug)
    if not process.catalogue_is_public:
        hide_unless(Action.MANAGE_CATALOGUE, process)
    return process


@blueprint.get("/verfahren/<slug>/massnahmen")
@web.public
@cached
def index(slug: str) -> ResponseReturnValue:
    """The catalogue as residents read it."""
    process = _readable(slug)
    session = web.current_session()
    measures = measures_of(session, process.id)
    groups: dict[int | None, list[Measure]] = defaultdict(list)
    for measure in measures:
        groups[measure.theme_id].append(measure)
    return render_template("catalogue/index.html", process=process, measures=measures, groups=groups,
                           counts=source_counts(session, process.id), state_labels=MEASURE_STATE_LABELS,
                           priority_labels=PRIORITY_LABELS)


@blueprint.get("/verfahren/<slug>/massnahmen/<code>")
@web.public
@cached
def show(slug: str, code: str) -> ResponseReturnValue:
    """A Maßnahmenblatt with the proposals it grew from."""
    process = _readable(slug)
    measure = measure_by_code(web.current_session(), process.id, code[:20])
    if measure is None:
        raise NotFound
    is_secret = process.hides_supports(web.current_now())
    sources = [proposal for _id, proposal in sources_of(web.current_session(), [measure.id], by_supports=not is_secret)]
    return render_template("catalogue/show.html", process=process, measure=measure, sources=sources,
                           hides_supports=is_secret,
                           state_labels=MEASURE_STATE_LABELS, priority_labels=PRIORITY_LABELS)


@blueprint.get("/verfahren/<slug>/massnahmenkatalog.<any(xlsx,docx):kind>")
@web.public
@web.limiter.limit("180 per hour")
def export(slug: str, kind: str) -> ResponseReturnValue:
    """The catalogue to take along: a spreadsheet, or a document for the council."""
    # Heavy libraries, rarely needed: a web process that never exports does without.
    from participation.catalogue.export import Catalogue, as_docx, as_xlsx  # noqa: PLC0415

    process = _readable(slug)
    session = web.current_session()
    measures = measures_of(session, process.id)
    sources: dict[int, list[Proposal]] = defaultdict(list)
    for measure_id, proposal in sources_of(session, [measure.id for measure in measures], limit=None,
                                           by_supports=not process.hides_supports(web.current_now())):
        sources[measure_id].append(proposal)
    catalogue = Catalogue(process, process.municipality.name, measures, sources, web.current_now(),
                          web.current_settings().base_url)
    body, media_type = (
        (as_xlsx(catalogue), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet") if kind == "xlsx"
        else (as_docx(catalogue), "application/vnd.openxmlformats-officedocument.wordprocessingml.document")
    )
    day = clock.to_berlin(web.current_now()).strftime("%Y-%m-%d")
    response = Response(body, mimetype=media_type)
    response.headers["Content-Disposition"] = f'attachment; filename="massnahmenkatalog-{process.slug}-{day}.{kind}"'
    return response


def _planned(process_id: int) -> Process:
    """A process whose catalogue the actor edits. Raises NotFound or NotAllowed."""
    process = web.current_session().scalar(
        select(Process).where(Process.id == min(process_id, LARGEST_ID))
        .options(joinedload(Process.municipality), selectinload(Process.themes))
    )
    if process is None:
        raise NotFound
    web.require(Action.MANAGE_CATALOGUE, process)
    return process


@blueprint.get("/verwaltung/massnahmen")
@web.allows(Action.MANAGE_CATALOGUE)
def manage() -> ResponseReturnValue:
    """Choose the process whose catalogue to work on."""
    grants = [one for one in web.current_actor().grants if one.role in {Role.PLANNER, Role.ADMIN}]
    towns = [one.municipality_id for one in grants if one.process_id is None]
    single = [one.process_id for one in grants if one.process_id is not None]
    processes = web.current_session().scalars(
        select(Process).join(Municipality, Municipality.id == Process.municipality_id)
        .where(or_(Process.municipality_id.in_(towns), Municipality.parent_id.in_(towns), Process.id.in_(single)))
        .options(joinedload(Process.municipality))
        .order_by(Process.position, Process.id.desc()).limit(LISTED)
    ).all()
    return render_template("catalogue/manage.html", processes=processes)


def _after() -> tuple[int, int] | None:
    supports, _sep, key = request.args.get("nach", "").partition("-")
    if supports.isdecimal() and key.isdecimal() and len(supports) < 10 and len(key) < 10:  # noqa: PLR2004 - fits the column
        return int(supports), int(key)
    return None


@blueprint.get("/verwaltung/verfahren/<int:process_id>/massnahmen")
@web.allows(Action.MANAGE_CATALOGUE)
def workbench(process_id: int) -> ResponseReturnValue:
    """Measures on one side, what residents proposed on the other."""
    process = _planned(process_id)
    session = web.current_session()
    query = request.args.get("q", "")[:100].replace("\x00", "")
    is_secret = process.hides_supports(web.current_now())
    proposals = session.scalars(
        open_proposals(session, process.id, query, _after(), by_supports=not is_secret)).all()
    last = proposals[PAGE - 1] if len(proposals) > PAGE else None
    return render_template(
        "catalogue/workbench.html", process=process, measures=measures_of(session, process.id),
        counts=source_counts(session, process.id), proposals=proposals[:PAGE], query=query,
        more=f"{last.id if is_secret else last.support_count}-{last.id}" if last else None, hides_supports=is_secret, state_labels=MEASURE_STATE_LABELS,
        priority_labels=PRIORITY_LABELS,
    )


@blueprint.route("/verwaltung/verfahren/<int:process_id>/massnahmen/neu", methods=["GET", "POST"])
@web.allows(Action.MANAGE_CATALOGUE)
@sent_once
def new_measure(process_id: int) -> ResponseReturnValue:
    """A new measure, perhaps out of a proposal."""
    process = _planned(process_id)
    raw = request.values.get("vorschlag", "")
    proposal = _proposal(process, int(raw)) if raw.isdecimal() and len(raw) < 10 else None  # noqa: PLR2004 - fits the column
    form = MeasureForm()
    form.offer(process)
    if request.method == "GET" and proposal is not None:
        form.title.data = proposal.title
        form.theme_id.data = proposal.theme_id or 0
    return _edit(process, None, form, proposal)


@blueprint.route("/verwaltung/massnahmen/<int:measure_id>", methods=["GET", "POST"])
@web.allows(Action.MANAGE_CATALOGUE)
def edit_measure(measure_id: int) -> ResponseReturnValue:
    """Change a measure; a form that saw an older version keeps its text."""
    measure = _measure(measure_id)
    form = MeasureForm(obj=measure if request.method == "GET" else None)
    form.offer(measure.process)
    if request.method == "GET":
        form.theme_id.data = measure.theme_id or 0
        form.state.data = measure.state.value
        form.priority.data = measure.priority.value if measure.priority else ""
        form.deviating_priority.data = measure.deviating_priority.value if measure.deviating_priority else ""
        form.version_seen.data = str(measure.version)
    return _edit(measure.process, measure, form, None)


def _edit(process: Process, measure: Measure | None, form: MeasureForm, proposal: Proposal | None) -> ResponseReturnValue:
    status = 200
    if form.is_submitted() and web.all_right(form, lambda: operations.checked_measure(process, form.data)):
        seen = form.version_seen.data or ""
        try:
            saved = operations.save_measure(
                web.current_session(), web.current_actor(), process, measure, form.data,
                version_seen=int(seen) if seen.isdecimal() else -1, now=web.current_now(),
            )
            if proposal is not None:
                operations.take_up_proposal(web.current_session(), web.current_actor(), saved, proposal,
                                            web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
        except Conflict as error:
            web.attach(form, error)
            form.version_seen.data = str(measure.version) if measure else ""
            status = 409
        else:
            flash(_("Maßnahme %(code)s ist gespeichert.", code=saved.code), "success")
            return web.go("catalogue.workbench", process_id=process.id)
    if form.is_submitted() and status == 200:  # noqa: PLR2004 - not a conflict
        status = 422
    by_supports = not process.hides_supports(web.current_now())
    sources = [one for _id, one in sources_of(web.current_session(), [measure.id], by_supports=by_supports)] if measure else []
    return render_template("catalogue/edit.html", process=process, measure=measure, form=form, proposal=proposal,
                           sources=sources), status


def _measure(measure_id: int) -> Measure:
    measure = measure_by_id(web.current_session(), measure_id)
    if measure is None:
        raise NotFound
    web.require(Action.MANAGE_CATALOGUE, measure)
    return measure


def _proposal(process: Process, proposal_id: int) -> Proposal:
    proposal = web.current_session().scalar(
        select(Proposal).where(Proposal.id == min(proposal_id, LARGEST_ID), Contribution.process_id == process.id)
    )
    if proposal is None:
        raise NotFound
    return proposal


@blueprint.post("/verwaltung/verfahren/<int:process_id>/massnahmen/uebernehmen")
@web.allows(Action.MANAGE_CATALOGUE)
def take_up(process_id: int) -> ResponseReturnValue:
    """Take a proposal into a measure, or begin a new one with it."""
    process = _planned(process_id)
    raw, chosen = request.form.get("vorschlag", ""), request.form.get("massnahme", "")
    if not raw.isdecimal() or len(raw) > 9:  # noqa: PLR2004 - fits the column
        raise NotFound
    proposal = _proposal(process, int(raw))
    if not chosen.isdecimal() or len(chosen) > 9:  # noqa: PLR2004 - fits the column
        return web.go("catalogue.new_measure", process_id=process.id, vorschlag=proposal.id)
    measure = _measure(int(chosen))
    if operations.take_up_proposal(web.current_session(), web.current_actor(), measure, proposal, web.current_now()):
        flash(_("In %(code)s übernommen: %(title)s", code=measure.code, title=proposal.title), "success")
    else:
        flash(_("Dieser Vorschlag steht schon in %(code)s.", code=measure.code), "info")
    return redirect(url_for("catalogue.workbench", process_id=process.id) + "#vorschlaege", code=303)


@blueprint.post("/verwaltung/massnahmen/<int:measure_id>/vorschlag-entfernen")
@web.allows(Action.MANAGE_CATALOGUE)
def drop(measure_id: int) -> ResponseReturnValue:
    """Undo taking up."""
    measure = _measure(measure_id)
    raw = request.form.get("vorschlag", "")
    if raw.isdecimal() and len(raw) < 10:  # noqa: PLR2004 - fits the column
        operations.drop_source(web.current_session(), web.current_actor(), measure, int(raw), web.current_now())
        flash(_("Der Vorschlag gehört nicht mehr zu dieser Maßnahme."), "success")
    return web.go("catalogue.edit_measure", measure_id=measure.id)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/massnahmen/veroeffentlichen")
@web.allows(Action.MANAGE_CATALOGUE)
def publish(process_id: int) -> ResponseReturnValue:
    """Show the catalogue to everybody, or take it back."""
    process = _planned(process_id)
    is_public = request.form.get("oeffentlich") == "1"
    operations.set_publication(web.current_session(), web.current_actor(), process, is_public=is_public,
                               now=web.current_now())
    flash(_("Der Katalog ist jetzt öffentlich.") if is_public else _("Der Katalog ist nicht mehr öffentlich."),
          "success")
    return web.go("catalogue.workbench", process_id=process.id)
