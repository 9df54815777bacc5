"""Guest, receipt, account, passkey: as a resident does it on a telephone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.journeys.conftest import Visitor
    from tests.live import LivePlatform

pytestmark = pytest.mark.browser
EMAIL = "neue-nachbarin@leute.example"
PASSWORD = "drei lose Wörter im Wind"
TITLE = "Schaukel an der Kolvenburg"
OTHER_EMAIL, NEXT_PASSWORD = "tastatur@leute.example", "vier ganz andere Dinge dort"


def _mailed_link(platform: LivePlatform, visitor: Visitor, subject: str, to: str = EMAIL) -> str:
    """The path in the newest mail of that kind; the worker may still be busy with it."""
    import email
    from email import policy

    for _try in range(1200):
        for path in sorted((platform.data_dir / "mails").glob("*.eml"), key=_age):
            message = email.message_from_bytes(path.read_bytes(), policy=policy.default)
            body = message.get_body(("plain",))
            if to in str(message["To"]) and subject in str(message["Subject"]) and body is not None:
                return re.search(r"https?://[^/\s]+(/\S+)", body.get_content())[1]
        visitor.page.wait_for_timeout(100)
    raise AssertionError(subject)


def _age(path: Path) -> int:
    return -path.stat().st_mtime_ns


def test_a_guest_gets_an_account_that_holds_the_idea_and_opens_by_passkey(
    visit: Callable[..., Visitor], platform: LivePlatform
) -> None:
    visitor = visit(390)
    page = visitor.go("/verfahren/smart-city/vorschlaege/neu")
    page.get_by_label("Titel").fill(TITLE)
    page.get_by_label("Ihr Vorschlag").fill("Für die Kleinen, im Schatten der Linde.")
    page.get_by_label("Leben & Arbeiten").check()
    visitor.press(page.get_by_role("button", name="Vorschlag einreichen"))
    visitor.check()

    # An account from the receipt, back to the receipt.
    visitor.press(page.get_by_role("link", name="Konto anlegen"))
    visitor.check()
    page.get_by_label("E-Mail-Adresse").fill(EMAIL)
    page.get_by_label("Name, den andere sehen").fill("Neue Nachbarin")
    page.get_by_label("Kennwort").fill(PASSWORD)
    visitor.press(page.get_by_role("button", name="Konto anlegen"))
    visitor.check()
    visitor.go(_mailed_link(platform, visitor, "bestätigen"))
    visitor.check()
    page.get_by_label("Ihr Kennwort").fill("ein anderes Kennwort")
    visitor.press(page.get_by_role("button", name="Bestätigen und anmelden"))
    page.locator("[data-error-summary]").wait_for()
    visitor.check()
    page.get_by_label("Ihr Kennwort").fill(PASSWORD)
    visitor.press(page.get_by_role("button", name="Bestätigen und anmelden"))
    visitor.press(page.get_by_role("button", name="Meinem Konto zuordnen"))
    page.get_by_text("gehört jetzt zu Ihrem Konto").wait_for()
    visitor.check()
    for path in ("/konto", "/konto/beitraege", "/konto/sicherheit", "/konto/daten", "/konto/e-mail", "/konto/kennwort",
                 "/konto/nochmal-anmelden", "/konto/loeschen", "/konto/passkeys/neu"):
        visitor.go(path)
    visitor.go("/konto/beitraege").get_by_role("link", name=TITLE).wait_for()

    # A passkey, made and used with the keyboard alone.
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    device.send("WebAuthn.addVirtualAuthenticator", {"options": {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }})
    visitor.press(visitor.go("/konto/sicherheit").get_by_role("link", name="Passkey hinzufügen"))
    visitor.check()
    page.get_by_label("Wie soll er heißen?").fill("Mein Telefon")
    visitor.press(page.get_by_label("Wie soll er heißen?"), "Enter")
    page.get_by_text("Ihr Passkey ist gespeichert").wait_for()
    visitor.check()
    page.get_by_text("Mein Telefon").wait_for()
    page.locator("summary").filter(has_text="Neue Nachbarin").click()
    visitor.press(page.get_by_role("button", name="Abmelden").first)
    visitor.go("/konto/anmelden?next=/konto")
    visitor.press(page.get_by_role("button", name="Passkey benutzen"), "Enter")
    page.get_by_role("heading", name="Guten Tag, Neue Nachbarin").wait_for()
    visitor.check()

    # Out again, with the idea.
    with page.expect_download() as download:
        visitor.go("/konto/daten").get_by_role("link", name="Meine Daten herunterladen").click()
    assert TITLE in download.value.path().read_text(encoding="utf-8")
    visitor.press(page.get_by_role("link", name="Konto löschen"))
    page.get_by_label("Sie werden zurückgezogen", exact=False).check()
    visitor.press(page.get_by_role("button", name="Konto endgültig löschen"))
    page.get_by_text("Ihr Konto ist gelöscht").wait_for()
    visitor.check()



def _tab_to(visitor: Visitor, name: str) -> None:
    """Go on with the tabulator until something of that name has the focus, and can be seen to have it."""
    page = visitor.page
    for _press in range(150):
        page.keyboard.press("Tab")
        text, is_shown = page.evaluate("""() => {
            const one = document.activeElement
            const style = getComputedStyle(one)
            const named = one.labels?.length ? one.labels[0].innerText : one.getAttribute("aria-label") || one.innerText
            return [named || "", style.outlineStyle !== "none" || style.boxShadow !== "none"]
        }""")
        if name in text:
            assert is_shown, f"one does not see that {name} has the focus"
            return
    raise AssertionError(name)


def _press(visitor: Visitor, name: str) -> None:
    """What leads to another page, until that is there."""
    _tab_to(visitor, name)
    _enter(visitor)


def _enter(visitor: Visitor) -> None:
    with visitor.page.expect_navigation():
        visitor.page.keyboard.press("Enter")


def _type(visitor: Visitor, name: str, text: str) -> None:
    _tab_to(visitor, name)
    visitor.page.keyboard.type(text)


def test_from_the_receipt_to_leaving_by_keyboard_alone(
    visit: Callable[..., Visitor], platform: LivePlatform
) -> None:
    visitor = visit(1440)
    page = visitor.go("/verfahren/smart-city/vorschlaege/neu")
    _type(visitor, "Titel", "Trinkbrunnen am Bahnhof")
    _type(visitor, "Ihr Vorschlag", "Für alle, die warten.")
    _tab_to(visitor, page.locator("label:has(+ input[name=theme_id]), label:has(input[name=theme_id]), "
                                  "input[name=theme_id] + label").first.inner_text())
    page.keyboard.press("Space")
    _press(visitor, "Vorschlag einreichen")
    page.get_by_role("link", name="Konto anlegen").wait_for()
    _press(visitor, "Konto anlegen")
    page.get_by_label("Name, den andere sehen").wait_for()
    _type(visitor, "E-Mail-Adresse", OTHER_EMAIL)
    _type(visitor, "Name, den andere sehen", "Am Gleis")
    _type(visitor, "Kennwort", PASSWORD)
    _enter(visitor)
    page.get_by_role("heading", name="Schauen Sie in Ihr Postfach").wait_for()
    visitor.go(_mailed_link(platform, visitor, "bestätigen", OTHER_EMAIL))
    _type(visitor, "Ihr Kennwort", PASSWORD)
    _enter(visitor)
    page.get_by_role("button", name="Meinem Konto zuordnen").wait_for()
    _press(visitor, "Meinem Konto zuordnen")
    page.get_by_text("gehört jetzt zu Ihrem Konto").wait_for()

    # Another device, which the first one signs out.
    elsewhere = visit(390)
    elsewhere.sign_in(OTHER_EMAIL, PASSWORD, "/konto")
    visitor.go("/konto/sicherheit")
    _press(visitor, "Alle anderen Geräte abmelden")
    page.get_by_text("Alle anderen Geräte sind abgemeldet").wait_for()
    visitor.check()
    elsewhere.go("/konto").get_by_role("heading", name="Anmelden", exact=True).first.wait_for()
    _press(visitor, "Kennwort ändern")
    page.get_by_label("Neues Kennwort").wait_for()
    _type(visitor, "Neues Kennwort", NEXT_PASSWORD)
    _enter(visitor)
    page.get_by_text("Ihr neues Kennwort gilt").wait_for()

    visitor.go("/konto/daten")
    with page.expect_download() as download:
        _tab_to(visitor, "Meine Daten herunterladen")
        page.keyboard.press("Enter")
    assert "Trinkbrunnen am Bahnhof" in download.value.path().read_text(encoding="utf-8")
    _press(visitor, "Konto löschen")
    page.get_by_role("button", name="Konto endgültig löschen").wait_for()
    # A group of choices is one stop; the arrows choose.
    _tab_to(visitor, "Sie bleiben stehen")
    page.keyboard.press("ArrowDown")
    assert page.get_by_label("Sie werden zurückgezogen", exact=False).is_checked()
    _press(visitor, "Konto endgültig löschen")
    page.get_by_text("Ihr Konto ist gelöscht").wait_for()
    visitor.check()
    page.go_back()
    assert "Am Gleis" not in page.content(), "the button back shows nothing"


def test_a_passkey_that_comes_to_nothing_is_told_like_any_other_error(visit: Callable[..., Visitor]) -> None:
    visitor = visit(390)
    visitor.page.add_init_script("navigator.credentials.get = () => Promise.reject(new Error('no'))")
    page = visitor.go("/konto/anmelden")
    page.get_by_role("button", name="Passkey benutzen").click()
    told = page.get_by_role("alert")
    told.get_by_text("Es wurde kein Passkey benutzt").wait_for()
    assert told.inner_text().startswith("Fehler:")
    assert told.locator("svg").is_visible()
    visitor.check()
