"""Whole pages by content version.

A page is the same for everybody but for its holes: the account menu, the support button, the comment form. Its shared
parts are kept per process under (host, path, query, language) and are valid as long as the municipality's
content_version is the one they were made with. So what a moderator hides is gone from every page at the next request,
in every process. Supports do not raise the version (a busy evening would never hit the cache); therefore no page lives
longer than MAX_AGE_SECONDS.

Anonymous visitors without any cookie are answered before Flask is entered, from complete bytes. For everybody else a kept
page needs Flask's request (who reads, their session), but none of the way to a view and back, which would take as long as
all that is personal on the page; whatever is unusual about such a request goes that way.
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
from sqlalchemy import Integer, Select, bindparam, column, select, table
from sqlalchemy.exc import SQLAlchemyError

from participation.compression import Packed, Piece, put_together, takes_gzip
from participation.language import language_of
from participation.security import header_list

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from flask.ctx import RequestContext
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
MAX_BYTES = 8 * 1024 * 1024
MAX_QUERY_LENGTH = 300
# A random mark of this process: nothing that a resident writes can look like a hole.
_MARK = secrets.token_hex(12)
_HOLE = re.compile(rf"<!--{_MARK}:(\d+)-->".encode())

Holes = list[tuple[str, dict[str, Any]]]
PageKey = tuple[str, str, str, str]


@dataclass(slots=True)
class Stretch:
    """What stands between two holes that every reader has something in.

    Within it lie the holes of which a page has many and most readers have nothing in, each with the number that its
    maker knows it by. Where that is so for all of them, the stretch goes out as it is, compressed once for all.
    """

    parts: list[bytes]
    rare: list[tuple[str, int]]
    whole: bytes
    packed: Packed | None = None


@dataclass(slots=True)
class Layout:
    """A page as one kind of reader gets it: stretches, and between them the holes that are filled one by one."""

    stretches: list[Stretch]
    holes: Holes
    # By name of the hole: the parameters of all its places on the page.
    rare: dict[str, list[dict[str, Any]]]
    uses: int = 0


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
    # For residents and for staff, who have holes of their own.
    layouts: dict[bool, Layout] = field(default_factory=dict)

    def layout(self) -> Layout:
        """As whoever reads in this request gets it."""
        from participation.web import current_actor  # noqa: PLC0415 - web imports this module

        for_staff = current_actor().is_staff
        found = self.layouts.get(for_staff)
        if found is None:
            found = self.layouts[for_staff] = lay_out(self.texts, self.holes, for_staff=for_staff)
        return found


class PageCache:
    """The pages of one process, and the WSGI layer in front of Flask that serves the complete ones."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Start empty. `application` and `request_context` are set by app.py."""
        self.enabled = settings.page_cache
        self.cookie_name = ""
        self.application: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]] | None = None
        self.request_context: Callable[[WSGIEnvironment], RequestContext] | None = None
        self.on_hit: Callable[[float], None] | None = None
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
        started = time.perf_counter()
        page = self.find(environ_key(environ)) if environ["REQUEST_METHOD"] == "GET" and self.enabled else None
        body = None
        if page is not None and self.cookie_name in environ.get("HTTP_COOKIE", ""):
            body = self._personal(page, environ)
        elif page is not None and page.compressed and page.version == self.current_version(page.municipality_id):
            body = page.compressed
        if page is None or body is None:
            return self.application(environ, start_response)
        if self.on_hit:
            self.on_hit(time.perf_counter() - started)
        return self._serve(page, body, environ, start_response)

    def _serve(
        self, page: Page, body: bytes, environ: WSGIEnvironment, start_response: StartResponse
    ) -> list[bytes]:
        headers = header_list(self._settings)
        headers.append(("Content-Type", page.content_type))
        headers.append(("Vary", "Cookie, Accept-Encoding, Accept-Language"))
        headers.append(("Cache-Control", "private, no-cache"))
        if takes_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
            headers.append(("Content-Encoding", "gzip"))
        else:
            body = gzip.decompress(body)
        headers.append(("Content-Length", str(len(body))))
        start_response("200 OK", headers)
        return [body]

    def _personal(self, page: Page, environ: WSGIEnvironment) -> bytes | None:
        """A kept page for whoever has a session, in gzip; None where the whole of Flask has to answer.

        That is so when the page is outdated, the session changes (a message is shown once), or something goes wrong.
        """
        from participation.web import content_version  # noqa: PLC0415 - web imports this module

        # The second condition: somebody wants to look at the request afterwards, which only tests do.
        if self.request_context is None or "werkzeug.debug.preserve_context" in environ:
            return None
        context = self.request_context(environ)
        try:
            context.push()
            if page.version != content_version(page.municipality_id):
                return None
            g.shared_page = page
            pieces = fill_holes(page.layout())
            return None if cookie.modified else put_together(pieces)
        except Exception:  # noqa: BLE001 - Flask tries again, and says what is wrong
            return None
        finally:
            # Also when pushing failed half-way (`with` would not): nothing of this reader may stay for the next one.
            context.pop(None)

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
    """In bytes, with what comes later: layouts, which hold the texts once more in parts and as a whole, and compressed."""
    size = sum(map(len, page.texts))
    return 3 * size + size // 2 + 500 * len(page.holes) + 4000


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


