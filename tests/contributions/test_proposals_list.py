"""The list of proposals: search, themes, orders, pages that stay stable, and addresses that make no sense."""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from lxml.etree import fromstring
from lxml.html import fromstring as html_of

from participation import clock, formats
from participation.contributions import operations as contributions
from participation.contributions.models import (
    SHUFFLE_RANGE,
    AnswerStatus,
    ContributionPicture,
    ContributionState,
    new_shuffle_key,
)
from participation.contributions.proposals.jobs import shuffle_lists
from participation.contributions.proposals.queries import (
    MATCHES_MAX,
    PAGE_SIZE,
    Listing,
    Sort,
    list_page,
    read_cursor,
    write_cursor,
)
from participation.processes.models import ProcessState
from participation.uploads import Upload
from tests import factories

if TYPE_CHECKING:
    from flask import Flask
    from lxml import html
    from sqlalchemy.orm import Session

    from tests.browser_client import Browser

Counter = Callable[[], AbstractContextManager[list[str]]]


def titles(page: html.HtmlElement) -> list[str]:
    return [" ".join(title.text_content().split()) for title in page.find_class("bp-contribution__title")]


def next_page(page: html.HtmlElement) -> str | None:
    links = page.xpath("//a[@rel='next']/@href")
    return links[0] if links else None


def test_newest_stand_first_and_only_published_ones_are_shown(session: Session, browser: Browser) -> None:
    process = factories.process(session)
    now = clock.now()
    for days, title in ((3, "Älterer Vorschlag"), (1, "Neuer Vorschlag"), (2, "Mittlerer Vorschlag")):
        factories.proposal(session, process, title=title, at=now - timedelta(days=days))
    for state in (ContributionState.SUBMITTED, ContributionState.WITHDRAWN, ContributionState.RETURNED):
        factories.proposal(session, process, title=f"Unsichtbar {state.value}", state=state)
    factories.proposal(session, process, title="Versteckt", state=ContributionState.HIDDEN, state_reason="Werbung")
    factories.proposal(session, factories.process(session, process.municipality), title="Aus einem anderen Verfahren")
    session.commit()
    page = browser.open(f"/verfahren/{process.slug}/vorschlaege")
    assert titles(page) == ["Neuer Vorschlag", "Mittlerer Vorschlag", "Älterer Vorschlag"]
    assert page.find_class("bp-result-count")[0].text_content().startswith("3 Vorschläge")


def test_orders_by_support_and_by_comments(session: Session, browser: Browser) -> None:
    process = factories.process(session)
    factories.proposal(session, process, title="Viel gelobt", support_count=9, comment_count=1)
    factories.proposal(session, process, title="Viel besprochen", support_count=2, comment_count=8)
    session.commit()
    assert titles(browser.open(f"/verfahren/{process.slug}/vorschlaege?sort=unterstuetzt"))[0] == "Viel gelobt"
    assert titles(browser.open(f"/verfahren/{process.slug}/vorschlaege?sort=diskutiert"))[0] == "Viel besprochen"


def test_a_theme_narrows_the_list_and_stays_in_every_link(session: Session, browser: Browser) -> None:
    process = factories.process(session)
    for number in range(PAGE_SIZE + 2):
        factories.proposal(session, process, title=f"Rad {number}", theme_id=process.themes[0].id)
    factories.proposal(session, process, title="Neue Wohnungen", theme_id=process.themes[1].id)
    session.commit()
    page = browser.open(f"/verfahren/{process.slug}/vorschlaege?thema=verkehr&sort=diskutiert")
    assert len(titles(page)) == PAGE_SIZE
    assert "Neue Wohnungen" not in titles(page)
    assert page.find_class("bp-result-count")[0].text_content().startswith(f"{PAGE_SIZE + 2} Vorschläge")
    second = next_page(page)
    assert second is not None
    assert "thema=verkehr" in second
    assert "sort=diskutiert" in second
    assert len(titles(browser.open(second))) == 2


