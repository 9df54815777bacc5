"""Handing in a proposal: from the form without JavaScript to the receipt, and everything that can go wrong between."""

from __future__ import annotations

import email
import io
import json
import re
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email import policy
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from lxml import html
from markupsafe import Markup
from PIL import Image
from sqlalchemy import func, select, update

from app import Beteiligung, create_app
from participation import clock, formats, text
from participation.contributions import operations as contributions
from participation.contributions.models import Contribution, ContributionPicture, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.contributions.submissions.operations import forget_pictures
from participation.contributions.submissions.views import receipts
from participation.db import Database
from participation.municipalities.models import District
from participation.outbox import OutboxRow, work_row
from participation.permissions import Role
from participation.processes.models import ProcessState
from participation.settings import Settings
from participation.uploads import SIZES, Upload, picture_path
from tests import factories
from tests.browser_client import Browser
from tests.conftest import SECRET
from tests.databases import migrated_sqlite
from tests.test_hostile_input import OWN

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.processes.models import Process

BLNS = Path(__file__).parents[3] / "shared" / "data" / "hostile_input" / "blns.json"
AT_ONCE = 6
GPS_TAG = 0x8825


@pytest.fixture
def process(session: Session) -> Process:
    """An open collection of ideas."""
    found = factories.process(session, title="Ideen für den Markt")
    session.commit()
    return found


@pytest.fixture
def page(process: Process) -> str:
    """The form."""
    return f"/verfahren/{process.slug}/vorschlaege/neu"


@pytest.fixture
def fields(process: Process) -> dict[str, Any]:
    """What is filled in at least."""
    return {"title": "Eine Bank am Markt", "body": "Zum Ausruhen.\nIm Schatten.", "theme_id": str(process.themes[0].id)}


def send(browser: Browser, page: str, values: dict[str, Any]) -> Any:
    """Fill in the form itself; buttons of their own stand before it."""
    return browser.submit(page, values, form=-1)


def proposals(session: Session) -> list[Proposal]:
    session.expire_all()
    return list(session.scalars(select(Proposal).order_by(Proposal.id)))


def picture(kind: str = "JPEG", *, gps: bool = False, size: tuple[int, int] = (900, 700)) -> bytes:
    image = Image.new("RGB", size, "#336699")
    options: dict[str, Any] = {}
    if gps:
        exif = Image.Exif()
        exif[0x0110] = "Kamera 3000"
        exif.get_ifd(GPS_TAG).update({1: "N", 2: (51.0, 58.0, 44.0), 3: "E", 4: (7.0, 17.0, 30.0)})
        options["exif"] = exif
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def beside(tree: html.HtmlElement, field: str) -> str:
    """The error beside a field."""
    found = tree.xpath(f"//*[@id='{field}-fehler']")
    return " ".join(found[0].text_content().split()) if found else ""


def refused(response: Any) -> html.HtmlElement:
    assert response.status_code == 422
    return html.fromstring(response.get_data(as_text=True))


def test_a_guest_submits_without_javascript_and_finds_the_proposal_again_by_its_number(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], page: str, fields: dict[str, Any]
) -> None:
    answer = send(browser, page, fields | {"pseudonym": "Die Radlerin"})
    assert answer.status_code == 200
    assert answer.request.path.startswith("/beleg/")
    receipt = html.fromstring(answer.get_data(as_text=True))
    number = receipt.find_class("bp-receipt__number")[0].text_content()
    assert re.fullmatch(r"([2-9A-HJ-NP-Z]{4}-){2}[2-9A-HJ-NP-Z]{4}", number)
    assert "Danke!" in receipt.text_content()
    assert receipt.find_class("submission-text")[0].text_content() == "Zum Ausruhen.\nIm Schatten."
    assert answer.headers["Cache-Control"] == "no-store"

    stored = proposals(session)
    assert [(one.title, one.state, one.participant.pseudonym) for one in stored] == [
        ("Eine Bank am Markt", ContributionState.SUBMITTED, "Die Radlerin")
    ]
    stranger = new_browser()
    found = stranger.submit("/beleg", {"number": f" {number.lower().replace('-', ' ')} "}).get_data(as_text=True)
    assert "Wird geprüft" in found
    assert "Eine Bank" not in found
    assert "Radlerin" not in found
    unknown = refused(stranger.submit("/beleg", {"number": "AAAA-BBBB-CCCC"}))
    assert "kennen wir nicht" in beside(unknown, "number")
    assert unknown.xpath("//input[@name='number']/@value") == ["AAAA-BBBB-CCCC"]


def test_reading_the_form_writes_nothing_and_leads_to_the_privacy_notice_before_the_first_input(
    session: Session, browser: Browser, page: str
) -> None:
    tree = browser.open(page)
    before_first_input = tree.xpath("//main//input[not(@type='hidden')]")[0].xpath("preceding::a/@href")
    assert "/datenschutz" in before_first_input
    assert "/netiquette" in before_first_input
    assert tree.xpath("//*[@name='lon']")
    assert not tree.xpath("//main//input[@type='checkbox' and @checked]")
    browser.open(page)
    assert proposals(session) == []
    assert session.scalar(select(func.count()).select_from(OutboxRow)) == 0


