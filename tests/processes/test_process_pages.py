"""What residents read of processes: home page, list, a process's own page."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from lxml import html

from participation import clock, formats
from participation.municipalities.models import Municipality, MunicipalityKind
from participation.permissions import Role
from participation.processes.models import ProcessState
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session

    from app import Beteiligung
    from tests.browser_client import Browser


@pytest.fixture
def town(session: Session) -> Municipality:
    row = factories.municipality(session, name="Musterstadt", intro="Reden Sie mit.")
    session.commit()
    return row


@pytest.fixture
def page_cache(app: Beteiligung) -> Iterator[None]:
    """The page cache as in production."""
    cache = app.extensions["platform"].page_cache
    cache.clear()
    cache.enabled = True
    yield
    cache.enabled = False
    cache.clear()


def _some(session: Session, town: Municipality, number: int) -> None:
    for _ in range(number):
        row = factories.process(session, town, phases=[factories.phase("collect"), factories.phase("inform")])
        factories.proposal(session, row)
        factories.process(session, town, state=ProcessState.ARCHIVED)
        factories.process(session, town, phases=[factories.phase("collect", opens=5)])


@pytest.mark.parametrize(("path", "number"), [("/", 6), ("/verfahren", 5)])
def test_lists_cost_the_same_however_much_there_is(
    session: Session, town: Municipality, browser: Browser, count_queries: Any, path: str, number: int
) -> None:
    _some(session, town, 1)
    session.commit()
    browser.open(path)
    with count_queries() as few:
        browser.open(path)
    _some(session, town, 6)
    session.commit()
    with count_queries() as many:
        browser.open(path)
    assert len([one for one in few if "BEGIN" not in one]) == len([one for one in many if "BEGIN" not in one])
    assert len([one for one in many if "BEGIN" not in one]) == number


def test_process_page_costs_the_same_however_much_it_holds(
    session: Session, town: Municipality, browser: Browser, count_queries: Any
) -> None:
    rich = factories.process(session, town, phases=[factories.phase("collect") for _ in range(6)])
    for _ in range(5):
        factories.proposal(session, rich)
    session.commit()
    with count_queries() as statements:
        browser.open(f"/verfahren/{rich.slug}")
    assert len([one for one in statements if "BEGIN" not in one]) == 6


def test_home_answers_what_is_on_where_to_take_part_and_what_became_of_it(
    session: Session, town: Municipality, browser: Browser
) -> None:
    factories.process(session, town, title="Spielplatz", slug="spielplatz")
    factories.process(session, town, title="Alter Bahnhof", state=ProcessState.ARCHIVED, slug="bahnhof")
    factories.process(session, town, title="Neue Mitte", phases=[factories.phase("collect", opens=4)])
    session.commit()
    page = browser.open("/")
    sections = {
        heading: " ".join(page.xpath(f"//section[@aria-labelledby='{heading}']")[0].text_content().split())
        for heading in ("laeuft", "mitmachen", "ergebnisse", "bald")
    }
    assert "Spielplatz" in sections["laeuft"]
    assert "Alter Bahnhof" not in sections["laeuft"]
    assert "Vorschlag einreichen" in sections["mitmachen"]
    assert "Alter Bahnhof" in sections["ergebnisse"]
    assert "Neue Mitte" in sections["bald"]
    assert page.xpath("//div[@class='bp-actions']/a/@href")[0] == "/verfahren/spielplatz/vorschlaege/neu"


def test_home_of_a_kreis_leads_to_its_towns(session: Session, browser: Browser) -> None:
    kreis = factories.municipality(session, name="Kreis Musterland", kind=MunicipalityKind.KREIS, ags="05599")
    for name, host in (("Oberdorf", "oberdorf.example"), ("Ohne Adresse", None)):
        factories.municipality(session, name=name, host=host, parent_id=kreis.id)
    kreis.host = "localhost"
    session.commit()
    page = browser.open("/")
    assert "Reden Sie mit im Kreis Musterland" in page.text_content()
    towns = page.xpath("//section[@aria-labelledby='kommunen']//a")
    assert [(link.text_content().strip(), link.get("href")) for link in towns] == [
        ("Oberdorf", "http://oberdorf.example/")
    ]


@pytest.mark.parametrize(
    ("format_key", "button", "target"),
    [("collect", "Vorschlag einreichen", "/vorschlaege/neu"), ("discuss", "Mitreden", "/vorschlaege"),
     ("vote", "Jetzt abstimmen", "/vorschlaege")],
)
def test_main_action_follows_the_open_phase(
    session: Session, town: Municipality, browser: Browser, format_key: str, button: str, target: str
) -> None:
    row = factories.process(session, town, phases=[factories.phase("inform"), factories.phase(format_key)])
    session.commit()
    link = browser.open(f"/verfahren/{row.slug}").xpath("//div[@class='bp-actions']//a")[0]
    assert link.text_content().strip() == button
    assert link.get("href") == f"/verfahren/{row.slug}{target}"


def test_last_day_is_the_day_before_a_midnight_end(session: Session, town: Municipality, browser: Browser) -> None:

    phase = factories.phase("collect")
    phase.ends_at = clock.from_berlin(datetime(2099, 7, 1, 0, 0))  # noqa: DTZ001 - a wall clock
    row = factories.process(session, town, phases=[phase])
    session.commit()
    assert "bis 30. Juni 2099" in browser.text(f"/verfahren/{row.slug}")


def test_what_a_poster_leads_to_follows_the_phases(
    session: Session, town: Municipality, browser: Browser, new_browser: Callable[[], Browser]
) -> None:
    row = factories.process(session, town, phases=[factories.phase("collect")])
    draft = factories.process(session, town, state=ProcessState.DRAFT, published_at=None)
    editor = factories.account(session, Role.EDITOR, on=row)
    session.commit()
    printed = f"/verfahren/{row.slug}/mitmachen"
    assert browser.get(printed).location == f"/verfahren/{row.slug}/vorschlaege/neu"
    row.phases[0].ends_at = clock.now() - timedelta(hours=1)
    session.commit()
    later = browser.get(printed)
    assert later.location == f"/verfahren/{row.slug}"
    assert later.headers["Cache-Control"] == "no-store"
    assert browser.get(f"/verfahren/{draft.slug}/mitmachen").status_code == 404
    assert browser.get(f"/verfahren/{draft.slug}/mitmachen.svg").status_code == 404
    (code,) = new_browser().sign_in(editor).open(f"/verwaltung/verfahren/{row.id}").xpath("//a[@download]/@href")
    picture = browser.get(code)
    assert picture.mimetype == "image/svg+xml"
    assert picture.get_data(as_text=True).startswith("<svg")


def test_archive_has_pages(session: Session, town: Municipality, browser: Browser) -> None:
    for number in range(14):
        factories.process(session, town, title=f"Altes Vorhaben {number:02d}", state=ProcessState.ARCHIVED)
    session.commit()
    first = browser.open("/verfahren")
    assert "Altes Vorhaben 13" in first.text_content()
    assert "Altes Vorhaben 01" not in first.text_content()
    assert "Altes Vorhaben 01" in browser.text(first.xpath("//a[@rel='next']/@href")[0])


def test_draft_is_seen_by_its_editor_alone(
    session: Session, town: Municipality, new_browser: Callable[[], Browser], page_cache: None
) -> None:
    draft = factories.process(session, town, title="Geheimer Plan", state=ProcessState.DRAFT, published_at=None)
    other = factories.process(session, town)
    resident = factories.account(session)
    editor = factories.account(session, Role.EDITOR, on=draft)
    stranger = factories.account(session, Role.EDITOR, on=other)
    session.commit()
    shown = new_browser().sign_in(editor).text(f"/verfahren/{draft.slug}")
    assert "Geheimer Plan" in shown
    assert "nur die Redaktion" in shown
    for browser in (new_browser(), new_browser().sign_in(resident), new_browser().sign_in(stranger)):
        assert browser.get(f"/verfahren/{draft.slug}").status_code == 404
        for path in ("/", "/verfahren"):
            assert "Geheimer Plan" not in browser.text(path)


def test_edit_link_is_in_nobody_elses_page(
    session: Session, town: Municipality, new_browser: Callable[[], Browser], page_cache: None
) -> None:
    row = factories.process(session, town)
    editor = factories.account(session, Role.EDITOR, on=row)
    session.commit()
    address = f"/verfahren/{row.slug}"
    assert "Verfahren bearbeiten" in new_browser().sign_in(editor).text(address)
    assert "Verfahren bearbeiten" not in new_browser().text(address)
    assert "Verfahren bearbeiten" in new_browser().sign_in(editor).text(address)


@pytest.mark.parametrize("address", ["/verfahren/gibt-es-nicht", "/verfahren?archiv=-1", "/verfahren?archiv=1e9"])
def test_nonsense_in_an_address_is_no_error_of_ours(
    session: Session, town: Municipality, browser: Browser, address: str
) -> None:
    assert browser.get(address).status_code in {200, 404}


def test_dates_of_a_process_go_into_a_calendar(session: Session, town: Municipality, browser: Browser) -> None:
    settings = formats.WorkshopSettings(place="Rathaus, Ratssaal; 1. Stock")
    meeting = factories.phase("workshop", settings=settings)
    meeting.title = "Werkstatt-Abend"
    meeting.starts_at = clock.from_berlin(datetime(2099, 6, 30, 18, 30))  # noqa: DTZ001 - a wall clock
    meeting.ends_at = clock.from_berlin(datetime(2099, 6, 30, 21, 0))  # noqa: DTZ001 - a wall clock
    collecting = factories.phase("collect")
    collecting.title = "Vorschläge sammeln, überall in der Stadt und in allen Bauerschaften, von Osthellen bis Westhellen"
    collecting.starts_at = clock.from_berlin(datetime(2099, 3, 1, 0, 0))  # noqa: DTZ001 - a wall clock
    collecting.ends_at = clock.from_berlin(datetime(2099, 4, 1, 0, 0))  # noqa: DTZ001 - a wall clock
    fair = factories.phase("workshop")
    fair.starts_at = clock.from_berlin(datetime(2099, 7, 4, 0, 0))  # noqa: DTZ001 - a wall clock
    fair.ends_at = clock.from_berlin(datetime(2099, 7, 5, 0, 0))  # noqa: DTZ001 - a wall clock
    row = factories.process(session, town, phases=[meeting, collecting, fair, factories.phase("inform", opens=-1, closes=None)])
    session.commit()
    link = browser.open(f"/verfahren/{row.slug}").xpath("//a[contains(@href, '.ics')]/@href")[0]
    response = browser.get(link)
    assert response.mimetype == "text/calendar"
    raw = response.get_data()
    assert all(len(line) <= 75 for line in raw.split(b"\r\n"))
    lines = raw.decode().replace("\r\n ", "").split("\r\n")
    assert "DTSTART:20990630T163000Z" in lines
    assert "DTEND:20990630T190000Z" in lines
    assert "LOCATION:Rathaus\\, Ratssaal\\; 1. Stock" in lines
    assert "DTSTART;VALUE=DATE:20990301" in lines
    # "Until 1 April, 0:00" is the last moment of 31 March.
    assert "DTSTART;VALUE=DATE:20990331" in lines
    assert any((line.startswith("SUMMARY:") and line.endswith("von Osthellen bis Westhellen\\, letzter Tag"))
               or "Westhellen, letzter Tag".replace(",", "\\,") in line for line in lines)
    assert lines[lines.index("DTSTART;VALUE=DATE:20990704") + 1] == "DTEND;VALUE=DATE:20990705", "one whole day"
    shown = browser.text(f"/verfahren/{row.slug}")
    assert shown.count("04.07.2099") == 1, "a phase of one day has one date"
    assert "01.03.2099 – 31.03.2099" in shown
    assert lines.count("BEGIN:VEVENT") == lines.count("END:VEVENT") >= 4


def _wall(day: int, hour: int, minute: int = 0) -> datetime:
    return clock.from_berlin(datetime(2099, 12, day, hour, minute))  # noqa: DTZ001 - a wall clock


def _in_detail(page: Any, number: int) -> str:
    return " ".join(page.get_element_by_id(f"phase-{number}").text_content().split())


def _timeline(page: Any) -> list[str]:
    return [" ".join(one.text_content().split()) for one in page.xpath("//*[contains(@class, 'bp-timeline__when')]")]


def test_whoever_comes_to_a_meeting_reads_its_hour_and_place_though_it_has_no_text(
    session: Session, town: Municipality, browser: Browser
) -> None:
    meeting = factories.phase("workshop", settings=formats.WorkshopSettings(place="Rathaus, Ratssaal"), body="",
                              starts_at=_wall(7, 19), ends_at=_wall(7, 21))
    row = factories.process(session, town, phases=[meeting])
    session.commit()
    page = browser.open(f"/verfahren/{row.slug}")
    assert _timeline(page) == ["07.12.2099, 19:00–21:00 Uhr"]
    assert "07.12.2099, 19:00–21:00 Uhr" in _in_detail(page, meeting.id)
    assert "Rathaus, Ratssaal" in _in_detail(page, meeting.id)
    assert page.xpath(f"//ol//a[@href='#phase-{meeting.id}']")
    assert "Die erste Phase beginnt am 7. Dezember 2099, 19:00 Uhr." in " ".join(page.text_content().split())
    english = browser.get(f"/verfahren/{row.slug}", headers={"Accept-Language": "en"}).get_data(as_text=True)
    assert _timeline(html.fromstring(english)) == ["7 Dec 2099, 19:00–21:00"]


@pytest.mark.parametrize(("starts_at", "ends_at", "shown"), [
    (_wall(10, 9, 30), _wall(12, 18), "10.12.2099, 09:30 Uhr – 12.12.2099, 18:00 Uhr"),
    (_wall(10, 0), _wall(12, 18), "10.12.2099 – 12.12.2099, 18:00 Uhr"),
    (_wall(10, 9, 30), _wall(13, 0), "10.12.2099, 09:30 Uhr – 12.12.2099"),
    (_wall(10, 19), _wall(11, 0), "10.12.2099, 19:00–24:00 Uhr"),
    (_wall(10, 19), None, "ab 10.12.2099, 19:00 Uhr"),
    (None, _wall(12, 18), "bis 12.12.2099, 18:00 Uhr"),
    (_wall(10, 0), _wall(13, 0), "10.12.2099 – 12.12.2099"),
    (_wall(10, 0), None, "ab 10.12.2099"),
])
def test_hours_are_told_where_they_were_given(
    session: Session, town: Municipality, browser: Browser, starts_at: datetime | None, ends_at: datetime | None, shown: str
) -> None:
    phase = factories.phase("collect", starts_at=starts_at, ends_at=ends_at, body="Schreiben Sie.")
    row = factories.process(session, town, phases=[phase])
    session.commit()
    page = browser.open(f"/verfahren/{row.slug}")
    assert _timeline(page) == [shown]
    assert (shown in _in_detail(page, phase.id)) == ("Uhr" in shown)


def test_an_hour_of_a_phase_is_in_the_calendar_too_and_where_it_can_be_used(
    session: Session, town: Municipality, browser: Browser
) -> None:
    phase = factories.phase("collect", title="Ideen", opens=-1, ends_at=_wall(12, 18))
    later = factories.phase("discuss", title="Reden", starts_at=_wall(13, 9, 30), ends_at=_wall(15, 0))
    row = factories.process(session, town, title="Park", phases=[phase, later])
    session.commit()
    page = browser.open(f"/verfahren/{row.slug}")
    assert "Möglich bis 12. Dezember 2099, 18:00 Uhr." in " ".join(page.text_content().split())
    lines = browser.get(page.xpath("//a[contains(@href, '.ics')]/@href")[0]).get_data(as_text=True).split("\r\n")
    assert lines[lines.index("SUMMARY:Park: Ideen endet") - 1] == "DTSTART:20991212T170000Z"
    assert lines[lines.index("SUMMARY:Park: Reden beginnt") - 1] == "DTSTART:20991213T083000Z"
    assert lines[lines.index("SUMMARY:Park: Reden\\, letzter Tag") - 2] == "DTSTART;VALUE=DATE:20991214"
