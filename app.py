"""The application: wires settings, database, features and listeners; commits once per request."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from gettext import NullTranslations
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel.support import Translations
from flask import Flask, Request, g, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_babel import Babel, get_locale
from flask_login import LoginManager
from flask_wtf.csrf import CSRFProtect
from itsdangerous import BadSignature
from jinja2 import FileSystemBytecodeCache, StrictUndefined
from markupsafe import Markup
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from werkzeug.middleware.proxy_fix import ProxyFix
from wtforms.i18n import messages_path

from moderation import listening, views as moderation_views
from participation import clock, error_pages, outbox, pieces, telemetry, text, web
from participation.accounts import views as accounts_views
from participation.accounts.edge import author_name
from participation.administration import views as administration_views
from participation.catalogue import views as catalogue_views
from participation.compression import compress
from participation.contributions.abuse import views as abuse_views
from participation.contributions.ballots import views as ballots_views
from participation.contributions.coauthors import views as coauthors_views
from participation.contributions.comments import views as comments_views
from participation.contributions.drafts import views as drafts_views
from participation.contributions.personal import views as personal_views
from participation.contributions.proposals import views as proposals_views
from participation.contributions.submissions import views as submissions_views
from participation.contributions.votes import views as votes_views
from participation.db import Database
from participation.errors import NotFound
from participation.evaluation import views as evaluation_views
from participation.following import listening as following_listening, views as following_views
from participation.following.newsletters import views as newsletters_views
from participation.language import DEFAULT, EASY, READINGS, direction, locale_of, wording_of
from participation.municipalities import views as municipalities_views
from participation.municipalities.queries import municipality_for_host
from participation.page_cache import PageCache, finish_page, hole
from participation.processes import views as processes_views
from participation.processes.edge import as_read, ending, shown_answers
from participation.security import add_headers, csp_nonce
from participation.settings import Settings
from participation.static_files import static_url
from participation.tokens import Keyring
from participation.written import format_date, format_datetime, format_decimal

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from itsdangerous import URLSafeTimedSerializer
    from jinja2.bccache import Bucket
    from werkzeug.wrappers import Response

ROOT = Path(__file__).parent
SESSION_DAYS = 30
COOKIES_KEPT = 1000
VIEWS = (
    telemetry,
    municipalities_views,
    accounts_views,
    processes_views,
    submissions_views,
    drafts_views,
    personal_views,
    proposals_views,
    comments_views,
    votes_views,
    ballots_views,
    abuse_views,
    coauthors_views,
    catalogue_views,
    following_views,
    newsletters_views,
    administration_views,
    evaluation_views,
    moderation_views,
)


class TranslatedRequest(Request):
    """A request that knows the messages of its forms."""

    @cached_property
    def wtforms_translations(self) -> NullTranslations:
        """Flask-WTF asks for it by this name, and would read the messages from disk in every request with a form."""
        return _form_translations(str(get_locale()))


class CookieSessions(SecureCookieSessionInterface):
    """Flask's sessions in a signed cookie, with one signer for all requests, and each cookie verified once in a while.

    Whether somebody is still signed in does not hang on the cookie: the database is asked in every request.
    """

    def __init__(self) -> None:
        """The keys are read at the first request."""
        self._signer: URLSafeTimedSerializer | None = None
        self._verified: dict[str, tuple[dict[str, Any], datetime]] = {}

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """What signs and reads the cookie."""
        if self._signer is None:
            self._signer = super().get_signing_serializer(app)
        return self._signer

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """What the cookie holds, if we have signed it and it is not too old; else an empty session."""
        sent, signer = request.cookies.get(self.get_cookie_name(app)), self.get_signing_serializer(app)
        if not sent or signer is None:
            return super().open_session(app, request)
        lifetime = app.permanent_session_lifetime
        known = self._verified.get(sent)
        if known is not None and clock.now() - known[1] <= lifetime:
            return self.session_class(known[0])
        try:
            values, signed_at = signer.loads(sent, max_age=int(lifetime.total_seconds()), return_timestamp=True)
        except BadSignature:
            return self.session_class()
        # What could be changed in one request must not be seen in the next.
        if all(isinstance(value, str | int | None) for value in values.values()):
            if len(self._verified) >= COOKIES_KEPT:
                self._verified.clear()
            self._verified[sent] = values, signed_at
        return self.session_class(values)


class Beteiligung(Flask):
    """Flask with one commit per request, inside the part of the request whose errors become pages."""

    request_class = TranslatedRequest

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as Flask
        """As Flask."""
        super().__init__(*args, **kwargs)
        self.session_interface = CookieSessions()

    def dispatch_request(self) -> ResponseReturnValue:
        """Run the view; commit when an unsafe request succeeded, else roll back; then hand jobs to the queue."""
        response = self.make_response(super().dispatch_request())
        session = g.get("session")
        # Reading ends with the request (see _close_session): holes still use what the page has loaded.
        if session is None or request.method in web.SAFE_METHODS:
            return response
        if response.status_code >= 400:  # noqa: PLR2004 - an error
            session.rollback()
            return response
        session.commit()
        rows = outbox.written_rows(session)
        session.close()
        if rows:
            outbox.send(web.current_database(), web.platform().redis, rows)
        return response


def create_app(settings: Settings | None = None, database: Database | None = None) -> Beteiligung:
    """Build the application of one process. Raises SettingsError when production would start insecurely."""
    settings = settings or Settings.from_environ()
    telemetry.configure_logging()
    app = Beteiligung("beteiligung", root_path=str(ROOT), static_folder="static", template_folder="templates")
    app.config.update(
        SECRET_KEY=settings.secret_key,
        TESTING=settings.environment == "test",
        PROPAGATE_EXCEPTIONS=False,
        MAX_CONTENT_LENGTH=settings.max_request_bytes,
        MAX_FORM_MEMORY_SIZE=2 * 1024 * 1024,
        TRUSTED_HOSTS=list(settings.trusted_hosts) or None,
        SESSION_COOKIE_NAME="__Host-session" if settings.cookies_are_secure else "session",
        SESSION_COOKIE_SECURE=settings.cookies_are_secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=timedelta(days=SESSION_DAYS),
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(days=365),
        WTF_CSRF_TIME_LIMIT=None,
        BABEL_DEFAULT_LOCALE="de",
        BABEL_DEFAULT_TIMEZONE="Europe/Berlin",
        BABEL_TRANSLATION_DIRECTORIES=str(ROOT / "participation" / "translations"),
        RATELIMIT_ENABLED=settings.rate_limits,
        RATELIMIT_STORAGE_URI=settings.redis_url or "memory://",
        RATELIMIT_STORAGE_OPTIONS={"socket_connect_timeout": 0.5, "socket_timeout": 0.5} if settings.redis_url else {},
    )
    database = database or Database(settings.database_url)
    page_cache = PageCache(settings, database)
    platform = web.Platform(
        settings=settings,
        database=database,
        keyring=Keyring(settings.secret_key),
        redis=_redis(settings),
        load_municipality=municipality_for_host,
        load_actor=accounts_views.load_actor,
        page_cache=page_cache,
    )
    app.extensions["platform"] = platform
    _prepare_templates(app, settings)
    Babel(app, locale_selector=lambda: web.language() if request else DEFAULT)
    csrf = CSRFProtect(app)
    app.jinja_env.globals["csrf_token"] = pieces.csrf_token
    web.limiter.init_app(app)
    login = LoginManager(app)
    login.session_protection = None
    login.user_loader(accounts_views.load_user)
    error_pages.register(app)
    for views in VIEWS:
        app.register_blueprint(views.blueprint)
        platform.holes.update(getattr(views, "HOLES", {}))
        platform.parts.update(getattr(views, "PARTS", {}))
        for view in getattr(views, "WITHOUT_CSRF", ()):
            csrf.exempt(view)
    listening.connect()
    following_listening.connect()
    app.before_request(telemetry.start_timer)
    app.before_request(_refuse_impossible_paths)
    app.after_request(lambda response: _finish(response, settings))
    app.teardown_appcontext(_close_session)
    page_cache.cookie_name = app.config["SESSION_COOKIE_NAME"]
    page_cache.on_hit = telemetry.observe_kept_page
    page_cache.application, page_cache.request_context = app.wsgi_app, app.request_context
    app.wsgi_app = page_cache  # type: ignore[method-assign]
    if settings.proxy_count:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=settings.proxy_count, x_proto=settings.proxy_count, x_host=settings.proxy_count
        )
    return app


def create_web_app() -> Beteiligung:
    """As `create_app` for the web server: what pages need is there before the first visitor comes, not by their waiting.

    And it fits together: a process that goes on while a new version is unpacked shows no template of that one.
    """
    app = create_app()
    for name in app.jinja_env.list_templates():
        app.jinja_env.get_template(name)
    import_module("mapping.folium_elements")
    return app


def _redis(settings: Settings) -> Redis:
    """A client that gives up quickly: an unreachable queue must not make anybody wait."""
    return Redis.from_url(
        settings.redis_url or "redis://127.0.0.1:1/0",
        socket_connect_timeout=0.5,
        socket_timeout=2,
        retry=Retry(NoBackoff(), 0),
    )


def _finish(response: Response, settings: Settings) -> Response:
    try:
        response = finish_page(response)
    except Exception as error:  # noqa: BLE001 - what fails here fails for the page that would say so, too
        response = error_pages.without_holes(error)
    response = telemetry.observe(response)
    response = add_headers(response, settings)
    if request.endpoint == "static" and ("v" in request.args or "/vendor/" in request.path):
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        response.vary.discard("Cookie")
    return compress(response)


@lru_cache(maxsize=8)
def _form_translations(locale: str) -> NullTranslations:
    return Translations.load(messages_path(), [locale], domain="wtforms")


def _refuse_impossible_paths() -> None:
    """A NUL can't stand in any stored text; PostgreSQL would answer with an error instead of "not found"."""
    if "\x00" in request.path:
        raise NotFound


