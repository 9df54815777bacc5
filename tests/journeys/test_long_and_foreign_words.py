"""Comments that no page was drawn for: one word without an end, and writing from right to left, on the smallest phone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from participation.contributions.comments.operations import BODY_MAX
from participation.demo.people import DEMO_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Response

    from tests.journeys.conftest import Visitor

pytestmark = pytest.mark.browser
RESIDENT, MODERATOR = "radlerin@leute.billerbeck.example", "moderation@billerbeck.example"
PROPOSAL = "/verfahren/smart-city/vorschlaege/1"
ENDLESS = "Donaudampfschiff" * 313
ARABIC = "نحتاج إلى مقعد في الظل بجانب النهر، من فضلكم!"


def _say(phone: Visitor, words: str) -> Response | None:
    box = phone.page.locator("form textarea").first
    box.fill(words)
    return phone.press(phone.page.locator("form").filter(has=phone.page.locator("textarea")).first.get_by_role("button").first)


def _approve(desk: Visitor, beginning: str) -> None:
    desk.go("/moderation?art=comment")
    while not desk.page.get_by_role("link", name=beginning).count():
        desk.press(desk.page.get_by_role("link", name="Weitere anzeigen"))
    desk.press(desk.page.get_by_role("link", name=beginning).first)
    desk.check()
    desk.press(desk.page.get_by_role("button", name="Freigeben", exact=True))
    desk.page.get_by_text("Freigegeben").first.wait_for()


def test_an_endless_word_and_arabic_fit_the_smallest_phone(visit: Callable[..., Visitor]) -> None:
    phone, desk = visit(320), visit(320)
    phone.sign_in(RESIDENT, DEMO_PASSWORD, PROPOSAL)
    page = phone.page
    assert len(ENDLESS) > BODY_MAX
    # Another browser may not know maxlength.
    page.locator("form textarea").first.evaluate("one => one.removeAttribute('maxlength')")
    refused = _say(phone, ENDLESS)
    assert refused is not None
    assert refused.status == 422
    phone.check()
    assert page.locator("textarea[name=body]").input_value() == ENDLESS
    for words in (ENDLESS[:BODY_MAX], ARABIC):
        phone.go(PROPOSAL)
        _say(phone, words)
        page.get_by_text("geprüft").first.wait_for()
        phone.check()
    desk.sign_in(MODERATOR, DEMO_PASSWORD, "/moderation")
    for words in (ENDLESS, ARABIC):
        _approve(desk, words[:30])
    phone.go(PROPOSAL)
    arabic = page.locator(".bp-comment__text", has_text=ARABIC)
    assert arabic.evaluate("one => getComputedStyle(one.querySelector('p') || one).direction") == "rtl"
    shown = page.locator(".bp-comment__text", has_text="Donaudampfschiff").first
    assert shown.evaluate("one => one.scrollWidth <= one.clientWidth + 1")
    # The fold divides the word, and loses nothing of it.
    assert "".join((shown.text_content() or "").replace("Weiterlesen", "").split()) == ENDLESS[:BODY_MAX]
