"""What others proposed already, while somebody writes and in the preview."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pytest
from lxml import html
from sqlalchemy import func, select

from participation import search
from participation.contributions import operations as contributions
from participation.contributions.models import ContributionState
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.queries import similar_cards
from participation.uploads import Upload
from tests import factories
from tests.contributions.test_submissions import picture, refused

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.processes.models import Process
    from tests.browser_client import Browser


@pytest.fixture
def process(session: Session) -> Process:
    found = factories.process(session)
    for title, body in (
        ("Straßenlaternen am Radweg zur Schule", "Im Winter ist es dort stockdunkel."),
        ("Mehr Bänke auf dem Friedhof", "Für ältere Menschen."),
        ("Öffnungszeiten der Bücherei", "Auch samstags, bitte. Der Weg lohnt sich sonst nicht."),
        ("Trinkbrunnen am Marktplatz", "Im Sommer hilfreich."),
    ):
        factories.proposal(session, found, title=title, body=body)
    session.commit()
    return found


def titles(session: Session, process: Process, title: str, body: str = "") -> list[str]:
    return [card.title for card in similar_cards(session, process.id, title, body)]


@pytest.mark.parametrize(("title", "body", "first"), [
    ("Strassenlaterne für den Schulweg", "Der Radweg ist im Winter dunkel", "Straßenlaternen am Radweg zur Schule"),
    ("Eine Bank", "Ich wünsche mir Bänke für den Friedhof", "Mehr Bänke auf dem Friedhof"),
    ("Bücherei am Samstag öffnen", "", "Öffnungszeiten der Bücherei"),
])
def test_others_words_for_the_same_are_found(
    session: Session, process: Process, title: str, body: str, first: str
) -> None:
    assert titles(session, process, title, body)[:1] == [first]


@pytest.mark.parametrize("text", ["", "   ", "und auch noch nicht", "Ein Zirkus kommt", "\"' AND OR NOT * :", "x" * 9000, "💡💡💡"])
def test_nothing_is_shown_where_nothing_is_alike(session: Session, process: Process, text: str) -> None:
    assert titles(session, process, text, text) == []


def test_only_what_is_public_in_this_process_is_found(session: Session, process: Process) -> None:
    other = factories.process(session, process.municipality)
    factories.proposal(session, other, title="Trinkbrunnen am Bahnhof")
    factories.proposal(session, process, title="Trinkbrunnen im Park", state=ContributionState.SUBMITTED)
    shown = session.scalars(select(Proposal).where(Proposal.title.startswith("Trinkbrunnen am Markt"))).one()
    assert titles(session, process, "Ein Trinkbrunnen") == ["Trinkbrunnen am Marktplatz"]
    contributions.hide(session, shown, "Werbung", shown.created_at)
    assert titles(session, process, "Ein Trinkbrunnen") == []


def test_frequent_words_do_not_drown_a_rare_one(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LOOKED_AT", 40)
    monkeypatch.setattr(search, "CANDIDATES", 10)
    process = factories.process(session)
    factories.proposal(session, process, title="Wasserspielplatz neben der Turnhalle")
    author = factories.participant(session, process)
    for number in range(60):
        factories.proposal(session, process, participant=author, title=f"Spielplatz erneuern {number}")
    session.flush()
    found = titles(session, process, "Spielplatz erneuern und Wasserspielplatz")
    assert found[0] == "Wasserspielplatz neben der Turnhalle"
    assert found[1:] == ["Spielplatz erneuern 59", "Spielplatz erneuern 58", "Spielplatz erneuern 57"]


def test_a_piece_of_the_page_answers_without_writing_anything(
    session: Session, process: Process, browser: Browser, count_queries: Callable[[], AbstractContextManager[list[str]]]
) -> None:
    address = f"/verfahren/{process.slug}/vorschlaege/neu/aehnliche"
    with count_queries() as statements:
        answer = browser.post(address, {"title": "Trinkbrunnen <b>", "body": "am Marktplatz"})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    piece = html.fromstring(answer.get_data(as_text=True))
    assert piece.xpath("//@data-similar-found") == ["1 ähnlicher Vorschlag gefunden"]
    assert piece.xpath("//a[contains(@href, '#unterstuetzen')]/@target") == ["_blank"]
    assert len(statements) <= 7, "\n".join(statements)
    assert not [one for one in statements if one.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert browser.post(address, {}).get_data(as_text=True).strip() == ""
    assert browser.post("/verfahren/gibt-es-nicht/vorschlaege/neu/aehnliche", {"title": "Bank"}).status_code == 404


def test_the_preview_shows_the_text_and_others_and_stores_nothing(
    session: Session, process: Process, browser: Browser
) -> None:
    page = f"/verfahren/{process.slug}/vorschlaege/neu"
    before = session.scalar(select(func.count()).select_from(Proposal))
    values: dict[str, Any] = {
        "title": "Ein Trinkbrunnen", "body": "Am <b>Markt</b>.\n\nZweiter Absatz.",
        "theme_id": str(process.themes[0].id), "pseudonym": "Die Durstige",
    }
    answer = browser.submit(page, values | {"step": "preview", "picture": (io.BytesIO(picture()), "a.jpg"),
                                            "picture_alt": "Der Markt"}, form=-1)
    assert answer.status_code == 200
    tree = html.fromstring(answer.get_data(as_text=True))
    (shown,) = tree.xpath("//*[@id='vorschau']")
    for part in ("Ein Trinkbrunnen", "Am <b>Markt</b>.", "Die Durstige", "Verkehr", "Trinkbrunnen am Marktplatz",
                 "Noch ist nichts eingereicht"):
        assert part in shown.text_content(), part
    assert shown.xpath(".//img[@alt='Der Markt']")
    assert session.scalar(select(func.count()).select_from(Proposal)) == before
    assert session.scalar(select(func.count()).select_from(Upload)) == 0
    # From here it is handed in with one press; the picture comes along.
    form = tree.get_element_by_id("vorschlag")
    data = {name: value for name, value in form.form_values() if name != "picture"}
    done = browser.post(page, data | {"step": "send"}, follow_redirects=True)
    assert "Danke!" in done.get_data(as_text=True)
    assert session.scalar(select(func.count()).select_from(Proposal)) == before + 1
    assert session.scalar(select(func.count()).select_from(Upload)) == 1


def test_a_preview_of_what_cannot_be_handed_in_says_so(session: Session, process: Process, browser: Browser) -> None:
    answer = browser.submit(f"/verfahren/{process.slug}/vorschlaege/neu", {"title": "Nur ein Titel", "step": "preview"},
                            form=-1)
    tree = refused(answer)
    assert not tree.xpath("//*[@id='vorschau']")
    assert tree.xpath("//input[@name='title']/@value") == ["Nur ein Titel"]
