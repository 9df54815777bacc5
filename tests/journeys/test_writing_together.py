"""Two people at two devices write one proposal, by keyboard."""

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
AUTHOR, FRIEND = "hanne@leute.billerbeck.example", "radlerin@leute.billerbeck.example"


def test_an_invited_friend_changes_the_text(visit: Callable[..., Visitor]) -> None:
    author, friend = visit(390), visit(1280)
    author.sign_in(AUTHOR, DEMO_PASSWORD, "/verfahren/smart-city/vorschlaege/neu")
    page = author.page
    page.get_by_label("Titel").fill("Ein Tauschregal im Bahnhof")
    page.get_by_label("Ihr Vorschlag").fill("Bücher, Spiele, Pflanzen: Wer etwas bringt, nimmt etwas mit.")
    page.locator("[name=theme_id]").first.check(force=True)
    author.press(page.get_by_role("button", name="Vorschlag einreichen"))
    page.get_by_role("heading", name="Ihr Beleg").wait_for()
    author.press(page.get_by_role("link", name="Gemeinsam schreiben"), "Enter")
    page.get_by_role("heading", name="Gemeinsam schreiben").wait_for()
    author.check()
    author.press(page.get_by_role("button", name="Einladen"), "Enter")
    link = page.locator("a[href*='/mitschreiben/']").get_attribute("href") or ""
    author.check()
    guest = friend.go(link.removeprefix(friend.platform.url))
    friend.press(guest.get_by_role("link", name="Anmelden").last)
    guest.get_by_label("E-Mail-Adresse").fill(FRIEND)
    guest.get_by_label("Kennwort", exact=True).fill(DEMO_PASSWORD)
    friend.press(guest.get_by_label("Kennwort", exact=True), "Enter")
    friend.check()
    friend.press(guest.get_by_role("button", name="Ja, ich schreibe mit"), "Enter")
    guest.get_by_text("Sie schreiben jetzt mit").wait_for()
    friend.check()
    friend.press(guest.get_by_role("link", name="Vorschlag ändern"))
    guest.get_by_label("Ihr Vorschlag").fill("Bücher, Spiele, Pflanzen. Und samstags repariert jemand Fahrräder.")
    friend.press(guest.get_by_role("button", name="Änderung speichern"))
    guest.get_by_text("wird jetzt geprüft").first.wait_for()
    page.reload()
    page.goto(re.sub("/mitschreibende.*", "/beleg", page.url))
    assert "samstags repariert jemand Fahrräder" in page.locator("main").inner_text()
    author.check()


def test_inviting_revoking_and_ending_without_a_mouse(visit: Callable[..., Visitor]) -> None:
    author, friend = visit(1440), visit(390)
    author.sign_in(AUTHOR, DEMO_PASSWORD, "/verfahren/smart-city/vorschlaege/neu")
    page = author.page
    write(page, page.get_by_label("Titel"), "Ein Chor am Feierabend")
    write(page, page.get_by_label("Ihr Vorschlag"), "Einmal im Monat singen alle, die mögen, auf dem Markt.")
    press(page, page.locator("[name=theme_id]").first, "Space")
    follow(page, page.get_by_role("button", name="Vorschlag einreichen"))
    follow(page, page.get_by_role("link", name="Gemeinsam schreiben"))
    invite = page.get_by_role("button", name="Einladen", exact=True)
    follow(page, invite)
    lost = page.locator("a[href*='/mitschreiben/']").get_attribute("href") or ""
    follow(page, page.get_by_role("button", name="Offene Einladungen widerrufen"))
    page.get_by_role("button", name="Offene Einladungen widerrufen").wait_for(state="detached")
    author.check()
    friend.sign_in(FRIEND, DEMO_PASSWORD)
    guest = friend.go(lost.removeprefix(friend.platform.url))
    assert guest.get_by_role("button", name="Ja, ich schreibe mit").count() == 0
    follow(page, invite)
    link = page.locator("a[href*='/mitschreiben/']").get_attribute("href") or ""
    guest = friend.go(link.removeprefix(friend.platform.url))
    follow(guest, guest.get_by_role("button", name="Ja, ich schreibe mit"))
    follow(guest, guest.get_by_role("link", name="Vorschlag ändern"))
    write(guest, guest.get_by_label("Ihr Vorschlag"), "Jeden Freitag singen alle, die mögen, auf dem Markt.")
    follow(guest, guest.get_by_role("button", name="Änderung speichern"))
    guest.get_by_text("wird jetzt geprüft").first.wait_for()
    friend.check()
    author.go(re.sub("/mitschreibende.*", "/mitschreibende", page.url.removeprefix(author.platform.url)))
    end = page.get_by_role("button", name=re.compile("^Beenden"))
    follow(page, end)
    end.wait_for(state="detached")
    author.check()
