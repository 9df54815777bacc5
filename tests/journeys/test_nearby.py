"""What is going on around me: asked on the phone, by keyboard alone, and without giving the exact place away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.journeys.conftest import Visitor

pytestmark = pytest.mark.browser


def test_the_nearest_proposals_by_the_place_of_the_phone(visit: Callable[..., Visitor]) -> None:
    phone = visit(390)
    context = phone.page.context
    context.grant_permissions(["geolocation"])
    context.set_geolocation({"latitude": 51.979123, "longitude": 7.294456})
    page = phone.go("/verfahren/smart-city/vorschlaege")
    order = page.get_by_label("Reihenfolge")
    order.focus()
    # Arrows, not the first letters: those begin anew after a pause.
    for _step in range(order.locator("option").count()):
        if order.input_value() != "entfernung":
            page.keyboard.press("ArrowDown")
    phone.press(page.get_by_role("button", name="Anzeigen", exact=True), "Enter")
    page.get_by_role("heading", name="Wo sind Sie?").wait_for()
    phone.check()
    phone.press(page.get_by_role("button", name="Meinen Standort verwenden"), "Enter")
    page.get_by_text("Gemessen ab: Ihrem Standort").wait_for()
    phone.check()
    assert "lat=51.979&lon=7.294" in page.url
    assert "51.979123" not in page.content()
    distances = page.locator(".bp-meta strong").all_inner_texts()
    assert distances
    metres = [float(one.removeprefix("unter ").split()[0].replace(",", ".")) * (1000 if "km" in one else 1)
              for one in distances]
    assert metres == sorted(metres)
    page.get_by_label("Breitengrad").fill("51,99")
    page.get_by_label("Längengrad").fill("7,3")
    phone.press(page.get_by_label("Längengrad"), "Enter")
    page.wait_for_url("**lat=51.99**")
    phone.check()
    assert page.get_by_text("Gemessen ab:").count() == 1
