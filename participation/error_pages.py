"""Error pages in German that keep what was entered."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from flask import Flask, current_app, g, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _, ngettext
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, SecurityError

from participation.errors import (
    AccountGone,
    DomainError,
    SecondFactorNeeded,
    SignInNeeded,
    TooManyRequests,
    VerificationNeeded,
)
from participation.i18n import N_
from participation.permissions import ANONYMOUS
from participation.web import (
    SAFE_METHODS,
    current_actor,
    current_database,
    current_settings,
    limiter,
    safe_next,
    translated,
    way_back,
)

if TYPE_CHECKING:
    from flask import Response
    from flask.typing import ResponseReturnValue
    from flask_limiter import RequestLimit

log = logging.getLogger(__name__)
# Where a page that can't be shown yet leads first.
_LEADS_ON: dict[type[DomainError], str] = {
    SignInNeeded: "accounts.sign_in", SecondFactorNeeded: "accounts.second_factor",
    VerificationNeeded: "accounts.verification",
}
# From a mailed link that is dead to where one goes on, and what to say about it.
_AFTER_DEAD_LINK: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "accounts.sign_in_by_link": ("", ((N_("Neuen Link anfordern"), "accounts.request_sign_in_link"),)),
    "accounts.reset": ("", ((N_("Neuen Link anfordern"), "accounts.request_reset"),)),
    "accounts.confirm": (
        N_("Haben Sie Ihre Adresse schon bestätigt? Dann melden Sie sich an. Sonst lassen Sie sich einen Link zum "
           "Anmelden schicken: Auch er bestätigt Ihre Adresse."),
        ((N_("Anmelden"), "accounts.sign_in"), (N_("Link per E-Mail schicken"), "accounts.request_sign_in_link"))),
    "accounts.confirm_new_email": (
        N_("Haben Sie die neue Adresse schon bestätigt? Dann gilt sie. Sonst fordern Sie einen neuen Link an."),
        ((N_("Adresse ändern"), "accounts.change_email"),)),
    "accounts.invitation": (
        N_("Haben Sie die Einladung schon angenommen? Dann melden Sie sich an. Sonst bitten Sie um eine neue."),
        ((N_("Anmelden"), "accounts.sign_in"),)),
    "coauthors.invitation": (
        N_("Bitten Sie um eine neue, wenn Sie noch nicht mitschreiben."),
        ((N_("Meine Beiträge"), "personal.contributions"),)),
}
# What there was too much of, and what became of the last one, by where it was sent.
_OF_WHAT: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("comments.post", "comments.edit"), (
        N_("Zu viele Kommentare in kurzer Zeit"),
        N_("Ihr Kommentar ist nicht gespeichert. So bremsen wir Programme, die Kommentare in Massen verschicken."))),
    **dict.fromkeys(("submissions.new", "submissions.edit"), (
        N_("Zu viele Vorschläge in kurzer Zeit"),
        N_("Ihr Vorschlag ist nicht gespeichert. So bremsen wir Programme, die Vorschläge in Massen verschicken."))),
    "submissions.introduce": (
        N_("Zu viele E-Mails an diese Adresse"),
        N_("Wir haben keine weitere E-Mail geschickt, und an Ihrem Beleg ist nichts geändert. Die Nummer und der Link, die auf "
           "dem Beleg stehen, genügen: Damit finden Sie Ihren Beitrag wieder.")),
    "following.follow": (N_("Zu viele Bestellungen in kurzer Zeit"),
                         N_("Wir haben keine E-Mail verschickt. So bremsen wir Programme, die fremde Adressen eintragen.")),
}
# Links that have done their work for whoever is signed in.
_OF_SIGNING_UP = {"accounts.confirm", "accounts.invitation"}
# What people type in one word too; of everything else only what has several words was typed, not chosen or put there by us.
TYPED = {
    "title": N_("Titel"), "text": N_("Text"), "body": N_("Text"), "place_text": N_("Ort"), "place": N_("Ort"),
    "pseudonym": N_("Name"), "display_name": N_("Name"), "name": N_("Name"), "email": N_("E-Mail-Adresse"),
    "reason": N_("Begründung"), "summary": N_("Zusammenfassung"), "q": N_("Suche"),
}
NEVER_KEPT = ("password", "csrf_token", "code", "token", "submission_key", "form_key", "_seen")


def _texts(status: int) -> tuple[str, str]:
    """Title and cure of a status. Residents read this: no jargon, no number without a word."""
    known = {
        400: (
            _("Das hat nicht geklappt"),
            _("Bitte gehen Sie zurück, laden Sie die Seite neu und senden Sie noch einmal."),
        ),
        401: (_("Bitte anmelden"), _("Melden Sie sich an und versuchen Sie es noch einmal.")),
        403: (
            _("Kein Zugang"),
            _("Für diese Seite fehlt Ihnen die Berechtigung. Fragen Sie die Verwaltung, wenn Sie sie brauchen."),
        ),
        404: (
            _("Seite nicht gefunden"),
            _(
                "Vielleicht ist die Adresse falsch geschrieben, oder der Inhalt ist nicht mehr da. Auf der Startseite finden Sie alle Verfahren."
            ),
        ),
        405: (
            _("Das hat nicht geklappt"),
            _("Diese Adresse können Sie so nicht aufrufen. Bitte beginnen Sie auf der Startseite."),
        ),
        # What hinders says the message; the cure is the way back, to the page as it is now.
        409: (_("Das hat nicht geklappt"), ""),
        410: (_("Dieser Link gilt nicht mehr"), _("Bitte fordern Sie einen neuen Link an.")),
        413: _too_much(),
        422: (_("Bitte prüfen Sie Ihre Eingabe"), _("Eine Angabe konnte nicht übernommen werden.")),
        429: (_("Zu viele Versuche"), _("Bitte warten Sie eine Weile und versuchen Sie es dann noch einmal.")),
        500: (
            _("Bei uns ist ein Fehler passiert"),
            _("Das liegt nicht an Ihnen. Bitte versuchen Sie es in einigen Minuten noch einmal."),
        ),
        503: (
            _("Gerade nicht erreichbar"),
            _("Die Plattform ist in wenigen Augenblicken wieder da. Bitte versuchen Sie es gleich noch einmal."),
        ),
    }
    return known.get(status, known[400 if status < 500 else 500])  # noqa: PLR2004


def _too_much() -> tuple[str, str]:
    """More than a request may hold: of files, or of text where nobody could have sent files of that size."""
    settings, megabyte = current_settings(), 1024 * 1024
    if (request.content_length or settings.max_request_bytes + 1) <= settings.max_request_bytes:
        return _("Der Text ist zu lang"), _("Bitte gehen Sie zurück, kürzen Sie den Text und senden Sie noch einmal.")
    return _("Die Datei ist zu groß"), _(
        "Möglich sind %(document)s MB für ein Dokument, %(picture)s MB für ein Bild und %(all)s MB auf einmal. Nehmen Sie "
        "ein kleineres Bild. Speichern Sie ein Dokument mit kleinerer Auflösung, oder teilen Sie es auf mehrere Dateien "
        "auf.", document=settings.max_document_bytes // megabyte, picture=settings.max_upload_bytes // megabyte,
        all=settings.max_request_bytes // megabyte)


def kept_input() -> list[tuple[str, str]]:
    """What was typed, as (label, text), so that nobody types a long text twice; never passwords, codes or tokens."""
    if request.method in SAFE_METHODS:
        return []
    try:
        fields = request.form.items(multi=True)
    except HTTPException:
        return []
    kept = [
        (name, value) for name, value in fields
        if len(value) > 2 and not any(part in name for part in NEVER_KEPT)  # noqa: PLR2004
        and value.strip() and (name in TYPED or len(value.split()) > 1)
    ]
    if all(name == "email" for name, _value in kept):
        # Nobody mourns an address: a sign-in needs no box that says no text is lost.
        return []
    return [
        (_(TYPED[name]) if name in TYPED else _("Ihre Angabe %(number)s", number=number), value)
        for number, (name, value) in enumerate(kept, 1)
    ]


def error_page(
    status: int, message: str = "", cure: str = "", wait: int = 30, *, heading: str = "", back: tuple[str, str] | None = None,
) -> Response:
    """The page of a status. `message` says what exactly hinders; heading and cure are the status's own unless there are others.

    `wait` is after how many seconds trying again makes sense, where it does; `back` leads where that can be done: what it
    is called, and its address.
    """
    g.do_not_cache = True
    title, usual = _texts(status)
    title = heading or title
    instead, ways = _ways_on(status, back)
    cure = cure or instead or usual
    try:
        body = render_template(
            "errors/error.html",
            status=status,
            title=title,
            message=message,
            cure=cure,
            kept=kept_input(),
            ways=ways,
        )
    except SecurityError:  # a request under a name that is not ours: it gets no whole page, and rings no alarm
        body = _plain_page(status, title, message, cure)
    except Exception:  # the page needs the database for its header; without it the plain one is shown
        log.exception("error_page_failed")
        body = _plain_page(status, title, message, cure)
    response = make_response(body, status)
    if status in {429, 503}:
        response.headers["Retry-After"] = str(wait)
    return response


def _ways_on(status: int, back: tuple[str, str] | None) -> tuple[str, list[tuple[str, str]]]:
    """The cure where this very address knows a better one, and where to go from here: (label, address) each."""
    if back:
        return "", [back]
    if status == 401:  # noqa: PLR2004
        return "", [(_("Anmelden"), url_for("accounts.sign_in", next=way_back()))]
    if status == 410:  # noqa: PLR2004
        return _after_dead_link()
    if status == 429 and request.endpoint == "accounts.sign_in":  # noqa: PLR2004
        # Whoever guesses at an account's password must not keep its owner out.
        here = safe_next("") or None
        return "", [(_("Link per E-Mail schicken"), url_for("accounts.request_sign_in_link", next=here)),
                    (_("Zur Anmeldung mit Passkey"), url_for("accounts.sign_in", next=here))]
    if status in {409, 413, 429} and request.method not in SAFE_METHODS:
        there = _way_back_to_it()
        # Loading this page anew would send the same again.
        is_stale = status == 409 and there  # noqa: PLR2004
        return _("Sehen Sie sich die Seite an, wie sie jetzt ist.") if is_stale else "", there
    return "", []


def _after_dead_link() -> tuple[str, list[tuple[str, str]]]:
    if request.endpoint in _OF_SIGNING_UP and current_actor().email_is_confirmed:
        return _("Sie sind schon angemeldet."), [(_("Mein Konto"), url_for("accounts.overview"))]
    cure, ways = _AFTER_DEAD_LINK.get(request.endpoint or "", ("", ()))
    return _(cure) if cure else "", [(_(label), url_for(endpoint, next=safe_next("") or None)) for label, endpoint in ways]


def _way_back_to_it() -> list[tuple[str, str]]:
    """To the page as it is now, where a form was sent; what was entered stands on this one."""
    adapter = current_app.create_url_adapter(request)
    if adapter is not None and adapter.test(request.path, method="GET"):
        return [(_("Zurück zu dieser Seite"), request.full_path.rstrip("?"))]
    above = way_back()
    return [(_("Zurück"), above)] if above != "/" else []


def _plain_page(status: int, title: str, message: str, cure: str) -> str:
    return current_app.jinja_env.get_template("errors/plain.html").render(
        status=status, title=title, message=message, cure=cure, kept=kept_input()
    )


def without_holes(error: Exception) -> Response:
    """The answer when what is personal on a page can't be made: as for any error, but on the plain page."""
    log.error("hole_failed", exc_info=error)
    g.do_not_cache = True
    status = error.status if isinstance(error, DomainError) else 503 if isinstance(error, OperationalError) else 500
    title, cure = _texts(status)
    return make_response(_plain_page(status, title, translated(error) if isinstance(error, DomainError) else "", cure), status)