def test_the_same_form_sent_twice_is_one_proposal_and_leads_to_the_same_receipt(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], page: str, fields: dict[str, Any]
) -> None:
    browser.open(page)
    data = fields | {"submission_key": "dieselbe"}
    first, second = browser.post(page, data), browser.post(page, data)
    assert (first.status_code, second.status_code) == (303, 303)
    assert first.location == second.location
    assert len(proposals(session)) == 1
    # Nobody gets at somebody else's proposal by its key.
    other = new_browser()
    other.open(page)
    assert other.post(page, data).location != first.location
    assert len(proposals(session)) == 2


def test_who_goes_back_and_changes_the_text_is_told_what_became_of_it(
    session: Session, browser: Browser, page: str, fields: dict[str, Any]
) -> None:
    browser.open(page)
    data = fields | {"submission_key": "dieselbe"}
    receipt = browser.post(page, data).location
    answer = browser.post(page, data | {"title": "Zwei Bänke am Markt"})
    tree = html.fromstring(answer.get_data(as_text=True))
    assert answer.status_code == 409
    assert "schon eingereicht" in tree.text_content()
    assert receipt in tree.xpath("//main//a/@href")
    assert tree.xpath("//input[@name='title']/@value") == ["Zwei Bänke am Markt"]
    assert [one.title for one in proposals(session)] == ["Eine Bank am Markt"]
    again = {name: value for form in tree.forms for name, value in form.form_values() if name == "submission_key"}
    assert browser.post(page, data | {"title": "Zwei Bänke am Markt"} | again).status_code == 303
    assert sorted(one.title for one in proposals(session)) == ["Eine Bank am Markt", "Zwei Bänke am Markt"]


def test_blank_and_invisible_texts_are_refused_and_the_rest_stays(
    session: Session, browser: Browser, page: str, fields: dict[str, Any]
) -> None:
    for nothing in ("", "   ", "\u200b\u200b", "\u0000", "\u2060 \ufeff", "\u202e\u202c"):
        tree = refused(send(browser, page, fields | {"title": nothing}))
        assert "Bitte geben Sie Ihrem Vorschlag einen Titel." in beside(tree, "title")
        assert tree.xpath("//textarea[@name='body']")[0].text_content().strip() == "Zum Ausruhen.\nIm Schatten."
        assert tree.xpath("//input[@name='theme_id'][@checked]/@value") == [fields["theme_id"]]
        tree = refused(send(browser, page, fields | {"body": nothing}))
        assert "Bitte beschreiben Sie Ihren Vorschlag." in beside(tree, "body")
        assert tree.xpath("//input[@name='title']/@value") == ["Eine Bank am Markt"]
    assert proposals(session) == []


