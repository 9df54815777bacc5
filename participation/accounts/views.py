"""Signing in and out, the second factor, and one's own account."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import pyotp
import segno
from flask import Blueprint, flash, get_flashed_messages, redirect, render_template, request, session as cookie, url_for
from flask_babel import gettext as _
from flask_login import UserMixin, current_user
from sqlalchemy import select

from participation import clock, tokens, web
from participation.accounts import jobs, operations  # noqa: F401 - jobs register themselves
from participation.accounts.forms import (
    CodeForm,
    EmailForm,
    EmptyForm,
    NameForm,
    PasswordForm,
    RegisterForm,
    SignInForm,
)
from participation.accounts.models import Account, SignInSession, TokenPurpose
from participation.accounts.queries import signed_in_actor
from participation.actions import Action
from participation.errors import InvalidInput
from participation.permissions import ANONYMOUS, Actor

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("accounts", __name__)


class SignedIn(UserMixin):
    """What Flask-Login holds: the actor of a live sign-in session."""

    def __init__(self, token: str, actor: Actor) -> None:
        """Keep the token as Flask-Login's id: the cookie names a session that can be revoked, not an account."""
        self.id = token
        self.actor = actor


def load_user(token: str) -> SignedIn | None:
    """Flask-Login asks who a cookie stands for."""
    actor = signed_in_actor(web.current_database(), tokens.hash_token(token), clock.now())
    return SignedIn(token, actor) if actor else None


def load_actor() -> Actor:
    """Who acts in this request."""
    if "_user_id" in cookie and current_user.is_authenticated:
        actor: Actor = current_user.actor
        return actor
    guest = cookie.get(web.GUEST_TOKEN)
    return Actor(guest_token=guest) if isinstance(guest, str) else ANONYMOUS


def account_menu() -> str:
    """The header's right side; a hole of cached pages."""
    actor = web.current_actor()
    return web.render_kept("accounts/_menu.html", name=actor.display_name, is_signed_in=actor.is_signed_in,
                           is_staff=actor.is_staff)


def messages() -> str:
    """What the last step has to say; a hole of cached pages."""
    items = get_flashed_messages(with_categories=True)
    return web.render_part("accounts/_messages.html", items=items) if items else ""


HOLES = {"account_menu": account_menu, "messages": messages}


def _town() -> str:
    municipality = web.current_municipality()
    return municipality.name if municipality else ""


def _own_account() -> Account:
    return web.current_session().get_one(Account, web.current_actor().account_id)


def _device() -> str:
    """A line like "Firefox, Android": enough to recognise one's own device."""
    agent = request.headers.get("User-Agent", "")
    names = (("Firefox", "Firefox"), ("Edg/", "Edge"), ("Chrome", "Chrome"), ("Safari", "Safari"))
    systems = (("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac", "Mac"),
               ("Linux", "Linux"))
    browser = next((name for mark, name in names if mark in agent), _("Browser"))
    system = next((name for mark, name in systems if mark in agent), "")
    return f"{browser}, {system}" if system else browser


def _start_session(account: Account) -> str:
    """A new session under a new id; nothing of the visit before goes along (session fixation)."""
    token = operations.open_session(web.current_session(), account, _device(), web.current_now())
    cookie.clear()
    cookie["_user_id"] = token
    cookie["_fresh"] = True
    cookie.permanent = True
    return token


def _entered_address() -> str:
    """Throttles guessing of one account's password from many machines."""
    return request.form.get("email", "")[:254].lower()


@blueprint.route("/konto/anmelden", methods=["GET", "POST"])
@web.public
@web.limiter.limit("20 per 5 minutes", methods=["POST"])
@web.limiter.limit("10 per 5 minutes", methods=["POST"], key_func=_entered_address)
def sign_in() -> ResponseReturnValue:
    """Sign in with address and password."""
    form = SignInForm()
    status = 200
    if form.validate_on_submit():
        account = operations.check_credentials(web.current_session(), form.email.data or "", form.password.data or "")
        if account is None:
            web.attach(form, InvalidInput(_("E-Mail-Adresse oder Kennwort stimmt nicht. Prüfen Sie beides, oder lassen "
                                            "Sie sich einen Link für ein neues Kennwort schicken."), field="email"))
        else:
            _start_session(account)
            target = web.safe_next(url_for("municipalities.home"))
            if account.grants or account.totp_confirmed_at is not None:
                return web.go("accounts.second_factor", next=web.safe_next(url_for("administration.index")))
            return redirect(target, code=303)
    if form.is_submitted():
        status = 422
    return render_template("accounts/sign_in.html", form=form, next=web.safe_next("")), status


