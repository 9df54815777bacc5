"""Everybody reads in their language: what they chose, what their browser asks for, and mails too."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from moderation.models import Case
from participation import clock
from participation.catalogue.operations import save_measure
from participation.contributions.models import AnswerStatus, ContributionState
from participation.formats import WorkshopSettings
from participation.language import language_of
from participation.own_fields import FieldKind, OwnField, store_field
from participation.permissions import Role
from participation.processes.models import ProcessDocument, TextVariant
from participation.uploads import Upload
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from tests.browser_client import Browser


@pytest.mark.parametrize(("cookies", "accepted", "wanted"), [
    ("", "", "de"), ("", "en", "en"), ("", "en-GB,en;q=0.9", "en"), ("", "fr,en;q=0.5", "en"), ("", "fr", "de"),
    ("", "nl;q=0.4, de;q=0.8", "de"), ("", "en;q=0, nl;q=0.1", "nl"), ("", "en;q=viel,,;;nl", "en"), ("", "*", "de"),
    ("language=nl", "en", "nl"), ("a=b; language=en; c=d", "de", "en"), ("language=fr", "en", "en"),
    ("mylanguage=nl", "de", "de"), ("language=en2", "de", "de"),
])
def test_what_was_chosen_counts_then_what_the_browser_asks_for(cookies: str, accepted: str, wanted: str) -> None:
    assert language_of(cookies, accepted) == wanted


def test_a_choice_is_kept_in_the_browser_and_leads_back(session: Session, browser: Browser) -> None:
    process = factories.process(session)
    session.commit()
    page = browser.open(f"/verfahren/{process.slug}")
    assert page.get("lang") == "de"
    link = page.xpath("//footer//a[@hreflang='en']/@href")[0]
    answer = browser.get(link)
    assert answer.location == f"/verfahren/{process.slug}"
    english = browser.open(f"/verfahren/{process.slug}")
    assert english.get("lang") == "en"
    assert english.xpath("//footer//a[@aria-current]/@hreflang") == ["en"]
    assert browser.get("/sprache/en?next=//evil.example").location == "/"
    assert browser.get("/sprache/xx").status_code == 404


def test_pages_of_one_language_are_never_served_for_another(
    session: Session, new_browser: Callable[[], Browser],
) -> None:
    process = factories.process(session)
    session.commit()
    for _number in range(2):
        for asked, wanted in (("de", "de"), ("en-US,en;q=0.5", "en"), ("nl", "nl"), ("fr", "de")):
            answer = new_browser().get(f"/verfahren/{process.slug}", headers={"Accept-Language": asked})
            assert f'<html lang="{wanted}">' in answer.get_data(as_text=True)


def test_mails_come_in_the_language_somebody_last_signed_in_with(
    session: Session, new_browser: Callable[[], Browser], run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    factories.municipality(session)
    account = factories.account(session, email="reader@beispiel.example", locale="en")
    session.commit()
    new_browser().submit("/konto/passwort-vergessen", {"email": account.email}, form=-1)
    run_jobs()
    (text,) = mails()
    assert "Guten Tag" not in text
    assert "Hello" in text


@pytest.fixture
def english(new_browser: Callable[[], Browser]) -> Browser:
    """Somebody who reads English."""
    found = new_browser()
    found.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    return found


def _german(browser: Browser, address: str) -> list[str]:
    """What a page marks as German (WCAG 2.2, 3.1.2)."""
    main = browser.open(address).xpath("//main")[0]
    return [" ".join(one.text_content().split()) for one in main.xpath(".//*[@lang='de']")]


def test_lists_and_pages_of_proposals_mark_what_people_wrote(
    session: Session, english: Browser, browser: Browser,
) -> None:
    process = factories.process(session, title="Name")
    proposal = factories.proposal(
        session, process, title="Eine Bank", body="Für alle.", answer_status=AnswerStatus.ACCEPTED,
        answer_body="Sie **kommt**.", answered_at=clock.now(), answered_by="Planung")
    factories.comment(session, proposal, body="Sehr gut!")
    session.commit()
    base = f"/verfahren/{process.slug}/vorschlaege"
    assert {"Eine Bank", "Für alle."} <= set(_german(english, base))
    found = _german(english, f"{base}/{proposal.id}")
    assert {"Eine Bank", "Für alle.", "Sie kommt.", "Sehr gut!"} <= set(found)
    assert "Eine Bank" in _german(english, f"{base}/{proposal.id}/aehnliche")
    for address in (base, f"{base}/{proposal.id}"):
        assert _german(browser, address) == [], "a German page is German"


def test_the_form_marks_questions_and_choices_that_nobody_translated(
    session: Session, english: Browser, browser: Browser,
) -> None:
    one = OwnField(key="k1", kind=FieldKind.CHOICE, label="Für wen?", hint="Ungefähr.", options=("Kinder", "Alte"))
    phase = factories.phase("collect")
    phase.stored_fields = [store_field(one)]
    process = factories.process(session, phases=[phase], theme_label="Bereich")
    session.commit()
    address = f"/verfahren/{process.slug}/vorschlaege/neu"
    assert {"Für wen?", "Ungefähr.", "Kinder", "Alte", "Bereich", "Verkehr"} <= set(_german(english, address))
    assert "Not given" not in _german(english, address)
    assert _german(browser, address) == []
    session.add_all(TextVariant(process_id=process.id, entity="phase", entity_id=phase.id, language="en", text=text,
                                field=f"{one.name}-{name}")
                    for name, text in (("label", "For whom?"), ("hint", "Roughly."), ("options", "Children\nOld")))
    session.commit()
    assert set(_german(english, address)) & {"For whom?", "Roughly.", "Children", "Old"} == set()
    assert "Children" in english.text(address)


def test_measures_documents_and_places_are_marked_and_measures_say_why(
    session: Session, english: Browser, browser: Browser,
) -> None:
    workshop = factories.phase("workshop", settings=WorkshopSettings(place="Rathaus"), body="Kommen Sie.")
    process = factories.process(session, catalogue_is_public=True, phases=[workshop])
    planner = factories.actor(factories.account(session, Role.PLANNER, on=process))
    save_measure(session, planner, process, None, {
        "code": "K1", "title": "Trinkwasser", "goal": "Weniger **Durst**.", "responsible": "Bauamt"}, version_seen=-1, now=clock.now())
    upload = Upload(municipality_id=process.municipality_id, name="0" * 32, media_type="text/plain", shown_name="a.txt",
                    sha256="0" * 64, byte_size=1)
    session.add_all([upload, ProcessDocument(process_id=process.id, upload=upload, title="Der Plan")])
    session.commit()
    base, only = f"/verfahren/{process.slug}", "This text is only available in German."
    assert {"Rathaus", "Der Plan"} <= set(_german(english, base))
    for address, wanted in ((f"{base}/massnahmen", {"Trinkwasser", "Weniger Durst."}),
                            (f"{base}/massnahmen/K1", {"Trinkwasser", "Weniger Durst.", "Bauamt"})):
        assert wanted <= set(_german(english, address))
        assert english.text(address).count(only) == 1
        assert _german(browser, address) == []
        assert "nur auf Deutsch" not in browser.text(address)


def test_dates_in_english_are_those_of_europe_with_24_hours(
    session: Session, english: Browser, new_browser: Callable[[], Browser],
) -> None:
    wall = datetime(2099, 12, 4, 0, 0, tzinfo=clock.BERLIN)
    phase = factories.phase("collect", ends_at=wall + timedelta(hours=18))
    phase.starts_at = wall - timedelta(days=5)
    process = factories.process(session, phases=[phase])
    editor = factories.account(session, Role.EDITOR, on=process)
    session.commit()
    page = english.text(f"/verfahren/{process.slug}")
    assert "29 Nov 2099" in page
    assert "4 Dec 2099, 18:00" in page
    english.sign_in(editor)
    rooms = english.text(f"/verwaltung/verfahren/{process.id}/phasen")
    assert "29 Nov 2099, 00:00" in rooms
    assert "4 Dec 2099, 18:00" in rooms
    english.submit(f"/verwaltung/verfahren/{process.id}/phasen/{phase.id}", {"ends_at": "2099-12-05T18:00"}, form=-1)
    assert "(new: 5) Dec 2099, 18:00" in english.text(f"/verwaltung/verfahren/{process.id}/verlauf")
    case_of = factories.proposal(session, process, state=ContributionState.SUBMITTED)
    session.add(Case(contribution_id=case_of.id, revision_number=1, process_id=process.id, opened_at=wall))
    session.commit()
    english.sign_in(factories.account(session, Role.MODERATOR, on=process))
    assert "4 Dec, 00:00" in english.text("/moderation")
    dutch = new_browser()
    dutch.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "nl"
    assert "29 nov 2099" in dutch.text(f"/verfahren/{process.slug}")


@pytest.mark.parametrize(("language", "said"), [
    ("de", "7.000 Zeichen. Höchstens 6.000 sind möglich."), ("en", "7,000 characters. At most 6,000 are possible."),
    ("nl", "7.000 tekens"),
])
def test_a_text_that_is_too_long_is_counted_with_the_separators_of_the_language(
    session: Session, new_browser: Callable[[], Browser], language: str, said: str,
) -> None:
    process = factories.process(session, phases=[factories.phase("collect")])
    session.commit()
    reader = new_browser()
    reader.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = language
    answer = reader.submit(f"/verfahren/{process.slug}/vorschlaege/neu", {"title": "Bank", "body": "x" * 7000}, form=-1)
    assert said in answer.get_data(as_text=True)


def test_whoever_is_gone_is_called_so_in_the_language_of_the_page(
    session: Session, english: Browser, browser: Browser,
) -> None:
    process = factories.process(session)
    gone = factories.participant(session, process, pseudonym="Gelöschtes Konto")
    proposal = factories.proposal(session, process, participant=gone)
    factories.comment(session, proposal, participant=gone, body="Sehr gut!")
    session.commit()
    base = f"/verfahren/{process.slug}/vorschlaege"
    for address in (base, f"{base}/{proposal.id}"):
        page = english.get(address).get_data(as_text=True)
        assert "Deleted account" in page
        assert "Gelöschtes Konto" not in page
        assert "Gelöschtes Konto" in browser.get(address).get_data(as_text=True)


def test_whoever_reports_hears_the_contribution_in_german(session: Session, english: Browser, browser: Browser) -> None:
    process = factories.process(session)
    proposal = factories.proposal(session, process, title="Eine Bank", body="Für alle.")
    session.commit()
    address = english.open(f"/verfahren/{process.slug}/vorschlaege/{proposal.id}").xpath("//a[contains(@href, '/melden')]/@href")[0]
    assert any("Eine Bank" in one and "Für alle." in one for one in _german(english, address))
    assert _german(browser, address) == []