def test_hidden_characters_between_real_words_are_taken_out(
    session: Session, browser: Browser, page: str, fields: dict[str, Any]
) -> None:
    raw = b"title=Gr%C3%BC%00n%E2%80%AEre+B%E2%80%8Bank%ED%A0%80&body=Text&theme_id=" + fields["theme_id"].encode()
    browser.open(page)
    answer = browser.client.post(page, data=raw, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 303
    (stored,) = proposals(session)
    # Bytes that are no character stay written out, or become the sign for that.
    assert stored.title.startswith("Grünre Bank")
    assert stored.title.encode().decode() == stored.title


def test_every_mistake_is_named_at_once_beside_its_field(
    session: Session, browser: Browser, page: str
) -> None:
    tree = refused(send(browser, page, {
        "title": "x" * 121, "body": "", "lon": "7,3", "lat": "", "pseudonym": "n" * 61,
    }))
    assert "Höchstens 120" in beside(tree, "title")
    assert beside(tree, "body")
    assert "Bitte wählen Sie" in beside(tree, "theme_id")
    assert "Breite und Länge" in beside(tree, "lat")
    assert "Höchstens 60" in beside(tree, "pseudonym")
    assert tree.xpath("//*[@data-error-summary]//a/@href") == ["#title", "#body", "#theme_id", "#lat", "#pseudonym"]
    assert all("open" in fold.attrib for fold in tree.xpath("//details[.//*[@id='lat']]"))
    assert proposals(session) == []


@pytest.mark.parametrize(("lon", "lat", "message", "field"), [
    ("NaN", "51,98", "keine Koordinate", "lon"),
    ("7,3", "1e5", "keine Koordinate", "lat"),
    ("51,98", "7,3", "vertauscht", "lat"),
    ("13,4", "52,5", "liegt nicht in", "lon"),
    ("7,3", "95", "zwischen −90 und 90", "lat"),
])
def test_places_that_can_not_be_are_refused_with_a_cure(
    session: Session, browser: Browser, page: str, fields: dict[str, Any], lon: str, lat: str, message: str, field: str
) -> None:
    tree = refused(send(browser, page, fields | {"lon": lon, "lat": lat}))
    assert message in beside(tree, field)
    assert tree.xpath("//input[@name='lon']/@value") == [lon]
    assert proposals(session) == []


def test_a_place_may_be_written_with_commas_and_gets_its_district(
    session: Session, browser: Browser, process: Process, page: str, fields: dict[str, Any]
) -> None:
    west = {"type": "Polygon", "coordinates": [[[7.2, 51.9], [7.3, 51.9], [7.3, 52.1], [7.2, 52.1], [7.2, 51.9]]]}
    session.add(District(municipality_id=process.municipality_id, name="Westdorf", boundary=west))
    session.commit()
    answer = send(browser, page, fields | {"lon": " 7,2501234 ", "lat": "51,98°", "place": "Am\tBach"})
    (stored,) = proposals(session)
    assert (stored.lon, stored.lat, stored.place) == (7.250123, 51.98, "Am Bach")
    assert stored.district is not None
    assert "Westdorf" in answer.get_data(as_text=True)


def test_a_required_place_may_be_words_or_a_point_and_no_place_is_not_asked_where_it_is_off(
    session: Session, browser: Browser
) -> None:
    rule = formats.PlaceRule
    needed, never = (
        factories.process(session, phases=[factories.phase("collect", settings=formats.CollectSettings(place=wanted))])
        for wanted in (rule.REQUIRED, rule.NONE)
    )
    never.municipality = needed.municipality
    session.commit()
    form = f"/verfahren/{needed.slug}/vorschlaege/neu"
    data = {"title": "Titel", "body": "Text", "theme_id": str(needed.themes[0].id)}
    assert "Bitte nennen Sie den Ort" in beside(refused(send(browser, form, data)), "place")
    assert send(browser, form, data | {"place": "Am Bahnhof"}).status_code == 200
    assert send(browser, form, data | {"lon": "7.3", "lat": "51.98"}).status_code == 200
    form = f"/verfahren/{never.slug}/vorschlaege/neu"
    assert not browser.open(form).xpath("//*[@name='place' or @name='lon']")
    data["theme_id"] = str(never.themes[0].id)
    assert browser.post(form, data | {"lon": "7.3", "lat": "51.98", "place": "Irgendwo"}).status_code == 303
    assert [(one.lon is None, one.place) for one in proposals(session)] == [
        (True, "Am Bahnhof"), (False, ""), (True, "")
    ]


# ------------------------------------------------------------------------------------------------------- pictures


def stored_files(folder: Path) -> set[Path]:
    return {path for path in (folder / "uploads").rglob("*") if path.is_file()}


@pytest.mark.parametrize(("content", "name", "message"), [
    (b"", "leer.jpg", "leer"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "bild.svg", "kein lesbares Bild"),
    (b"<!doctype html><script>alert(1)</script>", "bild.jpg", "kein lesbares Bild"),
    (picture()[:3000], "halb.jpg", "kein lesbares Bild"),
    (b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", "bild.jpg", "kein lesbares Bild"),
])
def test_what_is_no_picture_is_refused_and_leaves_nothing_behind(
    session: Session, browser: Browser, data_dir: Path, page: str, fields: dict[str, Any], content: bytes, name: str,
    message: str,
) -> None:
    before = stored_files(data_dir)
    tree = refused(send(browser, page, fields | {"picture": (io.BytesIO(content), name)}))
    assert message in beside(tree, "picture")
    assert tree.xpath("//input[@name='title']/@value") == ["Eine Bank am Markt"]
    assert proposals(session) == []
    assert stored_files(data_dir) == before


def test_a_picture_is_stored_under_our_own_name_without_where_it_was_taken(
    session: Session, browser: Browser, data_dir: Path, page: str, fields: dict[str, Any]
) -> None:
    before = stored_files(data_dir)
    sent = picture(gps=True)
    assert Image.open(io.BytesIO(sent)).getexif().get_ifd(GPS_TAG)
    answer = send(browser, page, fields | {
        "picture": (io.BytesIO(sent), "../../etc/bank.jpg.html"), "picture_alt": "Ein leerer Platz",
    })
    (row,) = session.scalars(select(ContributionPicture))
    assert row.alt == "Ein leerer Platz"
    files = stored_files(data_dir) - before
    assert files == {picture_path(data_dir / "uploads", row.upload.name, size) for size in SIZES}
    for path in files:
        with Image.open(path) as shown:
            assert shown.format == "WEBP"
            assert not shown.getexif()
        assert b"Kamera" not in path.read_bytes()
        assert b"EXIF" not in path.read_bytes()
    shown = html.fromstring(answer.get_data(as_text=True)).find_class("submission-picture")
    assert [image.get("alt") for image in shown] == ["Ein leerer Platz"]


def test_a_photo_with_damaged_metadata_is_stored_and_stands_upright(
    session: Session, browser: Browser, data_dir: Path, page: str, fields: dict[str, Any]
) -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "no width at all", 6
    buffer = io.BytesIO()
    Image.new("RGB", (900, 700), "#336699").save(buffer, "JPEG", exif=exif)
    # The description becomes a width that is text.
    damaged = buffer.getvalue().replace(b"\x01\x0e\x00\x02", b"\x01\x00\x00\x02")
    assert damaged != buffer.getvalue()
    assert send(browser, page, fields | {"picture": (io.BytesIO(damaged), "bank.jpg")}).status_code == 200
    (row,) = session.scalars(select(ContributionPicture))
    assert (row.upload.width, row.upload.height) == (700, 900)


def test_a_picture_outlives_a_refused_form(
    session: Session, browser: Browser, data_dir: Path, page: str, fields: dict[str, Any]
) -> None:
    # Other tests left pictures aside in the same folder.
    forget_pictures(data_dir / "uploads", clock.now() + timedelta(days=9))
    tree = refused(send(browser, page, fields | {
        "title": "", "picture": (io.BytesIO(picture("PNG")), "bank.png"), "picture_alt": "Ein leerer Platz",
    }))
    assert "Ihr Bild ist schon übertragen" in tree.text_content()
    assert tree.xpath("//*[@class='submission-kept']//img/@src")[0].startswith("data:image/webp;base64,")
    assert session.scalar(select(func.count()).select_from(Upload)) == 0
    again = dict(tree.forms[-1].fields)
    again = {name: value for name, value in again.items() if value}
    assert refused(browser.post(page, again)).xpath("//input[@name='picture_kept']/@value") == [again["picture_kept"]]
    assert browser.post(page, again | {"title": "Eine Bank"}).status_code == 303
    (row,) = session.scalars(select(ContributionPicture))
    assert row.alt == "Ein leerer Platz"
    assert all(picture_path(data_dir / "uploads", row.upload.name, size).is_file() for size in SIZES)
    # After a day what was laid aside is gone; what was handed in stays.
    assert forget_pictures(data_dir / "uploads", clock.now()) == 0
    assert forget_pictures(data_dir / "uploads", clock.now() + timedelta(hours=25)) == len(SIZES)
    assert picture_path(data_dir / "uploads", row.upload.name, "large").is_file()
    again["submission_key"] = "eine andere"
    assert "noch einmal" in beside(refused(browser.post(page, again | {"title": "Noch eine"})), "picture")


def test_a_kept_picture_can_be_left_out_and_its_reference_can_not_be_made_up(
    session: Session, browser: Browser, page: str, fields: dict[str, Any], keyring: Any
) -> None:
    tree = refused(send(browser, page, fields | {"title": "", "picture": (io.BytesIO(picture()), "a.jpg")}))
    kept = tree.xpath("//input[@name='picture_kept']/@value")[0]
    assert browser.post(page, fields | {"picture_kept": kept, "picture_drop": "y"}).status_code == 303
    for forged in ("x" * 50, kept[:-4] + "AAA=", keyring.seal("mail:jemand@beispiel.example"), "ä" * 20, kept * 9):
        tree = refused(browser.post(page, fields | {"picture_kept": forged, "submission_key": "neu"}))
        assert "noch einmal" in beside(tree, "picture")
    assert session.scalar(select(func.count()).select_from(ContributionPicture)) == 0


def test_pictures_are_neither_asked_nor_taken_where_the_phase_forbids_them(session: Session, browser: Browser) -> None:
    settings = formats.CollectSettings(pictures=formats.PicturesFrom.NOBODY)
    process = factories.process(session, phases=[factories.phase("collect", settings=settings)])
    session.commit()
    form = f"/verfahren/{process.slug}/vorschlaege/neu"
    assert not browser.open(form).xpath("//input[@type='file']")
    data = {"title": "T", "body": "B", "theme_id": str(process.themes[0].id)}
    assert browser.post(form, data | {"picture": (io.BytesIO(picture()), "a.jpg")}).status_code == 303
    assert session.scalar(select(func.count()).select_from(Upload)) == 0


# ---------------------------------------------------------------------------------------------------- phases, rights


def test_a_closed_phase_answers_409_with_its_date_and_keeps_the_text(
    session: Session, browser: Browser, page: str, process: Process, fields: dict[str, Any]
) -> None:
    browser.open(page)
    process.phases[0].ends_at = clock.now() - timedelta(seconds=1)
    session.commit()
    answer = browser.post(page, fields)
    assert answer.status_code == 409
    shown = answer.get_data(as_text=True)
    assert "Sie endete am" in shown
    assert "Zum Ausruhen." in shown
    closed = browser.get(page)
    assert closed.status_code == 409
    assert "Sie endete am" in closed.get_data(as_text=True)
    assert proposals(session) == []


def test_before_the_phase_the_page_says_when_it_begins(session: Session, browser: Browser) -> None:
    process = factories.process(session, phases=[factories.phase("collect", opens=5, closes=9)])
    session.commit()
    answer = browser.get(f"/verfahren/{process.slug}/vorschlaege/neu")
    assert answer.status_code == 409
    assert "Sie können ab " in answer.get_data(as_text=True)


def test_without_guests_the_form_leads_to_the_sign_in_page_and_back(session: Session, browser: Browser) -> None:
    settings = formats.CollectSettings(guests_may_submit=False)
    process = factories.process(session, phases=[factories.phase("collect", settings=settings)])
    account = factories.account(session, display_name="Die Nachbarin")
    session.commit()
    form = f"/verfahren/{process.slug}/vorschlaege/neu"
    answer = browser.get(form)
    assert answer.status_code == 302
    assert answer.location.startswith("/konto/anmelden?next=/verfahren/")
    data = {"title": "Titel", "body": "Mein langer Text", "theme_id": str(process.themes[0].id)}
    refused_post = browser.post(form, data)
    assert refused_post.status_code == 401
    assert "Mein langer Text" in refused_post.get_data(as_text=True)
    browser.sign_in(account)
    # The name of an account is not changed by what a form claims.
    send(browser, form, data | {"pseudonym": "Bürgerin"})
    assert [one.participant.pseudonym for one in proposals(session)] == ["Die Nachbarin"]


def test_a_second_proposal_of_a_guest_keeps_the_name_unless_somebody_else_sits_there(
    session: Session, browser: Browser, page: str, fields: dict[str, Any]
) -> None:
    send(browser, page, fields | {"pseudonym": "Die Radlerin"})
    again = browser.open(page)
    assert "Die Radlerin" in again.text_content()
    assert not again.xpath("//*[@name='pseudonym']")
    send(browser, page, fields)
    assert browser.submit(page, form="andere-person").status_code == 200
    send(browser, page, fields | {"pseudonym": "Der Nachbar"})
    assert [one.participant.pseudonym for one in proposals(session)] == ["Die Radlerin", "Die Radlerin", "Der Nachbar"]


def test_where_checks_come_after_a_proposal_is_public_at_once(session: Session, browser: Browser) -> None:
    settings = formats.CollectSettings(moderation=formats.Moderation.AFTER)
    process = factories.process(session, phases=[factories.phase("collect", settings=settings)])
    session.commit()
    answer = send(browser, f"/verfahren/{process.slug}/vorschlaege/neu", {
        "title": "Eine Bank", "body": "Text", "theme_id": str(process.themes[0].id),
    })
    assert "veröffentlicht" in answer.get_data(as_text=True)
    assert "Eine Bank" in browser.text(f"/verfahren/{process.slug}/vorschlaege")


def test_the_way_of_a_proposal_claims_no_check_before_there_was_one(
    session: Session, new_browser: Callable[[], Browser],
) -> None:
    settings = formats.CollectSettings(moderation=formats.Moderation.AFTER)
    process = factories.process(session, phases=[factories.phase("collect", settings=settings)])
    moderator = factories.account(session, Role.MODERATOR, on=process)
    imported = factories.proposal(session, process, source_key="alt-1")
    session.commit()
    author, visitor, staff = new_browser(), new_browser(), new_browser().sign_in(moderator)
    receipt = send(author, f"/verfahren/{process.slug}/vorschlaege/neu", {
        "title": "Eine Bank", "body": "Text", "theme_id": str(process.themes[0].id),
    }).request.path
    (proposal,) = [one for one in proposals(session) if one.title == "Eine Bank"]
    page = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}"

    def way(browser: Browser, path: str) -> list[str]:
        return [" ".join(one.text_content().split()) for one in browser.open(path).find_class("bp-steps__label")]

    for browser, path in ((visitor, page), (author, receipt)):
        assert way(browser, path)[:3] == ["Eingereicht (erledigt)", "Veröffentlicht (erledigt)", "Wird geprüft"]
    staff.submit("/moderation", {"outcome": "approve"}, form="faelle")
    for browser, path in ((visitor, page), (author, receipt)):
        assert way(browser, path)[:3] == ["Eingereicht (erledigt)", "Veröffentlicht (erledigt)", "Geprüft (erledigt)"]
    of_import = way(visitor, f"/verfahren/{process.slug}/vorschlaege/{imported.id}")
    assert not [step for step in of_import if "rüft" in step], "nobody knows who checked it"


def test_many_themes_become_a_list(session: Session, browser: Browser, process: Process, page: str) -> None:
    from participation.processes.models import Theme

    assert len(browser.open(page).xpath("//input[@type='radio'][@name='theme_id']")) == 2
    process.themes += [Theme(slug=f"t{number}", name=f"Thema {number}", position=number) for number in range(3, 8)]
    session.commit()
    options = browser.open(page + "?thema=t5").xpath("//select[@name='theme_id']/option")
    assert len(options) == 8
    assert [one.text_content() for one in options if "selected" in one.attrib] == ["Thema 5"]
    tree = refused(send(browser, page, {"title": "T", "body": "B", "theme_id": "0"}))
    assert "Bitte wählen Sie" in beside(tree, "theme_id")
    for wrong in ("9" * 5000, "-1", "²", "1e3"):
        assert browser.post(page, {"title": "T", "body": "B", "theme_id": wrong}).status_code == 422


# ------------------------------------------------------------------------------------------------ receipt and mail


def hand_in(browser: Browser, page: str, fields: dict[str, Any]) -> str:
    browser.open(page)
    answer = browser.post(page, fields)
    assert answer.status_code == 303
    return str(answer.location)


def test_the_link_alone_makes_its_holder_the_author(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], page: str, fields: dict[str, Any],
    process: Process,
) -> None:
    link = hand_in(browser, page, fields | {"picture": (io.BytesIO(picture()), "a.jpg")})
    (proposal,) = proposals(session)
    contributions.return_to_author(session, proposal, clock.now())
    session.commit()
    own = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}"
    elsewhere = new_browser()
    tree = elsewhere.open(link)
    assert "Zur Überarbeitung zurückgegeben" in tree.text_content()
    edit = next(href for href in tree.xpath("//a/@href") if "bearbeiten" in href)
    preset = elsewhere.open(edit)
    assert preset.xpath("//input[@name='title']/@value") == ["Eine Bank am Markt"]
    assert len(preset.xpath("//*[@class='submission-kept']//img")) == 1
    tree = refused(elsewhere.submit(edit, {"title": "", "body": "Neuer Text"}))
    assert tree.xpath("//textarea[@name='body']")[0].text_content().strip() == "Neuer Text"
    answer = elsewhere.submit(edit, {"title": "Zwei Bänke", "picture_drop": "y"})
    assert answer.request.path == link
    (proposal,) = proposals(session)
    assert (proposal.title, proposal.state, proposal.revision_number) == (
        "Zwei Bänke", ContributionState.SUBMITTED, 2
    )
    assert session.scalar(select(func.count()).select_from(Upload)) == 0
    # A window that was opened before does not undo this; it is told so, with its text.
    token = link.rpartition("/")[2]
    late = elsewhere.post(f"{own}/bearbeiten", {"token": token, "title": "Drei Bänke", "body": "B",
                                                "revision_seen": "1", "theme_id": fields["theme_id"]})
    assert late.status_code == 409
    assert "Drei Bänke" in late.get_data(as_text=True)
    # Taking back asks first.
    asked = elsewhere.submit(link, form="zurueckziehen")
    assert "wirklich zurückziehen" in asked.get_data(as_text=True)
    assert proposals(session)[0].state is ContributionState.SUBMITTED
    done = elsewhere.post(f"{own}/zurueckziehen", {"token": token, "confirmed": "yes"}, follow_redirects=True)
    assert "Ihr Vorschlag ist zurückgezogen" in done.get_data(as_text=True)
    assert proposals(session)[0].state is ContributionState.WITHDRAWN


