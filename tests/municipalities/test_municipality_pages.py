"""The pages that a municipality owes, its colour and logo, and where staff change them."""

from __future__ import annotations

import email
import io
from email import policy
from typing import TYPE_CHECKING, Any

import pytest
from lxml import html
from PIL import Image
from sqlalchemy import select

from participation.municipalities.models import Municipality, text_color_on
from participation.outbox import OutboxRow
from participation.permissions import Role
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.orm import Session

    from app import Beteiligung
    from tests.browser_client import Browser

# The first form of a page for somebody signed in is the one that signs out.
MAIN = 1


@pytest.fixture
def town(session: Session) -> Municipality:
    row = factories.municipality(session, name="Musterstadt", address="Rathaus\nMarkt 1\n12345 Musterstadt")
    session.commit()
    return row


@pytest.fixture
def admin(session: Session, town: Municipality, new_browser: Callable[[], Browser]) -> Browser:
    account = factories.account(session, Role.ADMIN, town=town)
    session.commit()
    return new_browser().sign_in(account)


def _version(session: Session, town: Municipality) -> int:
    session.expire_all()
    return session.get_one(Municipality, town.id).content_version


@pytest.mark.parametrize(
    "path", ["/impressum", "/datenschutz", "/barrierefreiheit", "/netiquette", "/hilfe", "/leichte-sprache"]
)
def test_owed_pages_are_filled_with_the_towns_data(
    town: Municipality, browser: Browser, count_queries: Any, path: str
) -> None:
    with count_queries() as statements:
        shown = browser.text(path)
    assert not any(place in shown for place in ("{municipality}", "{email}", "{address}", "{date}"))
    assert len([one for one in statements if "BEGIN" not in one]) <= 2


def test_address_keeps_its_lines(town: Municipality, browser: Browser) -> None:
    page = browser.get("/impressum").get_data(as_text=True)
    assert "Rathaus<br>" in page.replace("<br />", "<br>")


def test_every_page_leads_to_easy_language(town: Municipality, browser: Browser) -> None:
    assert "/leichte-sprache" in browser.open("/hilfe").xpath("//footer//a/@href")


@pytest.mark.parametrize("color", ["#ffffff", "#000000", "#777777", "#1b6a56", "#ffd800", "#e2001a", "#767676"])
def test_text_on_the_colour_is_readable_whatever_the_colour(color: str) -> None:
    def luminance(value: str) -> float:
        channels = [int(value[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((luminance(color), luminance(text_color_on(color))))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_accent_is_cached_for_good_by_its_colour_and_injects_nothing(town: Municipality, browser: Browser) -> None:
    href = next(
        one for one in browser.open("/hilfe").xpath("//link[@rel='stylesheet']/@href") if "akzent" in one
    )
    response = browser.get(href)
    assert response.text == f":root{{--accent:{town.accent_color};--on-accent:#ffffff}}\n"
    assert "immutable" in response.headers["Cache-Control"]
    assert "}" not in browser.get("/stil/akzent.css?v=f00}body{").text.removeprefix(":root{").removesuffix("}\n")


def test_admin_changes_what_every_page_shows(session: Session, town: Municipality, admin: Browser) -> None:
    before = _version(session, town)
    values = {"name": "Neustadt", "accent_color": "#FFD800", "intro": "Hallo!"}
    assert admin.submit("/verwaltung/kommune", values, form=MAIN).status_code == 200
    assert "Hallo!" in admin.text("/")
    assert "Neustadt" in admin.text("/impressum")
    assert _version(session, town) == before + 1
    assert admin.get("/stil/akzent.css?v=ffd800").text.endswith("--on-accent:#000000}\n")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"accent_color": "rot"}, "#1b6a56"),
        ({"email": "rathaus"}, "keine E-Mail-Adresse"),
        ({"address": " "}, "Anschrift"),
        ({"website": "javascript:alert(1)"}, "https://"),
        ({"name": ""}, "Namen der Kommune"),
    ],
)
def test_wrong_value_is_named_and_the_rest_kept(
    session: Session, town: Municipality, admin: Browser, values: dict[str, str], message: str
) -> None:
    response = admin.submit("/verwaltung/kommune", {"intro": "Schon getippt", **values}, form=MAIN)
    assert response.status_code == 422
    assert message in response.get_data(as_text=True)
    assert "Schon getippt" in response.get_data(as_text=True)
    assert session.get_one(Municipality, town.id).name == "Musterstadt"