@pytest.mark.parametrize("sort", [sort.value for sort in Sort if sort is not Sort.FAIR])
def test_pages_show_everything_once_also_when_something_new_comes_in_between(
    session: Session, browser: Browser, sort: str
) -> None:
    process = factories.process(session)
    now = clock.now()
    wanted = {f"Vorschlag Nummer {number:02}" for number in range(2 * PAGE_SIZE + 5)}
    # Many share date and counts, so that the order depends on the second column as well.
    for number, title in enumerate(sorted(wanted)):
        factories.proposal(session, process, title=title, at=now - timedelta(hours=number // 7),
                           support_count=number % 3, comment_count=number % 4)
    session.commit()
    seen: list[str] = []
    address: str | None = f"/verfahren/{process.slug}/vorschlaege?sort={sort}"
    while address:
        page = browser.open(address)
        seen += titles(page)
        address = next_page(page)
        factories.proposal(session, process, title="Kommt dazwischen", support_count=99, comment_count=99,
                           at=clock.now() + timedelta(minutes=1))
        session.commit()
    assert sorted(seen) == sorted(wanted)


def test_search_knows_stems_umlauts_and_beginnings(session: Session, browser: Browser) -> None:
    process = factories.process(session)
    factories.proposal(session, process, title="Mehr Bäume für den Schulhof", body="Schatten fehlt.")
    factories.proposal(session, process, title="Die Straße an der Mühle sanieren", body="Viele Schlaglöcher.")
    factories.proposal(session, factories.process(session, process.municipality), title="Bäume anderswo")
    session.commit()
    base = f"/verfahren/{process.slug}/vorschlaege?q="
    assert titles(browser.open(base + "Baum")) == ["Mehr Bäume für den Schulhof"]
    assert titles(browser.open(base + "strasse")) == ["Die Straße an der Mühle sanieren"]
    assert titles(browser.open(base + "Schulh")) == ["Mehr Bäume für den Schulhof"]
    empty = browser.open(base + "Hallenbad")
    assert titles(empty) == []
    assert "Dazu gibt es noch keinen Vorschlag" in empty.text_content()


def test_search_pages_keep_the_query_and_say_how_many(session: Session, browser: Browser) -> None:
    process = factories.process(session)
    for number in range(PAGE_SIZE + 3):
        factories.proposal(session, process, title=f"Radweg {number}", support_count=number)
    session.commit()
    page = browser.open(f"/verfahren/{process.slug}/vorschlaege?q=Radweg&sort=unterstuetzt")
    assert page.find_class("bp-result-count")[0].text_content().startswith(f"{PAGE_SIZE + 3} Vorschläge zu „Radweg“")
    assert titles(page)[0] == f"Radweg {PAGE_SIZE + 2}"
    rest = titles(browser.open(next_page(page) or ""))
    assert rest == ["Radweg 2", "Radweg 1", "Radweg 0"]


def test_a_frequent_word_is_counted_up_to_a_limit_only(
    session: Session, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("participation.contributions.proposals.queries.MATCHES_MAX", 3)
    monkeypatch.setattr("participation.contributions.proposals.views.lists.MATCHES_MAX", 3)
    process = factories.process(session)
    for _ in range(5):
        factories.proposal(session, process, title="Bänke im Park")
    session.commit()
    text = browser.text(f"/verfahren/{process.slug}/vorschlaege?q=Park")
    assert "Mehr als 3 Vorschläge gefunden" in text
    assert MATCHES_MAX == 1000


@pytest.mark.parametrize("query", [
    "nach=garbage", "nach=%00%ff", "nach=bjk5OTk5OTk5OTk5OTk5OTk5LjE", "nach=dS0xLjE", "nach=" + "A" * 250,
    "sort=title;DROP TABLE process", "sort=-1", "thema=<script>", "thema=1e9", "q=%00", "q=%ED%A0%80",
    "q=" + "x" * 2000, "q=%22%20OR%20NEAR(", "q=*", "q='--", "q=___", "q=%F0%9F%9A%B2", "q=AND OR NOT",
    "kommentare_nach=-1", "per_page=1000000000", "nach=&sort=&thema=&q=",
])
def test_addresses_that_make_no_sense_show_the_list(session: Session, browser: Browser, query: str) -> None:
    process = factories.process(session)
    factories.proposal(session, process, title="Ein Vorschlag")
    session.commit()
    assert browser.get(f"/verfahren/{process.slug}/vorschlaege?{query}").status_code == 200
    assert browser.get(f"/verfahren/{process.slug}/karte?{query}").status_code == 200


def test_a_cursor_of_another_order_is_the_first_page() -> None:
    raw = write_cursor(Sort.SUPPORTED, 12, 7)
    assert read_cursor(Sort.SUPPORTED, raw) is not None
    assert read_cursor(Sort.NEWEST, raw) is None
    assert read_cursor(Sort.DISCUSSED, raw) is None


def test_the_list_needs_a_fixed_number_of_queries(session: Session, browser: Browser, count_queries: Counter) -> None:
    process = factories.process(session)
    for number in range(PAGE_SIZE + 1):
        proposal = factories.proposal(session, process)
        upload = Upload(municipality_id=process.municipality_id, name=f"{number:032x}", media_type="image/webp",
                        sha256="0" * 64, byte_size=1, width=4, height=3)
        session.add(upload)
        session.flush()
        session.add(ContributionPicture(contribution_id=proposal.id, upload_id=upload.id, alt=f"Bild {number}"))
    session.commit()
    # A search also looks up which words end with the one that was typed.
    for query, more in (("", 0), ("?sort=unterstuetzt&thema=verkehr", 0), ("?q=Text", 1)):
        with count_queries() as statements:
            page = browser.open(f"/verfahren/{process.slug}/vorschlaege{query}")
        assert len(page.find_class("bp-contribution__thumb")) == PAGE_SIZE
        # municipality, process with phases, themes; ids, cards, pictures
        assert len(statements) == 6 + more, "\n".join(statements)


def test_a_draft_process_shows_its_list_to_nobody_outside(session: Session, browser: Browser) -> None:
    process = factories.process(session, state=ProcessState.DRAFT)
    factories.proposal(session, process)
    session.commit()
    for path in ("vorschlaege", "karte", "karte.geojson", "karte.js"):
        assert browser.get(f"/verfahren/{process.slug}/{path}").status_code == 404


ATOM = "{http://www.w3.org/2005/Atom}"


def test_the_feed_holds_what_the_list_holds_and_forgets_what_is_hidden(session: Session, browser: Browser) -> None:
    process = factories.process(session)
    kept = factories.proposal(session, process, title="Bänke & <b>Brunnen</b>", body="Für heiße Tage")
    other = factories.proposal(session, process, title="Radweg nach Darfeld")
    session.commit()
    list_page = browser.open(f"/verfahren/{process.slug}/vorschlaege?q=Brunnen")
    address = list_page.xpath("//link[@type='application/atom+xml']/@href")[0]
    response = browser.get(address)
    assert response.mimetype == "application/atom+xml"
    feed = fromstring(response.get_data())
    assert [entry.findtext(f"{ATOM}title") for entry in feed.iter(f"{ATOM}entry")] == ["Bänke & <b>Brunnen</b>"]
    entry = next(feed.iter(f"{ATOM}entry"))
    assert entry.find(f"{ATOM}link").get("href") == f"http://localhost/verfahren/{process.slug}/vorschlaege/{kept.id}"
    assert entry.findtext(f"{ATOM}id").startswith("http://localhost/")
    assert datetime.fromisoformat(entry.findtext(f"{ATOM}updated")).tzinfo is not None
    everything = f"/verfahren/{process.slug}/vorschlaege.atom"
    assert "Radweg nach Darfeld" in browser.get(everything).get_data(as_text=True)
    contributions.hide(session, other, "Regel verletzt", clock.now())
    session.commit()
    assert "Radweg nach Darfeld" not in browser.get(everything).get_data(as_text=True)


def test_the_feed_says_when_a_proposal_was_answered_or_changed(
    session: Session, browser: Browser, count_queries: Counter,
) -> None:
    process = factories.process(session)
    then = clock.now() - timedelta(days=9)
    answered, edited = then + timedelta(days=3), then + timedelta(days=2)
    factories.proposal(session, process, title="Beantwortet", at=then, edited_at=edited, answered_at=answered,
                       answer_status=AnswerStatus.ACCEPTED, answer_body="Ja.", answered_by="Planung")
    factories.proposal(session, process, title="Geändert", at=then, edited_at=edited)
    factories.proposal(session, process, title="Wie er war", at=then)
    session.commit()
    feed = fromstring(browser.get(f"/verfahren/{process.slug}/vorschlaege.atom").get_data())
    updated = {entry.findtext(f"{ATOM}title"): datetime.fromisoformat(entry.findtext(f"{ATOM}updated"))
               for entry in feed.iter(f"{ATOM}entry")}
    assert updated == {"Beantwortet": answered, "Geändert": edited, "Wie er war": then}
    assert {entry.findtext(f"{ATOM}published") for entry in feed.iter(f"{ATOM}entry")} == {then.isoformat()}
    assert datetime.fromisoformat(feed.findtext(f"{ATOM}updated")) == answered
    counted = []
    for _round in range(2):
        with count_queries() as statements:
            browser.get(f"/verfahren/{process.slug}/vorschlaege.atom")
        counted.append(len(statements))
        for _number in range(5):
            factories.proposal(session, process, at=then)
        session.commit()
    assert counted[0] == counted[1], "however many there are"


def _shuffled(browser: Browser, address: str, agent: str) -> list[str]:
    """The titles of all pages of a shuffled list, as one visitor sees them."""
    headers = {"User-Agent": agent}
    first = browser.get(address, headers=headers)
    assert first.status_code == 302
    titles: list[str] = []
    following: str | None = first.headers["Location"]
    while following:
        page = html_of(browser.get(following, headers=headers).get_data(as_text=True))
        titles += [link.text_content().strip() for link in page.xpath("//*[contains(@class, 'bp-contribution__title')]/a")]
        following = next(iter(page.xpath("//a[@rel='next']/@href")), None)
    return titles


def test_a_shuffled_list_is_another_for_everybody_and_the_same_for_one(session: Session, browser: Browser) -> None:
    process = factories.process(session)
    for number in range(PAGE_SIZE * 2 + 5):
        factories.proposal(session, process, title=f"Vorschlag Nummer {number}", shuffle_key=new_shuffle_key())
    session.commit()
    wanted = {f"Vorschlag Nummer {number}" for number in range(PAGE_SIZE * 2 + 5)}
    for query in ("", "&thema=verkehr", "&q=Nummer"):
        address = f"/verfahren/{process.slug}/vorschlaege?sort=zufall{query}"
        orders = [_shuffled(browser, address, f"Browser {number}") for number in range(8)]
        for order in orders:
            assert len(order) == len(set(order))
            assert set(order) == wanted or query == "&thema=verkehr"
        assert _shuffled(browser, address, "Browser 0") == orders[0]
        assert len({tuple(order) for order in orders}) > 1


def test_after_a_night_every_proposal_stands_first_equally_often(
    app: Flask, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = factories.process(session)
    # One of them behind a long gap: it would be first for nearly everybody.
    ids = [factories.proposal(session, process, shuffle_key=number).id for number in range(12)]
    waiting = factories.proposal(session, process, state=ContributionState.SUBMITTED, shuffle_key=77)
    session.commit()

    def first_ones() -> Counted[int]:
        step = SHUFFLE_RANGE // 120
        return Counted(list_page(session, Listing(process_id=process.id, sort=Sort.FAIR, start=number * step)).cards[0].id
                       for number in range(120))

    assert max(first_ones().values()) > 100
    at_night = clock.from_berlin(datetime(2027, 5, 3, 3, 20))  # noqa: DTZ001 - in Berlin
    monkeypatch.setattr(clock, "now", lambda: at_night)
    for _twice in range(2):
        with app.app_context():
            shuffle_lists()
        session.expire_all()
        assert {key: abs(number - 10) <= 1 for key, number in first_ones().items()} == dict.fromkeys(ids, True)
    assert waiting.shuffle_key == 77
    before = first_ones()
    monkeypatch.setattr(clock, "now", lambda: at_night + timedelta(hours=5))
    with app.app_context():
        shuffle_lists()
    session.expire_all()
    assert first_ones() == before, "during the day nothing moves"


def test_editors_can_make_the_shuffled_list_the_first_one(session: Session, browser: Browser) -> None:
    settings = formats.CollectSettings(fair_order=True)
    process = factories.process(session, phases=[factories.phase("collect", settings=settings)])
    factories.proposal(session, process)
    session.commit()
    base = f"/verfahren/{process.slug}/vorschlaege"
    assert "ab=" in browser.get(base).headers["Location"]
    assert browser.open(base).xpath("//option[@selected]/@value") == ["zufall"]
    newest = browser.open(f"{base}?sort=neu")
    assert newest.xpath("//option[@selected]/@value") == ["neu"]
    assert "sort=neu" in newest.xpath("//nav[@class='bp-chips']//a/@href")[0]
