"""Whole pages by content version.

A page is the same for everybody but for its holes: the account menu, the support button, the comment form. Its shared
parts are kept per process under (host, path, query, language) and are valid as long as the municipality's
content_version is the one they were made with. So what a moderator hides is gone from every page at the next request,
in every process. Supports do not raise the version (a busy evening would never hit the cache); therefore no page lives
longer than MAX_AGE_SECONDS.

Anonymous visitors without any cookie are answered before Flask is entered, from complete bytes.
"""

from __future__ import annotations

import gzip
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask import g, make_response, request, session as cookie
from markupsafe import Markup
from sqlalchemy.exc import SQLAlchemyError

from participation.security import header_list

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from flask.typing import ResponseReturnValue
    from werkzeug.wrappers import Response

    from participation.db import Database
    from participation.settings import Settings

View = TypeVar("View", bound=Callable[..., Any])
MAX_AGE_SECONDS = 5.0
MAX_BYTES = 48 * 1024 * 1024
MAX_QUERY_LENGTH = 300
# A random mark of this process: nothing that a resident writes can look like a hole.
_MARK = secrets.token_hex(12)
_HOLE = re.compile(rf"<!--{_MARK}:(\d+)-->")

Holes = list[tuple[str, dict[str, Any]]]
PageKey = tuple[str, str, str, str]


@dataclass(slots=True)
class Page:
    """A page without its holes, or a complete one when `complete` holds its bytes."""

    municipality_id: int
    version: int
    made_at: float
    body: str
    holes: Holes
    content_type: str
    complete: bytes = b""
    compressed: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)


class PageCache:
    """The pages of one process, and the WSGI layer in front of Flask that serves the complete ones."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Start empty. `application` is set by app.py."""
        self.enabled = settings.page_cache
        self.cookie_name = ""
        self.application: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]] | None = None
        self.on_hit: Callable[[], None] | None = None
        self._settings = settings
        self._database = database
        self._pages: OrderedDict[PageKey, Page] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._local = threading.local()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer from complete bytes, or pass on to Flask."""
        if self.application is None:  # pragma: no cover - app.py always sets it
            message = "no application behind the page cache"
            raise RuntimeError(message)
        if (
            environ["REQUEST_METHOD"] == "GET"
            and self.enabled
            and self.cookie_name not in environ.get("HTTP_COOKIE", "")
        ):
            page = self.find(environ_key(environ))
            if page is not None and page.complete and page.version == self._current_version(page.municipality_id):
                if self.on_hit:
                    self.on_hit()
                return self._serve(page, environ, start_response)
        return self.application(environ, start_response)

    def _serve(self, page: Page, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        headers = header_list(self._settings)
        headers.append(("Content-Type", page.content_type))
        headers.append(("Vary", "Cookie, Accept-Encoding"))
        headers.append(("Cache-Control", "private, no-cache"))
        body = page.complete
        if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
            if not page.compressed:
                page.compressed = gzip.compress(page.complete, 6)
            body = page.compressed
            headers.append(("Content-Encoding", "gzip"))
        headers.append(("Content-Length", str(len(body))))
        start_response("200 OK", headers)
        return [body]

    def find(self, key: PageKey) -> Page | None:
        """A page that is young enough; its version is the caller's to check."""
        page = self._pages.get(key)
        if page is None or time.monotonic() - page.made_at > MAX_AGE_SECONDS:
            return None
        return page

    def store(self, key: PageKey, page: Page) -> None:
        """Keep a page; the oldest ones go when memory is full."""
        with self._lock:
            old = self._pages.pop(key, None)
            if old is not None:
                self._bytes -= _weight(old)
            self._pages[key] = page
            self._bytes += _weight(page)
            while self._bytes > MAX_BYTES:
                _, dropped = self._pages.popitem(last=False)
                self._bytes -= _weight(dropped)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._pages.clear()
            self._bytes = 0

    def _current_version(self, municipality_id: int) -> int | None:
        """One raw read per request: the ORM would cost more than the rest of the answer."""
        try:
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._database.engine.raw_connection()
                if not self._database.is_sqlite:
                    connection.dbapi_connection.autocommit = True  # type: ignore[union-attr]
                self._local.connection = connection
            cursor = connection.cursor()
            try:
                cursor.execute(f"SELECT content_version FROM municipality WHERE id = {int(municipality_id)}")  # noqa: S608
                row = cursor.fetchone()
            finally:
                cursor.close()
        except Exception as error:  # a driver's own errors have no common base
            self._drop_connection()
            if isinstance(error, (SQLAlchemyError, OSError)) or type(error).__module__.startswith(
                ("sqlite3", "psycopg")
            ):
                return None
            raise
        return int(row[0]) if row else None

    def _drop_connection(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            self._local.connection = None
            connection.invalidate()


def _weight(page: Page) -> int:
    return 2 * len(page.body) + len(page.complete) + 2000


def environ_key(environ: WSGIEnvironment) -> PageKey:
    """What a page depends on."""
    return (
        environ.get("HTTP_HOST", ""),
        environ.get("PATH_INFO", ""),
        environ.get("QUERY_STRING", ""),
        environ.get("HTTP_ACCEPT_LANGUAGE", "")[:40],
    )


def hole(name: str, **params: Any) -> Markup:  # noqa: ANN401 - parameters of any hole
    """In a template: leave a place that is filled per request."""
    holes: Holes = g.setdefault("holes", [])
    holes.append((name, params))
    return Markup(f"<!--{_MARK}:{len(holes) - 1}-->")  # noqa: S704 - made of our own mark and a number


def fill_holes(body: str, holes: Holes) -> str:
    """Put the personal parts in."""
    from participation.web import platform  # noqa: PLC0415 - web imports this module

    makers = platform().holes
    return _HOLE.sub(lambda match: str(makers[holes[int(match[1])][0]](**holes[int(match[1])][1])), body)


def cached(view: View) -> View:
    """Keep the shared parts of a page. The view may ask for the actor inside holes only."""

    @wraps(view)
    def keeping(*args: Any, **kwargs: Any) -> ResponseReturnValue:  # noqa: ANN401 - any view
        from participation.web import current_municipality, platform  # noqa: PLC0415 - web imports this module

        cache = platform().page_cache
        municipality = current_municipality()
        if not cache.enabled or municipality is None or len(request.query_string) > MAX_QUERY_LENGTH:
            return cast("ResponseReturnValue", view(*args, **kwargs))
        key = environ_key(request.environ)
        version = municipality.content_version
        page = cache.find(key)
        if page is None or page.version != version:
            response = make_response(view(*args, **kwargs))
            if g.get("do_not_cache") or response.status_code != 200 or response.is_streamed:  # noqa: PLR2004
                return response
            page = Page(
                municipality_id=municipality.id,
                version=version,
                made_at=time.monotonic(),
                body=response.get_data(as_text=True),
                holes=list(g.get("holes", [])),
                content_type=response.headers["Content-Type"],
            )
            cache.store(key, page)
        g.holes = list(page.holes)
        g.shared_page = page
        return make_response(page.body, 200, {"Content-Type": page.content_type})

    return cast("View", keeping)


def finish_page(response: Response) -> Response:
    """After every view: fill the holes, and keep the complete page for visitors without a cookie."""
    holes: Holes = g.get("holes", [])
    if holes and response.mimetype == "text/html" and not response.is_streamed:
        response.set_data(fill_holes(response.get_data(as_text=True), holes))
    page: Page | None = g.get("shared_page")
    if page is not None and not page.complete and not cookie and not cookie.modified:
        page.complete = response.get_data()
    return response
