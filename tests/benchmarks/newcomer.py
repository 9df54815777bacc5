"""A stopwatch for the way of a newcomer: first visit on a phone to the receipt of an idea, aim 90 seconds.

Walks the real pages of the demo town in Chromium and counts what a person meets on the way. Two clocks: one computed
from the counts, one on the wall while an idea is typed letter by letter with the pauses that reading takes.

What is assumed, and where it is kinder or harder than life:
- Read is every word of the page's content above and in the control that is pressed, labels and hints too, at 230 words a
  minute (adults, silent, German; Brysbaert 2019 has 238 to 260). Header, menu, path and what else stands in sight is
  looked over at 600.
- Typed is at 36 words of five letters a minute (Palin 2019, 37,000 people on phones), letter by letter, also the long
  German words. The idea is there before: nobody thinks about what to write.
- A tap takes 1.2 s, deciding for it 1.35 s (keystroke-level model); moving on by a screen takes 1 s.
- Pages come at 1.6 Mbit/s with 150 ms of delay, an average day in the bus, without the handshakes of https and on this
  machine's processor; measured until there is something to read, the middle of three.
- Slow is somebody of 70: reads 180, types 18 words a minute, takes twice as long for taps.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.live import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator, Page

AIM = 90
PATIENCE = 60
WIDTH, HEIGHT = 390, 844
LETTERS_A_WORD = 5
SCAN = 600
TITLE = "Bank an der Bushaltestelle Kolpingstraße"
BODY = "Dort warten oft ältere Leute und Kinder lange auf den Bus. Eine Bank mit Dach wäre gut, auch bei Regen."
FORM = "/verfahren/smart-city/vorschlaege/neu"
NETWORK = {"offline": False, "latency": 150, "downloadThroughput": 1_600_000 / 8, "uploadThroughput": 750_000 / 8}
# Words in sight between the top of the page and a depth, in the content or around it; not what is folded or for ears only.
WORDS = """depth => {
  const found = {read: [], scan: []};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!node.data.trim() || parent.closest("script, style, template, option, .kern-sr-only, .bp-skip")) continue;
    if (!parent.checkVisibility({visibilityProperty: true, opacityProperty: true, contentVisibilityAuto: true})) continue;
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    const top = box.top + scrollY;
    if (!box.width || box.bottom <= 0 - scrollY || top >= Math.max(depth, innerHeight)) continue;
    const words = node.data.match(/[\\p{L}\\p{N}][\\p{L}\\p{N}\\p{M}&.’'-]*/gu) ?? [];
    const isRead = parent.closest("main") && !parent.closest("nav") && top < depth;
    found[isRead ? "read" : "scan"].push(...words);
  }
  return found;
}"""


@dataclass(frozen=True, slots=True)
class Person:
    """How fast somebody is: words read and typed in a minute, seconds for a tap and for a decision."""

    name: str
    reads: int
    types: int
    tap: float
    decides: float


PEOPLE = (Person("on the bus", 230, 36, 1.2, 1.35), Person("70 years", 180, 18, 2.4, 2.7))


@dataclass(slots=True)
class Way:
    """What was met between the first page and the receipt."""

    read: int = 0
    scanned: int = 0
    letters: int = 0
    taps: int = 0
    decisions: int = 0
    screens: float = 0
    fields: int = 0
    required: int = 0
    loading: float = 0
    wall: float = 0
    weights: list[tuple[str, int]] = field(default_factory=list)

    def seconds(self, person: Person) -> dict[str, float]:
        """How long each part takes somebody."""
        return {
            "reading": self.read / person.reads * 60 + self.scanned / SCAN * 60 * (PEOPLE[0].reads / person.reads),
            "typing": self.letters / LETTERS_A_WORD / person.types * 60,
            "tapping": self.taps * person.tap + self.decisions * person.decides + self.screens,
            "loading": self.loading,
        }


class _Walker:
    """Somebody on a phone who counts, and who takes the time it takes when the clock on the wall runs."""

    def __init__(self, page: Page, url: str, person: Person | None) -> None:
        self.page, self.url, self.person, self.way = page, url, person, Way()
        self.wire = 0
        self.chance = random.Random(1)  # noqa: S311 - how uneven fingers are
        self.client = page.context.new_cdp_session(page)
        self.client.send("Network.enable")
        self.client.send("Network.emulateNetworkConditions", NETWORK)
        self.client.on("Network.loadingFinished", lambda told: self._weigh(told["encodedDataLength"]))

    def _weigh(self, count: float) -> None:
        self.wire += int(count)

    def _arrive(self, name: str, started: float) -> None:
        """The page is there as soon as there is something to read."""
        # The policy forbids evaluated strings, so a waiting function of the page is no way.
        while not self.page.evaluate("performance.getEntriesByName('first-contentful-paint').length"):
            assert time.monotonic() - started < PATIENCE, f"{name} shows nothing"
            self.page.wait_for_timeout(10)
        self.way.loading += time.monotonic() - started
        if self.person is None:
            self.page.wait_for_load_state("networkidle")
            self.way.weights.append((name, self.wire))
        self.wire = 0

    def open(self, name: str, path: str) -> None:
        started = time.monotonic()
        self.page.goto(self.url + path, wait_until="commit")
        self._arrive(name, started)

    def look(self, target: Locator) -> None:
        """Read down to the control that is going to be pressed last on this page."""
        box = target.bounding_box()
        assert box is not None
        depth = box["y"] + box["height"] + self.page.evaluate("scrollY")
        words = self.page.evaluate(WORDS, depth)
        self.way.read += len(words["read"])
        self.way.scanned += len(words["scan"])
        self.way.screens += math.ceil(max(0, depth - HEIGHT) / HEIGHT)
        if self.person:
            self._pause(len(words["read"]) / self.person.reads * 60 + len(words["scan"]) / SCAN * 60)

    def tap(self, target: Locator, *, decides: bool = False) -> None:
        """Press something; `decides` when there is something to choose or to be sure of."""
        self.way.taps += 1
        self.way.decisions += decides
        if self.person:
            self._pause(self.person.tap + (self.person.decides if decides else 0))
        target.scroll_into_view_if_needed()
        target.tap(force=True)

    def follow(self, name: str, target: Locator) -> None:
        """Press what leads to the next page."""
        with self.page.expect_navigation(wait_until="commit"):
            self.tap(target, decides=True)
            started = time.monotonic()
        self._arrive(name, started)

    def type(self, text: str) -> None:
        self.way.letters += len(text)
        if not self.person:
            self.page.keyboard.insert_text(text)
            return
        each = 60_000 / (self.person.types * LETTERS_A_WORD)
        # By the clock, so that what the machine takes for a letter is not added to what fingers take.
        due = time.monotonic()
        for letter in text:
            self.page.keyboard.insert_text(letter)
            due += each / 1000 * self.chance.uniform(0.5, 1.5)
            self.page.wait_for_timeout(max(0, due - time.monotonic()) * 1000)

    def _pause(self, seconds: float) -> None:
        self.page.wait_for_timeout(seconds * 1000)


def _walk(browser: Browser, url: str, *, poster: bool, person: Person | None) -> Way:
    """From the home page, or from the poster whose code leads to the form, to the receipt."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT}, locale="de-DE", has_touch=True, is_mobile=True, device_scale_factor=2)
    context.set_default_timeout(60_000)
    page = context.new_page()
    walker, started = _Walker(page, url, person), time.monotonic()
    if poster:
        walker.open("form", FORM)
    else:
        walker.open("home", "/")
        button = page.get_by_role("link", name="Vorschlag einreichen").first
        walker.look(button)
        walker.follow("form", button)
    send = page.locator("form#vorschlag button[name=step][value=send]")
    shown = page.locator("form#vorschlag :is(input, textarea, select):not([type=hidden], [type=radio], [type=checkbox]):visible")
    groups = page.locator("form#vorschlag fieldset:visible:has(> .kern-fieldset__body)")
    walker.way.fields = shown.count() + groups.count()
    walker.way.required = page.locator(
        "form#vorschlag :is([name=title], [name=body])[required]").count() + page.locator("#theme_id:visible").count()
    walker.look(send)
    walker.tap(page.locator("[name=title]"))
    walker.type(TITLE)
    page.keyboard.press("Enter") if page.locator("[name=title][enterkeyhint=next]").count() else walker.tap(
        page.locator("[name=body]"))
    walker.type(BODY)
    walker.tap(page.locator("label[for^=theme_id-]").last, decides=True)
    walker.follow("receipt", send)
    page.get_by_role("heading", name="Ihr Beleg").wait_for()
    walker.way.wall = time.monotonic() - started
    assert TITLE in page.locator("main").inner_text()
    context.close()
    return walker.way


