"""The moderators' desk: many items, little time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _, ngettext
from markupsafe import Markup, escape
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectin_polymorphic

from moderation import jobs, operations  # noqa: F401 - jobs register themselves
from moderation.forms import DecisionForm, ReportForm
from moderation.models import OUTCOME_LABELS, Case, CaseState, Decision, Finding, Outcome, Report
from moderation.operations import STATEMENT_MAX
from moderation.queries import (
    PAGE,
    answers_of,
    decisions,
    earlier_decisions,
    full_case,
    moderated_by,
    open_cases,
    open_reports,
    text_of,
)
from moderation.reasons import REASONS, REPORT_REASONS
from participation import web
from participation.actions import Action
from participation.contributions.comments.models import Comment
from participation.contributions.models import Contribution, ContributionPicture, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.contributions.queries import pictures_of
from participation.db import bounded_count
from participation.errors import InvalidInput, NotFound
from participation.own_fields import Answer, as_text
from participation.processes.models import Process
from participation.text import difference
from participation.tokens import new_token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask import Response
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("moderation", __name__)
COUNTED = 500
LARGEST_ID = 2**31 - 1
DECIDABLE = {outcome.value: outcome for outcome in (Outcome.APPROVE, Outcome.RETURN, Outcome.REJECT)}


def _number(name: str) -> int | None:
    raw = request.args.get(name, "")
    return min(int(raw), LARGEST_ID) if raw.isdecimal() and len(raw) < 12 else None  # noqa: PLR2004 - no huge numbers


def marked(text: str, findings: Sequence[Finding], part: str) -> Markup:
    """A text with the spans of its findings marked; everything is escaped, overlapping spans are joined."""
    spans = sorted((one.start, one.end) for one in findings
                   if one.part == part and one.start is not None and one.end is not None)
    result, position = Markup(), 0
    for start, end in spans:
        if end <= position:
            continue
        begin = max(start, position)
        result += escape(text[position:begin]) + Markup('<mark class="bp-span">') + escape(text[begin:end])
        result += Markup("</mark>")
        position = end
    return result + escape(text[position:])


@web.for_staff
def moderation_links(contribution_id: int) -> str:
    """On a contribution's page, for whoever may moderate it; a hole of cached pages."""
    if not web.can(Action.MODERATE):
        return ""
    contribution = web.current_session().get(Contribution, contribution_id)
    if contribution is None or not web.can(Action.MODERATE, contribution):
        return ""
    return web.render_part("moderation/_links.html", contribution=contribution, form=_form())


def decision_of(contribution_id: int) -> str:
    """On an author's receipt: the last decision with its reasons."""
    decision = web.current_session().scalar(
        select(Decision).join(Case, Case.id == Decision.case_id).where(Case.contribution_id == contribution_id)
        .order_by(Decision.id.desc()).limit(1)
    )
    if decision is None or decision.outcome is not Outcome.RETURN:
        return ""
    return render_template("moderation/_decision.html", decision=decision, rule=REASONS.get(decision.rule_key, ""))


def report_link(contribution_id: int, author: str) -> str:
    """Below a contribution, for everybody: the way to point out what is wrong with it."""
    return web.render_part("moderation/_report_link.html", contribution_id=contribution_id, author=author)


def waiting_cases() -> str:
    """For moderators in the staff's room: how many cases wait at their desk."""
    waiting = _waiting()
    return escape(_("mehr als %(num)s Beiträge warten", num=COUNTED) if waiting >= COUNTED
                  else ngettext("%(num)d Beitrag wartet", "%(num)d Beiträge warten", waiting))


def _waiting() -> int:
    return bounded_count(web.current_session(), select(Case.id).where(
        Case.state == CaseState.OPEN, moderated_by(web.current_actor())), COUNTED)


PARTS = {"report_link": report_link, "waiting_cases": waiting_cases}
HOLES = {"moderation_links": moderation_links, "decision_of": decision_of}


def _form() -> DecisionForm:
    form = DecisionForm()
    form.offer_reasons()
    return form


@blueprint.get("/moderation")
@web.allows(Action.MODERATE)
def desk() -> ResponseReturnValue:
    """The queue, and the first case beside it."""
    return _desk(None, _form())


@blueprint.get("/moderation/faelle/<int:case_id>")
@web.allows(Action.MODERATE)
def case(case_id: int) -> ResponseReturnValue:
    """One case beside the queue."""
    return _desk(_load(case_id), _form())


def _load(case_id: int) -> Case:
    found = full_case(web.current_session(), min(case_id, LARGEST_ID))
    if found is None:
        raise NotFound
    web.require(Action.MODERATE, found)
    return found