def test_strangers_get_nothing_without_the_right_link(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], page: str, fields: dict[str, Any],
    process: Process,
) -> None:
    link = hand_in(browser, page, fields)
    (proposal,) = proposals(session)
    own = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}"
    assert browser.get(f"{own}/beleg").status_code == 200
    stranger = new_browser()
    assert stranger.get(link[:-1] + "x").status_code == 404
    for address in (f"{own}/beleg", f"{own}/bearbeiten", f"/verfahren/{process.slug}/vorschlaege/999999/beleg"):
        assert stranger.get(address).location.startswith("/konto/anmelden?next=")
    assert stranger.post(f"{own}/zurueckziehen", {"confirmed": "yes"}).status_code == 401
    assert stranger.post(f"{own}/zurueckziehen", {"confirmed": "yes", "token": "geraten"}).status_code == 404
    other = factories.proposal(session, process)
    session.commit()
    token = link.rpartition("/")[2]
    foreign = f"/verfahren/{process.slug}/vorschlaege/{other.id}/zurueckziehen"
    assert stranger.post(foreign, {"confirmed": "yes", "token": token}).status_code == 404
    account = factories.account(session)
    session.commit()
    assert new_browser().sign_in(account).get(f"{own}/bearbeiten").status_code == 404
    assert {one.state for one in proposals(session)} == {ContributionState.SUBMITTED, ContributionState.PUBLISHED}


