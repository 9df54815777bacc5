"""A first visit on a phone: how little it takes to hand in an idea, and that a dead connection loses nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.journeys.conftest import Visitor

pytestmark = pytest.mark.browser
TITLE, WORDS = "Eine Uhr am Busbahnhof", "Damit man sieht, ob sich das Rennen noch lohnt."


def test_from_the_home_page_to_the_receipt_in_four_steps(visit: Callable[..., Visitor]) -> None:
    """Two taps, two texts, one choice, one tap: what a person does in less than ninety seconds."""
    phone = visit(390, has_touch=True)
    page = phone.go("/")
    page.get_by_role("link", name="Vorschlag einreichen").first.tap()
    page.get_by_label("Titel").fill(TITLE)
    page.get_by_label("Ihr Vorschlag").fill(WORDS)
    page.locator("[name=theme_id]").first.check(force=True)
    page.get_by_role("button", name="Vorschlag einreichen").tap()
    page.get_by_role("heading", name="Ihr Beleg").wait_for()
    phone.check()
    assert TITLE in page.locator("main").inner_text()


def test_a_dead_connection_and_a_closed_page_lose_no_word(visit: Callable[..., Visitor]) -> None:
    phone = visit(390)
    address = "/verfahren/smart-city/vorschlaege/neu"
    page = phone.go(address)
    page.get_by_label("Titel").fill(TITLE)
    page.get_by_label("Ihr Vorschlag").fill(WORDS)
    page.context.set_offline(True)
    page.get_by_role("button", name="Vorschlag einreichen").click()
    page.get_by_text("Sie haben gerade keine Verbindung").wait_for()
    assert page.get_by_label("Ihr Vorschlag").input_value() == WORDS
    page.context.set_offline(False)
    page.on("dialog", lambda dialog: dialog.accept())
    page.close(run_before_unload=False)
    again = phone.page.context.new_page() if phone.page.is_closed() else phone.page
    phone.page = again
    again.goto(phone.platform.url + address)
    offer = again.get_by_text("den Sie nicht abgeschickt haben")
    offer.wait_for()
    phone.check()
    again.get_by_role("button", name="Weiterschreiben").focus()
    again.keyboard.press("Enter")
    assert again.get_by_label("Titel").input_value() == TITLE
    assert again.get_by_label("Ihr Vorschlag").input_value() == WORDS
    again.locator("[name=theme_id]").first.check(force=True)
    again.get_by_role("button", name="Vorschlag einreichen").click()
    again.get_by_role("heading", name="Ihr Beleg").wait_for()
    phone.go(address)
    assert again.get_by_text("den Sie nicht abgeschickt haben").count() == 0
    assert again.get_by_label("Titel").input_value() == ""
