"""The editors' pages: all newsletters of a process, writing one, the last look before it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, flash, render_template, request
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from participation import text, web
from participation.actions import Action
from participation.contributions.proposals.edge import LARGEST_ID
from participation.errors import Conflict, InvalidInput, NotFound
from participation.following.newsletters import jobs, operations  # noqa: F401 - the jobs register themselves
from participation.following.newsletters.forms import NewsletterForm
from participation.following.newsletters.models import Newsletter, NewsletterState
from participation.following.newsletters.queries import newsletters_of, receivers_number
from participation.following.queries import follower_numbers
from participation.i18n import N_
from participation.processes.views.staff import add_tab, load_for_editing, tabs_of
from participation.sent_forms import sent_once

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from participation.processes.models import Process

blueprint = Blueprint("newsletters", __name__)
NEWSLETTERS_SHOWN = 50

add_tab(N_("Rundbriefe"), "newsletters.index", ("newsletters.index", "newsletters.edit", "newsletters.confirm"))


def _newsletter(process: Process, newsletter_id: int) -> Newsletter:
    found = web.current_session().scalar(
        select(Newsletter).where(Newsletter.id == min(newsletter_id, LARGEST_ID), Newsletter.process_id == process.id)
        .options(joinedload(Newsletter.process)))
    if found is None:
        raise NotFound
    return found


@blueprint.route("/verwaltung/verfahren/<int:process_id>/rundbriefe", methods=["GET", "POST"])
@web.allows(Action.SEND_NEWSLETTER)
@sent_once
def index(process_id: int) -> ResponseReturnValue:
    """All newsletters of a process, and the form for a new one."""
    process = load_for_editing(process_id)
    return _write(process, None)


@blueprint.route("/verwaltung/verfahren/<int:process_id>/rundbriefe/<int:newsletter_id>", methods=["GET", "POST"])
@web.allows(Action.SEND_NEWSLETTER)
def edit(process_id: int, newsletter_id: int) -> ResponseReturnValue:
    """A draft to go on with, or what became of a letter."""
    process = load_for_editing(process_id)
    newsletter = _newsletter(process, newsletter_id)
    if newsletter.state is not NewsletterState.DRAFT and request.method == "GET":
        return render_template("following/newsletters/sent.html", process=process, tabs=tabs_of(process),
                               newsletter=newsletter, body=text.render_markdown(newsletter.body))
    return _write(process, newsletter)


def _write(process: Process, newsletter: Newsletter | None) -> ResponseReturnValue:
    session, actor, now = web.current_session(), web.current_actor(), web.current_now()
    form = NewsletterForm(data={"subject": newsletter.subject, "body": newsletter.body} if newsletter else None)
    step = request.form.get("step", "")
    preview = None
    if form.is_submitted() and step == "preview":
        preview = text.render_markdown(text.clean_text(form.body.data or ""))
    elif form.is_submitted():
        try:
            newsletter = operations.write_newsletter(session, actor, process, form.subject.data or "",
                                                     form.body.data or "", now, newsletter)
        except InvalidInput as error:
            web.attach(form, error)
        else:
            return _after_writing(process, newsletter, step)
    people, unreachable = follower_numbers(session, process.id)
    receivers = receivers_number(session, process.id)
    return render_template(
        "following/newsletters/index.html", process=process, tabs=tabs_of(process), form=form, newsletter=newsletter,
        rows=list(session.scalars(newsletters_of(process.id).limit(NEWSLETTERS_SHOWN))), preview=preview, people=people,
        receivers=receivers, unreachable=unreachable, subject_max=operations.SUBJECT_MAX, body_max=operations.BODY_MAX,
    ), 422 if form.is_submitted() and preview is None else 200


def _after_writing(process: Process, newsletter: Newsletter, step: str) -> ResponseReturnValue:
    place = {"process_id": process.id, "newsletter_id": newsletter.id}
    if step == "send":
        return web.go("newsletters.confirm", **place)
    if step == "test":
        operations.test_newsletter(web.current_session(), web.current_actor(), newsletter, web.current_now())
        flash(_("Gespeichert. Die Probe ist auf dem Weg zu Ihrer eigenen Adresse."), "success")
    else:
        flash(_("Der Entwurf ist gespeichert."), "success")
    return web.go("newsletters.edit", **place)


@blueprint.route("/verwaltung/verfahren/<int:process_id>/rundbriefe/<int:newsletter_id>/senden", methods=["GET", "POST"])
@web.allows(Action.SEND_NEWSLETTER)
def confirm(process_id: int, newsletter_id: int) -> ResponseReturnValue:
    """The last look before it goes to everybody."""
    process = load_for_editing(process_id)
    newsletter = _newsletter(process, newsletter_id)
    if request.method == "POST":
        try:
            operations.send_newsletter(web.current_session(), web.current_actor(), newsletter, web.current_now())
        except Conflict as error:
            flash(web.translated(error), "warning")
        else:
            flash(_("Der Rundbrief ist unterwegs."), "success")
        return web.go("newsletters.edit", process_id=process.id, newsletter_id=newsletter.id)
    return render_template(
        "following/newsletters/confirm.html", process=process, tabs=tabs_of(process), newsletter=newsletter,
        body=text.render_markdown(newsletter.body), people=receivers_number(web.current_session(), process.id),
    )


@blueprint.post("/verwaltung/verfahren/<int:process_id>/rundbriefe/<int:newsletter_id>/loeschen")
@web.allows(Action.SEND_NEWSLETTER)
def delete(process_id: int, newsletter_id: int) -> ResponseReturnValue:
    """Drop a draft."""
    process = load_for_editing(process_id)
    operations.delete_newsletter(web.current_session(), web.current_actor(), _newsletter(process, newsletter_id),
                                 web.current_now())
    flash(_("Der Entwurf ist gelöscht."), "success")
    return web.go("newsletters.index", process_id=process.id)
