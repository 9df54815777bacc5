"""Casting a ballot, its results, and the ballot paper that editors prepare."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flask import Blueprint, Response, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _, ngettext

from participation import web
from participation.actions import Action
from participation.contributions.abuse.edge import current_source, slow_down
from participation.contributions.abuse.queries import annulments_in, undone_in
from participation.contributions.ballots import operations
from participation.contributions.ballots.forms import LONGEST, OptionForm, whole_number
from participation.contributions.ballots.queries import (
    CHANNEL_LABELS,
    OUTCOME_LABELS,
    RESULTS_SHOWN,
    Outcome,
    OwnBallot,
    Result,
    Standing,
    began_before,
    goes_on,
    is_option,
    options_of,
    own_ballot,
    phases_with_options,
    results,
    standing_of_marks,
    turnout,
)
from participation.contributions.models import SHUFFLE_RANGE, ContributionState
from participation.contributions.proposals.edge import LARGEST_ID, load_standing
from participation.contributions.proposals.queries import Listing, Sort, list_page, read_cursor
from participation.errors import Conflict, DomainError, InvalidInput, NotFound
from participation.formats import BallotRule
from participation.i18n import N_
from participation.page_cache import cached
from participation.processes.edge import beginning, load_process
from participation.processes.models import Phase, PhaseState
from participation.processes.plausibility import MORE_HINTS, Hint
from participation.processes.views.staff import load_for_editing, tabs_of
from participation.tokens import hash_token

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from participation.processes.models import Process

blueprint = Blueprint("ballots", __name__)
operations.connect()
# As many as a page of the list of proposals has.
MARKS_AT_ONCE = 60
# Where each person has a number of something to give.
COUNTED_OUT = (BallotRule.CHOICE, BallotRule.POINTS)
_OTHER_WINDOW = N_("Sie haben Ihren Stimmzettel inzwischen in einem anderen Fenster gespeichert. Hier steht, was Sie in diesem "
                   "Fenster gewählt haben. Speichern Sie noch einmal, wenn das gelten soll.")
_GONE = N_("Das steht nicht mehr zur Wahl: %(names)s. Alles andere steht noch so da, wie Sie es gewählt haben. Bitte speichern "
           "Sie noch einmal.")


def _phase(process: Process, phase_id: int) -> Phase:
    """A phase with a ballot of its own. Raises NotFound."""
    found = next((one for one in process.phases if one.id == phase_id), None)
    if found is None or found.ballot is None:
        raise NotFound
    return found


def _is_voting(phase: Phase) -> bool:
    return phase.opens(Action.CAST_BALLOT)


def _own(phase: Phase) -> OwnBallot:
    actor = web.current_actor()
    if not actor.is_signed_in or actor.identity is None:
        return OwnBallot()
    return own_ballot(web.current_session(), phase.id, web.current_keyring().voter_of(phase.process_id, actor.identity))


def ballot_box(slug: str, proposal_id: int, phase_id: int) -> str:
    """On a proposal's page: one's own mark, where an open phase asks for marks."""
    proposal, now = load_standing(slug, proposal_id), web.current_now()
    phase = next((one for one in proposal.process.phases_opening(Action.CAST_BALLOT, now) if one.id == phase_id), None)
    if phase is None or not proposal.is_published:
        return ""
    if phase.ballot is BallotRule.BUDGET and not web.current_session().scalar(is_option(phase.id, proposal_id)):
        return ""
    own = _own(phase)
    return web.render_part(
        "contributions/ballots/_box.html", slug=slug, proposal_id=proposal_id, phase=phase, anchor=anchor_of(phase), rule=(phase.ballot or BallotRule.SUPPORT).value,
        own_mark=own.marks.get(proposal_id, 0), spent=own.spent, elsewhere=_given_elsewhere(phase, own, proposal_id), why=own.why_annulled,
        is_signed_in=web.current_actor().is_signed_in, may_vote=web.can(Action.CAST_BALLOT, phase), problem="",
    )


def _given_elsewhere(phase: Phase, own: OwnBallot, proposal_id: int) -> dict[int, str]:
    """Where all votes of somebody went, when none is left for this proposal."""
    is_left = proposal_id in own.standing or own.spent < getattr(phase.settings, "votes", 0)
    return own.titles if phase.ballot is BallotRule.CHOICE and not is_left else {}


def anchor_of(phase: Phase) -> str:
    """Where the box of a vote stands on a proposal's page."""
    return f"abstimmen-{phase.id}"