def _words_of(error: DomainError) -> tuple[str, str]:
    """What hinders, and the cure where it is not the status's own."""
    message, cure = translated(error), ""
    if isinstance(error, TooManyRequests):
        # It says itself how long to wait.
        return "", message
    if isinstance(error, AccountGone):
        # Read before the deletion: the page of this answer greets nobody any more.
        g.actor = ANONYMOUS
        cure = _("Mit einem anderen Konto können Sie weiter mitmachen.")
    if isinstance(error, VerificationNeeded):
        message += " " + _("Wie das geht, steht unter „Mein Konto → Nachweise“.")
    return message, cure


def _way_to_proof(error: DomainError) -> tuple[str, str] | None:
    """Where a form was sent, to the page that says how to get what is missing, and from there back."""
    if isinstance(error, VerificationNeeded):
        return _("Nachweise ansehen"), url_for("accounts.verification", next=way_back())
    return None


def seconds_left(limit: RequestLimit | None) -> int:
    """Until when a limit stays reached, as far as the counter says; 0 where it does not."""
    try:
        left = math.ceil(limit.reset_at - time.time()) if limit is not None and limit.breached else 0
    except Exception:  # the counter is out of reach just now
        log.exception("limit_unreadable")
        left = 0
    return max(left, 0)


def try_again(left: int) -> str:
    """When that makes sense, in so many seconds; empty where nobody knows."""
    minutes = math.ceil(left / 60)
    if minutes > 120:  # noqa: PLR2004 - two hours
        return str(_("Bitte versuchen Sie es in %(hours)s Stunden noch einmal.", hours=math.ceil(left / 3600)))
    return str(ngettext("Bitte versuchen Sie es in %(num)s Minute noch einmal.",
                        "Bitte versuchen Sie es in %(num)s Minuten noch einmal.", minutes)) if minutes else ""


