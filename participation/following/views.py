"""Buttons to follow, one's own notifications, and the links of mails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Blueprint, Response, flash, make_response, render_template, request, url_for
from flask_babel import get_locale, gettext as _
from sqlalchemy import func

from participation import web
from participation.accounts.operations.entered import clean_email
from participation.actions import Action
from participation.contributions.comments.views import aside_here
from participation.contributions.proposals.edge import LARGEST_ID, load_proposal
from participation.contributions.votes.queries import ASIDES, Aside
from participation.error_pages import error_page
from participation.errors import Checks, Gone, InvalidInput, NotFound
from participation.following import delivery, export, jobs, operations  # noqa: F401 - they register themselves
from participation.following.forms import FollowForm
from participation.following.models import FREQUENCY_LABELS, Follower, Frequency, Subscription
from participation.following.queries import FOLLOWED, follower_of_account, subscriptions_of, target_of
from participation.i18n import N_
from participation.pieces import Filling, render_kept
from participation.processes.edge import load_process, shown_names
from participation.processes.models import ProcessState

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from participation.contributions.proposals.models import Proposal
    from participation.processes.models import Process

blueprint = Blueprint("following", __name__)
SHOWN = 200
_FOLLOWED = "followed"


def follow_box(slug: str, process_id: int, proposal_id: int | None = None, *, is_own: bool = False) -> Filling:
    """The button, as it fits the reader: to follow, or to follow no more. Authors are asked, and follow nothing unasked."""
    actor, frequency = web.current_actor(), ""
    if actor.is_signed_in:
        if proposal_id:
            frequency = aside_here(_FOLLOWED, slug, proposal_id)
        else:
            values = {"account_id": actor.account_id, "target": target_of(process_id, None)}
            frequency = next((row[0] for row in web.current_database().glance(FOLLOWED, values)), "")
    return render_kept("following/_box.html", slug=slug, proposal_id=proposal_id, is_following=bool(frequency),
                       gets_mail=frequency != Frequency.NEVER.value, is_own=is_own,
                       is_signed_in=actor.is_signed_in and actor.email_is_confirmed)


HOLES: dict[str, Callable[..., Filling]] = {"follow": follow_box}
ASIDES[_FOLLOWED] = Aside(
    func.coalesce(FOLLOWED.scalar_subquery(), ""),
    lambda actor, proposal_id: {"account_id": actor.account_id, "target": target_of(0, proposal_id)})


def _proposal(slug: str, raw: str) -> Proposal | None:
    """The proposal that is meant; None for the process itself. Raises NotFound."""
    if not raw:
        return None
    if not (raw.isascii() and raw.isdecimal() and len(raw) <= 10 and int(raw) <= LARGEST_ID):  # noqa: PLR2004
        raise NotFound
    proposal = load_proposal(slug, int(raw))
    # To an address without account no title goes that nobody has checked.
    if not (proposal.is_published or (proposal.is_own and web.current_actor().is_signed_in)):
        raise NotFound
    return proposal


@blueprint.route("/verfahren/<slug>/folgen", methods=["GET", "POST"])
@web.public
@web.limiter.limit(web.TRIES, methods=["POST"])
@web.limiter.limit(web.MAILS_FROM_ONE_PLACE, methods=["POST"], key_func=web.sender, deduct_when=web.was_done)
def follow(slug: str) -> ResponseReturnValue:
    """Follow a process, or one of its proposals: with the account, or by leaving an address."""
    web.do_not_cache()
    process = load_process(slug)
    proposal = _proposal(slug, request.values.get("vorschlag", ""))
    if process.state is not ProcessState.PUBLISHED:
        raise NotFound
    actor = web.current_actor()
    has_account = actor.is_signed_in and actor.email_is_confirmed
    form = FollowForm().offer(address=not has_account)
    if form.is_submitted():
        try:
            if has_account:
                had_ended = _has_ended(_own_follower())
                operations.follow(
                    web.current_session(), web.current_keyring(), actor, process, proposal, web.current_now(),
                    frequency=form.chosen if form.frequency.data else None, locale=str(get_locale()))
                _say_it_begins(_("Sie folgen jetzt. Wir schreiben Ihnen, wenn es Neues gibt."), had_ended=had_ended)
                return _back(process, proposal)
            checks = Checks()
            with checks:
                clean_email(form.email.data or "")
            with checks:
                frequency = form.chosen
            checks.done()
            operations.request_following(
                web.current_session(), web.current_keyring(), process, proposal, form.email.data or "",
                web.current_now(), frequency=frequency, locale=str(get_locale()))
        except InvalidInput as error:
            web.attach(form, error)
        else:
            return web.go("following.sent", slug=slug)
    elif form.frequency.data is None:
        form.frequency.data = Frequency.WEEKLY.value
    return render_template(
        "following/follow.html", process=process, proposal=proposal, form=form, has_account=has_account,
    ), 422 if form.is_submitted() else 200


def _has_ended(follower: Follower | None) -> bool:
    return follower is not None and follower.frequency is Frequency.NEVER


def _say_it_begins(message: str, *, had_ended: bool) -> None:
    """Whoever had ended all mails learns that this one thing is all that they hear of now."""
    if had_ended:
        message += " " + _("Was Sie vorher verfolgt haben, bleibt beendet.")
    flash(message, "success")


def _back(process: Process, proposal: Proposal | None) -> ResponseReturnValue:
    if proposal is not None:
        return web.go("proposals.show", slug=process.slug, proposal_id=proposal.id, _anchor="folgen")
    return web.go("processes.show", slug=process.slug, _anchor="folgen")


@blueprint.get("/verfahren/<slug>/folgen/bitte-bestaetigen")
@web.public
def sent(slug: str) -> ResponseReturnValue:
    """The same for every address, known or not."""
    return render_template("following/sent.html", process=load_process(slug))


@blueprint.post("/verfahren/<slug>/nicht-mehr-folgen")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def unfollow(slug: str) -> ResponseReturnValue:
    """An account follows this no more."""
    process = load_process(slug)
    proposal = _proposal(slug, request.form.get("vorschlag", ""))
    operations.unfollow(web.current_session(), web.current_actor(), process, proposal)
    flash(_("Sie folgen nicht mehr."), "success")
    return _back(process, proposal)


@blueprint.get("/verfahren/<slug>/nicht-mehr-folgen")
@web.public
def not_by_link(slug: str) -> ResponseReturnValue:
    """Whoever had to sign in on the way comes back to the process, changing nothing."""
    return _back(load_process(slug), None)


# ---- one's own notifications


def _page(follower: Follower | None, token: str, form: FollowForm | None = None, status: int = 200) -> ResponseReturnValue:
    """The list of what is followed, for an account or for the holder of a mail's link."""
    web.do_not_cache()
    form = form or FollowForm(
        formdata=None, frequency=(follower.frequency if follower else Frequency.WEEKLY).value).offer(silence=True)
    rows = list(web.current_session().scalars(subscriptions_of(follower.id, SHOWN))) if follower else []
    names = {one.id: one for one in shown_names(list({row.process.id: row.process for row in rows}.values()))}
    body = render_template(
        "following/account.html" if not token else "following/own.html", rows=rows, names=names, form=form, token=token,
        follower=follower, unreachable=follower is not None and delivery.is_unreachable(follower),
    )
    return _private(body, status)