HOLES: dict[str, Callable[..., str]] = {"ballot": ballot_box}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a ballot paper."""

    id: int
    title: str
    excerpt: str
    theme_id: int | None
    mark: int
    cost: int | None = None
    problem: str = ""


@blueprint.get("/verfahren/<slug>/abstimmung/<int:phase_id>")
@web.public
def show(slug: str, phase_id: int) -> ResponseReturnValue:
    """The ballot paper: readable for everybody, to be filled in by whoever may vote."""
    process = load_process(slug)
    phase = _phase(process, phase_id)
    now = web.current_now()
    if phase.state(now) is PhaseState.CLOSED or process.phase_opening(Action.CAST_BALLOT, now) is None:
        if phase.shows_results(now):
            return redirect(url_for("ballots.show_results", slug=slug, phase_id=phase_id))
        if phase.state(now) is not PhaseState.UPCOMING:
            raise NotFound
    if not _is_voting(phase):
        return redirect(url_for("proposals.index", slug=slug))
    return _paper(process, phase, _own(phase))


def _paper(
    process: Process, phase: Phase, own: OwnBallot, error: DomainError | None = None, entered: dict[int, int] | None = None,
) -> ResponseReturnValue:
    web.do_not_cache()
    session, marks, next_href, first = web.current_session(), own.marks if entered is None else entered, None, None
    if phase.ballot is BallotRule.BUDGET:
        lines = [Line(one.id, one.title, one.excerpt, one.theme_id, marks.get(one.id, 0), one.cost)
                 for one in options_of(session, phase.id)]
    else:
        start = request.args.get("ab", "")
        first = int(start) % SHUFFLE_RANGE if start.isascii() and start.isdecimal() and len(start) < 10 else _start(phase)  # noqa: PLR2004
        listing = Listing(process_id=process.id, sort=Sort.FAIR, start=first,
                          after=read_cursor(Sort.FAIR, request.args.get("nach", "")))
        page = list_page(session, listing)
        lines = [Line(one.id, one.title, one.excerpt, one.theme_id, marks.get(one.id, 0)) for one in page.cards]
        if page.next_cursor:
            next_href = url_for("ballots.show", slug=process.slug, phase_id=phase.id, nach=page.next_cursor, ab=first)
    now = web.current_now()
    gone = _gone_marks(phase, own, lines) if phase.is_open(now) and not own.why_annulled else {}
    lines, problems = _beside(lines, error)
    body = render_template(
        "contributions/ballots/show.html", process=process, phase=phase, rule=(phase.ballot or BallotRule.SUPPORT).value,
        lines=lines, marks=marks, spent=_spent(phase, marks, lines), saved=_spent(phase, own.standing, lines), problems=problems, next_href=next_href,
        gone=gone_names(process.id, list(gone)) if gone else "", gone_points=sum(gone.values()), first=first, number_gone=len(gone),
        themes={theme.id: theme for theme in process.themes}, is_open=phase.is_open(now),
        begins=beginning(phase.starts_at) if phase.starts_at else "",
        may_vote=web.can(Action.CAST_BALLOT, phase) and not own.why_annulled, why=own.why_annulled,
        is_signed_in=web.current_actor().is_signed_in,
        here=request.full_path.rstrip("?"), results_open=phase.shows_results(now),
        typed=request.form, seen=_stand(own.marks, None if phase.ballot is BallotRule.BUDGET else {one.id for one in lines}),
    )
    return body, error.status if error else 200


def _beside(lines: list[Line], error: DomainError | None) -> tuple[list[Line], list[tuple[int, str]]]:
    """What an error says, each part with the line it is about: its own, or the first with a mark for what is about all."""
    if error is None:
        return lines, []
    found = [(one.field or "", web.translated(one)) for one in (error, *getattr(error, "others", ()))]
    own = {key.removeprefix(operations.MARK_OF): text for key, text in found if key.startswith(operations.MARK_OF)}
    lines = [replace(one, problem=own.get(str(one.id), "")) for one in lines]
    marked = next((one.id for one in lines if one.mark), lines[0].id if lines else 0)
    return lines, [*((one.id, one.problem) for one in lines if one.problem),
                   *((marked, text) for key, text in found if not key.startswith(operations.MARK_OF))]


def _gone_marks(phase: Phase, own: OwnBallot, lines: list[Line]) -> dict[int, int]:
    """What stands on somebody's ballot for what nobody can vote for any more."""
    shown = {one.id for one in lines}
    away = {key: mark for key, mark in own.marks.items() if key not in shown}
    if not away or phase.ballot is BallotRule.BUDGET:
        return away
    known = standing_of_marks(web.current_session(), phase.process_id, list(away))
    return {key: mark for key, mark in away.items()
            if key not in known or known[key].state is not ContributionState.PUBLISHED}