def _slowed_down() -> ResponseReturnValue:
    """Too many requests: for how long, as far as the counter says."""
    left = seconds_left(limiter.current_limit)
    heading, message = _OF_WHAT.get(request.endpoint or "", ("", ""))
    return error_page(429, _(message) if message else "", try_again(left), left or 30,
                      heading=_(heading) if heading else "")


def _usual_page(error: HTTPException) -> Response:
    page = error_page(error.code or 500)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        # What the address does take (RFC 9110, 15.5.6).
        page.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return page


def _without_slash() -> str | None:
    """The address that was meant, if only a slash at its end is too much: posters and chats add one."""
    path = request.path.rstrip("/")
    if request.method not in SAFE_METHODS or path == request.path or not path or path.startswith("//"):
        return None
    adapter = current_app.create_url_adapter(request)
    if adapter is None or not adapter.test(path, method="GET"):
        return None
    query = request.query_string.decode("ascii", "replace")
    return quote(path) + (f"?{query}" if query else "")


def _page_anew() -> ResponseReturnValue | None:
    """A mailed link that was pressed in a second window, after signing in by the first: its page knows what to say."""
    if request.endpoint != "accounts.sign_in_by_link":
        return None
    return redirect(request.full_path.rstrip("?"), code=303)


def _read_only() -> None:
    """The page that says so changes nothing: where somebody holds the write lock it must not wait for it once more."""
    started = g.pop("session", None)
    if started is not None:
        started.close()
    g.session = current_database().new_session(write=False)