def _desk(chosen: Case | None, form: DecisionForm) -> ResponseReturnValue:
    session, actor = web.current_session(), web.current_actor()
    filters = {"verfahren": request.args.get("verfahren", ""), "art": request.args.get("art", ""),
               "auffaellig": request.args.get("auffaellig", "")}
    statement = open_cases(
        actor, process_id=_number("verfahren"), warned=bool(filters["auffaellig"]),
        kind=filters["art"] if filters["art"] in {"proposal", "comment"} else "", after_id=_number("nach"),
    )
    cases = session.scalars(statement.limit(PAGE + 1)).all()
    is_chosen = chosen is not None
    if chosen is None and cases:
        chosen = full_case(session, cases[0].id)
    related: dict[int, Proposal] = {}
    target = earlier = None
    title = body = ""
    answers: list[Answer] = []
    is_change = False
    pictures: Sequence[ContributionPicture] = ()
    reports: Sequence[Report] = ()
    if chosen is not None:
        ids = [one.related_contribution_id for one in chosen.findings if one.related_contribution_id]
        related = {row.id: row for row in session.scalars(select(Proposal).where(Proposal.id.in_(ids)))} if ids else {}
        contribution = chosen.contribution
        target = session.get(Proposal, contribution.proposal_id) if isinstance(contribution, Comment) else None
        title, body = text_of(session, chosen)
        answers = answers_of(session, chosen)
        is_change = chosen.revision_number == contribution.pending_revision
        if target is None:
            pictures = session.scalars(pictures_of(
                contribution.id, chosen.revision_number if is_change else None)).all()
        reports = session.scalars(open_reports(contribution.id)).all()
        earlier = [one for one in earlier_decisions(session, contribution.participant_id) if one.case_id != chosen.id]
        form.revision_seen.data = form.revision_seen.data or str(chosen.revision_number)
        form.name_seen.data = form.name_seen.data or contribution.participant.pseudonym
    processes = session.scalars(
        select(Process).where(Process.id.in_(
            select(Case.process_id).where(Case.state == CaseState.OPEN, moderated_by(actor)).distinct().limit(50)))
    ).all()
    return render_template(
        "moderation/desk.html", cases=cases[:PAGE], more=cases[PAGE - 1].id if len(cases) > PAGE else None,
        chosen=chosen, form=form, filters=filters, related=related, target=target, is_chosen=is_chosen,
        choices=[(str(process.id), process.title) for process in processes], pictures=pictures,
        reports=reports, report_reasons=REPORT_REASONS, title=title, body=body, is_change=is_change,
        differences=_differences(chosen.contribution, title, body, as_text(answers)) if chosen is not None and is_change else [],
        answers_given=answers, answers_text=as_text(answers),
        earlier=earlier or [], marked=marked, is_open=chosen is not None and chosen.state is CaseState.OPEN,
        waiting=_waiting(), counted=COUNTED, outcome_labels=OUTCOME_LABELS,
    ), 422 if form.is_submitted() else 200


@blueprint.post("/moderation/faelle/<int:case_id>")
@web.allows(Action.MODERATE)
def decide(case_id: int) -> ResponseReturnValue:
    """Approve, return or reject; then the next case."""
    chosen = _load(case_id)
    form = _form()
    outcome = DECIDABLE.get(request.form.get("outcome", ""))
    seen = form.revision_seen.data or ""
    if outcome is None:
        web.attach(form, InvalidInput(_("Bitte wählen Sie eine Entscheidung."), field="rule_key"))
        return _desk(chosen, form)
    try:
        operations.decide(
            web.current_session(), web.current_actor(), chosen, outcome, rule_key=form.rule_key.data or "",
            statement=form.statement.data or "", now=web.current_now(), name_seen=form.name_seen.data,
            revision_seen=int(seen) if seen.isdecimal() and len(seen) < 10 else -1,  # noqa: PLR2004 - fits the column
        )
    except InvalidInput as error:
        web.attach(form, error)
        return _desk(chosen, form)
    flash(f"{_(OUTCOME_LABELS[outcome])}: {_title(chosen.contribution)}", "success")
    return web.go("moderation.desk", **{name: value for name, value in request.args.items() if name != "nach"})


def _differences(contribution: Contribution, title: str, body: str, said: str) -> list[list[tuple[str, str]]]:
    """What a change does to title and body, word by word."""
    before = contribution.title if isinstance(contribution, Proposal) else ""
    earlier = as_text(contribution.answers) if isinstance(contribution, Proposal) else ""
    return [difference(before, title), difference(contribution.body, body),
            *([difference(earlier, said)] if earlier or said else [])]


def _title(contribution: Contribution) -> str:
    return contribution.title if isinstance(contribution, Proposal) else _("Kommentar")


@blueprint.post("/moderation/sammelfreigabe")
@web.allows(Action.MODERATE)
def approve_many() -> ResponseReturnValue:
    """Approve the ticked cases, each by itself; what somebody else decided meanwhile is left and named."""
    done, failed, renamed = 0, 0, ""
    for raw in request.form.getlist("case")[: PAGE * 2]:
        if not raw.isdecimal() or len(raw) > 10:  # noqa: PLR2004 - no number is longer
            continue
        found = full_case(web.current_session(), min(int(raw), LARGEST_ID))
        if found is None or found.state is not CaseState.OPEN or not web.can(Action.MODERATE, found):
            failed += 1
            continue
        try:
            operations.decide(web.current_session(), web.current_actor(), found, Outcome.APPROVE, rule_key="",
                              statement="", revision_seen=found.revision_number, now=web.current_now(),
                              name_seen=request.form.get(f"name-{found.id}"))
        except operations.Renamed as error:
            renamed = web.translated(error)
        else:
            done += 1
    flash(_("%(done)s Beiträge freigegeben.", done=done), "success" if done else "info")
    if failed:
        flash(_("%(failed)s waren schon entschieden.", failed=failed), "warning")
    if renamed:
        flash(renamed, "warning")
    return web.go("moderation.desk")


