"""Packing a basket on a phone, by keyboard alone: too much, then enough, then another one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from participation.demo.people import DEMO_PASSWORD
from tests.journeys.keyboard import follow, press, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.journeys.conftest import Visitor

pytestmark = pytest.mark.browser
RESIDENT, OTHER = "hanne@leute.billerbeck.example", "radlerin@leute.billerbeck.example"
PROCESS = "/verfahren/buergerbudget"


def test_a_basket_is_packed_by_keyboard_and_stays_secret(visit: Callable[..., Visitor]) -> None:
    phone, stranger = visit(390), visit(1280)
    stranger.press(stranger.go(PROCESS).get_by_role("link", name="Jetzt abstimmen").first)
    stranger.check()
    stranger.page.get_by_role("heading", name="Zum Abstimmen anmelden").wait_for()
    address = stranger.page.url.removeprefix(stranger.platform.url)
    phone.sign_in(RESIDENT, DEMO_PASSWORD, address)
    page = phone.page
    boxes = page.get_by_role("checkbox", name="In den Korb")
    assert boxes.count() == 8
    total = page.locator("[data-ballot-sum]")
    assert total.inner_text() == "Noch 25.000 Euro"
    for number in range(boxes.count()):
        boxes.nth(number).focus()
        page.keyboard.press("Space")
    assert re.fullmatch(r"27\.400 Euro zu viel\. 8 Vorschläge gewählt, möglich sind höchstens 6", total.inner_text())
    phone.check()
    phone.press(boxes.last, "Enter")
    page.locator("[data-error-summary]").wait_for()
    phone.check()
    assert "es gibt nur 25.000 Euro" in page.locator("[data-error-summary]").inner_text()
    assert page.locator("input[name=korb]:checked").count() == 8
    keep = {"Zwanzig Obstbäume", "Hochbeete am", "Werkzeug für"}
    for number in range(boxes.count()):
        line = page.locator(".ballot__line").nth(number)
        if not any(name in line.inner_text() for name in keep):
            line.get_by_role("checkbox").focus()
            page.keyboard.press("Space")
    assert total.inner_text() == "Noch 14.800 Euro"
    phone.press(boxes.last, "Enter")
    page.get_by_text("Ihre Auswahl ist gespeichert").wait_for()
    phone.check()
    assert page.locator("input[name=korb]:checked").count() == 3
    assert stranger.go(address).locator("input[name=korb]").count() == 0
    response = stranger.page.goto(f"{stranger.platform.url}{address}/ergebnis")
    assert response is not None
    assert response.status == 404


def test_from_the_process_to_a_saved_basket_without_a_mouse(visit: Callable[..., Visitor]) -> None:
    desk = visit(1440)
    page = desk.go(PROCESS)
    follow(page, page.get_by_role("link", name="Jetzt abstimmen").first)
    follow(page, page.locator("main").get_by_role("link", name="Anmelden"))
    write(page, page.get_by_label("E-Mail-Adresse"), OTHER)
    write(page, page.get_by_label("Kennwort", exact=True), DEMO_PASSWORD)
    follow(page, page.get_by_label("Kennwort", exact=True))
    boxes = page.get_by_role("checkbox", name="In den Korb")
    boxes.first.wait_for()
    total, save = page.locator("[data-ballot-sum]"), page.get_by_role("button", name="Stimmzettel speichern")
    for number in range(boxes.count()):
        press(page, boxes.nth(number), "Space")
    follow(page, save)
    summary = page.locator("[data-error-summary]")
    summary.wait_for()
    # What went wrong has the focus already; its links lead into the list, from where all is reached again.
    assert summary.evaluate("one => one === document.activeElement")
    press(page, summary.get_by_role("link").first)
    dearest_first = sorted(range(boxes.count()), key=lambda one: -int(boxes.nth(one).get_attribute("data-cost") or 0))
    for number in sorted(dearest_first[:5]):
        press(page, boxes.nth(number), "Space")
    assert re.fullmatch(r"Noch [0-9.]+ Euro", total.inner_text())
    follow(page, save)
    page.get_by_text("Ihre Auswahl ist gespeichert").wait_for()
    desk.check()
    assert page.locator("input[name=korb]:checked").count() == boxes.count() - 5