def test_the_receipt_says_why_a_proposal_was_rejected(
    session: Session, browser: Browser, page: str, fields: dict[str, Any]
) -> None:
    link = hand_in(browser, page, fields)
    (proposal,) = proposals(session)
    contributions.reject(session, proposal, "Werbung ist hier nicht möglich.", clock.now())
    session.commit()
    shown = browser.text(link)
    assert "Werbung ist hier nicht möglich." in shown
    assert "Sind Sie nicht einverstanden?" in shown
    assert "Zurückziehen" not in shown


def test_the_mail_of_a_guest_brings_number_and_link_and_no_words_of_others(
    session: Session, browser: Browser, page: str, fields: dict[str, Any], run_jobs: Callable[[], int],
    mails: Callable[[], list[str]], data_dir: Path, database: Database, app: Beteiligung,
) -> None:
    link = hand_in(browser, page, fields | {
        "title": "Kaufen Sie jetzt", "pseudonym": "Eva\r\nBcc: opfer",
    })
    browser.submit(link, {"email": " Eva@Beispiel.example "}, form="zu-ihnen")
    (proposal,) = proposals(session)
    assert proposal.participant.pseudonym == "Eva Bcc: opfer"
    run_jobs()
    (mail,) = mails()
    assert mail.startswith("To: eva@beispiel.example\n")
    assert proposal.receipt_number in mail
    assert f"http://localhost{link}" in mail
    assert "Kaufen" not in mail
    assert "Bcc" not in mail
    newest = max((data_dir / "mails").glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
    message = email.message_from_bytes(newest.read_bytes(), policy=policy.default)
    assert message["Bcc"] is None
    # A worker that died after sending leaves the row undone: the same mail then replaces itself.
    row_id = session.scalars(select(OutboxRow.id).where(OutboxRow.job == "mail_receipt")).one()
    for _ in range(2):
        session.execute(update(OutboxRow).where(OutboxRow.id == row_id).values(done_at=None, leased_until=None))
        session.commit()
        with app.app_context():
            assert work_row(database, row_id)
    assert len(mails()) == 1


@pytest.mark.parametrize(("said", "field", "message"), [
    ({"email": "a@beispiel.example\r\nBcc: b@beispiel.example"}, "email", "keine E-Mail-Adresse"),
    ({"email": "", "pseudonym": " \u200b"}, "email", "keine E-Mail-Adresse"),
    ({"email": "eva@beispiel.example", "pseudonym": "Die Bürgermeisterin"}, "pseudonym", "klingt nach Verwaltung"),
    ({"email": "eva@beispiel.example", "pseudonym": "n" * 61}, "pseudonym", "Höchstens 60"),
])
def test_what_a_guest_says_wrongly_of_themselves_is_named_and_nothing_is_stored(
    session: Session, browser: Browser, page: str, fields: dict[str, Any], said: dict[str, str], field: str, message: str,
) -> None:
    link = hand_in(browser, page, fields)
    tree = refused(browser.submit(link, said, form="zu-ihnen"))
    assert message in beside(tree, field)
    assert said["email"].partition("\r")[0] in tree.xpath("string(//*[@name='email']/@value)")
    (proposal,) = proposals(session)
    assert (proposal.participant.pseudonym, proposal.participant.contact_sealed) == ("Gast", None)


def test_a_guest_says_who_they_are_after_handing_in_each_once(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], page: str, fields: dict[str, Any],
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    link = hand_in(browser, page, fields)
    on_paper = new_browser()
    on_paper.submit(link, {"pseudonym": "Die Radlerin"}, form="zu-ihnen")
    assert "Die Radlerin" in on_paper.text(link)
    shown = browser.open(link)
    assert shown.xpath("//*[@name='email']")
    assert not shown.xpath("//*[@name='pseudonym']")
    for _press in range(2):
        assert browser.post(f"{link}/zu-ihnen", {"email": "eva@beispiel.example"}).status_code == 303
    assert browser.post(f"{link}/zu-ihnen", {"pseudonym": "Eine andere"}).status_code == 409
    assert browser.post("/beleg/falsch/zu-ihnen", {"email": "fremd@beispiel.example"}).status_code == 404
    run_jobs()
    (mail,) = mails()
    assert mail.startswith("To: eva@beispiel.example\n")
    assert [one.participant.pseudonym for one in proposals(session)] == ["Die Radlerin"]


def test_what_is_public_gets_no_other_name_but_its_author_an_address(
    session: Session, browser: Browser, page: str, fields: dict[str, Any],
) -> None:
    link = hand_in(browser, page, fields)
    (proposal,) = proposals(session)
    contributions.publish(session, proposal, clock.now())
    session.commit()
    shown = browser.open(link)
    assert shown.xpath("//*[@name='email']")
    assert not shown.xpath("//*[@name='pseudonym']")
    refusal = browser.post(f"{link}/zu-ihnen", {"pseudonym": "Nachgereicht", "email": "eva@beispiel.example"})
    assert refusal.status_code == 409
    (proposal,) = proposals(session)
    assert (proposal.participant.pseudonym, proposal.participant.contact_sealed) == ("Gast", None)


@pytest.mark.parametrize("moderation", formats.Moderation)
def test_where_a_name_can_only_be_given_before_the_form_asks_outright(
    session: Session, browser: Browser, moderation: formats.Moderation,
) -> None:
    process = factories.process(session, phases=[
        factories.phase("collect", settings=formats.CollectSettings(moderation=moderation))])
    session.commit()
    page = f"/verfahren/{process.slug}/vorschlaege/neu"
    tree = browser.open(page)
    is_after = moderation is formats.Moderation.AFTER
    (name,) = tree.xpath("//input[@name='pseudonym']")
    assert bool(name.xpath("ancestor::details[not(@open)]")) is not is_after
    assert ("Ihr Name" in "".join(tree.xpath("//details/summary//text()"))) is not is_after
    link = hand_in(browser, page, {"title": "Eine Bank", "body": "Im Schatten.", "theme_id": str(process.themes[0].id)})
    assert bool(browser.open(link).xpath("//*[@name='pseudonym']")) is not is_after, "in one place or the other"


def test_an_archive_takes_no_address_of_a_guest(
    session: Session, browser: Browser, process: Process, page: str, fields: dict[str, Any],
) -> None:
    link = hand_in(browser, page, fields)
    process.state = ProcessState.ARCHIVED
    session.commit()
    assert "zu-ihnen" not in browser.get(link).get_data(as_text=True)
    assert browser.post(f"{link}/zu-ihnen", {"email": "eva@beispiel.example"}).status_code == 409
    assert proposals(session)[0].participant.contact_sealed is None


def test_what_belongs_to_an_account_asks_for_nothing_more(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], page: str, fields: dict[str, Any],
) -> None:
    link = hand_in(browser, page, fields)
    owner = new_browser().sign_in(factories.account(session, display_name="Die Nachbarin"))
    session.commit()
    owner.submit(link, form="zuordnen")
    assert "zu-ihnen" not in owner.client.get(link, follow_redirects=True).get_data(as_text=True)
    assert owner.post(f"{link}/zu-ihnen", {"email": "eva@beispiel.example"}).status_code == 409


