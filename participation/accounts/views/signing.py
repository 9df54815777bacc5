"""Signing in and out, registering, and the links that are mailed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import (
    Blueprint,
    flash,
    g,
    get_flashed_messages,
    redirect,
    render_template,
    request,
    session as cookie,
    url_for,
)
from flask_babel import gettext as _
from flask_login import UserMixin, current_user
from markupsafe import escape

from participation import clock, tokens, web
from participation.accounts.external import may_end_at_provider
from participation.accounts.forms import ConfirmForm, EmailForm, EmptyForm, PasswordForm, RegisterForm, SignInForm
from participation.accounts.models import Account, TokenPurpose
from participation.accounts.names import require_own_name
from participation.accounts.operations import access, links, registering, sessions
from participation.accounts.operations.entered import clean_email, clean_name
from participation.accounts.passwords import check_password
from participation.accounts.queries import signed_in_actor
from participation.errors import Gone, InvalidInput, SignInNeeded
from participation.permissions import ANONYMOUS, Actor
from participation.pieces import Filling, render_kept

if TYPE_CHECKING:
    from flask import Response
    from flask.typing import ResponseReturnValue
    from werkzeug.wrappers import Response as AnyResponse

blueprint = Blueprint("accounts", __name__)
LEFT = "left"
HALF_WAY = frozenset({"accounts.second_factor", "accounts.begin_passkey_sign_in", "accounts.passkey_sign_in"})


class SignedIn(UserMixin):
    """What Flask-Login holds: the actor of a live sign-in session."""

    def __init__(self, token: str, actor: Actor) -> None:
        """Keep the token as Flask-Login's id: the cookie names a session that can be revoked, not an account."""
        self.id = token
        self.actor = actor


def load_user(token: str) -> SignedIn | None:
    """Flask-Login asks who a cookie stands for."""
    found = signed_in_actor(web.current_database(), tokens.hash_token(token), clock.now(), g.get("version_asked_of"))
    if found is None:
        return None
    actor, g.content_version = found
    return SignedIn(token, actor)


def load_actor() -> Actor:
    """Who acts in this request. Whoever still owes the second factor is nobody, except where it is asked for."""
    user = current_user._get_current_object() if "_user_id" in cookie else None  # noqa: SLF001 - the object behind it
    if user is not None and user.is_authenticated:
        actor: Actor = user.actor
        return actor if not actor.second_factor_awaited or request.endpoint in HALF_WAY else ANONYMOUS
    guest = cookie.get(web.GUEST_TOKEN)
    return Actor(guest_token=guest) if isinstance(guest, str) else ANONYMOUS


def account_menu() -> Filling:
    """The header's right side; a hole of cached pages."""
    actor = web.current_actor()
    # Who reads something of a process comes back to it; from elsewhere the way leads to where staff have their work.
    if not actor.is_signed_in and request.method == "GET" and "slug" in (request.view_args or {}):
        return web.render_part("accounts/_menu.html", is_signed_in=False, back=request.path)
    return render_kept("accounts/_menu.html", name=actor.display_name, is_signed_in=actor.is_signed_in,
                           is_staff=actor.is_staff, back=None, mark=web.browser_mark())


@web.at_once
def messages_at(places: list[dict[str, Any]]) -> dict[int, str]:
    """What the last step has to say, where the reader lands: by name of the anchor, asked before the hole at the top."""
    landing = web.lands_at()
    if not landing:
        return {}
    found = next((number for number, place in enumerate(places) if place["anchor"] == landing), None)
    return {} if found is None else {found: _messages(is_here=True)}


def messages() -> str:
    """What the last step has to say; a hole of cached pages."""
    return _messages(is_here=False) if web.lands_at() is not None else ""


def _messages(*, is_here: bool) -> str:
    # Flask would give them once more within a request.
    items = [] if g.get("messages_shown") else get_flashed_messages(with_categories=True)
    if not items:
        return ""
    g.messages_shown = True
    cookie.pop(web.LANDING, None)
    return web.render_part("accounts/_messages.html", items=items, is_here=is_here)


