"""Lists by distance: exact, in pages, with every filter, without a script, and by an index in a large town."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, text

from mapping.geometry import distance_metres
from participation import clock
from participation.contributions.models import AnswerStatus, Contribution, ContributionState
from participation.contributions.proposals import queries
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.queries import PAGE_SIZE, Listing, Sort, list_page, read_cursor
from participation.db import is_sqlite
from participation.municipalities.models import District
from tests import factories

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.processes.models import Process
    from tests.browser_client import Browser
    from tests.conftest import Counter

HERE = (7.3, 51.98)
WEST = {"type": "Polygon", "coordinates": [[[7.2, 51.92], [7.26, 51.92], [7.26, 52.0], [7.2, 52.0], [7.2, 51.92]]]}


def _address(process: Process, **values: Any) -> str:
    asked = {"sort": "entfernung", "lat": "51.98", "lon": "7.3", **values}
    return f"/verfahren/{process.slug}/vorschlaege?" + "&".join(f"{key}={value}" for key, value in asked.items())


def _many(session: Session, process: Process, number: int) -> list[tuple[int, float, float]]:
    """Points on a spiral around the middle of the town, with several at the same place."""
    rows = []
    for index in range(number):
        step = index // 3
        rows.append((factories.proposal(session, process, title=f"Nr. {index}", lon=7.3 + step * 0.0007 * (-1) ** step,
                                        lat=51.98 + step * 0.0003).id, 7.3 + step * 0.0007 * (-1) ** step,
                     51.98 + step * 0.0003))
    return rows


def _walk(session: Session, listing: Listing) -> list[int]:
    """All pages one after the other."""
    found: list[int] = []
    for _page in range(50):
        page = list_page(session, listing)
        found += [card.id for card in page.cards]
        if page.next_cursor is None:
            return found
        listing = replace(listing, after=read_cursor(Sort.NEAR, page.next_cursor))
    raise AssertionError


@pytest.mark.parametrize("many_from", [0, 1000], ids=["in rings", "all at once"])
def test_pages_by_distance_show_everything_once_in_order(
    session: Session, monkeypatch: pytest.MonkeyPatch, many_from: int,
) -> None:
    monkeypatch.setattr(queries, "MATCHES_MAX", many_from)
    process = factories.process(session)
    placed = _many(session, process, PAGE_SIZE * 3 + 5)
    factories.proposal(session, process, title="Ohne Ort")
    factories.proposal(session, process, title="Verborgen", lon=7.3, lat=51.98, state=ContributionState.SUBMITTED)
    elsewhere = factories.process(session, process.municipality)
    factories.proposal(session, elsewhere, lon=7.3, lat=51.98)
    expected = [key for key, lon, lat in sorted(placed, key=lambda one: (round(distance_metres(HERE, one[1:])), one[0]))]
    assert _walk(session, Listing(process_id=process.id, sort=Sort.NEAR, near=HERE)) == expected


def test_a_reader_sees_distances_and_keeps_the_filters(session: Session, browser: Browser) -> None:
    process = factories.process(session)
    theme = process.themes[0]
    factories.proposal(session, process, title="Weit weg", lon=7.3, lat=52.0, theme_id=theme.id)
    factories.proposal(session, process, title="Um die Ecke", lon=7.3, lat=51.984, theme_id=theme.id)
    factories.proposal(session, process, title="Anderes Thema", lon=7.3, lat=51.98, theme_id=process.themes[1].id)
    answered = factories.proposal(session, process, title="Beantwortet", lon=7.3, lat=51.9801, theme_id=process.themes[1].id,
                                  answer_status=AnswerStatus.DONE)
    session.commit()
    tree = browser.open(_address(process, thema=theme.slug))
    cards = [" ".join(card.text_content().split()) for card in tree.find_class("bp-contribution")]
    assert [re.search(r"Um die Ecke|Weit weg|Anderes", card)[0] for card in cards] == ["Um die Ecke", "Weit weg"]
    assert "440 m" in cards[0]
    assert "2,2 km" in cards[1]
    chip = tree.xpath("//a[contains(., 'Wohnen')]/@href")[0]
    assert "lat=51.98" in chip
    assert "lon=7.3" in chip
    found = browser.open(_address(process, antwort="umgesetzt"))
    assert found.xpath("//article//h3/a/text()") == [answered.title]
    assert "unter 50 m" in found.text_content()
    assert "Vorschläge ohne Punkt auf der Karte fehlen hier" in found.text_content()


def test_a_search_can_be_sorted_by_distance(session: Session, browser: Browser) -> None:
    process = factories.process(session)
    factories.proposal(session, process, title="Bank am See", lon=7.3, lat=52.0)
    factories.proposal(session, process, title="Bank am Markt", lon=7.3, lat=51.981)
    factories.proposal(session, process, title="Ampel", lon=7.3, lat=51.98)
    session.commit()
    assert browser.open(_address(process, q="Bank")).xpath("//article//h3/a/text()") == ["Bank am Markt", "Bank am See"]


def test_a_district_is_enough_and_without_any_place_the_newest_stand_first(session: Session, browser: Browser) -> None:
    process = factories.process(session)
    west = District(municipality_id=process.municipality_id, name="Westen", boundary=WEST)
    session.add(west)
    factories.proposal(session, process, title="Im Westen", lon=7.23, lat=51.961)
    factories.proposal(session, process, title="Im Osten", lon=7.39, lat=51.961)
    session.commit()
    tree = browser.open(f"/verfahren/{process.slug}/vorschlaege?sort=entfernung")
    assert "Wo sind Sie?" in tree.text_content()
    assert len(tree.find_class("bp-contribution")) == 2
    assert tree.xpath("//select[@name='ortsteil']/option/text()") == ["Bitte wählen", "Westen"]
    tree = browser.open(f"/verfahren/{process.slug}/vorschlaege?sort=entfernung&ortsteil={west.id}")
    assert tree.xpath("//article//h3/a/text()") == ["Im Westen", "Im Osten"]
    assert "Gemessen ab: Westen" in tree.text_content()
    for wrong in ("0", "99999999999", "x", "-1", str(west.id + 1)):
        assert browser.get(f"/verfahren/{process.slug}/vorschlaege?sort=entfernung&ortsteil={wrong}").status_code == 200


@pytest.mark.parametrize(("lat", "lon", "message"), [
    ("NaN", "7,3", "Breite"), ("7,3", "51,98", "vertauscht"), ("48,1", "11,5", "liegt nicht in"),
    ("51,98", "", "Zu einem Ort gehören"), ("1e400", "7", ""), ("<b>", "7", ""), ("91", "7,3", "zwischen"),
])
def test_a_place_that_cannot_be_is_named_and_the_list_stays(
    session: Session, browser: Browser, lat: str, lon: str, message: str,
) -> None:
    process = factories.process(session)
    factories.proposal(session, process, title="Bank", lon=7.3, lat=51.98)
    session.commit()
    answer = browser.get(_address(process, lat=lat, lon=lon))
    assert answer.status_code == 400
    text_ = answer.get_data(as_text=True)
    assert 'id="ort-fehler"' in text_
    assert message in text_
    assert "Bank" in text_
    assert "<b>" not in text_


def test_the_place_in_the_address_is_coarse_and_stays_out_of_cache_and_cookie(
    session: Session, browser: Browser,
) -> None:
    process = factories.process(session)
    for number in range(PAGE_SIZE + 1):
        factories.proposal(session, process, lon=7.3, lat=51.98 + number / 10_000)
    session.commit()
    address = _address(process, lat="51.98034567", lon="7.30049876")
    page = browser.get(address, follow_redirects=True).get_data(as_text=True)
    assert "51.98034567" not in page
    assert "lat=51.98" in page
    assert browser.client.get_cookie("session") is None
    assert browser.get(_address(process, lat="51,98", lon="7,3")).headers["Location"] == _address(process)
    factories.proposal(session, process, title="Gerade erst", lon=7.3, lat=51.98)
    session.commit()
    assert "Gerade erst" in browser.get(address, follow_redirects=True).get_data(as_text=True), "not from the page cache"


def test_the_cost_does_not_grow_with_the_list(
    session: Session, browser: Browser, count_queries: Counter,
) -> None:
    process = factories.process(session)
    _many(session, process, 5)
    session.commit()
    with count_queries() as few:
        browser.get(_address(process))
    _many(session, process, 60)
    session.commit()
    with count_queries() as more:
        browser.get(_address(process))
    assert len(more) == len(few)


def test_of_many_only_those_nearby_are_looked_at(
    session: Session, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The plan of the query that reads a ring: by the index of the points, on both databases."""
    process = factories.process(session)
    author = factories.participant(session, process)
    count = 3000
    monkeypatch.setattr(queries, "MATCHES_MAX", 100)
    first = 5_000_000
    session.execute(insert(Contribution.__table__), [
        {"id": first + number, "kind": "proposal", "process_id": process.id, "participant_id": author.id,
         "state": ContributionState.PUBLISHED, "body": "x", "published_at": clock.now(), "created_at": clock.now()}
        for number in range(count)
    ])
    session.execute(insert(Proposal.__table__), [
        {"id": first + number, "title": "x", "lon": 7.2 + number % 60 / 300, "lat": 51.92 + number // 60 / 420}
        for number in range(count)
    ])
    session.execute(text("ANALYZE"))
    seen: list[tuple[str, Any]] = []
    execute = session.execute

    def listen(statement: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(statement)
        return execute(statement, *args, **kwargs)

    monkeypatch.setattr(session, "execute", listen)
    page = list_page(session, Listing(process_id=process.id, sort=Sort.NEAR, near=HERE))
    assert len(page.cards) == PAGE_SIZE
    rings = [one for one in seen if "square" not in str(one) and " BETWEEN " in str(one)]
    assert rings
    compiled = rings[0].compile(session.get_bind(), compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN QUERY PLAN " if is_sqlite(session) else "EXPLAIN "
    plan = " ".join(str(row) for row in execute(text((explain + str(compiled)).replace(":", r"\:"))).all())
    assert "ix_proposal_point" in plan