def test_own_wording_is_previewed_saved_and_taken_back(
    session: Session, town: Municipality, admin: Browser, browser: Browser
) -> None:
    address = "/verwaltung/kommune/seiten/impressum"
    preview = admin.submit(address, {"body": "Verantwortlich: **{municipality}**", "preview": "1"}, form=MAIN)
    assert "<strong>Musterstadt</strong>" in preview.get_data(as_text=True)
    assert "Verantwortlich: Musterstadt" not in browser.text("/impressum")
    before = _version(session, town)
    admin.submit(address, {"body": "Verantwortlich: {municipality} <script>alert(1)</script>"}, form=MAIN)
    assert _version(session, town) == before + 1
    page = browser.get("/impressum").get_data(as_text=True)
    assert "Verantwortlich: Musterstadt" in page
    assert "<script>alert" not in page
    asked = admin.submit(address, form="zuruecksetzen").get_data(as_text=True)
    assert "Eigenen Text entfernen?" in asked
    assert "Verantwortlich: {municipality}" in asked, "what would be lost"
    assert "Verantwortlich: Musterstadt" in browser.text("/impressum"), "nothing is gone before the answer"
    answer = next(one for one in html.fromstring(asked).forms if "confirmed" in one.fields)
    restore = f"{address}/zuruecksetzen"
    admin.submit(address, {"body": "Neu: {municipality}"}, form=MAIN)
    assert "Neu: {municipality}" in admin.post(restore, dict(answer.form_values())).get_data(as_text=True), "asks anew"
    answer = next(one for one in html.fromstring(admin.post(restore).get_data(as_text=True)).forms if "confirmed" in one.fields)
    assert admin.post(restore, dict(answer.form_values())).status_code == 303
    assert "Neu: Musterstadt" not in browser.text("/impressum")
    assert admin.post(restore, dict(answer.form_values())).status_code == 303, "done already, perhaps in another tab"
    assert admin.submit(address, {"body": " "}, form=MAIN).status_code == 422
    assert admin.get("/verwaltung/kommune/seiten/agb").status_code == 404


def test_logo_is_shown_until_it_is_removed(session: Session, town: Municipality, admin: Browser) -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (60, 60), (0, 0, 0, 0)).save(buffer, "PNG")
    values = {"picture": (io.BytesIO(buffer.getvalue()), "logo.png")}
    assert admin.post("/verwaltung/kommune/logo", values, content_type="multipart/form-data").status_code == 303
    assert admin.open("/hilfe").xpath("//header//img/@src")
    with admin.get("/stil/logo") as answer:
        assert answer.mimetype == "image/webp"
    assert admin.post("/verwaltung/kommune/logo").status_code == 422
    asked = admin.submit("/verwaltung/kommune", form="logo/entfernen")
    assert "Logo entfernen?" in asked.get_data(as_text=True)
    assert admin.open("/hilfe").xpath("//header//img/@src"), "a question first"
    (form,) = (one for one in html.fromstring(asked.get_data(as_text=True)).forms if "logo/entfernen" in (one.action or ""))
    done = admin.post(form.action, dict(form.form_values()), follow_redirects=True)
    assert "Das Logo ist entfernt." in done.get_data(as_text=True)
    assert admin.get("/stil/logo").status_code == 404


def test_only_administration_changes_the_town(
    session: Session, town: Municipality, new_browser: Callable[[], Browser]
) -> None:
    elsewhere = factories.municipality(session, host="anderswo.example")
    editor = new_browser().sign_in(factories.account(session, Role.EDITOR, town=town))
    neighbour = new_browser().sign_in(factories.account(session, Role.ADMIN, town=elsewhere))
    session.commit()
    for browser in (editor, neighbour):
        assert browser.get("/verwaltung/kommune").status_code == 403
        assert browser.post("/verwaltung/kommune", {"name": "X"}).status_code == 403
        assert browser.post("/verwaltung/kommune/seiten/impressum", {"body": "X"}).status_code == 403


def test_barrier_report_reaches_the_town_and_is_unreadable_in_the_database(
    session: Session, town: Municipality, browser: Browser, run_jobs: Callable[[], int], mails: Callable[[], list[str]]
) -> None:
    values = {"message": "Die Karte <b>hakt</b> & ruckelt.", "email": "frau@beispiel.example", "page": "Karte"}
    browser.submit("/barrierefreiheit/melden", values)
    row = session.scalars(select(OutboxRow).where(OutboxRow.job == "mail_barrier")).one()
    assert "ruckelt" not in str(row.args)
    run_jobs()
    mail = mails()[-1]
    assert f"To: {town.email}" in mail
    assert "Die Karte <b>hakt</b> & ruckelt." in mail
    assert "frau@beispiel.example" in mail