def account_name(label: str) -> str:
    """Whom the audit log means, for features that know no accounts; nothing for a command, or who has left."""
    kind, _colon, number = label.partition(":")
    row = web.current_session().get(Account, int(number)) if kind == "account" else None
    return str(escape(row.display_name)) if row else ""


PARTS = {"account_name": account_name}
HOLES = {"account_menu": account_menu, "messages": messages, "messages_at": messages_at}


def town_name() -> str:
    """The municipality's name: no good password, and the name that an app shows."""
    municipality = web.current_municipality()
    return municipality.name if municipality else ""


def own_account() -> Account:
    """The account of whoever is signed in."""
    return web.current_session().get_one(Account, web.current_actor().account_id)


def device_name() -> str:
    """A line like "Firefox, Android": enough to recognise one's own device."""
    agent = request.headers.get("User-Agent", "")
    names = (("Firefox", "Firefox"), ("Edg/", "Edge"), ("Chrome", "Chrome"), ("Safari", "Safari"))
    systems = (("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac", "Mac"),
               ("Linux", "Linux"))
    browser = next((name for mark, name in names if mark in agent), _("Browser"))
    system = next((name for mark, name in systems if mark in agent), "")
    return f"{browser}, {system}" if system else browser


def start_session(account: Account) -> str:
    """A new session under a new id; nothing of the visit before goes along (session fixation)."""
    before = cookie.get("_user_id")
    if isinstance(before, str):
        sessions.close_session(web.current_session(), before, web.current_now())
    token = sessions.open_session(web.current_session(), account, device_name(), web.current_now())
    # In which language to write to them: the one they last signed in with.
    account.locale = web.language()
    cookie.clear()
    cookie["_user_id"] = token
    cookie["_fresh"] = True
    cookie.permanent = True
    return token


def after_sign_in(account: Account, *, both_factors: bool = False, default: str = "") -> str:
    """Start the session; returns where to go: on to where the person was, or to the second factor first."""
    token = start_session(account)
    if both_factors:
        sessions.pass_second_factor(web.current_session(), token, web.current_now())
    elif account.grants or account.totp_confirmed_at is not None:
        # A resident may have a second factor too, and has nothing to do where staff have their work.
        usual = url_for("administration.index" if account.grants else "municipalities.home")
        return url_for("accounts.second_factor", next=web.safe_next(default or usual))
    return web.safe_next(default or url_for("municipalities.home"))


def _after_mailed_link(account: Account, *, is_first: bool) -> str:
    """The same for whoever came by a mailed link. `is_first` for who shows by it that the address is theirs.

    They choose a name next, unless they were on the way elsewhere.
    """
    target = after_sign_in(account, default=url_for("accounts.overview") if is_first else "")
    if is_first:
        flash(_("Der Name vom Registrieren gilt nicht mehr: Er könnte von jemand anderem sein. Andere lesen jetzt „%(name)s“. "
                "Ihren eigenen Namen wählen Sie unter „Mein Konto“.", name=account.display_name), "info")
    return target


def _entered_address() -> str:
    """Throttles guessing of one account's password from many machines, however the address is spelt.

    Hashed: where the counters lie is no place for addresses.
    """
    entered = request.form.get("email", "")[:1000]
    try:
        entered = clean_email(entered)
    except InvalidInput:
        entered = entered.strip().lower()
    return web.current_keyring().mark("entered-address", entered)


def was_wrong(response: Response) -> bool:
    """Only what was wrong counts against the limit: whoever mistypes twice and gets it right is no attacker."""
    return response.status_code == 422  # noqa: PLR2004 - the form again


def _provider() -> str:
    """By whom people can sign in too, as the button calls it; empty where there is none."""
    settings = web.current_settings()
    return settings.oidc_label if settings.oidc_issuer else ""


