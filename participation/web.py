"""The typed edge to Flask: session, actor, municipality, access of routes, translation of domain errors.

Everything that a view needs of the running request is asked here, so that mypy sees its type.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import wraps
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote, unquote, urlsplit

from email_validator import EmailNotValidError, validate_email
from flask import current_app, flash, g, redirect, request, session as cookie, url_for
from flask_babel import get_locale, gettext
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from markupsafe import Markup
from sqlalchemy.orm import Session

from participation import clock
from participation.actions import Action
from participation.db import Database
from participation.errors import Conflict, DomainError, InvalidInput
from participation.i18n import N_
from participation.language import DEFAULT, EASY, Translated, direction, language_of, locale_of, wording_of
from participation.outbox import MUNICIPALITY
from participation.permissions import ANONYMOUS, Actor, can as actor_can, require as actor_require
from participation.text import clean_line
from participation.tokens import new_token
from participation.written import format_date, format_datetime, format_decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask.typing import ResponseReturnValue
    from flask_wtf import FlaskForm
    from redis import Redis
    from sqlalchemy import Executable, Row
    from werkzeug.wrappers import Response
    from wtforms import Form

    from participation.municipalities.models import Municipality
    from participation.page_cache import PageCache
    from participation.settings import Settings
    from participation.tokens import Keyring

View = TypeVar("View", bound=Callable[..., Any])
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PUBLIC = "public"
# Where the message of the last step is to stand: [anchor, path of the page, second].
LANDING = "landing"
# How long a message waits for the page it belongs to, while other tabs open other pages. After that any page says it.
LANDS_WITHIN = 10
GUEST_TOKEN = "guest"  # noqa: S105 - the name of a cookie field

_ADDRESS = re.compile(r"(?:\[([^\]]+)\]|([0-9.]+))(?::[0-9]+)?")


def client_network() -> str:
    """Where a request comes from, as throttles count it: an IPv6 line owns at least a /64, and may change within it at will."""
    raw = get_remote_address()
    # Some proxies name the port too, which is another one for each connection.
    with_port = _ADDRESS.fullmatch(raw)
    if with_port:
        raw = with_port[1] or with_port[2]
    try:
        address = ip_address(raw)
    except ValueError:
        return raw
    if isinstance(address, IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ip_network((address, 64), strict=False))


def sender() -> str:
    """Who is throttled: an account, so that a town hall behind one address is not; else the address."""
    actor = current_actor()
    return f"account:{actor.account_id}" if actor.is_signed_in else client_network()


def was_done(response: Response) -> bool:
    """What counts against a limit of what is stored or mailed: neither a look at it before, nor a form that was refused."""
    return response.status_code == 303  # noqa: PLR2004 - how `go` and all that changed something answer


def was_refused(response: Response) -> bool:
    """What counts against a limit of guesses: whoever has the right code or link is no attacker, and takes no one's turn."""
    return 400 <= response.status_code < 500 and response.status_code != 429  # noqa: PLR2004


def given_address() -> str:
    """Throttles mails to one address that nobody confirmed, from however many forms; hashed for the counters."""
    typed = clean_line(request.form.get("email", "")[:1000]).lower()
    with suppress(EmailNotValidError):
        # One address in however many spellings, as it is stored.
        typed = validate_email(typed, check_deliverability=False, test_environment=True).normalized.lower()
    return current_keyring().mark("given-address", typed)


def gives_no_address() -> bool:
    """Then there is nobody to protect from mails."""
    return not request.form.get("email", "").strip()


# From one address come a school, or sixty people of a workshop who each write twice: people need this much, a script more.
GUESTS_WRITE = "150 per hour"
# The same evening: each makes an account, or has a link mailed, and some of them ask once more. No limit of the mails to one
# person, which their jobs hold.
MAILS_FROM_ONE_PLACE = "90 per hour"
# What is looked at before, or refused, is stored nowhere. But it is work.
TRIES = "600 per hour"
limiter = Limiter(key_func=client_network, in_memory_fallback_enabled=True, swallow_errors=True)


@dataclass(slots=True)
class Platform:
    """What one process of the platform holds: wired once in app.py, read everywhere through `platform()`."""

    settings: Settings
    database: Database
    keyring: Keyring
    redis: Redis
    load_municipality: Callable[[Session, str], Municipality | None]
    load_actor: Callable[[], Actor]
    page_cache: PageCache
    # What a page asks of features it knows nothing of: per reader (holes), or the same for everybody (parts).
    holes: dict[str, Callable[..., Any]] = field(default_factory=dict)
    parts: dict[str, Callable[..., str]] = field(default_factory=dict)


