"""Signing in by another provider. The way out is a link, the way back a button: a GET never signs anybody in."""

from __future__ import annotations

import hmac
import json
import logging
import secrets
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from flask import flash, jsonify, make_response, redirect, render_template, request, session as cookie, url_for
from flask_babel import gettext as _

from participation import web
from participation.accounts import external, oidc
from participation.accounts.forms import EmailForm, EmptyForm
from participation.accounts.views.own import ask_again, session_token
from participation.accounts.views.signing import LEFT, after_sign_in, blueprint, own_account
from participation.actions import Action
from participation.errors import Gone, InvalidInput, NotFound

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

log = logging.getLogger(__name__)
FLOW, LEAVING = "oidc", "oidc-leaving"
FLOW_SECONDS = 900
_PURPOSE = "claims:"
LARGEST_ID = 2**31 - 1
# Each time we may ask the provider; an evening of sixty people behind one address stays below.
FROM_ONE_PLACE = "300 per hour"


def _redirect_uri() -> str:
    return url_for("accounts.back_from_provider", _external=True)


def _require_provider() -> None:
    if not web.current_settings().oidc_issuer:
        raise NotFound


def _unreachable(error: oidc.ProviderError) -> ResponseReturnValue:
    log.warning("provider_failed", extra={"error": str(error)})
    flash(_("Die Anmeldung dort hat nicht geklappt. Versuchen Sie es noch einmal, oder nehmen Sie einen anderen Weg."),
          "error")
    return web.go("accounts.sign_in")


@blueprint.get("/konto/anmelden-extern")
@web.public
@web.limiter.limit(FROM_ONE_PLACE)
def to_provider() -> ResponseReturnValue:
    """Send the person to the provider. Only this browser can come back."""
    _require_provider()
    web.do_not_cache()
    connects = web.current_actor().is_signed_in
    if connects:
        first = ask_again(url_for("accounts.to_provider", next=web.safe_next("") or None))
        if first is not None:
            return first
    try:
        address, flow = oidc.begin(web.current_settings(), _redirect_uri())
    except oidc.ProviderError as error:
        return _unreachable(error)
    cookie[FLOW] = {**asdict(flow), "next": web.safe_next(""), "at": int(web.current_now().timestamp()),
                    "account": web.current_actor().account_id}
    return redirect(address, code=303)


@blueprint.get("/konto/anmelden-extern/zurueck")
@web.public
def back_from_provider() -> ResponseReturnValue:
    """The provider sent the person back: one button more, which changes something."""
    _require_provider()
    web.do_not_cache()
    if not request.args.get("code"):
        return _unreachable(oidc.ProviderError(f"no code: {request.args.get('error', '')[:60]}"))
    return render_template("accounts/back_from_provider.html", form=EmptyForm(), label=web.current_settings().oidc_label,
                           sent={name: request.args.get(name, "") for name in ("code", "state", "iss")})


@blueprint.post("/konto/anmelden-extern/zurueck")
@web.public
@web.limiter.limit(FROM_ONE_PLACE)
def finish_at_provider() -> ResponseReturnValue:
    """Sign in, connect, or ask for an address."""
    _require_provider()
    known = cookie.pop(FLOW, None)
    now = web.current_now()
    if not isinstance(known, dict) or known["state"] != request.form.get("state") or (
        now.timestamp() - known["at"] > FLOW_SECONDS
    ):
        raise Gone(_("Diese Anmeldung hat zu lange gedauert oder kam von einem anderen Browser."))
    flow = oidc.Flow(known["state"], known["nonce"], known["verifier"])
    try:
        # Before the database is touched: on SQLite nobody waits for the provider.
        claims = oidc.finish(web.current_settings(), _redirect_uri(), flow, request.form.get("code", ""),
                             request.form.get("iss", ""))
    except oidc.ProviderError as error:
        return _unreachable(error)
    if known["account"] is not None:
        return _connect(known["account"], claims, known["next"])
    found = external.sign_in_by_claims(web.current_session(), claims, now)
    if found is None:
        sealed = web.current_keyring().seal(_PURPOSE + json.dumps({**asdict(replace(claims, id_token="")), "at": int(now.timestamp())}))
        return render_template("accounts/address_for_provider.html", form=EmailForm(email=claims.email), sealed=sealed,
                               label=web.current_settings().oidc_label)
    account, is_new = found
    target = after_sign_in(account, default=known["next"])
    external.mark_session(web.current_session(), web.current_keyring(), session_token(), claims)
    if is_new:
        flash(_("Willkommen! Prüfen Sie bitte den Namen: So sehen andere Sie."), "info")
        target = url_for("accounts.overview")
    return redirect(target, code=303)


