"""From the first words to a change that everybody can follow, on a phone and at a desk."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from participation.demo.people import DEMO_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.journeys.conftest import Visitor

pytestmark = pytest.mark.browser
AUTHOR, NEIGHBOUR = "hanne@leute.billerbeck.example", "radlerin@leute.billerbeck.example"
MODERATION = "moderation@billerbeck.example"
FORM = "/verfahren/smart-city/vorschlaege/neu"


def test_hints_preview_change_check_and_history(visit: Callable[..., Visitor]) -> None:
    author, neighbour, moderator = visit(390), visit(), visit()
    author.sign_in(AUTHOR, DEMO_PASSWORD)
    page = author.go(FORM)
    # A title that the demo town knows: its own first proposal.
    known = author.go("/verfahren/smart-city/vorschlaege").locator(".bp-contribution__title a").first.inner_text()
    page = author.go(FORM)
    page.get_by_label("Titel").fill(known)
    page.locator("[data-similar] summary").click()
    hint = page.locator("[data-similar] a").first
    hint.wait_for()
    assert hint.inner_text().startswith(known)
    assert "ähnliche" in page.locator("[data-similar-status]").inner_text()
    author.check()
    page.get_by_label("Titel").fill("Eine Hängematte am Berkelufer")
    page.get_by_label("Ihr Vorschlag").fill("Zum Ausruhen für alle.")
    page.locator("[name=theme_id]").first.check(force=True)
    author.press(page.get_by_role("button", name="Vorschau ansehen"))
    page.get_by_role("heading", name="Noch ist nichts eingereicht").wait_for()
    assert page.url.endswith("#vorschau")
    author.check()
    author.press(page.get_by_role("button", name="So einreichen"))
    page.get_by_role("heading", name="Ihr Beleg").wait_for()
    moderator.sign_in(MODERATION, DEMO_PASSWORD)
    desk = moderator.go("/moderation?art=proposal")
    moderator.press(desk.get_by_role("link", name=re.compile("Hängematte")))
    moderator.press(desk.get_by_role("button", name="Freigeben").first)
    page.reload()
    author.press(page.get_by_role("link", name="Vorschlag ansehen"))
    page.wait_for_url(re.compile(r"/vorschlaege/\d+$"))
    address = page.url
    neighbour.sign_in(NEIGHBOUR, DEMO_PASSWORD)
    neighbour.page.goto(address)
    neighbour.page.get_by_role("button", name="Unterstützen").first.click()
    neighbour.page.get_by_text(re.compile("Ihre Unterstützung ist gezählt")).wait_for()
    page.goto(address)
    author.press(page.get_by_role("link", name="Ändern"))
    author.check()
    page.get_by_label("Ihr Vorschlag").fill("Zum Ausruhen für alle, mit Blick auf den Dom.")
    author.press(page.get_by_role("button", name="Änderung speichern"))
    page.get_by_text("Ihre Änderung wird geprüft").first.wait_for()
    author.check()
    assert "Dom." not in neighbour.go(address.removeprefix(neighbour.platform.url)).locator("article").inner_text()
    desk = moderator.go("/moderation?art=proposal")
    moderator.press(desk.get_by_role("link", name=re.compile("Hängematte")))
    desk.locator("[data-desk] .bp-diff ins").first.wait_for()
    moderator.check()
    moderator.press(desk.get_by_role("button", name="Freigeben").first)
    desk.get_by_text("Freigegeben: ").first.wait_for()
    public = neighbour.go(address.removeprefix(neighbour.platform.url))
    neighbour.press(public.get_by_role("link", name=re.compile("Was ist neu")))
    neighbour.check()
    assert neighbour.page.locator("section ins").last.inner_text().count("Blick auf den Dom.") == 1
    page.goto(address)
    author.press(page.get_by_role("button", name="Zurückziehen"))
    author.check()
    page.get_by_label("Die Sache hat sich erledigt.").check(force=True)
    author.press(page.get_by_role("button", name="Ja, zurückziehen"))
    gone = neighbour.go(address.removeprefix(neighbour.platform.url))
    assert "Die Sache hat sich erledigt." in gone.locator("main").inner_text()
