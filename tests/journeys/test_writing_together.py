"""Two people at two devices write one proposal, by keyboard."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from participation.demo.builder import DEMO_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.journeys.conftest import Visitor

pytestmark = pytest.mark.browser
AUTHOR, FRIEND = "hanne@leute.billerbeck.example", "radlerin@leute.billerbeck.example"


def test_an_invited_friend_changes_the_text(visit: Callable[..., Visitor]) -> None:
    author, friend = visit(390), visit(1280)
    author.sign_in(AUTHOR, DEMO_PASSWORD, "/verfahren/smart-city/vorschlaege/neu")
    page = author.page
    page.get_by_label("Titel").fill("Ein Tauschregal im Bahnhof")
    page.get_by_label("Ihr Vorschlag").fill("Bücher, Spiele, Pflanzen: Wer etwas bringt, nimmt etwas mit.")
    page.locator("[name=theme_id]").first.check(force=True)
    page.get_by_role("button", name="Vorschlag einreichen").click()
    page.get_by_role("heading", name="Ihr Beleg").wait_for()
    page.get_by_role("link", name="Gemeinsam schreiben").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Gemeinsam schreiben").wait_for()
    author.check()
    page.get_by_role("button", name="Einladen").focus()
    page.keyboard.press("Enter")
    link = page.locator("a[href*='/mitschreiben/']").get_attribute("href") or ""
    author.check()
    guest = friend.go(link.removeprefix(friend.platform.url))
    guest.get_by_role("link", name="Anmelden").last.click()
    guest.get_by_label("E-Mail-Adresse").fill(FRIEND)
    guest.get_by_label("Kennwort", exact=True).fill(DEMO_PASSWORD)
    guest.keyboard.press("Enter")
    guest.get_by_role("button", name="Ja, ich schreibe mit").focus()
    friend.check()
    guest.keyboard.press("Enter")
    guest.get_by_text("Sie schreiben jetzt mit").wait_for()
    friend.check()
    guest.get_by_role("link", name="Vorschlag ändern").click()
    guest.get_by_label("Ihr Vorschlag").fill("Bücher, Spiele, Pflanzen. Und samstags repariert jemand Fahrräder.")
    guest.get_by_role("button", name="Änderung speichern").click()
    guest.get_by_text("wird jetzt geprüft").first.wait_for()
    page.reload()
    page.goto(re.sub("/mitschreibende.*", "/beleg", page.url))
    assert "samstags repariert jemand Fahrräder" in page.locator("main").inner_text()
    author.check()
