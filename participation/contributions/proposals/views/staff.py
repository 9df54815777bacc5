"""What the administration does on the page of a proposal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, render_template, request
from flask_babel import gettext as _, ngettext
from markupsafe import escape

from participation import text, web
from participation.actions import Action
from participation.contributions.models import AnswerStatus
from participation.contributions.proposals.edge import load_proposal, load_standing
from participation.contributions.proposals.forms import AnswerForm
from participation.contributions.proposals.models import ANSWER_LABELS
from participation.contributions.proposals.operations.answering import (
    ANSWER_MAX,
    answer_fingerprint,
    answer_proposal,
)
from participation.contributions.proposals.queries import count_answers
from participation.contributions.proposals.views.lists import blueprint
from participation.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.route("/verfahren/<slug>/vorschlaege/<int:proposal_id>/antwort", methods=["GET", "POST"])
@web.allows(Action.ANSWER_PROPOSAL)
def answer(slug: str, proposal_id: int) -> ResponseReturnValue:
    """The administration's answer, for everybody to read."""
    proposal = load_proposal(slug, proposal_id)
    web.require(Action.ANSWER_PROPOSAL, proposal)
    status = proposal.answer_status
    form = AnswerForm(formdata=request.form or None, status=status.value if status else None,
                      body=proposal.answer_body, cost="" if proposal.answer_cost is None else str(proposal.answer_cost))
    form.offer_choices()
    seen, other, code = request.form.get("seen") or answer_fingerprint(proposal), False, 200
    preview = text.clean_text(form.body.data or "") if "preview" in request.form else ""
    if request.method == "POST" and "preview" not in request.form:
        wanted = next((one for one in AnswerStatus if one.value == form.status.data), None)
        try:
            is_different = answer_proposal(
                web.current_session(), web.current_actor(), proposal, status=wanted, body=form.body.data or "",
                cost=form.cost.data or "", seen=request.form.get("seen", ""), now=web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
            code = error.status
        except Conflict as error:
            web.attach(form, error)
            # Whoever has read what the other one wrote may insist.
            seen, other, code = answer_fingerprint(proposal), True, error.status
        else:
            flash(_("Die Antwort ist veröffentlicht.") if is_different else
                  _("Diese Antwort steht schon da. Sie haben nichts geändert, deshalb schreiben wir niemandem."), "success")
            return web.go("proposals.show", slug=slug, proposal_id=proposal_id, _anchor="antwort")
    return render_template("contributions/proposals/answer.html", form=form, proposal=proposal, seen=seen,
                           other=other, preview=preview, answer_labels=ANSWER_LABELS, process=proposal.process, limit=ANSWER_MAX), code


@web.for_staff
@web.at_once
def hide_comment(comments: list[dict[str, Any]]) -> dict[int, str]:
    """For moderators: the way to take a comment off the page. Asks the rights of the proposal, without a query."""
    proposal = load_standing(comments[0]["slug"], comments[0]["proposal_id"])
    if not web.can(Action.MODERATE, proposal):
        return {}
    return {place: web.render_part("contributions/comments/_moderate.html", comment_id=one["comment_id"])
            for place, one in enumerate(comments)}


@web.for_staff
def answer_link(slug: str, proposal_id: int) -> str:
    """For those who answer: the way to the form."""
    if not web.can(Action.ANSWER_PROPOSAL, load_standing(slug, proposal_id)):
        return ""
    return web.render_part("contributions/proposals/_answer_link.html", slug=slug, proposal_id=proposal_id)


def field_answers(phase_id: int, key: str) -> str:
    """For editors who are about to delete a field: how many answered it."""
    number = count_answers(web.current_session(), phase_id, key)
    said = ngettext("%(num)s Vorschlag enthält eine Antwort darauf.", "%(num)s Vorschläge enthalten eine Antwort darauf.", number)
    return f"<p><strong>{escape(said)}</strong></p>" if number else ""