def gone_names(process_id: int, ids: Sequence[int]) -> str:
    """What to call those that are gone: by title only where everybody may still read it."""
    known = standing_of_marks(web.current_session(), process_id, ids)
    names = [(f"„{one.title}“" if one.title else gone_title(one)) for one in known.values()]
    return "; ".join(names if len(known) == len(set(ids)) else [*names, str(_("ein Vorschlag, den es hier nicht gibt"))])


def _stand(marks: dict[int, int], shown: Container[int] | None) -> str:
    """What a paper was filled with: who sends it back can be told that they saved another one meanwhile."""
    return hash_token(json.dumps(sorted((key, mark) for key, mark in marks.items() if shown is None or key in shown)))


def _is_outdated(own: OwnBallot, changes: dict[int, int], *, is_budget: bool) -> bool:
    """Whether a paper is from before the last saving, and says something else than what was saved then."""
    shown, seen = None if is_budget else changes, request.form.get("stand", "")
    now = _stand(own.marks, shown)
    return seen not in {"", now} and _stand({key: mark for key, mark in changes.items() if mark}, shown) != now


def _start(phase: Phase) -> int:
    """Where the list begins for this reader: elsewhere for others, so that none is first for all."""
    reader = web.current_actor().identity or f"{request.remote_addr} {request.user_agent.string}"
    return int(web.current_keyring().mark("ballot-order", f"{phase.id}:{reader}")[:8], 16) % SHUFFLE_RANGE


def _spent(phase: Phase, marks: dict[int, int], lines: list[Line]) -> int:
    if phase.ballot is BallotRule.BUDGET:
        return sum(one.cost or 0 for one in lines if marks.get(one.id))
    return sum(marks.values()) if phase.ballot in COUNTED_OUT else len(marks)


@blueprint.post("/verfahren/<slug>/abstimmung/<int:phase_id>")
@web.public
@slow_down
def cast(slug: str, phase_id: int) -> ResponseReturnValue:
    """Store the marks of one page of the paper, or of a whole basket."""
    process = load_process(slug)
    phase = _phase(process, phase_id)
    web.require(Action.CAST_BALLOT, phase)
    is_budget = phase.ballot is BallotRule.BUDGET
    changes = _read_marks(is_budget=is_budget)
    own = _own(phase)
    if _is_outdated(own, changes, is_budget=is_budget):
        return _paper(process, phase, own, Conflict(_OTHER_WINDOW), _entered(own, changes, is_budget=is_budget))
    try:
        marks = operations.cast(web.current_session(), web.current_keyring(), web.current_actor(), phase, changes,
                                web.current_now(), replace=is_budget, source=current_source(process.id))
    except operations.Vanished as error:
        if request.form.get("von") == "vorschlag":
            raise
        entered = {key: mark for key, mark in _entered(own, changes, is_budget=is_budget).items() if key not in error.gone}
        return _paper(process, phase, own, Conflict(_GONE, names=gone_names(process.id, error.gone)), entered)
    except InvalidInput as error:
        if request.form.get("von") == "vorschlag" and len(changes) == 1 and not is_budget:
            return _one_mark(phase, own, next(iter(changes)), error)
        return _paper(process, phase, own, error, _entered(own, changes, is_budget=is_budget))
    flash(_message(phase, marks), "success")
    if request.form.get("von") == "vorschlag":
        return _to_proposal(phase, next(iter(changes), 0))
    return web.onward(url_for("ballots.show", slug=slug, phase_id=phase_id))


