"""An editor makes a process of phases from a template, mends what the platform points out, shows it, publishes it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from participation.demo.builder import DEMO_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.journeys.conftest import Visitor

pytestmark = pytest.mark.browser
EDITOR = "admin@billerbeck.example"


def test_from_a_template_to_a_public_process_by_keyboard(visit: Callable[..., Visitor]) -> None:
    office, stranger = visit(1280), visit(390)
    office.sign_in(EDITOR, DEMO_PASSWORD, "/verwaltung/verfahren/neu")
    page = office.page
    page.get_by_label("Titel").focus()
    page.keyboard.type("Ein Plan für die Baumberge")
    page.get_by_label(re.compile("^Leer")).focus()
    for _number in range(4):
        page.keyboard.press("ArrowDown")
    assert page.get_by_label(re.compile("^Bauleitplanung")).is_checked()
    office.check()
    page.get_by_role("button", name="Entwurf anlegen").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Der Entwurf ist angelegt").wait_for()
    office.check()
    assert "Es gibt keinen Kontakt für Fragen." in page.locator("main").inner_text()
    page.get_by_role("link", name="Phasen", exact=True).click()
    assert page.locator("tbody tr").count() == 4
    office.check()
    page.get_by_role("link", name="Abwägung und Beschluss").click()
    page.get_by_label("Zeitraum in Worten").fill("Sommer 2028")
    page.get_by_label("Beginn").fill("")
    page.get_by_label("Ende").fill("")
    page.get_by_role("button", name="Vorschau").click()
    page.get_by_role("heading", name="Vorschau, noch nicht gespeichert").wait_for()
    office.check()
    page.get_by_role("button", name="Speichern").click()
    page.get_by_text("Die Phase ist gespeichert").wait_for()
    page.get_by_role("link", name="Angaben").click()
    page.get_by_label("Kontakt").fill("**Bauamt**, Telefon 02543 0000")
    page.get_by_role("button", name="Speichern").click()
    page.get_by_text("Gespeichert.").wait_for()
    assert "Es gibt keinen Kontakt" not in page.locator("main").inner_text()
    page.get_by_role("button", name="Neuen Link erzeugen").click()
    link = page.locator("a[href*='/vorschau/']").get_attribute("href") or ""
    office.check()
    seen = stranger.go(link.removeprefix(stranger.platform.url))
    assert "Dieses Verfahren ist noch nicht öffentlich" in seen.locator("main").inner_text()
    assert "Sommer 2028" in seen.locator("main").inner_text()
    page.get_by_role("button", name="Veröffentlichen").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Das Verfahren ist jetzt öffentlich").wait_for()
    page.get_by_role("link", name="Neuigkeiten").click()
    page.get_by_label("Überschrift").fill("Die Unterlagen sind da")
    page.get_by_label("Text").fill("Sie finden sie unter **Dokumente**.")
    page.get_by_role("button", name="Veröffentlichen").click()
    page.get_by_text("Die Neuigkeit ist gespeichert").wait_for()
    office.check()
    public = stranger.go("/verfahren/ein-plan-fuer-die-baumberge")
    assert "Die Unterlagen sind da" in public.locator("main").inner_text()
    stranger.go("/verfahren/ein-plan-fuer-die-baumberge/neuigkeiten")