@blueprint.post("/konto/abmelden")
@web.public
def sign_out() -> ResponseReturnValue:
    """Sign out here and for every copy of the cookie."""
    token = cookie.get("_user_id")
    if isinstance(token, str):
        operations.close_session(web.current_session(), token, web.current_now())
    cookie.clear()
    flash(_("Sie sind abgemeldet."), "success")
    return web.go("municipalities.home")


@blueprint.route("/konto/registrieren", methods=["GET", "POST"])
@web.public
@web.limiter.limit("20 per hour", methods=["POST"])
def register() -> ResponseReturnValue:
    """Make an account; the answer is the same for a known address."""
    form = RegisterForm()
    if form.validate_on_submit():
        try:
            operations.register(
                web.current_session(), email=form.email.data or "", display_name=form.display_name.data or "",
                password=form.password.data or "", town=_town(), now=web.current_now(),
            )
        except InvalidInput as error:
            web.attach(form, error)
        else:
            return web.go("accounts.check_mail")
    return render_template("accounts/register.html", form=form), 422 if form.is_submitted() else 200


@blueprint.get("/konto/post-pruefen")
@web.public
def check_mail() -> ResponseReturnValue:
    """What to do next, after registering or asking for a link."""
    return render_template("accounts/check_mail.html")


@blueprint.route("/konto/bestaetigen/<token>", methods=["GET", "POST"])
@web.public
def confirm(token: str) -> ResponseReturnValue:
    """A button, then the confirmation: mail scanners that open links must not use them up."""
    form = EmptyForm()
    if form.validate_on_submit():
        operations.confirm_email(web.current_session(), token, web.current_now())
        flash(_("Ihre E-Mail-Adresse ist bestätigt. Sie können sich jetzt anmelden."), "success")
        return web.go("accounts.sign_in")
    operations.account_of_token(web.current_session(), token, TokenPurpose.CONFIRM_EMAIL, web.current_now())
    return render_template("accounts/confirm.html", form=form)


