"""One running platform for all journeys, and a real Chromium that writes down what it must not do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.live import LivePlatform, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

AXE = next((Path(__file__).parents[1] / "vendor").glob("axe-core-*/axe.min.js")).read_text(encoding="utf-8")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    """`beteiligung serve` with the demo town."""
    with serving(tmp_path_factory.mktemp("live") / "data") as running:
        yield running


class Visitor:
    """A person at a browser: what went wrong on any page is kept and judged at the end."""

    def __init__(self, page: Page, platform: LivePlatform) -> None:
        self.page = page
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

    def check(self) -> None:
        """axe finds nothing, and nothing sticks out sideways."""
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
        self.fits()

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
        page.get_by_role("button", name="Anmelden").click()
        page.wait_for_url(lambda url: "/konto/anmelden" not in url)
        if "zweiter-faktor" in page.url:
            self.check()
            self._give_code()
        self.check()

    def _give_code(self) -> None:
        """The code that the demo shows. One counts once, so the third sign-in within half a minute waits for the next."""
        refused = ""
        for _ in range(40):
            shown = next(text for text in self.page.locator("main strong").all_inner_texts() if text.isdecimal())
            if shown != refused:
                self.page.get_by_label("Code").fill(shown)
                with self.page.expect_navigation():
                    self.page.get_by_role("button", name="Weiter").click()
                if "zweiter-faktor" not in self.page.url:
                    return
                refused = shown
            self.page.wait_for_timeout(1000)
            self.page.goto(self.page.url)
        pytest.fail("the code was not accepted")


@pytest.fixture
def visit(platform: LivePlatform, chromium: Browser) -> Iterator[Callable[..., Visitor]]:
    """Open a browser of a given width; at the end nothing may have gone wrong in any of them."""
    visitors: list[Visitor] = []

    def open_one(width: int = 1280, **options: Any) -> Visitor:
        context = chromium.new_context(viewport={"width": width, "height": 900}, locale="de-DE", **options)
        context.set_default_timeout(15_000)
        visitors.append(Visitor(context.new_page(), platform))
        return visitors[-1]

    yield open_one
    problems = [problem for one in visitors for problem in one.problems]
    for one in visitors:
        one.page.context.close()
    assert problems == []