def _owes_second_factor() -> bool:
    """Whether this browser has signed in and only the second factor is missing."""
    return "_user_id" in cookie and current_user.is_authenticated and bool(current_user.actor.second_factor_awaited)


@blueprint.route("/konto/anmelden", methods=["GET", "POST"])
@web.public
@web.limiter.limit("40 per 5 minutes", methods=["POST"], deduct_when=was_wrong)
@web.limiter.limit("10 per 5 minutes;60 per day", methods=["POST"], key_func=_entered_address, deduct_when=was_wrong)
def sign_in() -> ResponseReturnValue:
    """Sign in with address and password; a link by mail and a passkey stand beside it."""
    form = SignInForm()
    if request.method == "GET" and _owes_second_factor():
        return web.go("accounts.second_factor", next=web.safe_next("") or None)
    if form.validate_on_submit():
        account = sessions.check_credentials(web.current_session(), form.email.data or "", form.password.data or "")
        if account is not None:
            return redirect(after_sign_in(account), code=303)
        web.attach(form, InvalidInput(_("E-Mail-Adresse oder Kennwort stimmt nicht. Prüfen Sie beides, oder lassen "
                                        "Sie sich einen Link zum Anmelden schicken. Haben Sie sich gerade registriert? "
                                        "Dann öffnen Sie zuerst den Link in unserer E-Mail."), field="email"))
    return render_template("accounts/sign_in.html", form=form, next=web.safe_next(""), provider=_provider(),
                           why=web.part("why_sign_in", target=web.safe_next(""), provider=_provider())), (
        422 if form.is_submitted() else 200
    )