@blueprint.route("/konto/passwort-vergessen", methods=["GET", "POST"])
@web.public
@web.limiter.limit("10 per hour", methods=["POST"])
def request_reset() -> ResponseReturnValue:
    """Ask for a link to a new password."""
    form = EmailForm()
    if form.validate_on_submit():
        try:
            operations.request_reset(web.current_session(), form.email.data or "", web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
        else:
            return web.go("accounts.check_mail")
    return render_template("accounts/request_reset.html", form=form), 422 if form.is_submitted() else 200


def _choose_password(token: str, purpose: TokenPurpose, title: str) -> ResponseReturnValue:
    form = PasswordForm()
    account = operations.account_of_token(web.current_session(), token, purpose, web.current_now())
    if form.validate_on_submit():
        try:
            operations.set_password(web.current_session(), token, purpose, form.password.data or "", _town(),
                                    web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
        else:
            cookie.clear()
            flash(_("Ihr neues Kennwort gilt. Bitte melden Sie sich damit an."), "success")
            return web.go("accounts.sign_in")
    return render_template("accounts/choose_password.html", form=form, title=title, email=account.email), (
        422 if form.is_submitted() else 200
    )


@blueprint.route("/konto/passwort/<token>", methods=["GET", "POST"])
@web.public
@web.limiter.limit("30 per hour")
def reset(token: str) -> ResponseReturnValue:
    """Choose a new password by a mailed link."""
    return _choose_password(token, TokenPurpose.RESET_PASSWORD, _("Neues Kennwort wählen"))


@blueprint.route("/konto/einladung/<token>", methods=["GET", "POST"])
@web.public
@web.limiter.limit("30 per hour")
def invitation(token: str) -> ResponseReturnValue:
    """New staff chooses a password."""
    return _choose_password(token, TokenPurpose.STAFF_INVITATION, _("Willkommen: Kennwort wählen"))


@blueprint.get("/konto")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def overview() -> ResponseReturnValue:
    """One's own account."""
    account = _own_account()
    sessions = web.current_session().scalars(
        select(SignInSession)
        .where(SignInSession.account_id == account.id, SignInSession.revoked_at.is_(None),
               SignInSession.expires_at > web.current_now())
        .order_by(SignInSession.id.desc()).limit(20)
    ).all()
    current = tokens.hash_token(str(cookie.get("_user_id")))
    return render_template("accounts/overview.html", account=account, sessions=sessions, current=current,
                           form=NameForm(display_name=account.display_name))


@blueprint.post("/konto/name")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def rename() -> ResponseReturnValue:
    """Change the name that others see from now on."""
    try:
        _own_account().display_name = operations.clean_name(request.form.get("display_name", ""))
    except InvalidInput as error:
        flash(web.translated(error), "error")
    else:
        flash(_("Ihr Name ist geändert. Er gilt für alles, was Sie ab jetzt in einem neuen Verfahren schreiben."),
              "success")
    return web.go("accounts.overview")


@blueprint.post("/konto/sitzungen/<int:session_id>/beenden")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def end_session(session_id: int) -> ResponseReturnValue:
    """Sign another device out."""
    operations.revoke_sessions(web.current_session(), _own_account().id, web.current_now(),
                               only_id=min(session_id, 2**31 - 1))
    flash(_("Das Gerät ist abgemeldet."), "success")
    return web.go("accounts.overview")


@blueprint.route("/konto/zweiter-faktor", methods=["GET", "POST"])
@web.allows(Action.MANAGE_OWN_ACCOUNT)
@web.limiter.limit("15 per 5 minutes", methods=["POST"])
def second_factor() -> ResponseReturnValue:
    """Ask for the code, or lead to setting it up."""
    account = _own_account()
    target = web.safe_next(url_for("municipalities.home"))
    if account.totp_confirmed_at is None:
        return web.go("accounts.set_up_second_factor", next=target)
    form = CodeForm()
    if form.validate_on_submit():
        try:
            operations.check_code(web.current_session(), web.current_keyring(), account, form.code.data or "",
                                  web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
        else:
            operations.pass_second_factor(web.current_session(), str(cookie["_user_id"]), web.current_now())
            return redirect(target, code=303)
    return render_template("accounts/second_factor.html", form=form, next=target, demo_code=_demo_code(account)), (
        422 if form.is_submitted() else 200
    )


def _demo_code(account: Account) -> str:
    """In the demo only: the code that a telephone would show, so that visitors can sign in as staff."""
    if not web.current_settings().is_demo or not account.email.endswith(".example") or not account.totp_secret_sealed:
        return ""
    totp = pyotp.TOTP(web.current_keyring().unseal(account.totp_secret_sealed) or "")
    step = int(web.current_now().timestamp()) // operations.TOTP_STEP_SECONDS
    # Each code counts once; whoever signs in twice within half a minute is shown the next one.
    return totp.generate_otp(max(step, min((account.totp_last_step or 0) + 1, step + 1)))


@blueprint.route("/konto/zweiter-faktor/einrichten", methods=["GET", "POST"])
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def set_up_second_factor() -> ResponseReturnValue:
    """Scan, enter the first code, keep the recovery codes."""
    account = _own_account()
    form = CodeForm()
    target = web.safe_next(url_for("municipalities.home"))
    if request.method == "GET" and account.totp_secret_sealed is None:
        # A GET must not store the secret; the button of this page does.
        return render_template("accounts/begin_second_factor.html", form=EmptyForm(), next=target)
    secret = operations.begin_second_factor(web.current_session(), web.current_keyring(), account)
    if "code" in request.form and form.validate_on_submit():
        try:
            codes = operations.confirm_second_factor(web.current_session(), web.current_keyring(), account,
                                                     form.code.data or "", web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
        else:
            operations.pass_second_factor(web.current_session(), str(cookie["_user_id"]), web.current_now())
            return render_template("accounts/recovery_codes.html", codes=codes, next=target)
    uri = pyotp.TOTP(secret).provisioning_uri(name=account.email, issuer_name=_("Beteiligung %(town)s", town=_town()))
    image = io.BytesIO()
    segno.make(uri).save(image, kind="png", scale=5, border=2)
    picture = f"data:image/png;base64,{base64.b64encode(image.getvalue()).decode()}"
    wrong = form.is_submitted() and "code" in request.form
    return render_template("accounts/set_up_second_factor.html", form=form, secret=secret, picture=picture,
                           next=target), 422 if wrong else 200