def _private(body: str, status: int = 200) -> Response:
    response = make_response(body, status)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _own_follower() -> Follower | None:
    return follower_of_account(web.current_session(), web.the_municipality().id,
                               web.current_actor().account_id or 0)


def _of_token(token: str) -> Follower:
    return operations.follower_by_token(web.current_session(), web.current_keyring(), token)


@blueprint.route("/konto/benachrichtigungen", methods=["GET", "POST"])
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def account() -> ResponseReturnValue:
    """What an account follows, and how often mail comes."""
    follower = _own_follower()
    if request.method == "POST" and follower is not None:
        return _set_frequency(follower, "")
    return _page(follower, "")


@blueprint.post("/konto/benachrichtigungen/<int:subscription_id>/beenden")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def end(subscription_id: int) -> ResponseReturnValue:
    """Hear no more of one thing."""
    follower = _own_follower()
    if follower is not None:
        operations.end_following(web.current_session(), follower, min(subscription_id, LARGEST_ID))
    flash(_("Beendet."), "success")
    return web.go("following.account")


def _set_frequency(follower: Follower, token: str) -> ResponseReturnValue:
    form = FollowForm().offer(silence=True)
    try:
        frequency = form.chosen
    except InvalidInput as error:
        web.attach(form, error)
        return _page(follower, token, form, 422)
    operations.set_frequency(web.current_session(), follower, frequency, web.current_now())
    flash(_("Gespeichert: %(frequency)s.", frequency=_(FREQUENCY_LABELS[frequency])), "success")
    return web.go("following.own", token=token) if token else web.go("following.account")


# ---- links of mails


def _unknown_link() -> Response:
    """Cut or mistyped: nothing was changed, and whoever reads this must not believe that mails have ended."""
    return error_page(
        410, _("Wir kennen diesen Link nicht. Wahrscheinlich ist er nicht vollständig: Manche E-Mail-Programme schneiden "
               "lange Links ab. An Ihren E-Mails haben wir nichts geändert."),
        _("Öffnen Sie den Link noch einmal in der neuesten E-Mail von uns. Oder kopieren Sie ihn von dort ganz in die "
          "Adresszeile. Haben Sie ein Konto? Dann können Sie die E-Mails auch dort beenden."),
        heading=_("Dieser Link ist nicht vollständig"),
        back=(_("Benachrichtigungen in meinem Konto"), url_for("following.account")))