@blueprint.route("/konto/anmelden-per-link", methods=["GET", "POST"])
@web.public
@web.limiter.limit(web.TRIES, methods=["POST"])
@web.limiter.limit(web.MAILS_FROM_ONE_PLACE, methods=["POST"], deduct_when=web.was_done)
def request_sign_in_link() -> ResponseReturnValue:
    """Ask for a link that signs in; nobody learns here whether an address has an account."""
    form = EmailForm()
    if form.validate_on_submit():
        try:
            links.request_sign_in_link(web.current_session(), web.current_keyring(), form.email.data or "",
                                            web.safe_next(""), web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
        else:
            return web.go("accounts.check_mail")
    return render_template("accounts/request_sign_in_link.html", form=form, next=web.safe_next("")), (
        422 if form.is_submitted() else 200
    )


@blueprint.route("/konto/anmelden/<token>", methods=["GET", "POST"])
@web.public
@web.limiter.limit("30 per hour", methods=["POST"], deduct_when=web.was_refused)
def sign_in_by_link(token: str) -> ResponseReturnValue:
    """A button, then the sign-in: mail scanners that open links must not use them up."""
    web.do_not_cache()
    form = EmptyForm()
    try:
        if form.validate_on_submit():
            account = links.account_of_token(web.current_session(), token, TokenPurpose.SIGN_IN, web.current_now())
            had_password, is_first = account.password_hash is not None, account.email_confirmed_at is None
            account = access.sign_in_by_link(web.current_session(), token, web.current_now())
            target = _after_mailed_link(account, is_first=is_first)
            if had_password and account.password_hash is None:
                flash(_("Ihre E-Mail-Adresse ist bestätigt. Das Kennwort vom Registrieren gilt nicht mehr: Es könnte von "
                        "jemand anderem sein. Ein neues wählen Sie unter „Mein Konto → Anmeldung und Geräte“."), "info")
            return redirect(target, code=303)
        account = links.account_of_token(web.current_session(), token, TokenPurpose.SIGN_IN, web.current_now())
    except Gone:
        # Mostly the same link in another window of this browser.
        if _owes_second_factor():
            return web.go("accounts.second_factor", next=web.safe_next("") or None)
        if not web.current_actor().is_signed_in:
            raise
        flash(_("Dieser Link gilt nicht mehr. Aber Sie sind schon angemeldet: %(name)s",
                name=web.current_actor().display_name), "info")
        return web.onward(url_for("municipalities.home"))
    name = account.display_name if account.email_confirmed_at is not None else ""
    return render_template("accounts/sign_in_by_link.html", form=form, name=name,
                           next=web.safe_next(""))


@blueprint.post("/konto/abmelden")
@web.public
def sign_out() -> ResponseReturnValue:
    """Sign out here and for every copy of the cookie."""
    token, came_by_provider = cookie.get("_user_id"), False
    if isinstance(token, str):
        sessions.close_session(web.current_session(), token, web.current_now())
        came_by_provider = bool(web.current_settings().oidc_issuer) and may_end_at_provider(web.current_session(), token)
    cookie.clear()
    if came_by_provider:
        # It opens nothing any more; it only says which session to end over there.
        cookie[LEFT] = token
        return forget_pages(web.go("accounts.signed_out"))
    flash(_("Sie sind abgemeldet."), "success")
    return forget_pages(web.go("municipalities.home"))


def forget_pages(response: AnyResponse) -> AnyResponse:
    """The button "back" shows nothing of what the person saw, to whoever sits down next."""
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@blueprint.route("/konto/registrieren", methods=["GET", "POST"])
@web.public
@web.limiter.limit(web.TRIES, methods=["POST"])
@web.limiter.limit(web.MAILS_FROM_ONE_PLACE, methods=["POST"], deduct_when=web.was_done)
def register() -> ResponseReturnValue:
    """Make an account; the answer is the same for a known address."""
    form = RegisterForm()
    email, name, password = form.email.data or "", form.display_name.data or "", form.password.data or ""
    if form.is_submitted() and web.all_right(
        form, lambda: clean_email(email), lambda: clean_name(name),
        lambda: require_own_name(web.current_session(), name, "display_name"),
        lambda: check_password(password, email, name, town_name()),
    ):
        try:
            registering.register(
                web.current_session(), web.current_keyring(), email=email, display_name=name, password=password,
                town=town_name(), now=web.current_now(), target=web.safe_next(""), locale=web.language(),
            )
        except InvalidInput as error:
            web.attach(form, error)
        else:
            return web.go("accounts.check_mail")
    return render_template("accounts/register.html", form=form, next=web.safe_next(""),
                           why=web.part("why_sign_in", target=web.safe_next(""), provider="")), (
        422 if form.is_submitted() else 200
    )


@blueprint.get("/konto/post-pruefen")
@web.public
def check_mail() -> ResponseReturnValue:
    """What to do next, after registering or asking for a link."""
    return render_template("accounts/check_mail.html")


@blueprint.route("/konto/bestaetigen/<token>", methods=["GET", "POST"])
@web.public
@web.limiter.limit("40 per 5 minutes", methods=["POST"], deduct_when=was_wrong)
def confirm(token: str) -> ResponseReturnValue:
    """The password, then the confirmation, and the person is signed in. Who comes by a provider has a button alone.

    Opening the link changes nothing: mail scanners do that too.
    """
    web.do_not_cache()
    account = links.account_of_token(web.current_session(), token, TokenPurpose.CONFIRM_EMAIL, web.current_now())
    by_provider = account.password_hash is None
    # Else a stranger could enter somebody's address at the provider, and wait for its owner to press the button.
    is_here = not by_provider or web.current_actor().account_id == account.id
    form = EmptyForm() if by_provider else ConfirmForm()
    if is_here and form.validate_on_submit():
        try:
            account = access.confirm_email(web.current_session(), token, request.form.get("password", ""), web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
        else:
            if not by_provider:
                target = after_sign_in(account)
                flash(_("Ihre E-Mail-Adresse ist bestätigt, und Sie sind angemeldet."), "success")
                return redirect(target, code=303)
            flash(_("Ihre E-Mail-Adresse ist bestätigt."), "success")
            if web.current_actor().account_id == account.id:
                return web.onward(url_for("accounts.overview"))
            return web.go("accounts.sign_in", next=web.safe_next("") or None)
    return render_template("accounts/confirm.html", form=form, account=account, next=web.safe_next(""), by_provider=by_provider, is_here=is_here,
                           provider=web.current_settings().oidc_label), 422 if form.is_submitted() else 200


@blueprint.route("/konto/neue-adresse/<token>", methods=["GET", "POST"])
@web.public
@web.limiter.limit("30 per hour", methods=["POST"], deduct_when=web.was_refused)
def confirm_new_email(token: str) -> ResponseReturnValue:
    """The new address is confirmed by a button, by whoever is signed in to the account.

    Else somebody could ask for another one's address, and wait for its owner to press it. Raises SignInNeeded, which leads
    back, or Gone for the link of another account.
    """
    web.do_not_cache()
    account, email = access.new_email_of(web.current_session(), web.current_keyring(), token, web.current_now())
    actor = web.current_actor()
    if not actor.is_signed_in:
        raise SignInNeeded
    if actor.account_id != account.id:
        raise Gone(_("Dieser Link gehört zu einem anderen Konto als dem, mit dem Sie angemeldet sind."))
    form = EmptyForm()
    if form.validate_on_submit():
        access.change_email(web.current_session(), web.current_keyring(), token, web.current_now())
        flash(_("Ihre neue E-Mail-Adresse gilt ab jetzt."), "success")
        return web.go("accounts.overview")
    return render_template("accounts/confirm_new_email.html", form=form, email=email)


@blueprint.route("/konto/passwort-vergessen", methods=["GET", "POST"])
@web.public
@web.limiter.limit(web.TRIES, methods=["POST"])
@web.limiter.limit(web.MAILS_FROM_ONE_PLACE, methods=["POST"], deduct_when=web.was_done)
def request_reset() -> ResponseReturnValue:
    """Ask for a link to a new password."""
    form = EmailForm()
    if form.validate_on_submit():
        try:
            links.request_reset(web.current_session(), web.current_keyring(), form.email.data or "", web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
        else:
            return web.go("accounts.check_mail")
    return render_template("accounts/request_reset.html", form=form), 422 if form.is_submitted() else 200


def _choose_password(token: str, purpose: TokenPurpose, title: str) -> ResponseReturnValue:
    form = PasswordForm()
    account = links.account_of_token(web.current_session(), token, purpose, web.current_now())
    is_first = purpose is TokenPurpose.RESET_PASSWORD and account.email_confirmed_at is None
    if form.validate_on_submit():
        try:
            account = access.set_password(web.current_session(), token, purpose, form.password.data or "",
                                              town_name(), web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
        else:
            # Signed in at once: whoever guesses passwords meanwhile can't keep the owner out.
            target = _after_mailed_link(account, is_first=is_first)
            flash(_("Ihr neues Kennwort gilt. Sie sind angemeldet."), "success")
            return redirect(target, code=303)
    return render_template("accounts/choose_password.html", form=form, title=title, email=account.email), (
        422 if form.is_submitted() else 200
    )


@blueprint.route("/konto/passwort/<token>", methods=["GET", "POST"])
@web.public
@web.limiter.limit("30 per hour", methods=["POST"], deduct_when=web.was_refused)
def reset(token: str) -> ResponseReturnValue:
    """Choose a new password by a mailed link."""
    return _choose_password(token, TokenPurpose.RESET_PASSWORD, _("Neues Kennwort wählen"))


@blueprint.route("/konto/einladung/<token>", methods=["GET", "POST"])
@web.public
@web.limiter.limit("30 per hour", methods=["POST"], deduct_when=web.was_refused)
def invitation(token: str) -> ResponseReturnValue:
    """New staff chooses a password."""
    return _choose_password(token, TokenPurpose.STAFF_INVITATION, _("Willkommen: Kennwort wählen"))