def measure(browser: Browser, url: str, *, running: int = 1) -> None:
    """Print both ways: counted, computed, and for the first `running` people by the clock on the wall."""
    print(f"{'first visit to receipt, phone':32}{'words':>6}{'looked':>8}{'letters':>8}{'taps':>6}{'fields':>8}{'musts':>7}  aim")
    for name, poster in (("from the home page", False), ("from a poster", True)):
        # Others were here before: the first walk wakes the servers. Of the next three, the one with the middle loading.
        ways = [_walk(browser, url, poster=poster, person=None) for _ in range(4)][1:]
        way = sorted(ways, key=lambda one: one.loading)[1]
        print(f"{name:32}{way.read:>6}{way.scanned:>8}{way.letters:>8}{way.taps:>6}{way.fields:>8}{way.required:>7}")
        for person in PEOPLE:
            parts = way.seconds(person)
            total = sum(parts.values())
            told = ", ".join(f"{part} {seconds:.0f}" for part, seconds in parts.items())
            aim = (f"≤ {AIM} s: " + ("met" if total <= AIM else "NOT met")) if person is PEOPLE[0] else ""
            print(f"  {person.name + ', computed':22}{total:>7.0f} s  ({told})  {aim}")
        for person in PEOPLE[:running]:
            print(f"  {person.name + ', on the wall':22}{_walk(browser, url, poster=poster, person=person).wall:>7.0f} s")
        print("  on the wire: " + ", ".join(f"{page} {size / 1000:.0f} kB" for page, size in way.weights), flush=True)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The Chromium of the system, or the one that playwright brought."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser: Any = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield browser
        browser.close()


def run() -> None:
    """In a demo town of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, serving(Path(folder) / "data") as platform, \
            chromium() as browser:
        measure(browser, platform.url)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a running demo town, else one of its own")
    parser.add_argument("--running", type=int, default=1, help="how many of the two people take the time it takes")
    arguments = parser.parse_args()
    if arguments.url:
        with chromium() as chosen:
            measure(chosen, arguments.url, running=arguments.running)
    else:
        run()