def register(app: Flask) -> None:
    """Install the handlers."""

    @app.errorhandler(DomainError)
    def domain_error(error: DomainError) -> ResponseReturnValue:
        endpoint = _LEADS_ON.get(type(error))
        if endpoint is not None and request.method in SAFE_METHODS:
            return redirect(url_for(endpoint, next=request.full_path.rstrip("?")))
        return error_page(error.status, *_words_of(error), back=_way_to_proof(error))

    @app.errorhandler(CSRFError)
    def csrf_error(_error: CSRFError) -> ResponseReturnValue:
        return _page_anew() or error_page(
            400, _("Ihre Sitzung ist abgelaufen oder die Anfrage kam von einer fremden Seite."))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> ResponseReturnValue:
        if error.response is not None:  # a redirect of the router, or what a limit says itself
            return cast("Response", error.response)
        if isinstance(error, NotFound) and (address := _without_slash()):
            return redirect(address, code=308)
        return _slowed_down() if error.code == 429 else _usual_page(error)  # noqa: PLR2004

    @app.errorhandler(OperationalError)
    def database_away(error: OperationalError) -> ResponseReturnValue:
        log.error("database_unreachable", extra={"error": type(error.orig).__name__})
        _read_only()
        return error_page(503)

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> ResponseReturnValue:
        log.error("unexpected_error", exc_info=error)
        if isinstance(error, SQLAlchemyError) and "connection" in str(error).lower():
            return error_page(503)
        return error_page(500)
