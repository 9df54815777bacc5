"""Pages for everybody: forced colours, no motion, errors, screen reader. And nothing spied. More: test_every_page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from participation.demo.people import DEMO_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Route

    from tests.journeys.conftest import Visitor
    from tests.live import LivePlatform

pytestmark = pytest.mark.browser
RESIDENT = "hanne@leute.billerbeck.example"
BASE = "/verfahren/smart-city"
PUBLIC = (
    "/", "/verfahren", BASE, f"{BASE}/vorschlaege", f"{BASE}/vorschlaege/1", f"{BASE}/karte", f"{BASE}/vorschlaege/neu",
    f"{BASE}/massnahmen", f"{BASE}/massnahmen/K1", "/beleg", "/konto/anmelden", "/konto/registrieren", "/netiquette",
    "/impressum", "/barrierefreiheit/melden", "/melden/1",
)


def test_forced_colours_and_reduced_motion_are_obeyed(visit: Callable[..., Visitor]) -> None:
    """B05."""
    visitor = visit(1280, forced_colors="active", reduced_motion="reduce", color_scheme="dark")
    for path in PUBLIC:
        # Not by axe: it reckons with the colours of the page, not with those that the reader's system sets.
        page = visitor.page
        page.goto(visitor.platform.url + path)
        moving = "document.getAnimations().filter(one => one.effect.getTiming().duration > 1).length"
        assert page.evaluate(moving) == 0, path
        invisible = page.evaluate(
            "[...document.querySelectorAll('.kern-btn')].filter(one => one.offsetWidth && "
            "getComputedStyle(one).borderTopWidth === '0px' && getComputedStyle(one).outlineStyle === 'none' && "
            "getComputedStyle(one).textDecorationLine === 'none').map(one => one.outerHTML.slice(0, 100))"
        )
        assert invisible == [], path


def test_errors_are_announced_named_and_reached(visit: Callable[..., Visitor]) -> None:
    """B06: summary with focus, its links lead to the fields, each field names its error; and B07, pasting works."""
    visitor = visit(390)
    page = visitor.go(f"{BASE}/vorschlaege/neu")
    page.get_by_label("Titel").fill("")
    visitor.press(page.get_by_role("button", name="Vorschlag einreichen"))
    visitor.check()
    summary = page.locator("[data-error-summary]")
    assert page.evaluate("document.activeElement === document.querySelector('[data-error-summary]')")
    links = summary.get_by_role("link")
    assert links.count() >= 2
    first = links.first
    target = (first.get_attribute("href") or "").removeprefix("#")
    first.click()
    assert page.evaluate("document.activeElement.id") == target
    described = page.locator(f"#{target}").get_attribute("aria-describedby") or ""
    texts = " ".join(page.locator(f"[id='{name}']").inner_text() for name in described.split())
    assert "Bitte" in texts
    assert page.locator(f"#{target}").get_attribute("aria-invalid") == "true"
    page = visitor.go("/konto/registrieren")
    field = page.get_by_label("Kennwort", exact=True)
    field.focus()
    page.evaluate("navigator.clipboard === undefined || true")
    page.keyboard.insert_text("ein eingefügtes langes Kennwort")
    assert field.input_value() == "ein eingefügtes langes Kennwort"
    assert field.get_attribute("autocomplete") == "new-password"
    assert page.locator("input[type=checkbox]:checked").count() == 0


def test_a_screen_reader_finds_names_roles_and_hears_the_new_count(visit: Callable[..., Visitor]) -> None:
    """B08: the tree as it is read."""
    visitor = visit(1280)
    home = visitor.go("/").locator("body").aria_snapshot()
    for wanted in ("banner", 'heading "Reden Sie mit in Billerbeck" [level=1]', "main", "contentinfo",
                   'link "Leichte Sprache"', "navigation"):
        assert wanted in home, wanted
    visitor.sign_in(RESIDENT, DEMO_PASSWORD, f"{BASE}/vorschlaege/3")
    page = visitor.page
    box = page.locator("#unterstuetzen")
    button = box.get_by_role("button")
    before = int(box.locator("[data-support-count]").inner_text())
    was_supported = "zurücknehmen" in button.inner_text()
    button.click()
    page.locator("[data-support-status]").filter(has_text=re.compile("zurückgenommen|gezählt")).wait_for()
    after = before - 1 if was_supported else before + 1
    status = box.get_by_role("status")
    assert f"{after} " in status.inner_text()
    assert int(box.locator("[data-support-count]").inner_text()) == after
    visitor.check()


def test_a_vote_that_is_slowed_down_says_so_beside_the_button(visit: Callable[..., Visitor]) -> None:
    """Sent once more as a form it would count as another try."""
    visitor = visit(1280)
    visitor.sign_in(RESIDENT, DEMO_PASSWORD, f"{BASE}/vorschlaege/4")
    page, sent = visitor.page, []

    def refuse(route: Route) -> None:
        sent.append(route.request.url)
        route.fulfill(status=429, json={"message": "Diese Stimme ist nicht gespeichert."})

    page.route(re.compile("/unterstuetz"), refuse)
    page.locator("#unterstuetzen").get_by_role("button").click()
    page.locator("[data-support-status]").filter(has_text="nicht gespeichert").wait_for()
    assert page.url.endswith("/vorschlaege/4")
    assert page.locator("#unterstuetzen").get_by_role("button").get_attribute("aria-disabled") is None
    assert len(sent) == 1


def test_nothing_is_asked_of_strangers_and_only_one_cookie_is_set(visit: Callable[..., Visitor]) -> None:
    """D01, D06: every request stays here (the visitor notes it), the notice is one link away, nothing is pre-ticked."""
    visitor = visit(1280)
    for path in PUBLIC:
        page = visitor.page
        page.goto(visitor.platform.url + path)
        assert page.locator("footer").get_by_role("link", name="Datenschutz").count() == 1, path
        assert {cookie["name"] for cookie in page.context.cookies()} <= {"session", "__Host-session"}, path
    page = visitor.go(f"{BASE}/vorschlaege/neu")
    assert page.locator("main").get_by_role("link", name=re.compile("Datenschutz")).count() >= 1
    assert page.locator("main input[type=checkbox]:checked").count() == 0


def test_logs_hold_no_personal_data(visit: Callable[..., Visitor], platform: LivePlatform) -> None:
    """D07: no password, token, address or choice of whoever registers, signs in, writes and asks for a new password."""
    visitor = visit(1280)
    mail, secret, words = "auffaellig.protokoll@beispiel.example", "Protokollprobe-Kennwort-77", "Protokollprobe im Text"
    page = visitor.go("/konto/registrieren")
    page.get_by_label("E-Mail-Adresse").fill(mail)
    page.get_by_label("Name").first.fill("Protokollprobe Name")
    page.get_by_label("Kennwort", exact=True).fill(secret)
    visitor.press(page.locator("main form button[type=submit]").last)
    page = visitor.go("/konto/anmelden")
    page.get_by_label("E-Mail-Adresse").fill(mail)
    page.get_by_label("Kennwort", exact=True).fill(secret + "-falsch")
    visitor.press(page.get_by_role("button", name="Anmelden", exact=True))
    page = visitor.go("/konto/passwort-vergessen")
    page.get_by_label("E-Mail-Adresse").fill(mail)
    visitor.press(page.locator("main form button[type=submit]").last)
    page = visitor.go(f"{BASE}/vorschlaege/neu")
    page.get_by_label("Titel").fill(words)
    page.get_by_label("Ihr Vorschlag").fill(f"{words}, lang genug für einen Vorschlag.")
    page.get_by_text("Mehr angeben").click()
    page.get_by_label("Ihr Name, den andere sehen").fill("Protokollprobe Name")
    visitor.press(page.get_by_role("button", name="Vorschlag einreichen"))
    visitor.sign_in(RESIDENT, DEMO_PASSWORD, f"{BASE}/vorschlaege/5")
    platform.command("jobs", "list")
    cookie = next(one["value"] for one in visitor.page.context.cookies() if "session" in one["name"])
    logs = [path for path in platform.data_dir.rglob("*") if path.suffix == ".log" or path.parent.name == "logs"]
    logs.append(platform.data_dir.parent / f"{platform.data_dir.name}-serve.log")
    text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in logs if path.is_file())
    assert '"endpoint"' in text, "the logs are elsewhere"
    # The addresses of the demo's own sign-ins are printed for whoever tries it.
    for private in (mail, secret, words, "Protokollprobe", cookie, "supported", "127.0.0.1 -"):
        assert private not in text, private
