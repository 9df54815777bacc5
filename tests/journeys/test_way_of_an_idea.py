"""From an idea at home to the catalogue of measures, as people walk it, in a real browser."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from docx import Document

from participation.demo.people import DEMO_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.journeys.conftest import Visitor

pytestmark = pytest.mark.browser
TITLE = "Trinkbrunnen an der Berkel"
MODERATOR, PLANNER, RESIDENT = (
    "moderation@billerbeck.example", "planung@billerbeck.example", "radlerin@leute.billerbeck.example",
)


def _submit_idea(visitor: Visitor) -> str:
    """Without an account and without JavaScript; returns the receipt number."""
    page = visitor.go("/")
    visitor.press(page.get_by_role("link", name="Vorschlag einreichen").first)
    visitor.check()
    page.get_by_label("Titel").fill(TITLE)
    page.get_by_label("Ihr Vorschlag").fill("Im Sommer wäre ein Brunnen schön, an dem man seine Flasche füllen kann.")
    page.get_by_label("Leben & Arbeiten").check()
    page.get_by_text("Mehr angeben").click()
    page.get_by_label("Ort in Worten").fill("Berkelaue, am Spielplatz")
    page.get_by_label("Ihr Name, den andere sehen").fill("Durstige Spaziergängerin")
    visitor.press(page.get_by_role("button", name="Vorschlag einreichen"))
    visitor.check()
    number = page.locator(".bp-receipt__number").inner_text()
    assert re.fullmatch(r"[A-Z0-9]{4}(-[A-Z0-9]{4}){2}", number)
    return number


def _moderate(visitor: Visitor) -> None:
    visitor.sign_in(MODERATOR, DEMO_PASSWORD, "/moderation")
    page = visitor.page
    while not page.get_by_role("link", name=TITLE).count():
        visitor.press(page.get_by_role("link", name="Weitere anzeigen"))
    visitor.press(page.get_by_role("link", name=TITLE).first)
    visitor.check()
    visitor.press(page.get_by_role("button", name="Freigeben", exact=True))
    page.get_by_text(f"Freigegeben: {TITLE}").wait_for()
    visitor.check()


def _address_of(page: Page) -> str:
    return re.sub(r"^https?://[^/]+", "", page.url)


def test_an_idea_goes_from_a_guest_to_the_council(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    guest = visit(390, java_script_enabled=True)
    number = _submit_idea(guest)
    moderator = visit(1440)
    _moderate(moderator)

    # Visible in list, search and map, and by the number of the receipt.
    guest.go("/beleg").get_by_label("Vorgangsnummer").fill(number.lower())
    guest.press(guest.page.get_by_role("button", name="Nachsehen"))
    guest.press(guest.page.get_by_role("link", name="Vorschlag ansehen"))
    guest.check()
    address = _address_of(guest.page)
    assert TITLE in guest.go("/verfahren/smart-city/vorschlaege").content()
    assert TITLE in guest.go("/verfahren/smart-city/vorschlaege?q=Trinkbrunnen").content()
    guest.go("/verfahren/smart-city/karte")
    guest.page.locator(".leaflet-marker-icon").first.wait_for()

    # A resident supports and comments.
    resident = visit(390)
    resident.sign_in(RESIDENT, DEMO_PASSWORD, address)
    page = resident.page
    page.get_by_role("button", name=re.compile("^Unterstützen")).click()
    page.get_by_role("button", name=re.compile("zurücknehmen")).wait_for()
    page.reload()
    assert page.locator(".bp-support__count strong").inner_text() == "1"
    page.locator("form textarea").first.fill("Bitte mit einer Schale für Hunde.")
    resident.press(page.locator("form").filter(has=page.locator("textarea")).first.get_by_role("button").first)
    page.get_by_text(re.compile("geprüft|veröffentlicht")).first.wait_for()
    resident.check()

    # A planner takes it into the catalogue.
    planner = visit(1440)
    planner.sign_in(PLANNER, DEMO_PASSWORD, address)
    page = planner.page
    planner.press(page.get_by_role("link", name="In den Maßnahmenkatalog"))
    planner.check()
    page.get_by_label("Kennung").fill("L99")
    page.get_by_label("Ziel", exact=False).first.fill("Kostenloses Wasser für alle")
    planner.press(page.get_by_role("button", name="Speichern"))
    page.get_by_text("Maßnahme L99 ist gespeichert.").wait_for()
    planner.check()

    # Both ways, and out as a document for the council.
    guest.press(guest.go("/verfahren/smart-city/massnahmen").get_by_role("link", name=TITLE))
    guest.check()
    guest.press(guest.page.get_by_role("link", name=TITLE))
    assert "L99" in guest.page.locator("main").inner_text()
    with guest.page.expect_download() as download:
        guest.go("/verfahren/smart-city/massnahmen").get_by_role("link", name="Als Word-Dokument").click()
    path = tmp_path / "katalog.docx"
    download.value.save_as(path)
    _check_document(path, tmp_path)


def _check_document(path: Path, folder: Path) -> None:
    document = Document(io.BytesIO(path.read_bytes()))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    assert TITLE in cells
    office = shutil.which("soffice")
    if office is None:
        return
    subprocess.run([office, "--headless", f"-env:UserInstallation=file://{folder}/office", "--convert-to", "txt:Text",
                    "--outdir", str(folder), str(path)], check=True, capture_output=True, timeout=300)
    assert TITLE in (folder / "katalog.txt").read_text(encoding="utf-8", errors="replace")


def test_a_guest_takes_part_without_javascript(visit: Callable[..., Visitor]) -> None:
    plain = visit(390, java_script_enabled=False)
    # axe needs scripts of its own, so this visitor only walks.
    plain.check = lambda: None  # type: ignore[method-assign]
    assert _submit_idea(plain)
