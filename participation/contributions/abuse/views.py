"""The report for planners and editors, and what they decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Blueprint, flash, redirect, render_template, request
from flask_babel import gettext as _, ngettext

from participation import web
from participation.actions import Action
from participation.contributions.abuse import jobs, operations  # noqa: F401 - jobs register themselves
from participation.contributions.abuse.forms import ReasonForm, WindowForm
from participation.contributions.abuse.models import Annulment, VoteFlag
from participation.contributions.abuse.queries import Suspect, annulments_of, effect_of, flags_of, open_flags
from participation.errors import Conflict, InvalidInput, NotFound
from participation.formats import BallotRule
from participation.i18n import N_
from participation.processes.edge import load_process
from participation.processes.operations import read_wall
from participation.processes.queries import LARGEST_ID, process_for_editing
from participation.processes.views.staff import add_tab, tabs_of
from participation.written import format_datetime

if TYPE_CHECKING:
    from datetime import datetime

    from flask.typing import ResponseReturnValue

    from participation.processes.models import Process

blueprint = Blueprint("abuse", __name__)
add_tab(N_("Stimmen"), "abuse.report", ("abuse.report", "abuse.annul", "abuse.window", "abuse.undo"))


@web.for_staff
def report_link(slug: str) -> str:
    """On the page of a result, for those who watch over the vote."""
    process = load_process(slug)
    if not web.can(Action.ANNUL_VOTES, process):
        return ""
    return web.render_part("contributions/abuse/_link.html", process_id=process.id)


def annulled_votes(process: Process) -> str:
    """On the page of a process: every annulment with its reason. Supports belong to no phase, so no result has them all."""
    found = web.current_session().scalars(annulments_of(process.id)).all()
    if not found:
        return ""
    # Undone, an annulment of everything would tell how many have voted so far.
    is_secret = any(phase.hides_interim_results for phase in process.open_phases(web.current_now()))
    return web.render_part("contributions/abuse/_annulled_votes.html", annulments=found, is_secret=is_secret)


def flagged_votes() -> str:
    """On the overview of the staff: where flags wait for somebody who may act on them."""
    flagged = [(process, number) for process, number in web.current_session().execute(open_flags(web.the_municipality().id))
               if web.can(Action.ANNUL_VOTES, process)]
    return web.render_part("contributions/abuse/_flagged_votes.html", flagged=flagged) if flagged else ""


HOLES: dict[str, Callable[..., str]] = {"votes_report": report_link}
PARTS: dict[str, Callable[..., str]] = {"annulled_votes": annulled_votes, "flagged_votes": flagged_votes}


def _process(process_id: int) -> Process:
    process = process_for_editing(web.current_session(), web.the_municipality().id, process_id)
    if process is None:
        raise NotFound
    web.require(Action.ANNUL_VOTES, process)
    return process


def _page(process: Process, **values: object) -> str:
    session = web.current_session()
    tabs = tabs_of(process) if web.can(Action.EDIT_PROCESS, process) else []
    return render_template(
        "contributions/abuse/report.html", process=process, tabs=tabs, flags=session.execute(flags_of(process.id)).all(),
        annulments=session.scalars(annulments_of(process.id)).all(), limit=operations.REASON_MAX,
        **{"form": None, "chosen": None, "undone": None, **values},
    )


@blueprint.get("/verwaltung/verfahren/<int:process_id>/stimmen")
@web.allows(Action.ANNUL_VOTES)
def report(process_id: int) -> ResponseReturnValue:
    """What was slowed down, and what does not count."""
    return _page(_process(process_id))


@blueprint.route("/verwaltung/verfahren/<int:process_id>/stimmen/<int:flag_id>/annullieren", methods=["GET", "POST"])
@web.allows(Action.ANNUL_VOTES)
def annul(process_id: int, flag_id: int) -> ResponseReturnValue:
    """With a reason that everybody reads."""
    process, form = _process(process_id), ReasonForm()
    found = web.current_session().get(VoteFlag, min(flag_id, LARGEST_ID))
    if found is None or found.process_id != process.id:
        raise NotFound
    if request.method == "POST":
        try:
            annulment = operations.annul(web.current_session(), web.current_actor(), process,
                                         Suspect(source_hash=found.source_hash), form.reason.data or "", web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
        except Conflict as error:
            web.current_session().rollback()
            flash(web.translated(error), "warning")
            return web.go("abuse.report", process_id=process_id)
        else:
            flash(ngettext("%(num)s Stimme zählt nicht mehr. Die Zähler sind berichtigt.",
                           "%(num)s Stimmen zählen nicht mehr. Die Zähler sind berichtigt.",
                           annulment.votes + annulment.ballots), "success")
            return web.go("abuse.report", process_id=process_id)
    return _page(process, form=form, chosen=found), 422 if form.errors else 200


def _suspect(form: WindowForm, flags: list[VoteFlag]) -> Suspect | None:
    """What the form describes; None, with a message beside the field, when it describes nothing."""
    if not form.validate():
        return None
    try:
        since, until = read_wall(form.von.data, "von"), read_wall(form.bis.data, "bis")
    except InvalidInput as error:
        web.attach(form, error)
        return None
    for field, instant in ((form.von, since), (form.bis, until)):
        if instant is None:
            field.errors = [_("Bitte geben Sie Tag und Uhrzeit an.")]
    if since is not None and until is not None and until <= since:
        form.bis.errors = [_("Das Ende muss nach dem Beginn liegen. Bitte wählen Sie ein späteres Ende.")]
    if form.errors or since is None or until is None:
        return None
    chosen = next((one for one in flags if str(one.id) == form.adresse.data), None)
    return Suspect.within(chosen.source_hash if chosen else None, since, until, web.current_now())


def _hides_ballots(process: Process, now: datetime) -> bool:
    """Whether how many have voted so far is secret: ballots of all votes of a process are told in one number."""
    return any(phase.hides_interim_results and phase.ballot is not BallotRule.SUPPORT for phase in process.open_phases(now))


@blueprint.route("/verwaltung/verfahren/<int:process_id>/stimmen/zeitraum", methods=["GET", "POST"])
@web.allows(Action.ANNUL_VOTES)
def window(process_id: int) -> ResponseReturnValue:
    """Votes within a time, perhaps of one flagged address: first what it would take away, then the reason."""
    process = _process(process_id)
    session, now = web.current_session(), web.current_now()
    flags = [row[0] for row in session.execute(flags_of(process.id))]
    form, reason = WindowForm(formdata=request.args), ReasonForm()
    form.adresse.choices = [("", _("Alle Adressen")), *(
        (str(one.id), _("Auffällige Adresse vom %(date)s", date=format_datetime(one.first_at, "short")))
        for one in flags)]
    suspect = _suspect(form, flags) if request.args else None
    status = 422 if form.errors else 200
    if request.method == "POST" and suspect is not None:
        seen = request.form.get("anzahl", "")
        try:
            annulment = operations.annul(
                session, web.current_actor(), process, suspect, reason.reason.data or "", now,
                expected=int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 10 else -1)  # noqa: PLR2004 - no more than there are rows
        except InvalidInput as error:
            web.attach(reason, error)
            status = 422
        except Conflict as error:
            session.rollback()
            flash(web.translated(error), "warning")
            return redirect(request.full_path, code=303)
        else:
            flash(ngettext("%(num)s Stimme zählt nicht mehr. Die Zähler sind berichtigt.",
                           "%(num)s Stimmen zählen nicht mehr. Die Zähler sind berichtigt.",
                           annulment.votes + annulment.ballots), "success")
            return web.go("abuse.report", process_id=process_id)
    return render_template(
        "contributions/abuse/window.html", process=process, form=form, reason=reason, limit=operations.REASON_MAX,
        tabs=tabs_of(process) if web.can(Action.EDIT_PROCESS, process) else [],
        effect=effect_of(session, process, suspect) if suspect is not None else None,
        hides_supports=process.hides_supports(now), hides_ballots=_hides_ballots(process, now), here=request.full_path,
    ), status


@blueprint.route("/verwaltung/verfahren/<int:process_id>/stimmen/zuruecknehmen/<int:annulment_id>",
                 methods=["GET", "POST"])
@web.allows(Action.ANNUL_VOTES)
def undo(process_id: int, annulment_id: int) -> ResponseReturnValue:
    """It was a mistake, and everybody reads that too."""
    process, form = _process(process_id), ReasonForm()
    found = web.current_session().get(Annulment, min(annulment_id, LARGEST_ID))
    if found is None or found.process_id != process.id:
        raise NotFound
    if request.method == "POST":
        try:
            number = operations.undo(web.current_session(), web.current_actor(), process, found, form.reason.data or "",
                                     web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
        except Conflict as error:
            flash(web.translated(error), "warning")
            return web.go("abuse.report", process_id=process_id)
        else:
            flash(ngettext("%(num)s Stimme zählt wieder. Die Zähler sind berichtigt.",
                           "%(num)s Stimmen zählen wieder. Die Zähler sind berichtigt.", number), "success")
            return web.go("abuse.report", process_id=process_id)
    return _page(process, form=form, undone=found), 422 if form.errors else 200