def test_only_what_must_be_there_is_asked_outright(
    session: Session, browser: Browser, process: Process, page: str
) -> None:
    def folded(tree: html.HtmlElement, name: str) -> bool:
        return any("open" not in fold.attrib for fold in tree.xpath(f"//details[.//*[@name='{name}']]"))

    first = browser.open(page)
    assert [name for name in ("title", "body", "theme_id", "place", "picture", "pseudonym") if folded(first, name)] == [
        "place", "picture", "pseudonym"]
    again = refused(send(browser, page, {"place": "Am Brunnen"}))
    assert not folded(again, "place")
    strict_one = factories.process(session, process.municipality, phases=[factories.phase(
        "collect", settings=formats.CollectSettings(place=formats.PlaceRule.REQUIRED, picture_required=True))])
    session.commit()
    strict = browser.open(f"/verfahren/{strict_one.slug}/vorschlaege/neu")
    assert [name for name in ("place", "picture", "pseudonym") if folded(strict, name)] == ["pseudonym"]


# --------------------------------------------------------------------------------------------- hostile texts, races


def test_naughty_strings_come_back_as_they_were_written(
    session: Session, browser: Browser, page: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Our own everywhere, and the long list where it lies beside the project.
    listed = json.loads(BLNS.read_text(encoding="utf-8")) if BLNS.is_file() else []
    assert len(listed) in {0, 515}
    strings = [*OWN, *listed]
    # Drawing the code takes as long as all the rest of the page, and shows nothing of the text.
    monkeypatch.setattr(receipts, "_qr_code", lambda _link: Markup(""))
    # What a database keeps is its own affair; the page is written the same way whichever it was.
    looked_at = 1 if session.get_bind().dialect.name == "sqlite" else 10
    browser.open(page)
    sent_rows: list[tuple[str, str]] = []
    for number, raw in enumerate(strings):
        # What a browser can send at all: unpaired surrogates are replaced before.
        sent = raw.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        answer = browser.post(page, fields | {"title": sent, "body": sent, "submission_key": f"blns-{number}"})
        line, block = text.clean_line(sent), text.clean_text(sent)
        if not line or len(line) > 120:
            tree = refused(answer)
            assert beside(tree, "title"), raw
            shown = tree.xpath("//textarea[@name='body']")[0].text_content()
            assert shown.removeprefix("\n").removeprefix("\r\n") == block, raw
            continue
        assert answer.status_code == 303, raw
        assert block == unicodedata.normalize("NFC", block)
        sent_rows.append((line, block))
        if number % looked_at:
            continue
        receipt = browser.get(answer.location)
        assert receipt.status_code == 200, raw
        tree = html.fromstring(receipt.get_data(as_text=True))
        assert tree.find_class("submission-text")[0].text_content() == block, raw
        assert tree.xpath("//main//h3")[0].text_content() == line, raw
    assert [(one.title, one.body) for one in proposals(session)] == sent_rows
    assert len(sent_rows) > (450 if listed else 8)


def test_a_form_sent_many_times_at_once_is_one_proposal_with_one_receipt(committing: Beteiligung) -> None:
    database = committing.extensions["platform"].database
    with database.unit_of_work() as session:
        process = factories.process(session)
        page, theme_id, process_id = f"/verfahren/{process.slug}/vorschlaege/neu", process.themes[0].id, process.id
    visitor = Browser(committing)
    visitor.open(page)
    browsers = [Browser(committing) for _ in range(AT_ONCE)]
    cookie = visitor.client.get_cookie("session")
    for one in browsers:
        one.client.set_cookie("session", cookie.value)
    gate = Barrier(AT_ONCE)
    sent = picture(size=(200, 100))

    def send(one: Browser) -> tuple[int, str | None]:
        gate.wait()
        answer = one.post(page, {"title": "T", "body": "B", "theme_id": str(theme_id), "submission_key": "eins",
                                 "picture": (io.BytesIO(sent), "a.jpg")})
        return answer.status_code, answer.location

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = set(pool.map(send, browsers))
    assert {status for status, _ in answers} == {303}
    assert len(answers) == 1
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Contribution)) == 1
        assert session.scalar(select(func.count()).select_from(Upload)) == 1
        assert session.get_one(type(process), process_id).participant_count == 1


