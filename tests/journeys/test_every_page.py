"""Every page there is, as everybody who may see it: accessible on a phone and at a desk, and never wider than the window.

The pages come from the application's own map of addresses, so a new one cannot be forgotten: it fails here until
`places.py` says how to fill its address, or why it shows no page.
"""

from __future__ import annotations

import http.client
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from lxml import etree, html

from app import create_app
from participation.settings import Settings
from tests.journeys import places

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from werkzeug.routing import Rule

    from tests.journeys.conftest import Visitor
    from tests.live import LivePlatform

pytestmark = pytest.mark.browser
PHONE, DESK, NARROW = 390, 1280, 320
# WCAG 2.2, 1.4.12: a reader may set this, and nothing may be lost by it.
SPACING = """
* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important; }
p { margin-bottom: 2em !important; }
"""
ADD_SHEET = """css => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}"""
# Text that its own box cuts off, and that cannot be scrolled to.
CLIPPED = """() => [...document.querySelectorAll("main *, header *, footer *")].filter(element => {
  const style = getComputedStyle(element);
  const hides = style.overflowX === "hidden" || style.overflowY === "hidden" || style.overflowX === "clip";
  // An excerpt is short by intention; the whole text is one click away.
  if (style.webkitLineClamp !== "none") return false;
  const isShown = element.clientWidth > 2 && element.clientHeight > 2 && style.textOverflow !== "ellipsis";
  return hides && isShown && element.textContent.trim() && !element.closest(".leaflet-container, svg")
    && !element.matches(".leaflet-container, svg, .kern-sr-only, select, [aria-hidden=true]")
    && (element.scrollWidth > element.clientWidth + 2 || element.scrollHeight > element.clientHeight + 2);
}).map(element => element.outerHTML.slice(0, 120))"""
SMALL = """() => [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")].filter(e => {
  const box = e.getBoundingClientRect();
  if (!box.width || !box.height || e.closest(".leaflet-container, .bp-prose, p, dd, td, th, li, .kern-sr-only")) return false;
  if (e.matches(".bp-skip, .kern-sr-only") || getComputedStyle(e).opacity === "0") return false;
  return box.width < 23.5 || box.height < 23.5;
}).map(e => e.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def town(platform: LivePlatform) -> tuple[Flask, list[tuple[Rule, str]], dict[str, str]]:
    """The running platform's own application, the addresses of all pages, and everybody's cookie."""
    app = create_app(Settings.from_environ(platform.environment))
    held = app.extensions["platform"]
    with held.database.unit_of_work() as session:
        found = places.prepared(session, held.keyring, held.settings.mail_dir)
        cookies = {who: places.signed_in(session, app, email) if email else "" for who, email in places.PEOPLE.items()}
    rooms = list(places.addresses(app, found))
    held.database.dispose()
    return app, rooms, cookies


def _asked(platform: LivePlatform, address: str, cookie: str) -> tuple[int, str, str]:
    """Status, kind and text of an answer."""
    with closing(http.client.HTTPConnection("localhost", platform.port, timeout=120)) as connection:
        connection.request("GET", address, headers={"Cookie": f"session={cookie}"} if cookie else {})
        answer = connection.getresponse()
        return answer.status, answer.headers.get_content_type(), answer.read().decode("utf-8", "replace")


def _parts(text: str, endpoint: str) -> set[tuple[str, ...]]:
    """What a page is made of: tags with their classes and attributes and those around them, whatever they say.

    What stands around the main part is the same on every page, so it is no part of this one.
    """

    def kind(one: html.HtmlElement) -> str:
        named = sorted(name for name in one.attrib if name not in {"id", "value", "href"})
        return f"{one.tag} {one.get('class', '')} {one.get('type', '')} {named}"

    found = set()
    for one in html.fromstring(text).iter(etree.Element):
        above = list(one.iterancestors())
        place = endpoint if any(each.tag == "main" for each in [one, *above]) else "everywhere"
        found.add((place, kind(one), *map(kind, above)))
    return found


def test_everybody_sees_only_accessible_pages_that_fit(
    town: tuple[Flask, list[tuple[Rule, str]], dict[str, str]], platform: LivePlatform, visit: Callable[..., Visitor]
) -> None:
    """B01, B03, B04. A page that is made of nothing new for its second reader is not looked at twice."""
    app, rooms, cookies = town
    assert app.view_functions.keys() >= places.NO_PAGE.keys(), "places.py speaks of what is not there"
    known: set[tuple[str, ...]] = set()
    opened: set[str] = set()
    for who, cookie in cookies.items():
        visitor = visit(PHONE, has_touch=True)
        if cookie:
            visitor.page.context.add_cookies([{"name": "session", "value": cookie, "url": platform.url}])
        for rule, address in rooms:
            status, kind, text = _asked(platform, address, cookie)
            assert status < 500, (who, address, status)
            if status != 200 or kind != "text/html":
                continue
            opened.add(rule.endpoint)
            parts = _parts(text, rule.endpoint)
            if parts <= known:
                continue
            known |= parts
            _look(visitor, address)
        for address in ("/gibt-es-nicht", "/verwaltung/kommune"):
            _look(visitor, address)
    assert {rule.endpoint for rule, _address in rooms} - opened == set(), "nobody sees these: fill them in places.py"


def _look(visitor: Visitor, address: str) -> None:
    """On a phone by day, at a desk by night, and where letters are as wide as a reader may set them."""
    page = visitor.go(address)
    assert page.evaluate(SMALL) == [], address
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": DESK, "height": 900})
    visitor.check()
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": NARROW, "height": 900})
    visitor.fits()
    page.evaluate(ADD_SHEET, SPACING)
    visitor.fits()
    assert page.evaluate(CLIPPED) == [], address
    page.set_viewport_size({"width": PHONE, "height": 900})