def test_empty_barrier_report_is_explained(town: Municipality, browser: Browser) -> None:
    response = browser.submit("/barrierefreiheit/melden", {"message": " ", "page": "Karte", "email": "keine"})
    assert response.status_code == 422
    assert 'id="email-fehler"' in response.get_data(as_text=True)
    assert "beschreiben Sie kurz" in response.get_data(as_text=True)
    assert 'value="Karte"' in response.get_data(as_text=True)


@pytest.mark.parametrize(("code", "words"), [
    ("en", {"hilfe": "Taking part in six steps", "barrierefreiheit": "Ombuds procedure", "datenschutz": "GDPR",
            "impressum": "Who runs this platform", "netiquette": "Neighbours"}),
    ("nl", {"hilfe": "Meedoen in zes stappen", "barrierefreiheit": "Ombudsprocedure", "datenschutz": "AVG",
            "impressum": "Wie dit platform beheert", "netiquette": "buren"}),
    ("de-x-ls", {"hilfe": "So machen Sie mit", "barrierefreiheit": "Die Hilfe kostet nichts.",
                 "datenschutz": "Wir passen auf Ihre Daten auf.", "impressum": "Wer macht diese Internet-Seite?",
                 "netiquette": "Seien Sie freundlich."}),
])
def test_owed_pages_come_in_the_reading_that_was_chosen(
    town: Municipality, browser: Browser, code: str, words: dict[str, str]
) -> None:
    browser.get(f"/sprache/{code}")
    for path, word in words.items():
        page = browser.open(f"/{path}")
        assert page.get("lang") == code[:2]
        assert word in page.text_content()
        assert "nur auf Deutsch" not in page.text_content()
        assert not page.xpath("//div[contains(@class, 'bp-prose')]/@lang")
        assert not any(place in page.text_content() for place in ("{municipality}", "{email}", "{address}", "{date}"))


def test_an_own_german_text_replaces_every_draft_until_it_is_translated(
    session: Session, town: Municipality, admin: Browser, new_browser: Callable[[], Browser]
) -> None:
    admin.submit("/verwaltung/kommune/seiten/hilfe", {"body": "Unsere eigene Hilfe."}, form=MAIN)
    english = new_browser()
    english.get("/sprache/en")
    page = english.open("/hilfe")
    assert "Unsere eigene Hilfe." in page.text_content()
    assert page.xpath("//div[contains(@class, 'bp-prose')]/@lang") == ["de"]
    assert "This page is only available in German." in page.text_content()
    before = _version(session, town)
    own = {"body": "Our own help. {date}"}
    assert "Unsere eigene Hilfe." in admin.text("/verwaltung/kommune/seiten/hilfe?sprache=en")
    assert admin.submit("/verwaltung/kommune/seiten/hilfe?sprache=en", own, form=MAIN).status_code == 200
    assert _version(session, town) == before + 1
    page = english.open("/hilfe")
    assert "Our own help." in page.text_content()
    assert not page.xpath("//div[contains(@class, 'bp-prose')]/@lang")
    assert "Unsere eigene Hilfe." in new_browser().text("/hilfe")
    admin.submit("/verwaltung/kommune/seiten/hilfe", {"body": "Unsere neue Hilfe."}, form=MAIN)
    assert "Der deutsche Text ist neuer" in admin.text("/verwaltung/kommune/seiten/hilfe?sprache=en")
    assert admin.get("/verwaltung/kommune/seiten/hilfe?sprache=xx").status_code == 200


def test_the_welcome_has_variants_and_says_where_it_is_german(
    town: Municipality, admin: Browser, new_browser: Callable[[], Browser]
) -> None:
    admin.submit("/verwaltung/kommune", {"intro": "Reden Sie mit.", "intro_0": "Sie können mit-reden.",
                                         "intro_1": "Have your say."}, form=MAIN)
    for code, words in (("en", "Have your say."), ("de-x-ls", "Sie können mit-reden."), ("de", "Reden Sie mit.")):
        reader = new_browser()
        reader.get(f"/sprache/{code}")
        lead = reader.open("/").xpath("//p[@class='bp-lead']")[0]
        assert lead.text_content() == words
        assert not lead.xpath(".//@lang")
    dutch = new_browser()
    dutch.get("/sprache/nl")
    assert dutch.open("/").xpath("//p[@class='bp-lead']/span/@lang") == ["de"]


