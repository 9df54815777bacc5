"""A first visit on a phone: how little it takes to hand in an idea, and that a dead connection loses nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.journeys.conftest import Visitor

pytestmark = pytest.mark.browser
TITLE, WORDS = "Eine Uhr am Busbahnhof", "Damit man sieht, ob sich das Rennen noch lohnt."


def test_from_the_home_page_to_the_receipt_in_four_taps(visit: Callable[..., Visitor]) -> None:
    """What a person does in less than ninety seconds; the stopwatch is in tests/benchmarks/newcomer.py."""
    phone = visit(390, has_touch=True)
    page = phone.go("/")
    phone.press(page.get_by_role("link", name="Vorschlag einreichen").first)
    page.get_by_label("Titel").tap()
    page.keyboard.type(TITLE)
    # The key that says "next" leads on and sends nothing.
    page.keyboard.press("Enter")
    page.keyboard.type(WORDS)
    page.locator("label[for^=theme_id-]").first.tap()
    phone.press(page.get_by_role("button", name="Vorschlag einreichen"))
    page.get_by_role("heading", name="Ihr Beleg").wait_for()
    phone.check()
    assert TITLE in page.locator("main").inner_text()
    # Who wrote it is asked when it is safe.
    page.get_by_label("Ihre E-Mail-Adresse").fill("keine")
    phone.press(page.get_by_role("button", name="Speichern"))
    page.locator("[data-error-summary]").wait_for()
    phone.check()
    page.get_by_label("Ihre E-Mail-Adresse").fill("lea@beispiel.example")
    page.get_by_label("Ihr Name, den andere sehen").fill("Lea vom Bahnhof")
    phone.press(page.get_by_role("button", name="Speichern"))
    page.get_by_text("Das ist gespeichert").wait_for()
    phone.check()
    assert "Lea vom Bahnhof" in page.locator("main").inner_text()


def test_a_hint_at_similar_ones_moves_no_button_and_the_map_comes_when_it_is_opened(
    visit: Callable[..., Visitor],
) -> None:
    phone = visit(390, has_touch=True)
    asked: list[str] = []
    phone.page.on("request", lambda request: asked.append(request.url))
    page = phone.go("/verfahren/smart-city/vorschlaege/neu")
    send = page.get_by_role("button", name="Vorschlag einreichen")

    def top() -> float:
        box = send.bounding_box()
        assert box is not None
        return float(box["y"]) + float(page.evaluate("scrollY"))

    page.get_by_label("Titel").fill("Mehr Laternen am Bahnhof")
    before = top()
    page.get_by_label("Ihr Vorschlag").fill("Am Bahnhof ist es abends dunkel, Laternen fehlen dort und am Weg.")
    page.locator("[data-similar] summary").wait_for()
    assert abs(top() - before) <= 2
    assert not [one for one in asked if "leaflet" in one]
    page.get_by_text("Mehr angeben").tap()
    page.get_by_text("Auf der Karte zeigen").tap()
    page.get_by_role("button", name="Diesen Ort übernehmen").tap()
    page.locator(".map-status", has_text="Ort gewählt").wait_for()
    assert page.locator("[name=lat]").input_value()
    phone.check()


@pytest.mark.parametrize("path", ["/verfahren/smart-city", "/verfahren/smart-city/vorschlaege"])
def test_the_main_action_covers_nothing_at_first_and_comes_under_the_thumb_later(
    visit: Callable[..., Visitor], path: str
) -> None:
    phone = visit(390, has_touch=True)
    page = phone.go(path)
    action = page.locator("[data-dock] a")
    covered = """dock => [...document.querySelectorAll("a, button, input, select, summary")].filter(one => {
      const box = one.getBoundingClientRect();
      const at = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
      return box.width && box.top >= 0 && box.bottom <= innerHeight && !one.contains(at) && dock.contains(at);
    }).length"""
    assert action.is_visible()
    assert action.evaluate(covered) == 0
    page.mouse.wheel(0, 1500)
    page.locator(".bp-dock--under-thumb").wait_for(state="attached")
    box = action.bounding_box()
    assert box is not None
    assert box["y"] > 780
    page.mouse.wheel(0, -3000)
    page.locator(".bp-dock--under-thumb").wait_for(state="detached")


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
    again.get_by_role("button", name="Weiterschreiben").press("Enter")
    assert again.get_by_label("Titel").input_value() == TITLE
    assert again.get_by_label("Ihr Vorschlag").input_value() == WORDS
    again.locator("[name=theme_id]").first.check(force=True)
    phone.press(again.get_by_role("button", name="Vorschlag einreichen"))
    again.get_by_role("heading", name="Ihr Beleg").wait_for()
    phone.go(address)
    assert again.get_by_text("den Sie nicht abgeschickt haben").count() == 0
    assert again.get_by_label("Titel").input_value() == ""
