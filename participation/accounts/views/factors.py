"""Codes of an app, codes on paper, and passkeys."""

from __future__ import annotations

import base64
import io
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyotp
import segno
from flask import flash, jsonify, make_response, redirect, render_template, request, session as cookie, url_for
from flask_babel import gettext as _
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from participation import web
from participation.accounts import passkeys
from participation.accounts.forms import CodeForm, EmptyForm
from participation.accounts.operations import factors, sessions
from participation.accounts.queries import has_second_factor, passkeys_of, unused_recovery_codes
from participation.accounts.views.own import account_key, ask_again, session_token
from participation.accounts.views.signing import (
    after_sign_in,
    blueprint,
    device_name,
    own_account,
    town_name,
    was_wrong,
)
from participation.actions import Action
from participation.errors import DomainError, InvalidInput

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from participation.accounts.models import Account

CHALLENGE = "passkey"
CHALLENGE_HOLDS = timedelta(minutes=5)
LARGEST_ID = 2**31 - 1


@blueprint.route("/konto/zweiter-faktor", methods=["GET", "POST"])
@web.allows(Action.MANAGE_OWN_ACCOUNT)
@web.limiter.limit("15 per 5 minutes", methods=["POST"], deduct_when=was_wrong)
@web.limiter.limit("10 per 5 minutes;60 per day", methods=["POST"], key_func=account_key, deduct_when=was_wrong)
def second_factor() -> ResponseReturnValue:
    """Ask for the code, or lead to setting it up."""
    account = own_account()
    target = web.safe_next(url_for("municipalities.home"))
    if not has_second_factor(web.current_session(), account):
        return web.go("accounts.set_up_second_factor", next=target)
    form = CodeForm()
    has_passkey = web.current_session().scalar(passkeys_of(account.id).limit(1)) is not None
    if account.totp_confirmed_at is not None and form.validate_on_submit():
        try:
            factors.check_code(web.current_session(), web.current_keyring(), account, form.code.data or "",
                                  web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
        else:
            sessions.pass_second_factor(web.current_session(), session_token(), web.current_now())
            return redirect(target, code=303)
    return render_template("accounts/second_factor.html", form=form, next=target, demo_code=_demo_code(account),
                           has_code=account.totp_confirmed_at is not None, has_passkey=has_passkey), (
        422 if form.is_submitted() else 200
    )


def _demo_code(account: Account) -> str:
    """In the demo only: the code that a telephone would show, so that visitors can sign in as staff."""
    if not web.current_settings().is_demo or not account.email.endswith(".example") or not account.totp_secret_sealed:
        return ""
    totp = pyotp.TOTP(web.current_keyring().unseal(account.totp_secret_sealed) or "")
    step = int(web.current_now().timestamp()) // factors.TOTP_STEP_SECONDS
    # Each code counts once; whoever signs in twice within half a minute is shown the next one.
    return totp.generate_otp(max(step, min((account.totp_last_step or 0) + 1, step + 1)))


@blueprint.route("/konto/zweiter-faktor/einrichten", methods=["GET", "POST"])
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def set_up_second_factor() -> ResponseReturnValue:
    """Scan, enter the first code, keep the recovery codes."""
    account = own_account()
    form = CodeForm()
    target = web.safe_next(url_for("municipalities.home"))
    if not web.current_actor().second_factor_done and has_second_factor(web.current_session(), account):
        # Whoever knows the password alone must not add a factor of their own.
        return web.go("accounts.second_factor", next=target)
    first = ask_again(url_for("accounts.set_up_second_factor", next=target))
    if first is not None:
        return first
    if request.method == "GET" and account.totp_secret_sealed is None:
        # A GET must not store the secret; the button of this page does.
        return render_template("accounts/begin_second_factor.html", form=EmptyForm(), next=target,
                               is_staff=bool(account.grants))
    secret = factors.begin_second_factor(web.current_session(), web.current_keyring(), account)
    if "code" in request.form and form.validate_on_submit():
        try:
            codes = factors.confirm_second_factor(web.current_session(), web.current_keyring(), account,
                                                     form.code.data or "", web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
        else:
            sessions.pass_second_factor(web.current_session(), session_token(), web.current_now())
            return _shown_codes(account, codes, target)
    uri = pyotp.TOTP(secret).provisioning_uri(name=account.email, issuer_name=_("Beteiligung %(town)s", town=town_name()))
    image = io.BytesIO()
    segno.make(uri).save(image, kind="png", scale=5, border=2)
    picture = f"data:image/png;base64,{base64.b64encode(image.getvalue()).decode()}"
    wrong = form.is_submitted() and "code" in request.form
    return render_template("accounts/set_up_second_factor.html", form=form, secret=secret, picture=picture,
                           next=target), 422 if wrong else 200


@blueprint.route("/konto/notfall-codes", methods=["GET", "POST"])
@web.allows(Action.MANAGE_OWN_ACCOUNT)
@web.limiter.limit("10 per hour", methods=["POST"], key_func=account_key)
def recovery_codes() -> ResponseReturnValue:
    """How many codes on paper are left; new ones, shown once."""
    account, back = own_account(), url_for("accounts.recovery_codes")
    if account.totp_confirmed_at is None:
        return web.go("accounts.security")
    first = ask_again(back)
    if first is not None:
        return first
    session = web.current_session()
    if request.method == "POST":
        codes = factors.renew_recovery_codes(session, web.current_keyring(), account, web.current_now())
        return _shown_codes(account, codes, url_for("accounts.security"))
    return render_template("accounts/renew_recovery_codes.html", form=EmptyForm(),
                           left=session.scalar(unused_recovery_codes(account.id)))


def _shown_codes(account: Account, codes: list[str], target: str) -> ResponseReturnValue:
    """The only time that anybody sees them."""
    web.do_not_cache()
    return render_template("accounts/recovery_codes.html", account=account, codes=codes, next=target, town=town_name())


# -------------------------------------------------------------------------------------------------------- passkeys


def _host() -> str:
    return urlsplit(request.host_url).hostname or ""


def _origin() -> str:
    return request.host_url.rstrip("/")


def _keep_challenge(purpose: str, challenge: bytes) -> None:
    """In the browser's signed cookie: asking writes nothing, and the answer must come from the same browser."""
    cookie[CHALLENGE] = [purpose, bytes_to_base64url(challenge), int(web.current_now().timestamp())]


def _kept_challenge(purpose: str) -> bytes:
    """The question that was asked last, once. Raises InvalidInput when it is too old."""
    kept = cookie.pop(CHALLENGE, None)
    age = web.current_now().timestamp() - kept[2] if isinstance(kept, list) and kept[0] == purpose else None
    if age is None or age > CHALLENGE_HOLDS.total_seconds():
        raise InvalidInput(_("Das hat zu lange gedauert. Bitte versuchen Sie es noch einmal."))
    return base64url_to_bytes(kept[1])


def _sent() -> dict[str, Any]:
    """What the browser's script sent; whatever else somebody sends is an empty answer."""
    try:
        found = request.get_json(silent=True)
    except RecursionError:
        # Thousands of brackets in each other: no error of syntax for the parser.
        found = None
    return found if isinstance(found, dict) else {}


def _refusal(error: DomainError) -> ResponseReturnValue:
    return make_response(jsonify(message=web.translated(error)), error.status)


@blueprint.get("/konto/passkeys/neu")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def new_passkey() -> ResponseReturnValue:
    """What a passkey is, its name, and the button."""
    first = ask_again(url_for("accounts.new_passkey", next=web.safe_next("") or None))
    if first is not None:
        return first
    return render_template("accounts/new_passkey.html", name=device_name(),
                           next=web.safe_next(url_for("accounts.security")))


@blueprint.post("/konto/passkeys/neu/beginnen")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
@web.limiter.limit("30 per hour", key_func=account_key)
def begin_passkey() -> ResponseReturnValue:
    """Ask the device for a key."""
    first = ask_again(url_for("accounts.new_passkey"))
    if first is not None:
        return make_response(jsonify(location=first.location, message=""), 401)
    try:
        options, challenge = passkeys.registration_options(
            web.current_session(), web.current_keyring(), own_account(), _host(),
            _("Beteiligung %(town)s", town=town_name()),
        )
    except DomainError as error:
        return _refusal(error)
    _keep_challenge("register", challenge)
    return jsonify(options)


@blueprint.post("/konto/passkeys/neu")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
@web.limiter.limit("30 per hour", key_func=account_key)
def add_passkey() -> ResponseReturnValue:
    """Keep the key that the device made."""
    first = ask_again(url_for("accounts.new_passkey"))
    if first is not None:
        return make_response(jsonify(location=first.location, message=""), 401)
    sent = _sent()
    account, session = own_account(), web.current_session()
    try:
        verified = passkeys.add_passkey(
            session, account, sent.get("credential"), challenge=_kept_challenge("register"), host=_host(),
            origin=_origin(), name=str(sent.get("name") or ""), now=web.current_now(),
        )
    except DomainError as error:
        return _refusal(error)
    if verified:
        # Whoever comes here has shown everything that the account asks for so far, and now this.
        sessions.pass_second_factor(session, session_token(), web.current_now())
    flash(_("Ihr Passkey ist gespeichert. Ab jetzt können Sie sich damit anmelden."), "success")
    return jsonify(location=web.safe_next(url_for("accounts.security")))


@blueprint.post("/konto/passkeys/<int:passkey_id>/entfernen")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def remove_passkey(passkey_id: int) -> ResponseReturnValue:
    """A lost device signs nobody in any more."""
    first = ask_again(url_for("accounts.security"))
    if first is not None:
        return first
    passkeys.remove_passkey(web.current_session(), own_account(), min(passkey_id, LARGEST_ID), web.current_now())
    flash(_("Der Passkey ist entfernt."), "success")
    return web.go("accounts.security")


@blueprint.post("/konto/passkey/beginnen")
@web.public
@web.limiter.limit("200 per 5 minutes")
def begin_passkey_sign_in() -> ResponseReturnValue:
    """Ask the device for a key of ours; which account it is says the answer."""
    options, challenge = passkeys.sign_in_options(_host(), verified=web.current_actor().is_signed_in)
    _keep_challenge("sign_in", challenge)
    return jsonify(options)


@blueprint.post("/konto/passkey/anmelden")
@web.public
@web.limiter.limit("30 per 5 minutes", deduct_when=web.was_refused)
def passkey_sign_in() -> ResponseReturnValue:
    """Sign in. A device that checked who is there has shown two factors: having and being, or having and knowing."""
    try:
        account, verified = passkeys.check_passkey(
            web.current_session(), web.current_keyring(), _sent().get("credential"),
            challenge=_kept_challenge("sign_in"), host=_host(), origin=_origin(), now=web.current_now(),
        )
    except DomainError as error:
        return _refusal(error)
    return jsonify(location=after_sign_in(account, both_factors=verified))
