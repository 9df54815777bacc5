"""An editor makes a process of phases from a template, mends what the platform points out, shows it, publishes it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from participation.demo.people import DEMO_PASSWORD
from tests.journeys.keyboard import follow, reach, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.journeys.conftest import Visitor

pytestmark = pytest.mark.browser
EDITOR = "admin@billerbeck.example"


def test_from_a_template_to_a_public_process(visit: Callable[..., Visitor]) -> None:
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
    office.press(page.get_by_role("button", name="Entwurf anlegen"), "Enter")
    page.get_by_text("Der Entwurf ist angelegt").wait_for()
    office.check()
    assert "Es gibt keinen Kontakt für Fragen." in page.locator("main").inner_text()
    office.press(page.get_by_role("link", name="Phasen", exact=True))
    assert page.locator("tbody tr").count() == 4
    office.check()
    office.press(page.get_by_role("link", name="Abwägung und Beschluss"))
    page.get_by_label("Zeitraum in Worten").fill("Sommer 2028")
    page.get_by_label("Beginn").fill("")
    page.get_by_label("Ende").fill("")
    office.press(page.get_by_role("button", name="Vorschau"))
    page.get_by_role("heading", name="Vorschau, noch nicht gespeichert").wait_for()
    office.check()
    office.press(page.get_by_role("button", name="Speichern"))
    page.get_by_text("Die Phase ist gespeichert").wait_for()
    office.press(page.get_by_role("link", name="Angaben"))
    page.get_by_label("Kontakt").fill("**Bauamt**, Telefon 02543 0000")
    office.press(page.get_by_role("button", name="Speichern"))
    page.get_by_text("Gespeichert.").wait_for()
    assert "Es gibt keinen Kontakt" not in page.locator("main").inner_text()
    office.press(page.get_by_role("button", name="Neuen Link erzeugen"))
    link = page.locator("a[href*='/vorschau/']").get_attribute("href") or ""
    office.check()
    seen = stranger.go(link.removeprefix(stranger.platform.url))
    assert "Dieses Verfahren ist noch nicht öffentlich" in seen.locator("main").inner_text()
    assert "Sommer 2028" in seen.locator("main").inner_text()
    office.press(page.get_by_role("button", name="Veröffentlichen"), "Enter")
    page.get_by_text("Das Verfahren ist jetzt öffentlich").wait_for()
    office.press(page.get_by_role("link", name="Neuigkeiten"))
    page.get_by_label("Überschrift").fill("Die Unterlagen sind da")
    page.get_by_label("Text").fill("Sie finden sie unter **Dokumente**.")
    office.press(page.get_by_role("button", name="Veröffentlichen"))
    page.get_by_text("Die Neuigkeit ist gespeichert").wait_for()
    office.check()
    public = stranger.go("/verfahren/ein-plan-fuer-die-baumberge")
    assert "Die Unterlagen sind da" in public.locator("main").inner_text()
    stranger.go("/verfahren/ein-plan-fuer-die-baumberge/neuigkeiten")


def test_four_phases_from_template_to_archive_by_keyboard_alone(visit: Callable[..., Visitor]) -> None:
    office = visit(1440)
    office.sign_in(EDITOR, DEMO_PASSWORD, "/verwaltung/verfahren/neu")
    page = office.page
    write(page, page.get_by_label("Titel"), "Bebauungsplan Nordstraße")
    reach(page, page.get_by_label(re.compile("^Leer")))
    for _number in range(4):
        page.keyboard.press("ArrowDown")
    follow(page, page.get_by_role("button", name="Entwurf anlegen"))
    page.get_by_text("Der Entwurf ist angelegt").wait_for()
    hints = page.get_by_role("region", name="Bitte noch einmal ansehen")
    # The hint is a link to where it is mended; the text is seen before it is saved.
    follow(page, hints.get_by_role("link", name=re.compile("Platzhalter der Vorlage")).first)
    page.wait_for_url(re.compile("#body$"))
    write(page, page.get_by_label("Worum es geht"), "An der Nordstraße sollen **zwölf Wohnungen** entstehen.")
    follow(page, page.get_by_role("button", name="Vorschau"))
    preview = page.get_by_role("region", name="Vorschau, noch nicht gespeichert")
    preview.get_by_text("zwölf Wohnungen").wait_for()
    assert preview.locator("strong").inner_text() == "zwölf Wohnungen"
    office.check()
    write(page, page.get_by_label("Kontakt"), "Bauamt, Telefon 02543 0000")
    follow(page, page.get_by_role("button", name="Speichern"))
    page.get_by_text("Gespeichert.").wait_for()
    assert not hints.get_by_text("Es gibt keinen Kontakt").count()
    # A phase asks for something that nobody can have yet: the hint says so, and leads back to the phase.
    follow(page, page.get_by_role("link", name="Phasen", exact=True))
    page.get_by_role("link", name="Neue Phase").wait_for()
    assert page.locator("tbody tr").count() == 4
    follow(page, page.locator("tbody th a").first)
    reach(page, page.get_by_label("Nachweis, um einzureichen"))
    for _number in range(4):
        page.keyboard.press("ArrowDown")
    reach(page, page.get_by_label("Wer darf Bilder anhängen?"))
    page.keyboard.press("ArrowUp")
    office.check()
    follow(page, page.get_by_role("button", name="Speichern"))
    page.get_by_text("Die Phase ist gespeichert").wait_for()
    follow(page, page.get_by_role("link", name="Angaben"))
    follow(page, hints.get_by_role("link", name=re.compile("Anmeldung bei einem anderen Anbieter")))
    reach(page, page.get_by_label("Nachweis, um einzureichen"))
    for _number in range(4):
        page.keyboard.press("ArrowUp")
    follow(page, page.get_by_role("button", name="Speichern"))
    page.get_by_text("Die Phase ist gespeichert").wait_for()
    follow(page, page.get_by_role("link", name="Angaben"))
    page.get_by_role("button", name="Veröffentlichen").wait_for()
    assert not hints.get_by_text("Anmeldung bei einem anderen Anbieter").count()
    follow(page, page.get_by_role("button", name="Veröffentlichen"))
    page.get_by_text("Das Verfahren ist jetzt öffentlich").wait_for()
    follow(page, page.get_by_role("link", name="Verlauf"))
    page.get_by_text("jetziger Stand").wait_for()
    office.check()
    follow(page, page.get_by_role("link", name="Rollen"))
    page.get_by_role("heading", name="Eine Rolle geben").wait_for()
    office.check()
    follow(page, page.get_by_role("link", name="Angaben"))
    follow(page, page.get_by_role("button", name="Ins Archiv"))
    page.get_by_text("nichts kann mehr dazukommen").wait_for()
    office.check()
    assert "zwölf Wohnungen" in office.go("/verfahren/bebauungsplan-nordstrasse").locator("main").inner_text()


@pytest.mark.parametrize("width", [320, 1440])
def test_every_page_of_the_editors_area_is_sound(visit: Callable[..., Visitor], width: int) -> None:
    office = visit(width)
    office.sign_in(EDITOR, DEMO_PASSWORD, "/verwaltung/verfahren")
    first = office.page.locator("tbody th a").first.get_attribute("href")
    for part in ("", "/phasen", "/phasen/neu", "/phasen/neu?format=budget", "/themen", "/dokumente", "/sprachen", "/verlauf",
                 "/neuigkeiten", "/rollen"):
        office.go(f"{first}{part}")
    office.go("/verwaltung/konten")