def platform() -> Platform:
    """The platform of the running application."""
    return cast("Platform", current_app.extensions["platform"])


def current_settings() -> Settings:
    """The settings of the running application."""
    return platform().settings


def current_database() -> Database:
    """The database of the running application."""
    return platform().database


def current_keyring() -> Keyring:
    """The keys of the running application."""
    return platform().keyring


def current_session() -> Session:
    """The request's database session; opened at first use, for writing when the method may change things.

    app.py commits it after a successful unsafe request and rolls it back otherwise.
    """
    found: Session | None = g.get("session")
    if found is None:
        # Who is signed in is read before, on its own connection: the write lock is then held for the change alone.
        current_actor()
        found = g.session = platform().database.new_session(write=request.method not in SAFE_METHODS)
        found.info[MUNICIPALITY] = _municipality_id
    return found


def reads_only() -> None:
    """This request changes nothing although it is a POST, chosen to keep texts out of addresses and their logs.

    To be called before anything is read: on SQLite nobody else's writing has to wait then.
    """
    current_actor()
    g.session = platform().database.new_session(write=False)


def save() -> None:
    """Commit now what this request has changed, so that nobody waits for the write lock while its answer is made.

    For where nothing is changed any more, and no job was written; app.py commits everything else at the end.
    """
    current_session().commit()


def glance(statement: Executable, values: dict[str, Any]) -> Sequence[Row[Any]]:
    """The rows of one small read: in this request's session if it has one, so that it sees what was just changed.

    Otherwise without opening one, which would cost more than the read.
    """
    session: Session | None = g.get("session")
    return platform().database.glance(statement, values) if session is None else session.execute(statement, values).all()


def current_now() -> datetime:
    """One instant for the whole request, so that a deadline can't pass in the middle of it."""
    found: datetime | None = g.get("now")
    if found is None:
        found = g.now = clock.now()
    return found


def current_actor() -> Actor:
    """Who acts in this request; cached pages must ask only inside holes."""
    found: Actor | None = g.get("actor")
    if found is None:
        found = g.actor = platform().load_actor() if request else ANONYMOUS
    return found


def content_version(municipality_id: int) -> int | None:
    """What the version of a kept page must be; asked together with who reads it, where somebody is signed in."""
    g.version_asked_of = municipality_id
    current_actor()
    found: int | None = g.pop("content_version", None)
    return platform().page_cache.current_version(municipality_id) if found is None else found


def browser_mark() -> str:
    """Whose a text is that lies in a browser: says nothing of the account, but is another one for each. Empty for guests."""
    actor = current_actor()
    return current_keyring().mark("browser", actor.identity or "")[:16] if actor.is_signed_in else ""


def current_municipality() -> Municipality | None:
    """The municipality that answers to the request's host name; None before one was set up."""
    if "municipality" not in g:
        g.municipality = platform().load_municipality(current_session(), request.host.split(":")[0].lower())
    return cast("Municipality | None", g.municipality)


def _municipality_id() -> int | None:
    found = current_municipality()
    return found.id if found is not None else None


def the_municipality() -> Municipality:
    """The municipality of this request. Raises NotFound (404) when the installation has none yet."""
    from participation.errors import NotFound  # noqa: PLC0415 - used on this one path only

    found = current_municipality()
    if found is None:
        raise NotFound
    return found


def ensure_guest() -> Actor:
    """The actor, with a guest's token in the browser's session if nobody is signed in. Sets a cookie.

    Whoever believes to be signed in is told: their session has ended meanwhile, perhaps by themselves on another device.
    """
    actor = current_actor()
    if not actor.is_signed_in and cookie.pop("_user_id", None) is not None:
        flash(gettext("Sie sind nicht mehr angemeldet. Was Sie jetzt senden, ist der Beitrag eines Gastes. "
                      "Melden Sie sich an, dann können Sie ihn Ihrem Konto zuordnen."), "warning")
    if actor.identity is None:
        cookie[GUEST_TOKEN] = new_token()
        cookie.permanent = True
        g.actor = actor = Actor(guest_token=cookie[GUEST_TOKEN])
    return actor