def _contribution(contribution_id: int) -> Contribution:
    found = web.current_session().scalar(
        select(Contribution).where(Contribution.id == min(contribution_id, LARGEST_ID))
        .options(joinedload(Contribution.process))
    )
    if found is None:
        raise NotFound
    web.require(Action.MODERATE, found)
    return found


def _after(contribution: Contribution) -> ResponseReturnValue:
    return redirect(_address(contribution), code=303)


@blueprint.post("/moderation/beitraege/<int:contribution_id>/ausblenden")
@web.allows(Action.MODERATE)
def hide(contribution_id: int) -> ResponseReturnValue:
    """Take a published contribution off all pages; without a reason the form comes back."""
    contribution = _contribution(contribution_id)
    form = _form()
    try:
        operations.hide_contribution(web.current_session(), web.current_actor(), contribution,
                                     rule_key=form.rule_key.data or "", statement=form.statement.data or "",
                                     now=web.current_now())
    except InvalidInput as error:
        web.attach(form, error)
        return render_template("moderation/hide.html", form=form, contribution=contribution), 422
    flash(_("Ausgeblendet. Der Beitrag ist auf keiner Seite mehr zu sehen."), "success")
    return _after(contribution)


@blueprint.post("/moderation/beitraege/<int:contribution_id>/einblenden")
@web.allows(Action.MODERATE)
def restore(contribution_id: int) -> ResponseReturnValue:
    """Show it again."""
    contribution = _contribution(contribution_id)
    operations.restore_contribution(web.current_session(), web.current_actor(), contribution, now=web.current_now())
    flash(_("Der Beitrag ist wieder zu sehen."), "success")
    return _after(contribution)


@blueprint.get("/moderation/entscheidungen")
@web.allows(Action.MODERATE)
def history() -> ResponseReturnValue:
    """What was decided, newest first."""
    rows = web.current_session().scalars(decisions(web.current_actor(), _number("vor"))).all()
    return render_template("moderation/history.html", rows=rows[:PAGE], labels=OUTCOME_LABELS, reasons=REASONS,
                           more=rows[PAGE - 1].id if len(rows) > PAGE else None, hidden=ContributionState.HIDDEN)


def _was_reported(response: Response) -> bool:
    """Only what came to us counts: this answer says what happens with it, and is no redirect."""
    return response.status_code == 200  # noqa: PLR2004


@blueprint.route("/melden/<int:contribution_id>", methods=["GET", "POST"])
@web.public
@web.limiter.limit(web.TRIES, methods=["POST"])
@web.limiter.limit("30 per hour", methods=["POST"], deduct_when=_was_reported)
@web.limiter.limit("6 per hour;20 per day", methods=["POST"], key_func=web.given_address,
                   exempt_when=web.gives_no_address)
def report(contribution_id: int) -> ResponseReturnValue:
    """Point out what is wrong with a public contribution; with or without an account, with or without a name."""
    contribution = web.current_session().scalar(
        select(Contribution).where(Contribution.id == min(contribution_id, LARGEST_ID))
        .options(joinedload(Contribution.process), selectin_polymorphic(Contribution, [Proposal, Comment]))
    )
    municipality = web.the_municipality()
    if contribution is None or contribution.process.municipality_id != municipality.id:
        raise NotFound
    if not web.can(Action.SEE_CONTRIBUTION, contribution):
        # That there is something hidden is nobody's business.
        raise NotFound
    form = ReportForm()
    form.offer_reasons()
    status = 200
    if request.method == "POST":
        try:
            found = operations.report_contribution(
                web.current_session(), web.current_keyring(), contribution, reason_key=form.reason_key.data or "",
                statement=form.statement.data or "", in_good_faith=bool(form.in_good_faith.data),
                name=form.name.data or "", email=form.email.data or "",
                submission_key=(form.submission_key.data or new_token())[:64], now=web.current_now(),
            )
        except InvalidInput as error:
            web.attach(form, error)
            status = 422
        else:
            return render_template("moderation/reported.html", report=found, back=_address(contribution))
    return render_template("moderation/report.html", form=form, contribution=contribution, limit=STATEMENT_MAX,
                           back=_address(contribution)), status


def _address(contribution: Contribution) -> str:
    proposal_id = contribution.proposal_id if isinstance(contribution, Comment) else contribution.id
    return url_for("proposals.show", slug=contribution.process.slug, proposal_id=proposal_id)