def _unknown_confirmation() -> Response:
    """Cut, or too old: what was never confirmed is forgotten, so that nothing is left to tell these two apart."""
    return error_page(
        410, _("Wir kennen diesen Link nicht. Vielleicht ist er nicht vollständig: Manche E-Mail-Programme schneiden lange "
               "Links ab. Oder er ist zu alt. An Ihren E-Mails haben wir nichts geändert."),
        _("Öffnen Sie den Link noch einmal in der neuesten E-Mail von uns. Oder kopieren Sie ihn von dort ganz in die "
          "Adresszeile. Hilft das nicht? Dann bestellen Sie die E-Mails noch einmal: Wählen Sie beim Verfahren oder beim "
          "Vorschlag „Neues per E-Mail“."),
        heading=_("Dieser Link gilt nicht"))


@blueprint.route("/abo/<token>", methods=["GET", "POST"])
@web.public
@web.limiter.limit("60 per hour", methods=["POST"], deduct_when=web.was_refused)
def own(token: str) -> ResponseReturnValue:
    """The same page for the holder of a mail's link."""
    try:
        follower = _of_token(token)
    except NotFound as error:
        if not operations.was_ours(web.current_keyring(), token):
            return _unknown_link()
        raise Gone(N_("Dieser Link gilt nicht mehr. Wenn Sie abgemeldet sind, bekommen Sie keine E-Mails mehr von uns.")
                   ) from error
    if request.method == "POST":
        return _set_frequency(follower, token)
    return _page(follower, token)


@blueprint.post("/abo/<token>/<int:subscription_id>/beenden")
@web.public
@web.limiter.limit("60 per hour", deduct_when=web.was_refused)
def end_by_link(token: str, subscription_id: int) -> ResponseReturnValue:
    """Hear no more of one thing; with the last one the address is forgotten."""
    follower = _of_token(token)
    operations.end_following(web.current_session(), follower, min(subscription_id, LARGEST_ID))
    remaining = web.current_session().get(Follower, follower.id)
    if remaining is None:
        return _private(render_template("following/left.html"))
    flash(_("Beendet."), "success")
    return web.go("following.own", token=token)


@blueprint.route("/abo/<token>/bestaetigen", methods=["GET", "POST"])
@web.public
@web.limiter.limit("60 per hour", methods=["POST"], deduct_when=web.was_refused)
def confirm(token: str) -> ResponseReturnValue:
    """The owner of an address agrees, by a button: programs that look into mails open every link."""
    web.do_not_cache()
    try:
        subscription = operations.subscription_by_token(web.current_session(), web.current_keyring(), token)
    except NotFound:
        return _unknown_confirmation()
    process = subscription.process
    form = FollowForm().offer()
    if form.is_submitted():
        try:
            return _agree(subscription, form.chosen)
        except InvalidInput as error:
            web.attach(form, error)
    else:
        form.frequency.data = request.args.get("oft", Frequency.WEEKLY.value)
    return _private(render_template("following/confirm.html", process=process, proposal=subscription.shown_proposal, form=form),
                    422 if form.errors else 200)


def _agree(subscription: Subscription, frequency: Frequency) -> ResponseReturnValue:
    session, keyring, now = web.current_session(), web.current_keyring(), web.current_now()
    had_ended = _has_ended(subscription.follower)
    follower = operations.confirm_following(session, keyring, subscription, now)
    had_ended = had_ended or _has_ended(follower)
    operations.set_frequency(session, follower, frequency, now)
    _say_it_begins(_("Danke! Ab jetzt bekommen Sie Neuigkeiten."), had_ended=had_ended)
    return web.go("following.own", token=operations.follower_token(keyring, follower))


@blueprint.route("/abo/<token>/abmelden", methods=["GET", "POST"])
@web.public
def leave(token: str) -> ResponseReturnValue:
    """No more mail. A mail program posts here by itself (RFC 8058); a person sees a button first.

    Whoever has left already, or is forgotten, is told the same. A link that is not whole claims nothing.
    """
    web.do_not_cache()
    try:
        follower = _of_token(token)
    except NotFound:
        if not operations.was_ours(web.current_keyring(), token):
            return _unknown_link()
        return _private(render_template("following/left.html"))
    if request.method == "POST":
        operations.unsubscribe(web.current_session(), follower)
        return _private(render_template("following/left.html"))
    if follower.frequency is Frequency.NEVER:
        return _private(render_template("following/left.html"))
    return _private(render_template("following/leave.html", token=token, follower=follower))


# A mail program has neither a page of ours nor a cookie; the token is the proof, and it ends mail, nothing else.
WITHOUT_CSRF = (leave,)
