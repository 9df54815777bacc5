"""One's own contributions and data: see, attach, download, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, flash, render_template, request, session as cookie, url_for
from flask_babel import gettext as _

from participation import web
from participation.accounts.forms import NameForm
from participation.accounts.views.own import ask_again, show_overview
from participation.accounts.views.signing import forget_pages, own_account
from participation.actions import Action
from participation.contributions.comments.models import Comment
from participation.contributions.drafts.views import KEPT_DAYS, rows_of
from participation.contributions.models import WITHDRAWABLE, ContributionState
from participation.contributions.operations import mark_own, withdraw
from participation.contributions.personal import jobs, operations  # noqa: F401 - jobs register themselves
from participation.contributions.personal.export import as_json, own_data
from participation.contributions.personal.forms import TAKE, DeleteForm
from participation.contributions.personal.queries import own_contributions, participants_of, processes_of, written_along
from participation.contributions.submissions.views import contribution_of_token, remove_after_commit
from participation.errors import Conflict, InvalidInput, NotFound
from participation.processes.edge import shown_names

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("personal", __name__)
PER_PAGE = 20
LARGEST_ID = 2**31 - 1


@blueprint.post("/konto/name")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def rename() -> ResponseReturnValue:
    """Change the name that others see."""
    form = NameForm()
    everywhere = bool(form.everywhere.data)
    try:
        operations.rename(web.current_session(), web.current_keyring(), web.current_actor(), own_account(),
                          form.display_name.data or "", everywhere=everywhere, now=web.current_now())
    except InvalidInput as error:
        form.display_name.errors = []
        web.attach(form, error)
        return show_overview(form, 422)
    flash(_("Ihr Name ist geändert, auch bei allem, was Sie bisher geschrieben haben.") if everywhere else
          _("Ihr Name ist geändert. Er gilt für alles, was Sie ab jetzt in einem neuen Verfahren schreiben."), "success")
    return web.go("accounts.overview")


@blueprint.get("/konto/beitraege")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def contributions() -> ResponseReturnValue:
    """Everything one wrote, in all processes, with where it stands."""
    web.do_not_cache()
    session = web.current_session()
    raw = request.args.get("vor", "")
    before = min(int(raw), LARGEST_ID) if raw.isdecimal() and len(raw) < 12 else None  # noqa: PLR2004 - longer is no id
    participants = participants_of(session, web.current_keyring(), web.current_actor().account_id or 0)
    rows = session.execute(
        own_contributions([one.id for one in participants], before).limit(PER_PAGE + 1)
    ).all() if participants else []
    shown = rows[:PER_PAGE]
    along = session.execute(written_along([one.id for one in participants])).all() if participants and before is None else []
    processes = {one.id: one for one in session.scalars(
        processes_of(list({row.process_id for row in [*shown, *along]})))}
    return render_template(
        "contributions/personal/contributions.html", rows=shown, along=along, processes=processes,
        names={one.id: one.title for one in shown_names(list(processes.values()))},
        secret={one.id for one in processes.values() if one.hides_supports(web.current_now())},
        states=ContributionState, withdrawable=WITHDRAWABLE, is_first=before is None,
        drafts=rows_of() if before is None else [], kept_days=KEPT_DAYS,
        next_url=url_for("personal.contributions", vor=shown[-1].id) if len(rows) > PER_PAGE else None,
    )


@blueprint.post("/konto/beitraege/<int:comment_id>/zurueckziehen")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def withdraw_comment(comment_id: int) -> ResponseReturnValue:
    """Take a comment back whose proposal nobody can open any more, and with it the page where that is done otherwise."""
    comment = web.current_session().get(Comment, min(comment_id, LARGEST_ID))
    if comment is None or not mark_own(web.current_keyring(), web.current_actor(), comment):
        raise NotFound
    withdraw(web.current_session(), web.current_actor(), comment, web.current_now())
    flash(_("Ihr Kommentar ist zurückgezogen."), "success")
    return web.go("personal.contributions")


@blueprint.get("/konto/daten")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def data() -> ResponseReturnValue:
    """What is kept, how to get it, and how to leave."""
    web.do_not_cache()
    return render_template("contributions/personal/data.html", account=own_account())


@blueprint.get("/konto/meine-daten.json")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def download() -> ResponseReturnValue:
    """Everything as JSON, for whoever has just signed in; the address alone opens nothing."""
    first = ask_again(url_for("personal.data"))
    if first is not None:
        return first
    content = own_data(web.current_session(), web.current_keyring(), own_account(),
                       web.current_settings().upload_dir, web.current_now())
    response = Response(as_json(content), mimetype="application/json")
    response.headers["Content-Disposition"] = 'attachment; filename="meine-daten.json"'
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.route("/konto/loeschen", methods=["GET", "POST"])
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def delete() -> ResponseReturnValue:
    """Leave, with or without what one wrote."""
    first = ask_again(url_for("personal.delete"))
    if first is not None:
        return first
    account, form = own_account(), DeleteForm()
    form.offer()
    if form.validate_on_submit():
        dropped = operations.delete_account(
            web.current_session(), web.current_keyring(), web.current_actor(), account,
            take_along=form.contributions.data == TAKE, now=web.current_now(),
        )
        remove_after_commit(dropped)
        cookie.clear()
        flash(_("Ihr Konto ist gelöscht. Danke, dass Sie mitgemacht haben."), "success")
        return forget_pages(web.go("municipalities.home"))
    return render_template("contributions/personal/delete.html", form=form, account=account), (
        422 if form.is_submitted() else 200
    )


@blueprint.post("/beleg/<token>/zuordnen")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
@web.limiter.limit("60 per hour", key_func=web.sender)
def attach(token: str) -> ResponseReturnValue:
    """What was handed in without an account belongs to the account from now on."""
    contribution = contribution_of_token(token)
    try:
        operations.attach_to_account(web.current_session(), web.current_keyring(), web.current_actor(), contribution,
                                     web.current_now())
    except Conflict as error:
        # Of two accounts at once the other was faster: its receipt is nobody else's business.
        flash(web.translated(error), "info")
        return web.go("personal.contributions")
    flash(_("Ihr Beitrag gehört jetzt zu Ihrem Konto. Sie finden ihn unter „Meine Beiträge“."), "success")
    return web.go("submissions.receipt", token=token)


@blueprint.get("/beleg/<token>/zuordnen")
@web.public
def back_to_receipt(token: str) -> ResponseReturnValue:
    """Whoever had to sign in on the way comes back to the receipt with the button, changing nothing."""
    return web.go("submissions.receipt", token=token)
