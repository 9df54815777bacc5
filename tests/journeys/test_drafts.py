"""Putting a proposal aside on the phone, by keyboard alone, and finishing it at another device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from participation.demo.people import DEMO_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.journeys.conftest import Visitor

pytestmark = pytest.mark.browser
AUTHOR = "hanne@leute.billerbeck.example"
ADDRESS = "/verfahren/smart-city/vorschlaege/neu"
TITLE, WORDS = "Trinkbrunnen am Johanniskirchhof", "Im Sommer ist es dort heiß, und"


def test_a_draft_begun_on_the_phone_is_finished_at_the_desk(visit: Callable[..., Visitor]) -> None:
    phone = visit(390)
    phone.sign_in(AUTHOR, DEMO_PASSWORD, ADDRESS)
    page = phone.page
    page.get_by_label("Titel").focus()
    page.keyboard.type(TITLE)
    page.keyboard.press("Tab")
    page.keyboard.type(WORDS)
    save = page.get_by_role("button", name="Als Entwurf speichern")
    for _step in range(80):
        page.keyboard.press("Tab")
        if save.evaluate("button => button === document.activeElement"):
            break
    phone.press(save, "Enter")
    page.get_by_text("Ihr Entwurf ist gespeichert").wait_for()
    phone.check()
    assert page.get_by_label("Ihr Vorschlag").input_value() == WORDS
    phone.go(ADDRESS)
    page.get_by_role("heading", name="Sie haben einen Entwurf").wait_for()
    assert page.get_by_text("In diesem Browser liegt noch ein Text").count() == 0, "it is kept once, not twice"

    desk = visit(1440)
    desk.sign_in(AUTHOR, DEMO_PASSWORD, "/konto/beitraege")
    page = desk.page
    desk.press(page.get_by_role("link", name="Weiterschreiben"), "Enter")
    body = page.get_by_label("Ihr Vorschlag")
    body.wait_for()
    desk.check()
    assert page.get_by_label("Titel").input_value() == TITLE
    body.fill(f"{WORDS} es gibt keinen Schatten.")
    page.locator("[name=theme_id]").first.check(force=True)
    desk.press(page.get_by_role("button", name="Vorschlag einreichen"), "Enter")
    page.get_by_role("heading", name="Ihr Beleg").wait_for()
    desk.go("/konto/beitraege")
    assert page.get_by_role("link", name="Weiterschreiben").count() == 0
    assert page.get_by_role("link", name=TITLE).count() == 1