def require_no_change_of_person() -> None:
    """Whoever believes to be signed in sends nothing as a guest without having been asked; once is enough.

    Their session has ended meanwhile, perhaps by themselves on another device. Raises InvalidInput.
    """
    if not current_actor().is_signed_in and cookie.pop("_user_id", None) is not None:
        raise InvalidInput(N_("Sie sind nicht mehr angemeldet, und gespeichert ist noch nichts. Melden Sie sich in einem anderen "
                              "Fenster an, und senden Sie dann noch einmal. Oder senden Sie gleich noch einmal: Dann ist es "
                              "der Beitrag eines Gastes."))


def public(view: View) -> View:
    """Mark a route that everybody may call. What it shows is decided by `require` on what it loads."""
    view.access = PUBLIC  # type: ignore[attr-defined]
    return view


def allows(action: Action) -> Callable[[View], View]:
    """Mark a route by the action it serves, and let nobody in who could not do it for anything at all."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:  # noqa: ANN401 - any view
            actor_require(current_actor(), action, None, current_now())
            return cast("ResponseReturnValue", view(*args, **kwargs))

        guarded.access = action  # type: ignore[attr-defined]
        return cast("View", guarded)

    return decorate


def require(action: Action, target: object) -> None:
    """Pass, or raise what hinders the current actor (see permissions.require)."""
    actor_require(current_actor(), action, target, current_now())


def can(action: Action | str, target: object = None) -> bool:
    """Whether the current actor may; templates pass the action's name."""
    wanted = Action[action] if isinstance(action, str) else action
    return actor_can(current_actor(), wanted, target, current_now())


def reading() -> str:
    """What the reader of this request chose: a language, or Leichte Sprache."""
    return language_of(request.headers.get("Cookie", ""), request.headers.get("Accept-Language", ""))


def language() -> str:
    """The language of this request."""
    found: str | None = g.get("language")
    if found is None:
        found = g.language = current_settings().test_locale or locale_of(reading())
    return found


def in_language(wording: str) -> str:
    """A text of the municipality, marked where it is not in the language of the page (WCAG 2.2, 3.1.2)."""
    own, around = wording_of(wording), str(get_locale())
    if not wording or own == around:
        return wording
    turned = Markup(' dir="{}"').format(direction(own)) if direction(own) != direction(around) else ""
    return Markup('<span lang="{}"{}>{}</span>').format(own, turned, wording)


def wants_json() -> bool:
    """Whether a script asks, which shows what it is told on the page that is open."""
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def lang_mark(wording: str = "") -> Markup:
    """The same as an attribute of the element around a text; without one for what residents and planners write in German."""
    own = wording_of(wording)
    return Markup("") if own == str(get_locale()) else Markup(' lang="{}"').format(own)


def in_other_words(wording: str) -> bool:
    """Whether a text is not in what its reader chose: in German beside another language, or beside Leichte Sprache."""
    if reading() == EASY:
        return bool(wording) and not isinstance(wording, Translated)
    return bool(wording) and wording_of(wording) != str(get_locale())


def translated(error: DomainError) -> str:
    """A domain error's message in the reader's language; its numbers and instants as they are written there."""
    params = {name: _as_written(value) for name, value in error.params.items()}
    return str(gettext(error.message, **params)) if params else str(gettext(error.message))


def date_and_time(instant: datetime) -> str:
    """In Berlin, with the word that belongs to it in German."""
    style = "d. MMMM y, HH:mm 'Uhr'" if str(get_locale()) == DEFAULT else "d MMMM y, HH:mm"
    return format_datetime(instant, style)


def _as_written(value: object) -> object:
    if isinstance(value, datetime):
        return date_and_time(value)
    if isinstance(value, date):
        return format_date(value, "long")
    return format_decimal(value) if isinstance(value, int) else value


def attach(form: Form, error: DomainError) -> None:
    """Put a domain error beside the field it belongs to, or above the form; and what else was wrong at once."""
    _put(form, error)
    for other in error.others if isinstance(error, InvalidInput) else ():
        _put(form, other)


def _put(form: Form, error: DomainError) -> None:
    name = error.field
    if name and name in form:
        form[name].errors = [*form[name].errors, translated(error)]
    else:
        form.form_errors.append(translated(error))


def all_right(form: FlaskForm, *checks: Callable[[], object]) -> bool:
    """Whether a form that was sent can be accepted. Every message stands beside its field at once, not one a round.

    `checks` raise InvalidInput; what they say of a field that has a message already is left out.
    """
    is_valid = form.validate()
    for check in checks:
        try:
            check()
        except InvalidInput as error:
            is_valid = False
            for one in (error, *error.others):
                if one.field not in form or not form[one.field].errors:
                    _put(form, one)
    return bool(is_valid)


