"""From "tell me what becomes of it" to the one click that ends it, without an account, on a phone."""

from __future__ import annotations

import email
import re
import time
from email import policy
from typing import TYPE_CHECKING

import pytest

from participation.demo.builder import DEMO_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.journeys.conftest import Visitor
    from tests.live import LivePlatform

pytestmark = pytest.mark.browser
ADDRESS = "neugierig@beispiel.example"
EDITOR = "admin@billerbeck.example"
BASE = "/verfahren/smart-city"


def _mail(platform: LivePlatform, subject: str) -> str:
    """The plain text of the newest mail to the address with this in its subject; waits until the worker wrote it."""
    for _ in range(150):
        for path in sorted((platform.data_dir / "mails").glob("*.eml"), reverse=True):
            message = email.message_from_bytes(path.read_bytes(), policy=policy.default)
            if ADDRESS in message["To"] and subject in message["Subject"]:
                body = message.get_body(("plain",))
                return str(body.get_content()) if body else ""
        time.sleep(0.2)
    pytest.fail(f"no mail about {subject}")


def _path(text: str, ending: str) -> str:
    return re.findall(rf"https?://[^/\s]+(/abo/\S*{ending}\S*)", text)[0]


def test_follow_confirm_read_a_newsletter_and_leave_by_keyboard(
    visit: Callable[..., Visitor], platform: LivePlatform
) -> None:
    phone, desk = visit(390), visit(1280)
    page = phone.go(BASE)
    page.get_by_role("link", name="Neues per E-Mail").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("folgen"))
    phone.check()
    page.get_by_label("Ihre E-Mail-Adresse").focus()
    page.keyboard.type("keine-adresse")
    page.keyboard.press("Enter")
    page.locator("[data-error-summary]").wait_for()
    phone.check()
    field = page.get_by_label("Ihre E-Mail-Adresse")
    assert field.input_value() == "keine-adresse"
    field.fill(ADDRESS)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Schauen Sie in Ihr Postfach").wait_for()
    phone.check()
    page = phone.go(_path(_mail(platform, "Bitte bestätigen"), "bestaetigen"))
    page.get_by_role("button", name="Ja, ich möchte Neuigkeiten").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Ab jetzt bekommen Sie Neuigkeiten").wait_for()
    phone.check()
    desk.sign_in(EDITOR, DEMO_PASSWORD, "/verwaltung/verfahren")
    office = desk.page
    office.get_by_role("link", name="Smart City Billerbeck").first.click()
    office.get_by_role("link", name="Rundbriefe").click()
    office.get_by_label("Betreff").fill("Werkstatt im DigitalLaden")
    office.get_by_label("Text", exact=True).fill("Am Samstag sind wir **ab zehn Uhr** da.")
    office.get_by_role("button", name="Vorschau").click()
    office.locator("strong", has_text="ab zehn Uhr").wait_for()
    desk.check()
    office.get_by_role("button", name="Weiter zum Versand").click()
    desk.check()
    office.get_by_role("button", name="Jetzt an alle verschicken").click()
    office.get_by_text("Der Rundbrief ist unterwegs").first.wait_for()
    desk.check()
    letter = _mail(platform, "Werkstatt im DigitalLaden")
    assert "Am Samstag sind wir ab zehn Uhr da." in letter
    page = phone.go(_path(letter, "abmelden"))
    page.get_by_role("button", name="Alle E-Mails beenden").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="E-Mails beendet").wait_for()
    phone.check()
    assert page.goto(platform.url + _path(letter, "abmelden")).status == 404  # type: ignore[union-attr]