def lay_out(texts: list[bytes], holes: Holes, *, for_staff: bool) -> Layout:
    """Put together what lies between the holes of a kind of reader. What is for staff alone is gone for all others."""
    from participation.web import platform  # noqa: PLC0415 - web imports this module

    makers = platform().holes
    layout = Layout(stretches=[], holes=[], rare={})
    parts, rare = [[texts[0]]], list[tuple[str, int]]()
    for (name, params), text in zip(holes, texts[1:], strict=True):
        maker = makers[name]
        if getattr(maker, "for_staff", False) and not for_staff:
            parts[-1].append(text)
        elif getattr(maker, "at_once", False):
            places = layout.rare.setdefault(name, [])
            rare.append((name, len(places)))
            places.append(params)
            parts.append([text])
        else:
            layout.holes.append((name, params))
            layout.stretches.append(_stretch(parts, rare))
            parts, rare = [[text]], []
    layout.stretches.append(_stretch(parts, rare))
    return layout


def _stretch(parts: list[list[bytes]], rare: list[tuple[str, int]]) -> Stretch:
    joined = [b"".join(some) for some in parts]
    return Stretch(parts=joined, rare=rare, whole=b"".join(joined))


def fill_holes(layout: Layout) -> list[Piece]:
    """The pieces of a page with the personal parts in. From the second reader on what they share is compressed once."""
    from participation.web import platform  # noqa: PLC0415 - web imports this module

    makers = platform().holes
    layout.uses += 1
    found: dict[str, dict[int, str]] = {name: makers[name](places) for name, places in layout.rare.items()}
    someone = any(found.values())
    pieces: list[Piece] = []
    for number, stretch in enumerate(layout.stretches):
        if number:
            name, params = layout.holes[number - 1]
            made = makers[name](**params)
            pieces += getattr(made, "pieces", None) or [(str(made).encode(), None)]
        if someone and any(place in found[name] for name, place in stretch.rare):
            pieces.append((_with_rare(stretch, found), None))
            continue
        if stretch.packed is None and layout.uses > 1:
            stretch.packed = Packed.of(stretch.whole)
        pieces.append((stretch.whole, stretch.packed))
    return pieces


def _with_rare(stretch: Stretch, found: dict[str, dict[int, str]]) -> bytes:
    filled = [stretch.parts[0]]
    for (name, place), part in zip(stretch.rare, stretch.parts[1:], strict=True):
        filled += (found[name].get(place, "").encode(), part)
    return b"".join(filled)


def cached(view: View) -> View:
    """Keep the shared parts of a page. The view may ask for the actor inside holes only."""

    @wraps(view)
    def keeping(*args: Any, **kwargs: Any) -> ResponseReturnValue:  # noqa: ANN401 - any view
        from participation.web import content_version, current_municipality, platform  # noqa: PLC0415 - web imports this module

        cache = platform().page_cache
        if not cache.enabled or len(request.query_string) > MAX_QUERY_LENGTH:
            return cast("ResponseReturnValue", view(*args, **kwargs))
        key = environ_key(request.environ)
        page = cache.find(key)
        if page is None or page.version != content_version(page.municipality_id):
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
    from participation.web import current_actor  # noqa: PLC0415 - web imports this module

    page: Page | None = g.get("shared_page")
    if page is not None:
        # Put together, and compressed, when all else is done; see compression.py.
        try:
            g.pieces = fill_holes(page.layout())
        except Exception:
            # The page that says so is no piece of this one.
            g.pop("shared_page")
            raise
        # Not by HEAD: its menu leads nowhere back.
        if not page.compressed and not cookie and not cookie.modified and request.method == "GET":
            page.compressed = gzip.compress(b"".join(whole for whole, _packed in g.pieces), 6)
        return response
    holes: Holes = g.get("holes", [])
    if holes and response.mimetype == "text/html" and not response.is_streamed:
        texts, holes = split_holes(response.get_data(), holes)
        pieces = fill_holes(lay_out(texts, holes, for_staff=current_actor().is_staff))
        response.set_data(b"".join(whole for whole, _packed in pieces))
    return response