def _close_session(_error: BaseException | None) -> None:
    session = g.pop("session", None)
    if session is not None:
        session.rollback()
        session.close()


class TranslatedTemplates(FileSystemBytecodeCache):
    """Keeps on disk what Jinja made of a template, so that the next process need not make it again."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        """A full or read-only disk costs the time to translate it once more, nothing else."""
        with suppress(OSError):
            super().dump_bytecode(bucket)


def _prepare_templates(app: Flask, settings: Settings) -> None:
    with suppress(OSError):
        settings.template_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    app.jinja_env.bytecode_cache = TranslatedTemplates(str(settings.template_dir))
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(
        paragraphs=text.paragraphs,
        markdown=text.render_markdown,
        mail_text=text.mail_text,
        shorten=text.shorten,
        folded=text.folded,
        date=lambda value, style="long": format_date(value, style),
        datetime=_date_and_time,
        ending=ending,
        number=format_decimal,
        in_language=web.in_language,
        author_name=author_name,
        as_read=as_read,
        answers_as_read=shown_answers,
        isolated=lambda name: Markup("<bdi>{}</bdi>").format(name),
    )
    app.jinja_env.globals.update(
        hole=hole,
        csp_nonce=csp_nonce,
        static_url=static_url,
        can=web.can,
        part=web.part,
        fresh_token=pieces.fresh_token,
        way_back=web.way_back,
        readings=READINGS,
        easy=EASY,
        reading=web.reading,
        locale_of=locale_of,
        wording_of=wording_of,
        lang_mark=web.lang_mark,
        in_other_words=web.in_other_words,
        language=lambda: str(get_locale()),
        direction=lambda: direction(str(get_locale())),
        format_datetime=format_datetime,
    )

    @app.context_processor
    def everywhere() -> dict[str, object]:
        return {
            "municipality": web.current_municipality(),
            "is_demo": web.current_settings().is_demo,
            "now": web.current_now(),
        }


def _date_and_time(value: datetime, style: str = "short") -> str:
    """In Berlin, with the word that belongs to it in German."""
    if style == "short":
        return web.date_and_time(value)
    return format_datetime(value, style)


def main() -> None:
    """The command line `beteiligung`. The web server needs none of it, so it is loaded here."""
    from moderation.commands import demo  # noqa: PLC0415
    from participation.commands import cli  # noqa: PLC0415

    cli.add_command(demo)
    cli(obj=create_app)