def seen_by_form(current: str, error: Exception | None = None) -> str:
    """What a form of editors goes on from: what it was opened with, until its author has read that somebody else saved."""
    return current if isinstance(error, Conflict) else request.form.get("seen") or current


def status_of(error: DomainError) -> int:
    """A form with something wrong in it, or one that came too late."""
    return 409 if isinstance(error, Conflict) else 422


# It is carried from page to page and stands in mails: nobody has a book of theirs sent to somebody.
NEXT_MAX = 500


def safe_next(default: str) -> str:
    """The address to go on to after signing in: a path of ours, or the default (no //host, no scheme, not endless)."""
    target = request.args.get("next") or request.form.get("next") or ""
    if not target.startswith("/") or target.startswith("//") or len(target) > NEXT_MAX or "\\" in target or any(
        ord(char) < 32 for char in target  # noqa: PLR2004 - control characters
    ):
        return default
    return target


def way_back() -> str:
    """The address to come back to after signing in or choosing a language: this page.

    Where it is the answer to a button and can't be opened by itself, the page with that button, or the next one above.
    """
    adapter = current_app.create_url_adapter(request)
    if request.method in SAFE_METHODS or adapter is None:
        return request.full_path.rstrip("?")
    ways = [(request.path, request.query_string.decode("ascii", "replace")), _came_from()]
    ways += ((str(above), "") for above in PurePosixPath(request.path).parents)
    path, query = next((one for one in ways if one[0] and adapter.test(one[0], method="GET")), ("/", ""))
    return quote(path) + (f"?{query}" if query else "")


def _came_from() -> tuple[str, str]:
    """Path and query of the page of ours that says it led here; of any other nothing."""
    try:
        address = urlsplit(request.referrer or "")
    except ValueError:
        return "", ""
    path = unquote(address.path)
    return (path, quote(address.query, safe="=&%+")) if address.netloc == request.host and not path.startswith("//") else ("", "")


def go(endpoint: str, **values: Any) -> Response:  # noqa: ANN401 - as url_for
    """Redirect after a change, so that reloading does not send it again.

    What there is to say of it is said where it leads, see `signing.messages_at`: at the top of a long page nobody would
    see it.
    """
    target = url_for(endpoint, **values)
    cookie.pop(LANDING, None)
    if values.get("_anchor") and "_flashes" in cookie:
        cookie[LANDING] = [values["_anchor"], unquote(urlsplit(target).path), int(current_now().timestamp())]
    return redirect(target, code=303)


def onward(default: str) -> Response:
    """Redirect after a change to where the reader was going; what there is to say stands at the top there."""
    cookie.pop(LANDING, None)
    return redirect(safe_next(default), code=303)


def lands_at() -> str | None:
    """The anchor on this page at which its message stands: "" for the top, None where it belongs to another page."""
    known = cookie.get(LANDING)
    # A session from before has the anchor alone.
    if not isinstance(known, list):
        return ""
    anchor, path, at = known
    if path == request.path:
        return str(anchor)
    return "" if current_now().timestamp() - at >= LANDS_WITHIN else None


def render_part(template: str, /, **values: Any) -> Markup:  # noqa: ANN401 - as render_template
    """Render a piece of a page, for holes and parts.

    Without the context that whole pages get: a page of ten pieces would load it ten times.
    """
    return Markup(current_app.jinja_env.get_template(template).render(values))  # noqa: S704 - a template of ours


def for_staff(hole: View) -> View:
    """Mark a hole that is empty for everybody else: a page with fifty comments asks once, not fifty times."""
    hole.for_staff = True  # type: ignore[attr-defined]
    return hole


def at_once(hole: View) -> View:
    """Mark a hole of which a page has many, most of them empty: it is asked once, with the parameters of all.

    It answers the texts by number of the place; places with nothing in are left out.
    """
    hole.at_once = True  # type: ignore[attr-defined]
    return hole


def part(name: str, /, **values: Any) -> Markup:  # noqa: ANN401 - parameters of any part
    """What another feature adds to a page, the same for every reader; nothing when the feature is not there."""
    maker = platform().parts.get(name)
    return Markup(maker(**values)) if maker else Markup()  # noqa: S704 - rendered by a template of ours


def do_not_cache() -> None:
    """This page is not for everybody; keep it out of the page cache."""
    g.do_not_cache = True