def test_ten_revisions_at_once_are_one(committing: Beteiligung) -> None:
    database = committing.extensions["platform"].database
    with database.unit_of_work() as session:
        process = factories.process(session)
        page, theme_id = f"/verfahren/{process.slug}/vorschlaege/neu", process.themes[0].id
    data = {"title": "T", "body": "B", "theme_id": str(theme_id)}
    link = hand_in(Browser(committing), page, data)
    with database.unit_of_work() as session:
        proposal = session.scalars(select(Proposal)).one()
        contributions.return_to_author(session, proposal, clock.now())
        edit = page.replace("neu", f"{proposal.id}/bearbeiten")
        withdraw = page.replace("neu", f"{proposal.id}/zurueckziehen")
    token = {"token": link.rpartition("/")[2]}
    gate = Barrier(AT_ONCE)

    def at_once(path: str, values: dict[str, Any]) -> list[int]:
        def send(_number: int) -> int:
            gate.wait()
            return Browser(committing).post(path, values).status_code

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(send, range(AT_ONCE)))

    assert set(at_once(edit, data | token | {"title": "Neu"})) <= {303, 409}
    with database.unit_of_work() as session:
        proposal = session.scalars(select(Proposal)).one()
        assert (proposal.title, proposal.revision_number) == ("Neu", 2)
        contributions.publish(session, proposal, clock.now())
    assert set(at_once(withdraw, token | {"confirmed": "yes"})) <= {303, 409}
    with database.reading() as session:
        proposal = session.scalars(select(Proposal)).one()
        assert proposal.state is ContributionState.WITHDRAWN
        assert proposal.process.proposal_count == 0