def _one_mark(phase: Phase, own: OwnBallot, proposal_id: int, error: InvalidInput) -> ResponseReturnValue:
    """What was refused in the box on a proposal's page: the box alone, as it was filled in, with the reason."""
    proposal = standing_of_marks(web.current_session(), phase.process_id, [proposal_id])[proposal_id]
    # A button gives a vote or takes it back, so it goes by what is stored.
    stored = own.marks.get(proposal_id, 0) if phase.ballot is BallotRule.CHOICE else None
    return render_template(
        "contributions/ballots/mark.html", process=phase.process, slug=phase.process.slug, phase=phase, proposal=proposal,
        proposal_id=proposal_id, anchor=anchor_of(phase), rule=(phase.ballot or BallotRule.SUPPORT).value, spent=own.spent,
        elsewhere=_given_elsewhere(phase, own, proposal_id),
        own_mark=request.form.get(f"{operations.MARK_OF}{proposal_id}", "") if stored is None else stored,
        problem=web.translated(error),
    ), error.status


def _entered(own: OwnBallot, changes: dict[int, int], *, is_budget: bool) -> dict[int, int]:
    """What to show where nothing was stored: the marks of this page as they were sent, all others as they are."""
    entered = changes if is_budget else {**own.marks, **changes}
    return {key: value for key, value in entered.items() if value not in {0, operations.NO_MARK}}


def _read_marks(*, is_budget: bool) -> dict[int, int]:
    """What the form says, by proposal.

    What is no number of any is 0, a proposal that nobody can vote for: left out, it would empty a basket.
    """
    if is_budget:
        return {_proposal_number(raw): 1 for raw in request.form.getlist("korb")[: operations.OPTIONS_MAX + 1]}
    changes: dict[int, int] = {}
    for raw in request.form.getlist("zeile")[:MARKS_AT_ONCE]:
        key, entered = _proposal_number(raw), request.form.get(f"marke-{raw}", "").strip()
        changes[key] = _mark(entered or "0")
    return changes


def _mark(entered: str) -> int:
    """A mark as it is entered: here "1.5" is no way to write 15, as it would be for euros."""
    is_number = entered.isascii() and entered.isdecimal() and len(entered) <= LONGEST
    return int(entered) if is_number else -1 if entered == "-1" else operations.NO_MARK


def _proposal_number(raw: str) -> int:
    number = whole_number(raw) or 0
    return number if number <= LARGEST_ID else 0


def _message(phase: Phase, marks: dict[int, int]) -> str:
    if not marks:
        return str(_("Gespeichert. Auf Ihrem Stimmzettel steht jetzt nichts."))
    if phase.ballot is BallotRule.CHOICE:
        total = getattr(phase.settings, "votes", 0)
        return str(ngettext("Danke! Gespeichert: Sie haben %(spent)s von %(num)s Stimme vergeben.",
                            "Danke! Gespeichert: Sie haben %(spent)s von %(num)s Stimmen vergeben.", total, spent=len(marks)))
    if phase.ballot is BallotRule.POINTS:
        return str(_("Danke! Gespeichert: %(spent)s von %(total)s Punkten sind vergeben.", spent=sum(marks.values()),
                     total=getattr(phase.settings, "points", 0)))
    if phase.ballot is BallotRule.BUDGET:
        return str(_("Danke! Ihre Auswahl ist gespeichert. Sie können sie bis zum Ende der Phase ändern."))
    return str(_("Danke! Ihre Stimme ist gezählt. Sie können sie bis zum Ende der Phase ändern."))


