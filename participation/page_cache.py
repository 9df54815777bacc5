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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask import g, make_response, request, session as cookie
from markupsafe import Markup
from sqlalchemy import Integer, Select, bindparam, column, select, table
from sqlalchemy.exc import SQLAlchemyError

from participation.language import language_of
from participation.security import header_list

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from flask.typing import ResponseReturnValue
    from werkzeug.wrappers import Response

    from participation.db import Database
    from participation.settings import Settings

View = TypeVar("View", bound=Callable[..., Any])
# Not the model: it belongs to a feature, and the ground knows none.
_VERSION: Select[int] = (
    select(column("content_version", Integer))
    .select_from(table("municipality"))
    .where(column("id", Integer) == bindparam("id"))
)
MAX_AGE_SECONDS = 5.0
MAX_BYTES = 12 * 1024 * 1024
MAX_QUERY_LENGTH = 300
# A random mark of this process: nothing that a resident writes can look like a hole.
_MARK = secrets.token_hex(12)
_HOLE = re.compile(rf"<!--{_MARK}:(\d+)-->".encode())

Holes = list[tuple[str, dict[str, Any]]]
PageKey = tuple[str, str, str, str]


@dataclass(slots=True)
class Page:
    """The shared texts of a page and the holes between them; complete for strangers once `compressed` is filled."""

    municipality_id: int
    version: int
    made_at: float
    texts: list[bytes]
    holes: Holes
    content_type: str
    compressed: bytes = b""


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
            if page is not None and page.compressed and page.version == self.current_version(page.municipality_id):
                if self.on_hit:
                    self.on_hit()
                return self._serve(page, environ, start_response)
        return self.application(environ, start_response)

    def _serve(self, page: Page, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        headers = header_list(self._settings)
        headers.append(("Content-Type", page.content_type))
        headers.append(("Vary", "Cookie, Accept-Encoding, Accept-Language"))
        headers.append(("Cache-Control", "private, no-cache"))
        body = page.compressed
        if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
            headers.append(("Content-Encoding", "gzip"))
        else:
            body = gzip.decompress(body)
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

    def current_version(self, municipality_id: int) -> int | None:
        """What a page's version must be to be shown; None when the database can't say."""
        try:
            rows = self._database.glance(_VERSION, {"id": municipality_id})
        except SQLAlchemyError:
            return None
        return int(rows[0][0]) if rows else None


def _weight(page: Page) -> int:
    """In bytes; the compressed page comes later and is counted as a fourth."""
    size = sum(map(len, page.texts))
    return size + size // 4 + 200 * len(page.holes) + 2000


def environ_key(environ: WSGIEnvironment) -> PageKey:
    """What a page depends on."""
    return (
        environ.get("HTTP_HOST", ""),
        environ.get("PATH_INFO", ""),
        environ.get("QUERY_STRING", ""),
        language_of(environ.get("HTTP_COOKIE", ""), environ.get("HTTP_ACCEPT_LANGUAGE", "")),
    )


def hole(name: str, **params: Any) -> Markup:  # noqa: ANN401 - parameters of any hole
    """In a template: leave a place that is filled per request."""
    holes: Holes = g.setdefault("holes", [])
    holes.append((name, params))
    return Markup(f"<!--{_MARK}:{len(holes) - 1}-->")  # noqa: S704 - made of our own mark and a number


def split_holes(body: bytes, holes: Holes) -> tuple[list[bytes], Holes]:
    """The texts of a page and the holes between them, in the order in which they stand on it."""
    pieces = _HOLE.split(body)
    return pieces[::2], [holes[int(number)] for number in pieces[1::2]]


def fill_holes(texts: list[bytes], holes: Holes) -> bytes:
    """Put the personal parts in."""
    from participation.web import current_actor, platform  # noqa: PLC0415 - web imports this module

    makers = platform().holes
    reader_is_staff = current_actor().is_staff
    filled = [texts[0]]
    many: dict[str, Iterator[str]] = {}
    for (name, params), text in zip(holes, texts[1:], strict=True):
        maker = makers[name]
        if reader_is_staff or not getattr(maker, "for_staff", False):
            if getattr(maker, "at_once", False):
                if name not in many:
                    many[name] = iter(maker([values for other, values in holes if other == name]))
                piece = next(many[name])
            else:
                piece = maker(**params)
            filled.append(str(piece).encode())
        filled.append(text)
    return b"".join(filled)


def cached(view: View) -> View:
    """Keep the shared parts of a page. The view may ask for the actor inside holes only."""

    @wraps(view)
    def keeping(*args: Any, **kwargs: Any) -> ResponseReturnValue:  # noqa: ANN401 - any view
        from participation.web import current_municipality, platform  # noqa: PLC0415 - web imports this module

        cache = platform().page_cache
        if not cache.enabled or len(request.query_string) > MAX_QUERY_LENGTH:
            return cast("ResponseReturnValue", view(*args, **kwargs))
        key = environ_key(request.environ)
        page = cache.find(key)
        if page is None or page.version != cache.current_version(page.municipality_id):
            municipality = current_municipality()
            if municipality is None:
                return cast("ResponseReturnValue", view(*args, **kwargs))
            version = municipality.content_version
            response = make_response(view(*args, **kwargs))
            if g.get("do_not_cache") or response.status_code != 200 or response.is_streamed:  # noqa: PLR2004
                return response
            texts, holes = split_holes(response.get_data(), g.get("holes", []))
            page = Page(
                municipality_id=municipality.id,
                version=version,
                made_at=time.monotonic(),
                texts=texts,
                holes=holes,
                content_type=response.headers["Content-Type"],
            )
            cache.store(key, page)
        g.shared_page = page
        return make_response(b"", 200, {"Content-Type": page.content_type})

    return cast("View", keeping)


def finish_page(response: Response) -> Response:
    """After every view: fill the holes, and keep the complete page for visitors without a cookie."""
    page: Page | None = g.get("shared_page")
    if page is not None:
        response.set_data(fill_holes(page.texts, page.holes))
        if not page.compressed and not cookie and not cookie.modified:
            page.compressed = gzip.compress(response.get_data(), 6)
        return response
    holes: Holes = g.get("holes", [])
    if holes and response.mimetype == "text/html" and not response.is_streamed:
        response.set_data(fill_holes(*split_holes(response.get_data(), holes)))
    return response
