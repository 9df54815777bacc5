"""An editor asks three questions in the form, a guest answers on a phone, and each reads only what is theirs to read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from participation import clock
from participation.demo.people import DEMO_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.journeys.conftest import Visitor

pytestmark = pytest.mark.browser
EDITOR, MODERATOR = "admin@billerbeck.example", "moderation@billerbeck.example"
PROCESS = "/verfahren/baenke-fuer-billerbeck"
TITLE, WORDS = "Eine Bank an der Mühle", "Der Weg ist weit, und dort ist Schatten."


def _begin(office: Visitor) -> None:
    office.sign_in(EDITOR, DEMO_PASSWORD, "/verwaltung/verfahren/neu")
    page = office.page
    page.get_by_label("Titel").fill("Bänke für Billerbeck")
    page.get_by_label(re.compile("^Ideen sammeln")).check()
    page.get_by_label("Wann geht es los?").fill(f"{clock.now():%Y-%m-%d}")
    office.press(page.get_by_role("button", name="Entwurf anlegen"))
    page.get_by_text("Der Entwurf ist angelegt").wait_for()
    office.press(page.get_by_role("button", name="Veröffentlichen"))
    page.get_by_text("Das Verfahren ist jetzt öffentlich").wait_for()
    office.press(page.get_by_role("link", name="Phasen", exact=True))
    office.press(page.get_by_role("link", name=re.compile("^Eigene Felder")).first)
    page.get_by_text("Noch kein eigenes Feld.").wait_for()
    office.check()


def _ask(office: Visitor, kind: str, label: str, entries: dict[str, str], *, needed: bool = False, public: bool = True) -> None:
    page = office.page
    office.press(page.get_by_role("link", name=kind, exact=True))
    page.get_by_label("Frage").fill(label)
    for name, value in entries.items():
        page.get_by_label(name).fill(value)
    page.get_by_label("Pflichtfeld").set_checked(needed)
    page.get_by_label("Die Antwort ist öffentlich").set_checked(public)
    office.check()
    office.press(page.get_by_role("button", name="Hinzufügen"))
    page.get_by_text("Das Feld ist gespeichert.").wait_for()
    assert label in page.locator("main").inner_text()
    office.check()


def _fill(page: Page, seats: str) -> None:
    page.get_by_label("Titel").fill(TITLE)
    page.get_by_label("Ihr Vorschlag").fill(WORDS)
    page.get_by_label("Wie viele sitzen dort?").fill(seats)
    page.get_by_label("Wann sind Sie zu erreichen?").fill("Abends, am Gartenzaun")


def test_three_questions_from_the_editor_to_the_public_page(visit: Callable[..., Visitor]) -> None:
    office, guest = visit(1440), visit(390, has_touch=True)
    _begin(office)
    _ask(office, "Auswahl: eine Antwort", "Wer braucht die Bank?", {"Antworten zur Auswahl": "Kinder\nÄltere\nAlle"}, needed=True)
    _ask(office, "Zahl", "Wie viele sitzen dort?", {"Kleinste Zahl": "1", "Größte Zahl": "12", "Einheit": "Personen"})
    _ask(office, "Langer Text", "Wann sind Sie zu erreichen?", {"Hinweis": "Für Rückfragen."}, public=False)

    page = guest.go(f"{PROCESS}/vorschlaege/neu")
    page.get_by_text("Mehr angeben").tap()
    page.get_by_text("Nur für die Verwaltung sichtbar.").wait_for()
    _fill(page, "dreizehn")
    refused = guest.press(page.get_by_role("button", name="Vorschlag einreichen"))
    assert refused is not None
    assert refused.status == 422
    guest.check()
    summary = page.locator("[data-error-summary]").inner_text()
    assert "Bitte wählen Sie etwas aus." in summary
    assert "Bitte geben Sie eine ganze Zahl an, zum Beispiel 30." in summary
    number = page.get_by_label("Wie viele sitzen dort?")
    beside = [page.locator(f"[id='{one}']").inner_text() for one in (number.get_attribute("aria-describedby") or "").split()]
    assert any("ganze Zahl" in text for text in beside)
    assert number.input_value() == "dreizehn"
    assert page.get_by_label("Ihr Vorschlag").input_value() == WORDS
    assert page.get_by_label("Wann sind Sie zu erreichen?").input_value() == "Abends, am Gartenzaun"
    page.locator("[data-error-summary] a", has_text="wählen").tap()
    assert page.evaluate("document.activeElement.name").startswith("own-")

    number.fill("3")
    page.get_by_label("Ältere").check()
    guest.press(page.get_by_role("button", name="Vorschlag einreichen"))
    page.get_by_role("heading", name="Ihr Beleg").wait_for()
    guest.check()
    receipt = page.locator("main").inner_text()
    assert all(word in receipt for word in ("Ältere", "3 Personen", "Abends, am Gartenzaun", "nur für die Verwaltung"))
    address = page.url.removeprefix(guest.platform.url)

    desk = visit(1440)
    desk.sign_in(MODERATOR, DEMO_PASSWORD, "/moderation")
    while not desk.page.get_by_role("link", name=TITLE).count():
        desk.press(desk.page.get_by_role("link", name="Weitere anzeigen"))
    desk.press(desk.page.get_by_role("link", name=TITLE).first)
    desk.check()
    case = desk.page.locator("[data-desk]").inner_text()
    assert all(word in case for word in ("Ältere", "3 Personen", "Abends, am Gartenzaun", "nur für die Verwaltung"))
    desk.press(desk.page.get_by_role("button", name="Freigeben", exact=True))
    desk.page.get_by_text(f"Freigegeben: {TITLE}").wait_for()

    guest.go(address)
    guest.press(page.get_by_role("link", name="Vorschlag ansehen"))
    page.get_by_role("heading", name=TITLE).wait_for()
    guest.check()
    public = page.locator("main").inner_text()
    assert all(word in public for word in ("Wer braucht die Bank?", "Ältere", "3 Personen"))
    assert "Gartenzaun" not in page.content()
    assert "Wann sind Sie zu erreichen?" not in page.content()