def _to_proposal(phase: Phase, proposal_id: int) -> ResponseReturnValue:
    slug = phase.process.slug
    if not proposal_id:
        return web.go("proposals.index", slug=slug)
    return web.go("proposals.show", slug=slug, proposal_id=proposal_id, _anchor=anchor_of(phase))


def _with_results(slug: str, phase_id: int) -> Phase:
    """A phase whose numbers are public. Until then nobody sees them, whoever asks: an interim result would sway."""
    phase = _phase(load_process(slug), phase_id)
    if not phase.shows_results(web.current_now()):
        raise NotFound
    return phase


def gone_title(one: Result | Standing) -> str:
    """What stands in a result for a proposal that is not public any more."""
    if one.state is ContributionState.WITHDRAWN:
        return str(_("Vorschlag %(number)s, zurückgezogen", number=one.id))
    return str(_("Vorschlag %(number)s, nicht mehr öffentlich", number=one.id))


def places(rows: Sequence[Result]) -> list[int]:
    """The place of each row: equal numbers share one."""
    found: list[int] = []
    for number, row in enumerate(rows, start=1):
        found.append(found[-1] if number > 1 and rows[number - 2].total == row.total else number)
    return found


@blueprint.get("/verfahren/<slug>/abstimmung/<int:phase_id>/ergebnis")
@web.public
@cached
def show_results(slug: str, phase_id: int) -> ResponseReturnValue:
    """The result, with how many took part and by which way."""
    phase = _with_results(slug, phase_id)
    session = web.current_session()
    rows = results(session, phase, RESULTS_SHOWN if phase.ballot is not BallotRule.BUDGET else None)
    people = turnout(session, phase)
    return render_template(
        "contributions/ballots/results.html", process=phase.process, phase=phase,
        rule=(phase.ballot or BallotRule.SUPPORT).value, rows=rows, gone_title=gone_title, people=sum(people.values()),
        channels=[(CHANNEL_LABELS[kind], number) for kind, number in people.items()],
        most=max((one.people if phase.ballot is BallotRule.BUDGET else abs(one.total) for one in rows), default=0),
        places=places(rows), outcome_labels=OUTCOME_LABELS, is_open=phase.is_open(web.current_now()), limit=RESULTS_SHOWN,
        spent=sum(one.cost or 0 for one in rows if one.fits), ties=sum(one.outcome is Outcome.TIE for one in rows),
        annulments=session.execute(annulments_in(phase)).all(), undone=undone_in(session, phase),
        supports_before=phase.ballot is BallotRule.SUPPORT and began_before(phase),
        supports_go_on=phase.ballot is BallotRule.SUPPORT and phase.state(web.current_now()) is PhaseState.CLOSED and goes_on(phase),
    )


@blueprint.get("/verfahren/<slug>/abstimmung/<int:phase_id>/ergebnis.csv")
@web.public
def download(slug: str, phase_id: int) -> ResponseReturnValue:
    """The whole result as a table; titles are texts, never formulas."""
    phase = _with_results(slug, phase_id)
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=";", lineterminator="\r\n")
    columns, rows = _columns(phase.ballot or BallotRule.SUPPORT), results(web.current_session(), phase)
    writer.writerow([_("Platz"), _("Nummer"), _("Vorschlag").capitalize(), *columns])
    for one, place in zip(rows, places(rows), strict=True):
        title = one.title if one.is_public else gone_title(one)
        title = f"'{title}" if title[:1] in "=+-@\t\r" else title
        writer.writerow([place, one.id, title, *(value(one) for value in columns.values())])
    response = make_response("\N{BYTE ORDER MARK}" + buffer.getvalue(), 200, {"Content-Type": "text/csv; charset=utf-8"})
    response.headers["Content-Disposition"] = f'attachment; filename="ergebnis-{phase.id}.csv"'
    return response


