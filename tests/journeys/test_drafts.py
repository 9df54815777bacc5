"""Putting a proposal aside on the phone, by keyboard alone, and finishing it at another device; what a browser keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from participation.demo.people import DEMO_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.journeys.conftest import Visitor

pytestmark = pytest.mark.browser
AUTHOR = "hanne@leute.billerbeck.example"
OTHER = "radlerin@leute.billerbeck.example"
ADDRESS = "/verfahren/smart-city/vorschlaege/neu"
TITLE, WORDS = "Trinkbrunnen am Johanniskirchhof", "Im Sommer ist es dort heiß, und"


def test_a_draft_begun_on_the_phone_is_finished_at_the_desk(visit: Callable[..., Visitor]) -> None:
    phone = visit(390)
    phone.sign_in(AUTHOR, DEMO_PASSWORD, ADDRESS)
    page = phone.page
    page.get_by_label("Titel").focus()
    page.keyboard.type(TITLE)
    page.keyboard.press("Tab")
    page.keyboard.type(WORDS)
    save = page.get_by_role("button", name="Als Entwurf speichern")
    for _step in range(80):
        page.keyboard.press("Tab")
        if save.evaluate("button => button === document.activeElement"):
            break
    phone.press(save, "Enter")
    page.get_by_text("Ihr Entwurf ist gespeichert").wait_for()
    phone.check()
    assert page.get_by_label("Ihr Vorschlag").input_value() == WORDS
    phone.go(ADDRESS)
    page.get_by_role("heading", name="Sie haben einen Entwurf").wait_for()
    assert page.get_by_text("In diesem Browser liegt noch ein Text").count() == 0, "it is kept once, not twice"

    desk = visit(1440)
    desk.sign_in(AUTHOR, DEMO_PASSWORD, "/konto/beitraege")
    page = desk.page
    desk.press(page.get_by_role("link", name="Weiterschreiben"), "Enter")
    body = page.get_by_label("Ihr Vorschlag")
    body.wait_for()
    desk.check()
    assert page.get_by_label("Titel").input_value() == TITLE
    body.fill(f"{WORDS} es gibt keinen Schatten.")
    page.locator("[name=theme_id]").first.check(force=True)
    desk.press(page.get_by_role("button", name="Vorschlag einreichen"), "Enter")
    page.get_by_role("heading", name="Ihr Beleg").wait_for()
    desk.go("/konto/beitraege")
    assert page.get_by_role("link", name="Weiterschreiben").count() == 0
    assert page.get_by_role("link", name=TITLE).count() == 1


def _begin(guest: Visitor, title: str, body: str = "") -> None:
    """Write something and go away."""
    page = guest.page
    page.get_by_label("Titel").fill(title)
    page.get_by_label("Ihr Vorschlag").fill(body)
    # Leaving keeps what the pause after typing has not yet.
    guest.go("/verfahren/smart-city")
    guest.go(ADDRESS)


def test_what_lies_in_the_browser_stays_until_the_person_decides(visit: Callable[..., Visitor]) -> None:
    guest = visit(390)
    page = guest.go(ADDRESS)
    # A form with text in it asks before one leaves.
    page.on("dialog", lambda dialog: dialog.accept())
    title, body = page.get_by_label("Titel"), page.get_by_label("Ihr Vorschlag")
    offers = page.get_by_text("In diesem Browser liegt noch ein Text")
    _begin(guest, TITLE, WORDS)
    assert offers.count() == 1
    _begin(guest, "Nur ein anderer Titel")
    assert offers.count() == 2, "the older one is still there beside what was typed meanwhile"
    title.fill("etwas")
    title.fill("")
    guest.go(ADDRESS)
    assert offers.count() == 2, "emptying the form throws nothing away"

    title.fill("Und noch etwas Drittes")
    page.get_by_role("status").filter(has_text=TITLE).get_by_role("button", name="Weiterschreiben").click()
    assert (title.input_value(), body.input_value()) == (TITLE, WORDS)
    guest.check()
    typed = page.get_by_role("status").filter(has_text="Was Sie gerade geschrieben haben")
    typed.get_by_role("button", name="Weiterschreiben").click()
    assert (title.input_value(), body.input_value()) == ("Und noch etwas Drittes", "")
    assert "liegt noch ein Text" in page.get_by_role("status").filter(has_text=TITLE).inner_text(), "not what was just written"
    page.get_by_role("status").filter(has_text=TITLE).get_by_role("button", name="Weiterschreiben").click()
    assert (title.input_value(), body.input_value()) == (TITLE, WORDS), "back again, nothing is lost on the way"


def test_what_somebody_with_an_account_wrote_is_offered_to_nobody_else(visit: Callable[..., Visitor]) -> None:
    shared = visit(390)
    page = shared.page
    page.on("dialog", lambda dialog: dialog.accept())
    offers = page.get_by_text("In diesem Browser liegt noch ein Text")
    shared.sign_in(AUTHOR, DEMO_PASSWORD, ADDRESS)
    _begin(shared, TITLE, WORDS)
    assert offers.count() == 1
    page.context.clear_cookies()
    shared.go(ADDRESS)
    assert offers.count() == 0, "a session that has ended leaves a guest"
    shared.sign_in(OTHER, DEMO_PASSWORD, ADDRESS)
    assert offers.count() == 0
    page.context.clear_cookies()
    shared.sign_in(AUTHOR, DEMO_PASSWORD, ADDRESS)
    assert offers.count() == 1, "it waits for the one who wrote it"

    page.get_by_role("button", name="Weiterschreiben").click()
    page.get_by_label("Titel").fill(f"{TITLE} und am Markt")
    _sign_out(shared)
    assert not [name for name in page.evaluate("Object.keys(localStorage)") if name.startswith("draft:")]
    shared.sign_in(AUTHOR, DEMO_PASSWORD, ADDRESS)
    assert offers.count() == 0


def test_a_guest_who_signs_in_while_writing_finds_the_text_and_leaves_it_to_nobody(visit: Callable[..., Visitor]) -> None:
    shared = visit(1280)
    page = shared.go(ADDRESS)
    page.on("dialog", lambda dialog: dialog.accept())
    offers = page.get_by_text("In diesem Browser liegt noch ein Text")
    _begin(shared, "Etwas für später")
    page.get_by_label("Titel").fill(TITLE)
    shared.press(page.get_by_role("main").get_by_role("link", name="Mit Konto anmelden"))
    page.get_by_label("E-Mail-Adresse").fill(AUTHOR)
    page.get_by_label("Kennwort", exact=True).fill(DEMO_PASSWORD)
    shared.press(page.get_by_role("button", name="Anmelden"))
    assert offers.count() == 2
    page.get_by_role("status").filter(has_text=TITLE).get_by_role("button", name="Weiterschreiben").click()
    assert page.get_by_label("Titel").input_value() == TITLE
    page.get_by_label("Ihr Vorschlag").fill(WORDS)
    _sign_out(shared)
    shared.go(ADDRESS)
    assert page.get_by_role("status").filter(has_text=TITLE).count() == 0, "written on with the account, it is theirs"
    assert page.get_by_role("status").filter(has_text="Etwas für später").count() == 1, "what nobody took up stays a guest's"


def _sign_out(visitor: Visitor) -> None:
    page = visitor.page
    page.locator("details[data-menu] summary").click()
    visitor.press(page.get_by_role("button", name="Abmelden"))


def test_only_the_text_that_was_handed_in_leaves_the_browser(visit: Callable[..., Visitor]) -> None:
    guest = visit(1280)
    page = guest.go(ADDRESS)
    page.on("dialog", lambda dialog: dialog.accept())
    _begin(guest, TITLE, WORDS)
    page.get_by_label("Titel").fill("Eine Bank an der Berkel")
    page.get_by_label("Ihr Vorschlag").fill("Zum Ausruhen auf dem Weg ins Dorf.")
    page.locator("[name=theme_id]").first.check(force=True)
    guest.press(page.get_by_role("button", name="Vorschau ansehen"))
    guest.press(page.get_by_role("button", name="Vorschlag einreichen").last)
    page.get_by_role("heading", name="Ihr Beleg").wait_for()
    guest.go(ADDRESS)
    assert page.get_by_text("In diesem Browser liegt noch ein Text").count() == 1
    page.get_by_role("button", name="Weiterschreiben").click()
    assert page.get_by_label("Titel").input_value() == TITLE
    page.get_by_label("Titel").fill("")
    page.get_by_label("Ihr Vorschlag").fill("")
