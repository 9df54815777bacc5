"""One running platform for all journeys, and a real Chromium that writes down what it must not do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.live import LivePlatform, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Locator, Page, Response

AXE = next((Path(__file__).parents[1] / "vendor").glob("axe-core-*/axe.min.js")).read_text(encoding="utf-8")
# What axe judges by: elements, their attributes and whether they say anything, on what kind of screen.
SHAPE = """() => [innerWidth, ...["dark", "light"].map(one => matchMedia(`(prefers-color-scheme: ${one})`).matches),
  document.adoptedStyleSheets.length, ...[...document.querySelectorAll("*")].map(one => [one.tagName,
    ...one.getAttributeNames().map(name => ["href", "value", "src", "nonce", "content", "action", "d"]
      .includes(name) ? name : name + "=" + one.getAttribute(name)),
    [...one.childNodes].some(child => child.nodeType === 3 && child.data.trim())].join(" "))].join("\\n")"""
# Milliseconds until something counts as missing, on a machine that does other things as well.
PATIENCE = 60_000
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    """`beteiligung serve` with the demo town."""
    with serving(tmp_path_factory.mktemp("live") / "data") as running:
        yield running


class Visitor:
    """A person at a browser: what went wrong on any page is kept and judged at the end."""

    def __init__(self, page: Page, platform: LivePlatform, known: set[str], *, has_touch: bool = False) -> None:
        self.page = page
        self.has_touch = has_touch
        # Shapes of pages in which axe has found nothing.
        self.known = known
        self.platform = platform
        self.problems: list[str] = []
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        page.on("request", lambda request: self._asked(request.url))

    def _note(self, kind: str, text: str) -> None:
        expected = "Failed to load resource: the server responded with a status of 4"
        if kind == "error" and not text.startswith(expected):
            self.problems.append(text)

    def _asked(self, url: str) -> None:
        if not url.startswith((self.platform.url, "data:", "blob:")):
            self.problems.append(f"foreign request: {url}")

    def go(self, path: str) -> Page:
        """Open a page and check it."""
        self.page.goto(self.platform.url + path)
        self.check()
        return self.page

    def press(self, target: Locator, key: str = "") -> Response | None:
        """What leads to another page, by hand or by a key, until all of that page is there.

        A click returns before that: what is asked then is answered by either page or by neither, and the next address
        stops a form on its way.
        """
        with self.page.expect_navigation() as arrived:
            if key:
                target.press(key)
            elif self.has_touch:
                target.tap()
            else:
                target.click()
        return arrived.value

    def check(self) -> None:
        """axe finds nothing, and nothing sticks out sideways. What is built exactly alike is judged once."""
        # A page that is just arriving has no root element yet.
        self.page.wait_for_load_state()
        self.fits()
        shape = self.page.evaluate(SHAPE)
        if shape in self.known:
            return
        # The policy forbids evaluated strings, so axe is put in by the browser's own channel.
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE)
        result: dict[str, Any] = self.page.evaluate(
            "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})", TAGS
        )
        for violation in result["violations"]:
            if violation["id"] == "target-size" and all(self._is_on_a_map(node["target"][0]) for node in violation["nodes"]):
                continue
            places = "; ".join(str(node["target"]) for node in violation["nodes"][:3])
            self.problems.append(f"{self.page.url}: {violation['id']}: {violation['help']} ({places})")
        if not result["violations"]:
            self.known.add(shape)

    def fits(self) -> None:
        """Nothing sticks out sideways."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 1:
            self.problems.append(f"{self.page.url}: {wide} px wider than the window")

    def _is_on_a_map(self, selector: str) -> bool:
        """Where a pin stands is essential to it, however close its neighbours are (WCAG 2.5.8); the list stands beside."""
        return bool(self.page.locator(selector).evaluate_all("found => found.every(one => one.closest('.leaflet-marker-pane'))"))

    def sign_in(self, email: str, password: str, landing: str = "/") -> None:
        """Through the form; staff with the code that the demo shows."""
        page = self.go(f"/konto/anmelden?next={landing}")
        page.get_by_label("E-Mail-Adresse").fill(email)
        page.get_by_label("Kennwort", exact=True).fill(password)
        self.press(page.get_by_role("button", name="Anmelden"))
        assert "/konto/anmelden" not in page.url, "the password was not accepted"
        if "zweiter-faktor" in page.url:
            self.check()
            self._give_code()
        self.check()

    def _give_code(self) -> None:
        """The code that the demo shows. One counts once; lest everybody wait for the next, that it was used is forgotten."""
        with closing(sqlite3.connect(self.platform.data_dir / "beteiligung.sqlite3", timeout=30)) as database, database:
            database.execute("UPDATE account SET totp_last_step = NULL")
        shown = next(text for text in self.page.locator("main strong").all_inner_texts() if text.isdecimal())
        self.page.get_by_label("Code").fill(shown)
        self.press(self.page.get_by_role("button", name="Weiter"))
        assert "zweiter-faktor" not in self.page.url, "the code was not accepted"


@pytest.fixture(scope="session")
def known_shapes() -> set[str]:
    """Of pages that were judged before: the page for signing in stands in nearly every journey."""
    return set()


@pytest.fixture
def visit(platform: LivePlatform, chromium: Browser, known_shapes: set[str]) -> Iterator[Callable[..., Visitor]]:
    """Open a browser of a given width; at the end nothing may have gone wrong in any of them."""
    visitors: list[Visitor] = []

    def open_one(width: int = 1280, **options: Any) -> Visitor:
        context = chromium.new_context(viewport={"width": width, "height": 900}, locale="de-DE", **options)
        context.set_default_timeout(PATIENCE)
        visitors.append(Visitor(context.new_page(), platform, known_shapes, has_touch=options.get("has_touch", False)))
        return visitors[-1]

    yield open_one
    problems = [problem for one in visitors for problem in one.problems]
    for one in visitors:
        one.page.context.close()
    assert problems == []