def test_one_postbox_and_numbers_are_guarded_as_ever(tmp_path: Path) -> None:
    url = migrated_sqlite(tmp_path / "limits.sqlite3")
    app = create_app(Settings(
        environment="test", data_dir=tmp_path, database_url=url, secret_key=SECRET, base_url="http://localhost",
        rate_limits=True, page_cache=False,
    ))
    app.config["WTF_CSRF_ENABLED"] = False
    try:
        database = app.extensions["platform"].database
        with database.unit_of_work() as session:
            factories.process(session)
        browser = Browser(app)
        # One address is written to from a few receipts only, however it is spelt; others go on.
        spelt = ["opfer@beispiel.example", " Opfer@Beispiel.example"] * 4
        asked = [browser.post(f"/beleg/{number}/zu-ihnen", {"email": one}) for number, one in enumerate(spelt)]
        assert [answer.status_code for answer in asked] == [404] * 6 + [429] * 2
        assert browser.post("/beleg/9/zu-ihnen", {"email": "eva@beispiel.example"}).status_code == 404
        assert browser.post("/beleg/9/zu-ihnen", {"pseudonym": "Eva"}).status_code == 404
        numbers = [browser.post("/beleg", {"number": "AAAA-BBBB-CCCC"}).status_code for _ in range(21)]
        assert numbers == [422] * 20 + [429]
    finally:
        app.extensions["platform"].database.dispose()