def _connect(account_id: int, claims: oidc.Claims, target: str) -> ResponseReturnValue:
    if web.current_actor().account_id != account_id:
        raise Gone(_("Diese Anmeldung hat zu lange gedauert oder kam von einem anderen Browser."))
    external.connect_own(web.current_session(), own_account(), claims, web.current_now())
    flash(_("Verbunden. Ab jetzt können Sie sich auch so anmelden."), "success")
    return redirect(target or url_for("accounts.security"), code=303)


@blueprint.post("/konto/anmelden-extern/adresse")
@web.public
@web.limiter.limit(web.TRIES)
@web.limiter.limit(web.MAILS_FROM_ONE_PLACE, deduct_when=web.was_done)
def address_for_provider() -> ResponseReturnValue:
    """The provider gave no address that it has verified; ours must be confirmed by mail."""
    _require_provider()
    form, sealed = EmailForm(), request.form.get("sealed", "")
    plain = web.current_keyring().unseal(sealed) if sealed.isascii() else None
    if plain is None or not plain.startswith(_PURPOSE):
        raise Gone(_("Diese Anmeldung hat zu lange gedauert oder kam von einem anderen Browser."))
    content = json.loads(plain.removeprefix(_PURPOSE))
    if web.current_now().timestamp() - content.pop("at") > FLOW_SECONDS:
        raise Gone(_("Diese Anmeldung hat zu lange gedauert oder kam von einem anderen Browser."))
    if form.validate_on_submit():
        try:
            external.register_by_claims(web.current_session(), oidc.Claims(**content), form.email.data or "",
                                        web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
        else:
            return web.go("accounts.check_mail")
    return render_template("accounts/address_for_provider.html", form=form, sealed=sealed,
                           label=web.current_settings().oidc_label), 422


@blueprint.post("/konto/verbindungen/<int:identity_id>/trennen")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def disconnect_provider(identity_id: int) -> ResponseReturnValue:
    """The other ways of signing in stay."""
    first = ask_again(url_for("accounts.security"))
    if first is not None:
        return first
    external.disconnect(web.current_session(), own_account(), min(identity_id, LARGEST_ID), web.current_now())
    flash(_("Die Verbindung ist getrennt."), "success")
    return web.go("accounts.security")


# ---- signing out


@blueprint.get("/konto/abgemeldet")
@web.public
def signed_out() -> ResponseReturnValue:
    """After signing out here: the way to sign out at the provider too, or that both are done."""
    web.do_not_cache()
    settings, state = web.current_settings(), cookie.get(LEAVING)
    is_done = isinstance(state, str) and hmac.compare_digest(state.encode(), request.args.get("state", "").encode())
    if not settings.oidc_issuer or not (is_done or LEFT in cookie):
        return web.go("municipalities.home")
    if is_done:
        cookie.pop(LEAVING)
    return render_template("accounts/signed_out.html", is_done=is_done, label=settings.oidc_label)


@blueprint.get("/konto/abmelden-extern")
@web.public
@web.limiter.limit(FROM_ONE_PLACE)
def leave_provider() -> ResponseReturnValue:
    """A link, not a form: our pages send forms to nobody else, and that stays so for what follows a form."""
    _require_provider()
    web.do_not_cache()
    left, hint = cookie.pop(LEFT, None), None
    if isinstance(left, str):
        hint = external.id_token_of(web.current_session(), web.current_keyring(), left, web.current_now())
    if hint is None:
        return web.go("municipalities.home")
    state = secrets.token_urlsafe(24)
    try:
        address = oidc.ending(web.current_settings(), hint, url_for("accounts.signed_out", _external=True), state)
    except oidc.ProviderError as error:
        log.warning("provider_failed", extra={"error": str(error)})
        flash(_("Hier sind Sie abgemeldet. Bei „%(label)s“ hat es nicht geklappt: Bitte melden Sie sich dort selbst ab.",
                label=web.current_settings().oidc_label), "warning")
        return web.go("municipalities.home")
    cookie[LEAVING] = state
    return redirect(address, code=303)


@blueprint.post("/konto/anmelden-extern/beendet")
@web.public
@web.limiter.limit("600 per minute")
def ended_at_provider() -> ResponseReturnValue:
    """The provider itself says that a person signed out there (Back-Channel Logout): no browser takes part."""
    _require_provider()
    try:
        # Before the database is touched, as above.
        said = oidc.ended(web.current_settings(), request.form.get("logout_token", ""))
    except oidc.ProviderError as error:
        log.warning("provider_failed", extra={"error": str(error)})
        response = make_response(jsonify(error="invalid_request"), 400)
    else:
        external.end_sessions(web.current_session(), said, web.current_now())
        response = make_response("", 200)
    response.headers["Cache-Control"] = "no-store"
    return response


# The provider has no page of ours; its signature is the proof, and it ends sessions, nothing else.
WITHOUT_CSRF = (ended_at_provider,)
