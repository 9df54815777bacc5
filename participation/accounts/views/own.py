"""One's own account: name, address, password, devices."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, request, session as cookie, url_for
from flask_babel import gettext as _

from participation import tokens, web
from participation.accounts.forms import EmailForm, NameForm, PasswordForm, ProofForm
from participation.accounts.operations import access, sessions
from participation.accounts.queries import (
    has_second_factor,
    identities_of,
    last_proof,
    live_sessions,
    new_email_asked_for,
    passkeys_of,
)
from participation.accounts.views.signing import blueprint, own_account, town_name, was_wrong
from participation.actions import Action
from participation.errors import InvalidInput

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from werkzeug.wrappers import Response

# How long ago somebody may have signed in, to open a page that changes the account for good; and to send its form,
# which may have been open for a while.
FRESH_TO_OPEN = timedelta(minutes=15)
FRESH_TO_SEND = timedelta(minutes=60)
SESSIONS_SHOWN = 20


def session_token() -> str:
    """The token of this browser's session."""
    return str(cookie.get("_user_id"))


def ask_again(back: str) -> Response | None:
    """Where to go first, when the person at the browser must show again who they are; else None.

    `back` is the path of the page to come back to. Whoever has a second factor must have shown it, too.
    """
    web.do_not_cache()
    account, now = own_account(), web.current_now()
    if not web.current_actor().second_factor_done and has_second_factor(web.current_session(), account):
        return web.go("accounts.second_factor", next=back)
    proven_at = web.current_session().scalar(last_proof(tokens.hash_token(session_token())))
    limit = FRESH_TO_OPEN if request.method in web.SAFE_METHODS else FRESH_TO_SEND
    if proven_at is None or now - proven_at > limit:
        return web.go("accounts.prove", next=back)
    return None


def account_key() -> str:
    """Throttles guessing for one account from many machines."""
    return f"proof:{web.current_actor().account_id}"


@blueprint.route("/konto/nochmal-anmelden", methods=["GET", "POST"])
@web.allows(Action.MANAGE_OWN_ACCOUNT)
@web.limiter.limit("10 per 5 minutes", methods=["POST"], key_func=account_key, deduct_when=was_wrong)
def prove() -> ResponseReturnValue:
    """Before something that can't be undone: the password again, or a link, or a passkey."""
    web.do_not_cache()
    account, form = own_account(), ProofForm()
    target = web.safe_next(url_for("accounts.overview"))
    if form.validate_on_submit():
        if sessions.prove(web.current_session(), account, form.password.data or "", session_token(),
                            web.current_now()):
            return redirect(target, code=303)
        web.attach(form, InvalidInput(_("Dieses Kennwort stimmt nicht. Versuchen Sie es noch einmal, oder lassen Sie "
                                        "sich einen Link schicken."), field="password"))
    has_passkey = web.current_session().scalar(passkeys_of(account.id).limit(1)) is not None
    return render_template("accounts/prove.html", form=form, account=account, next=target, has_passkey=has_passkey), (
        422 if form.is_submitted() else 200
    )


@blueprint.get("/konto")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def overview() -> ResponseReturnValue:
    """One's own account, and where everything about it is."""
    account = own_account()
    return show_overview(NameForm(display_name=account.display_name), 200)


def show_overview(form: NameForm, status: int) -> ResponseReturnValue:
    """The first page of the account, perhaps with an error in its form."""
    web.do_not_cache()
    account = own_account()
    sealed = web.current_session().scalar(new_email_asked_for(account.id, web.current_now()))
    return render_template("accounts/overview.html", account=account, form=form,
                           new_email=web.current_keyring().unseal(sealed) if sealed else None), status


@blueprint.get("/konto/sicherheit")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def security() -> ResponseReturnValue:
    """How one signs in, and on which devices one is."""
    web.do_not_cache()
    account, session = own_account(), web.current_session()
    return render_template(
        "accounts/security.html", account=account, passkeys=session.scalars(passkeys_of(account.id)).all(),
        sessions=session.scalars(live_sessions(account.id, web.current_now()).limit(SESSIONS_SHOWN)).all(),
        current=tokens.hash_token(session_token()),
        provider=web.current_settings().oidc_issuer and web.current_settings().oidc_label,
        identities=session.scalars(identities_of(account.id)).all(),
    )


@blueprint.route("/konto/e-mail", methods=["GET", "POST"])
@web.allows(Action.MANAGE_OWN_ACCOUNT)
@web.limiter.limit("10 per hour", methods=["POST"], key_func=account_key)
def change_email() -> ResponseReturnValue:
    """Ask for a link to a new address."""
    first = ask_again(url_for("accounts.change_email"))
    if first is not None:
        return first
    account, form = own_account(), EmailForm()
    if form.validate_on_submit():
        try:
            access.request_email_change(web.current_session(), web.current_keyring(), account,
                                            form.email.data or "", web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
        else:
            flash(_("Wir haben an die neue Adresse geschrieben. Öffnen Sie den Link in dieser E-Mail: Erst dann gilt "
                    "die neue Adresse."), "success")
            return web.go("accounts.overview")
    return render_template("accounts/change_email.html", form=form, account=account), (
        422 if form.is_submitted() else 200
    )


@blueprint.post("/konto/e-mail/abbrechen")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def cancel_email_change() -> ResponseReturnValue:
    """Keep the address after all."""
    if access.cancel_email_change(web.current_session(), own_account(), web.current_now()):
        flash(_("Ihre bisherige Adresse bleibt. Der Link in der anderen E-Mail gilt nicht mehr."), "success")
    else:
        flash(_("Es war keine neue Adresse mehr offen. Es gilt die, die hier steht."), "info")
    return web.go("accounts.overview")


@blueprint.route("/konto/kennwort", methods=["GET", "POST"])
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def change_password() -> ResponseReturnValue:
    """Choose another password; all other devices are signed out."""
    first = ask_again(url_for("accounts.change_password"))
    if first is not None:
        return first
    account, form = own_account(), PasswordForm()
    if form.validate_on_submit():
        try:
            cookie["_user_id"] = access.change_password(
                web.current_session(), account, form.password.data or "", town_name(), session_token(),
                web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
        else:
            flash(_("Ihr neues Kennwort gilt. Alle anderen Geräte sind abgemeldet."), "success")
            return web.go("accounts.security")
    return render_template("accounts/change_password.html", form=form, account=account), (
        422 if form.is_submitted() else 200
    )


@blueprint.post("/konto/sitzungen/<int:session_id>/beenden")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def end_session(session_id: int) -> ResponseReturnValue:
    """Sign another device out."""
    sessions.revoke_sessions(web.current_session(), own_account().id, web.current_now(),
                               only_id=min(session_id, 2**31 - 1))
    flash(_("Das Gerät ist abgemeldet."), "success")
    return web.go("accounts.security")


@blueprint.post("/konto/sitzungen/andere-beenden")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def end_other_sessions() -> ResponseReturnValue:
    """Sign every other device out."""
    sessions.revoke_sessions(web.current_session(), own_account().id, web.current_now(), but=session_token())
    flash(_("Alle anderen Geräte sind abgemeldet."), "success")
    return web.go("accounts.security")