def test_the_start_page_explains_itself_in_leichte_sprache(town: Municipality, browser: Browser) -> None:
    way = browser.open("/").xpath("//main//a[contains(., 'In Leichter Sprache lesen')]/@href")[0]
    easy = browser.open(way)
    assert easy.get("lang") == "de"
    hrefs = easy.xpath("//main//a/@href")
    assert {"/leichte-sprache", "/hilfe", "/barrierefreiheit"} <= set(hrefs)
    back = easy.xpath("//main//a[contains(., 'In Alltagssprache lesen')]/@href")[0]
    assert "/leichte-sprache" not in browser.open(back).xpath("//main//a/@href")


@pytest.mark.parametrize("cookie", ["de-x-ls; x=1", "de-x-lsx", "en\u00e9", "'\"><script>", "x" * 4000])
def test_junk_in_cookie_and_header_is_read_as_german(town: Municipality, app: Beteiligung, cookie: str) -> None:
    answer = app.test_client(use_cookies=False).get("/hilfe", headers={
        "Cookie": f"language={cookie}", "Accept-Language": "\x7f;q=9,*;q=,de;q=0.1" * 500})
    assert answer.status_code == 200
    assert '<html lang="de">' in answer.text
    assert ("So machen Sie mit" in answer.text) == (cookie == "de-x-ls; x=1")


def test_a_reported_barrier_adds_no_header_and_is_answered_to_its_writer(
    town: Municipality, browser: Browser, run_jobs: Callable[[], int], data_dir: Path
) -> None:
    hostile = "<script>alert(1)</script>\r\nBcc: all@example.org\r\n\r\n${7*7} שלום"
    page = "/barrierefreiheit/melden"
    refused = browser.submit(page, {"message": hostile, "email": "a@b.example, all@example.org"}, form=-1)
    assert refused.status_code == 422
    assert "alert(1)" in refused.text
    assert "<script>alert" not in refused.text
    before = set((data_dir / "mails").glob("*.eml"))
    browser.submit(page, {"message": hostile, "page": "Karte\r\nBcc: all@example.org", "email": "wer@b.example"}, form=-1)
    run_jobs()
    (path,) = set((data_dir / "mails").glob("*.eml")) - before
    message = email.message_from_bytes(path.read_bytes(), policy=policy.default)
    path.unlink()
    assert message["Bcc"] is None
    assert message["To"] == town.email
    assert message["Reply-To"] == "wer@b.example"
    body = message.get_body(("html",))
    assert body is not None
    assert "<script>" not in body.get_content()


def test_everything_that_is_wrong_with_a_municipality_is_said_at_once(admin: Browser) -> None:
    values = {"name": "", "email": "keine", "address": "", "website": "irgendwo", "intro": "x" * 9000, "intro_1": "x" * 9000,
              "accent_color": "bunt"}
    answer = admin.submit("/verwaltung/kommune", values, form=MAIN)
    assert answer.status_code == 422
    assert [name for name in values if f'id="{name}-fehler"' not in answer.get_data(as_text=True)] == []


@pytest.mark.parametrize(("path", "field"), [
    ("", "intro"), ("/seiten/impressum", "body"), ("/seiten/hilfe?sprache=en", "body"),
])
def test_of_two_who_change_the_town_the_second_is_told_and_keeps_the_text(
    session: Session, town: Municipality, new_browser: Callable[[], Browser], path: str, field: str,
) -> None:
    people = [factories.account(session, Role.ADMIN, town=town, display_name=name) for name in ("Frau O'Lampe", "Herr Docht")]
    session.commit()
    address = f"/verwaltung/kommune{path}"
    first, second = (new_browser().sign_in(person) for person in people)
    theirs, mine = ({**_form_with(browser.open(address), "seen"), field: value}
                    for browser, value in ((first, "Erste Fassung"), (second, "Zweite Fassung")))
    assert first.post(address, theirs).status_code == 303
    answer = second.post(address, mine)
    assert answer.status_code == 409
    page = html.fromstring(answer.get_data(as_text=True))
    told = " ".join(page.text_content().split())
    assert "Inzwischen hat Frau O'Lampe hier etwas gespeichert" in told
    assert "Das gilt jetzt" in told
    assert "Erste Fassung" in told
    assert page.xpath(f"//textarea[@name='{field}']")[0].text.strip() == "Zweite Fassung"
    assert second.post(address, _form_with(page, "seen")).status_code == 303
    assert "Zweite Fassung" in first.text(address)


def _form_with(page: html.HtmlElement, field: str) -> dict[str, Any]:
    form = next(one for one in page.forms if field in one.fields)
    return {name: value for name, value in form.form_values() if name != "preview"}
