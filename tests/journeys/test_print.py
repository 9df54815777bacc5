"""On paper stands what one reads, and nothing that only a screen can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.journeys.conftest import Visitor

pytestmark = pytest.mark.browser


def test_a_printed_proposal_holds_what_one_reads_and_nothing_to_press(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.go("/verfahren/smart-city/vorschlaege?sort=diskutiert")
    visitor.press(page.locator(".bp-contribution__title a").first)
    code = page.locator("img[src$='qr.svg']")
    assert not code.is_visible(), "folded on the screen"
    page.emulate_media(media="print")
    shown = page.locator("main").inner_text()
    for text in ("Auf dem Laufenden bleiben", "Mitreden", "Melden"):
        assert text not in shown
    assert page.locator("h1").is_visible()
    assert page.locator(".comment, .bp-comment").first.is_visible()
    assert code.is_visible()
    pressed = page.locator("main :is(button, input, textarea, select)")
    assert not any(pressed.nth(number).is_visible() for number in range(pressed.count()))
    page.emulate_media(media="screen")
