"""From "tell me what becomes of it" to the one click that ends it, without an account, on a phone."""

from __future__ import annotations

import email
import re
import time
import urllib.request
from email import policy
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from participation import clock, outbox
from participation.db import Database
from participation.demo.people import DEMO_PASSWORD
from participation.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.journeys.conftest import Visitor
    from tests.live import LivePlatform

pytestmark = pytest.mark.browser
ADDRESS = "neugierig@beispiel.example"
SECOND = "sofort@beispiel.example"
EDITOR = "admin@billerbeck.example"
BASE = "/verfahren/smart-city"


def _mail(platform: LivePlatform, subject: str, address: str = ADDRESS) -> str:
    """The plain text of the newest mail to the address with this in its subject; waits until the worker wrote it."""
    for _ in range(900):
        for path in sorted((platform.data_dir / "mails").glob("*.eml"), reverse=True):
            message = email.message_from_bytes(path.read_bytes(), policy=policy.default)
            if address in message["To"] and subject in message["Subject"]:
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
    phone.press(page.get_by_role("link", name="Neues per E-Mail"), "Enter")
    page.wait_for_url(re.compile("folgen"))
    phone.check()
    page.get_by_label("Ihre E-Mail-Adresse").focus()
    page.keyboard.type("keine-adresse")
    phone.press(page.get_by_label("Ihre E-Mail-Adresse"), "Enter")
    page.locator("[data-error-summary]").wait_for()
    phone.check()
    field = page.get_by_label("Ihre E-Mail-Adresse")
    assert field.input_value() == "keine-adresse"
    field.fill(ADDRESS)
    phone.press(field, "Enter")
    page.get_by_role("heading", name="Schauen Sie in Ihr Postfach").wait_for()
    phone.check()
    page = phone.go(_path(_mail(platform, "Bitte bestätigen"), "bestaetigen"))
    phone.press(page.get_by_role("button", name="Ja, ich möchte Neuigkeiten"), "Enter")
    page.get_by_text("Ab jetzt bekommen Sie Neuigkeiten").wait_for()
    phone.check()
    desk.sign_in(EDITOR, DEMO_PASSWORD, "/verwaltung/verfahren")
    office = desk.page
    desk.press(office.get_by_role("link", name="Smart City Billerbeck").first)
    desk.press(office.get_by_role("link", name="Rundbriefe"))
    office.get_by_label("Betreff").fill("Werkstatt im DigitalLaden")
    office.get_by_label("Text", exact=True).fill("Am Samstag sind wir **ab zehn Uhr** da.")
    desk.press(office.get_by_role("button", name="Vorschau"))
    office.locator("strong", has_text="ab zehn Uhr").wait_for()
    desk.check()
    desk.press(office.get_by_role("button", name="Weiter zum Versand"))
    desk.check()
    desk.press(office.get_by_role("button", name="Jetzt an alle verschicken"))
    office.get_by_text("Der Rundbrief ist unterwegs").first.wait_for()
    desk.check()
    letter = _mail(platform, "Werkstatt im DigitalLaden")
    assert "Am Samstag sind wir ab zehn Uhr da." in letter
    page = phone.go(_path(letter, "abmelden"))
    phone.press(page.get_by_role("button", name="Alle E-Mails beenden"), "Enter")
    page.get_by_role("heading", name="E-Mails beendet").wait_for()
    phone.check()
    assert page.goto(platform.url + _path(letter, "abmelden")).status == 200  # type: ignore[union-attr]


def test_a_digest_comes_by_itself_and_the_mail_program_ends_it_with_one_click(
    visit: Callable[..., Visitor], platform: LivePlatform
) -> None:
    phone, desk = visit(390), visit(1280)
    page = phone.go(f"{BASE}/folgen")
    page.get_by_label("Ihre E-Mail-Adresse").fill(SECOND)
    page.get_by_label("Sofort").focus()
    page.keyboard.press("Space")
    phone.press(page.get_by_role("button", name="Neuigkeiten bestellen"))
    page.get_by_role("heading", name="Schauen Sie in Ihr Postfach").wait_for()
    page = phone.go(_path(_mail(platform, "Bitte bestätigen", SECOND), "bestaetigen"))
    assert page.get_by_label("Sofort").is_checked()
    phone.press(page.get_by_role("button", name="Ja, ich möchte Neuigkeiten"))
    page.get_by_text("Ab jetzt bekommen Sie Neuigkeiten").wait_for()
    desk.sign_in(EDITOR, DEMO_PASSWORD, "/verwaltung/verfahren")
    office = desk.page
    desk.press(office.get_by_role("link", name="Smart City Billerbeck").first)
    desk.press(office.get_by_role("link", name="Neuigkeiten"))
    office.get_by_label("Überschrift").fill("Der Zeitplan steht")
    office.get_by_label("Text", exact=True).fill("Im Juni entscheidet der Rat.")
    desk.press(office.get_by_role("button", name="Veröffentlichen"))
    office.get_by_text("Der Zeitplan steht").first.wait_for()
    _without_waiting(platform)
    digest = _mail(platform, "Neues zu: Smart City Billerbeck", SECOND)
    assert "Der Zeitplan steht" in digest
    one_click = urllib.request.Request(
        platform.url + _path(digest, "abmelden"), data=b"List-Unsubscribe=One-Click", method="POST")
    with urllib.request.urlopen(one_click, timeout=60) as answer:
        assert answer.status == 200
    own = re.findall(r"(/abo/[^/\s]+)\s", digest)[0]
    assert page.goto(platform.url + own).status == 410, "the address is forgotten"  # type: ignore[union-attr]


def _without_waiting(platform: LivePlatform) -> None:
    """What would be due within the minute is due now; the next sweep takes it."""
    database = Database(Settings.from_environ(platform.environment).database_url)
    with database.unit_of_work() as session:
        session.execute(update(outbox.OutboxRow).where(
            outbox.OutboxRow.job == "send_digests", outbox.OutboxRow.done_at.is_(None)
        ).values(not_before_at=clock.now()))
    database.dispose()