def _columns(rule: BallotRule) -> dict[str, Callable[[Result], object]]:
    """What the table to download says of each proposal: what the page says, in its words."""
    if rule is BallotRule.PRO_CONTRA:
        return {_("Dafür"): lambda one: one.in_favour, _("Dagegen"): lambda one: one.against}
    if rule is BallotRule.CHOICE:
        return {_("Stimmen"): lambda one: one.total}
    if rule is BallotRule.POINTS:
        return {_("Punkte"): lambda one: one.total, _("Von Personen"): lambda one: one.people}
    if rule is BallotRule.BUDGET:
        return {_("Stimmen"): lambda one: one.people, _("Kosten in Euro"): lambda one: one.cost or 0,
                _("Reicht das Geld?"): lambda one: _(OUTCOME_LABELS[one.outcome])}
    return {_("Unterstützungen"): lambda one: one.total}


# ---- the ballot paper of a budget


def _unpriced(session: Session, process: Process) -> list[Hint]:
    """A budget without anything to buy."""
    budgets = [phase for phase in process.phases if phase.ballot is BallotRule.BUDGET]
    filled = phases_with_options(session, [phase.id for phase in budgets])
    return [Hint(N_("Auf dem Stimmzettel von „%(title)s“ steht noch kein Vorschlag mit seinen Kosten."), "ballots.paper",
                 phase.title, {"phase_id": phase.id}) for phase in budgets if phase.id not in filled]


MORE_HINTS.append(_unpriced)


def _editable(process_id: int, phase_id: int) -> Phase:
    process = load_for_editing(process_id)
    phase = _phase(process, phase_id)
    if phase.ballot is not BallotRule.BUDGET:
        raise NotFound
    return phase


@blueprint.route("/verwaltung/verfahren/<int:process_id>/phasen/<int:phase_id>/stimmzettel", methods=["GET", "POST"])
@web.allows(Action.MANAGE_BALLOTS)
def paper(process_id: int, phase_id: int) -> ResponseReturnValue:
    """Which proposals stand on the paper of a budget, and what they cost."""
    phase = _editable(process_id, phase_id)
    form, status = OptionForm(), 422
    entered = form.read() if form.is_submitted() else None
    if entered is not None:
        try:
            operations.set_option(web.current_session(), web.current_actor(), phase, *entered, web.current_now())
        except (InvalidInput, Conflict) as error:
            web.attach(form, error)
            status = error.status
        else:
            flash(_("Der Stimmzettel ist geändert."), "success")
            return _to_paper(phase)
    options = options_of(web.current_session(), phase.id)
    return render_template(
        "contributions/ballots/paper.html", process=phase.process, phase=phase, tabs=tabs_of(phase.process), form=form,
        options=options, total=sum(one.cost for one in options),
    ), status if form.is_submitted() else 200


def _to_paper(phase: Phase) -> Response:
    return web.go("ballots.paper", process_id=phase.process_id, phase_id=phase.id)  # type: ignore[return-value]


@blueprint.post("/verwaltung/verfahren/<int:process_id>/phasen/<int:phase_id>/stimmzettel/entfernen")
@web.allows(Action.MANAGE_BALLOTS)
def drop(process_id: int, phase_id: int) -> ResponseReturnValue:
    """Take one proposal off the paper."""
    phase = _editable(process_id, phase_id)
    number = whole_number(request.form.get("vorschlag", ""))
    try:
        operations.drop_option(web.current_session(), web.current_actor(), phase, min(number or 0, LARGEST_ID),
                               web.current_now())
    except Conflict as error:
        flash(web.translated(error), "warning")
    return _to_paper(phase)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/phasen/<int:phase_id>/stimmzettel/uebernehmen")
@web.allows(Action.MANAGE_BALLOTS)
def take(process_id: int, phase_id: int) -> ResponseReturnValue:
    """Put everything on the paper that was answered with a price."""
    phase = _editable(process_id, phase_id)
    try:
        number = operations.take_answered(web.current_session(), web.current_actor(), phase, web.current_now())
    except Conflict as error:
        flash(web.translated(error), "warning")
    else:
        flash(_("%(number)s Vorschläge sind dazugekommen.", number=number), "success" if number else "info")
    return _to_paper(phase)
