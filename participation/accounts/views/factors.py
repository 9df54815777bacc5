"""Codes of an app, codes on paper, and passkeys."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import pyotp
import segno
from flask import redirect, render_template, request, session as cookie, url_for
from flask_babel import gettext as _

from participation import web
from participation.accounts import operations
from participation.accounts.forms import CodeForm, EmptyForm
from participation.accounts.views.signing import blueprint, own_account, town_name
from participation.actions import Action
from participation.errors import InvalidInput

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from participation.accounts.models import Account


@blueprint.route("/konto/zweiter-faktor", methods=["GET", "POST"])
@web.allows(Action.MANAGE_OWN_ACCOUNT)
@web.limiter.limit("15 per 5 minutes", methods=["POST"])
def second_factor() -> ResponseReturnValue:
    """Ask for the code, or lead to setting it up."""
    account = own_account()
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
    account = own_account()
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
    uri = pyotp.TOTP(secret).provisioning_uri(name=account.email, issuer_name=_("Beteiligung %(town)s", town=town_name()))
    image = io.BytesIO()
    segno.make(uri).save(image, kind="png", scale=5, border=2)
    picture = f"data:image/png;base64,{base64.b64encode(image.getvalue()).decode()}"
    wrong = form.is_submitted() and "code" in request.form
    return render_template("accounts/set_up_second_factor.html", form=form, secret=secret, picture=picture,
                           next=target), 422 if wrong else 200
