"""The administration answers: for everybody to read, and by mail to whoever asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lxml import html

from participation import clock
from participation.contributions import operations as contributions
from participation.contributions.models import AnswerStatus
from participation.permissions import Role
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.contributions.proposals.models import Proposal
    from tests.browser_client import Browser


@pytest.fixture
def proposal(session: Session, keyring: object) -> Proposal:
    """A published proposal whose author has an account."""
    process = factories.process(session)
    author = factories.account(session, display_name="Die Fragende", email="fragende@beispiel.example")
    participant = factories.participant(
        session, process, pseudonym="Die Fragende", contact_sealed=keyring.seal(f"account:{author.id}"))  # type: ignore[attr-defined]
    found = factories.proposal(session, process, title="Bänke am Fluss", participant=participant)
    session.commit()
    return found


@pytest.fixture
def editor(session: Session, proposal: Proposal, new_browser: Callable[[], Browser]) -> Browser:
    """Somebody who may answer."""
    account = factories.account(session, Role.EDITOR, on=proposal.process, display_name="Redaktion, Stadt")
    session.commit()
    return new_browser().sign_in(account)


def _page(proposal: Proposal) -> str:
    return f"/verfahren/{proposal.process.slug}/vorschlaege/{proposal.id}"


def test_an_answer_stands_on_page_and_list_and_reaches_the_author(
    session: Session, proposal: Proposal, editor: Browser, browser: Browser,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    link = editor.open(_page(proposal)).xpath("//a[contains(@href, '/antwort')]/@href")[0]
    assert not browser.open(_page(proposal)).xpath("//a[contains(@href, '/antwort')]")
    editor.submit(link, {"status": "accepted", "body": "Drei Bänke kommen **im Mai**.", "cost": "12.000 €"}, form=-1)
    text = browser.text(_page(proposal))
    for wanted in ("Antwort der Verwaltung", "Wird umgesetzt", "Drei Bänke kommen im Mai.", "12.000 Euro",
                   "Redaktion, Stadt"):
        assert wanted in text, wanted
    assert "Wird umgesetzt" in browser.text(f"/verfahren/{proposal.process.slug}/vorschlaege")
    run_jobs()
    assert "fragende@beispiel.example" in mails()[-1]
    assert "Drei Bänke kommen im Mai." in mails()[-1]
    assert "Kosten: etwa 12.000 Euro" in mails()[-1]
    before = len(mails())
    assert "zuerst beantwortet" not in browser.text(_page(proposal))
    editor.submit(link, {"cost": "13000"}, form=-1)
    run_jobs()
    assert len(mails()) == before + 1
    for wanted in ("Geänderte Antwort auf Ihren Vorschlag", "hat ihre Antwort auf Ihren Vorschlag", "13.000 Euro"):
        assert wanted in mails()[-1], wanted
    assert "zuerst beantwortet am" in browser.text(_page(proposal))
    session.expire_all()
    answered_at = proposal.answered_at
    again = editor.submit(link, form=-1).get_data(as_text=True)
    assert "Sie haben nichts geändert, deshalb schreiben wir niemandem" in again
    run_jobs()
    session.expire_all()
    assert len(mails()) == before + 1, "sent again without a difference, it tells nobody"
    assert proposal.answered_at == answered_at
    editor.submit(link, {"status": "done", "body": "Sie stehen."}, form=-1)
    run_jobs()
    assert len(mails()) == before + 2
    editor.submit(link, {"cost": ""}, form=-1)
    run_jobs()
    assert "Kosten nennt die Verwaltung nicht mehr" in mails()[-1]
    session.expire_all()
    assert (proposal.answer_status, proposal.answer_cost) == (AnswerStatus.DONE, None)


def test_of_two_who_answer_the_second_reads_what_the_first_wrote_and_may_insist(
    session: Session, proposal: Proposal, editor: Browser, new_browser: Callable[[], Browser],
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    planner = new_browser().sign_in(factories.account(session, Role.EDITOR, on=proposal.process,
                                                      display_name="Planung, Stadt"))
    session.commit()
    page = f"{_page(proposal)}/antwort"

    def opened(browser: Browser) -> str:
        return str(browser.open(page).xpath("//input[@name='seen']/@value")[0])

    theirs, mine = opened(planner), opened(editor)
    planner.post(page, {"status": "accepted", "body": "Drei Bänke kommen.", "cost": "", "seen": theirs})
    late = editor.post(page, {"status": "declined", "body": "Dafür fehlt das Geld.", "cost": "", "seen": mine})
    assert late.status_code == 409
    tree = html.fromstring(late.get_data(as_text=True))
    text = " ".join(tree.text_content().split())
    for wanted in ("Inzwischen hat Planung, Stadt geantwortet: Wird umgesetzt.", "Drei Bänke kommen.", "Dafür fehlt das Geld."):
        assert wanted in text, wanted
    run_jobs()
    assert [mail for mail in mails() if "Dafür fehlt das Geld." in mail] == []
    again = tree.xpath("//input[@name='seen']/@value")[0]
    assert editor.post(page, {"status": "declined", "body": "Dafür fehlt das Geld.", "cost": "", "seen": again}).status_code == 303
    session.expire_all()
    assert (proposal.answer_status, proposal.answered_by) == (AnswerStatus.DECLINED, "Redaktion, Stadt")


@pytest.mark.parametrize(("changes", "message"), [
    ({"status": ""}, "Bitte wählen Sie, was aus dem Vorschlag wird"),
    ({"status": "vielleicht"}, "Bitte wählen Sie, was aus dem Vorschlag wird"),
    ({"body": " \u200b"}, "Bitte schreiben Sie eine Antwort"),
    ({"body": "x" * 6001}, "Die Antwort ist zu lang"),
    ({"cost": "viel"}, "als ganze Zahl in Euro"),
    ({"cost": "-5"}, "als ganze Zahl in Euro"),
    ({"cost": "9" * 30}, "als ganze Zahl in Euro"),
    ({"cost": "\x00"}, "als ganze Zahl in Euro"),
    *(({"cost": wrong}, "ganze Euro an, ohne Cent") for wrong in
      ("12.50", "12,50", "1.5", "1.2.3", "1.0000", "1.000 000", "0.500", "12,000", "1.000.00", "1'00")),
])
def test_an_answer_with_a_gap_is_not_published_and_keeps_its_text(
    session: Session, proposal: Proposal, editor: Browser, changes: dict[str, str], message: str
) -> None:
    values = {"status": "partly", "body": "Zwei Bänke gehen.", "cost": "", **changes}
    response = editor.post(f"{_page(proposal)}/antwort", values)
    assert response.status_code == 422
    assert message in response.get_data(as_text=True)
    if "body" not in changes:
        assert "Zwei Bänke gehen." in response.get_data(as_text=True)
    session.expire_all()
    assert proposal.answer_status is None


@pytest.mark.parametrize(("typed", "amount"), [
    ("12.000", 12_000), ("12 000 €", 12_000), ("1\u202f234\u202f567", 1_234_567), ("1'250", 1250), ("EUR 900", 900),
    ("1.250,00 Euro", 1250), ("80,-", 80), ("0", 0), (" ", None),
])
def test_costs_are_read_as_people_write_them(
    session: Session, proposal: Proposal, editor: Browser, typed: str, amount: int | None
) -> None:
    sent = editor.post(f"{_page(proposal)}/antwort", {"status": "partly", "body": "Zwei Bänke gehen.", "cost": typed})
    assert sent.status_code == 303
    session.expire_all()
    assert (proposal.answer_status, proposal.answer_cost) == (AnswerStatus.PARTLY, amount)


def test_everything_that_is_wrong_with_an_answer_is_said_at_once_and_a_preview_publishes_nothing(
    session: Session, proposal: Proposal, editor: Browser
) -> None:
    page = f"{_page(proposal)}/antwort"
    wrong = editor.post(page, {"status": "", "body": "", "cost": "-5 Äpfel"}).get_data(as_text=True)
    assert [f'id="{name}-fehler"' in wrong for name in ("status", "body", "cost")] == [True] * 3
    shown = editor.submit(page, {"status": "partly", "body": "Zwei **Bänke**.", "cost": "12", "preview": "1"}, form=-1)
    assert shown.status_code == 200
    assert "<strong>Bänke</strong>" in shown.get_data(as_text=True)
    assert "Zwei **Bänke**." in shown.get_data(as_text=True)
    session.expire_all()
    assert proposal.answer_status is None


def test_only_who_may_answers_and_only_what_is_public(
    session: Session, proposal: Proposal, editor: Browser, new_browser: Callable[[], Browser]
) -> None:
    resident = new_browser().sign_in(factories.account(session))
    stranger = new_browser().sign_in(factories.account(session, Role.EDITOR, on=factories.process(session)))
    session.commit()
    values = {"status": "done", "body": "Schon da."}
    for browser in (resident, stranger):
        assert browser.post(f"{_page(proposal)}/antwort", values).status_code == 403
    contributions.hide(session, proposal, "Regel", clock.now())
    session.commit()
    assert editor.post(f"{_page(proposal)}/antwort", values).status_code in {404, 409}
    session.expire_all()
    assert proposal.answer_status is None


def test_the_list_shows_answered_proposals_alone_in_every_order_and_with_search(
    session: Session, browser: Browser
) -> None:
    process = factories.process(session)
    for number in range(25):
        status = None if number == 7 else AnswerStatus.DONE if number % 2 else AnswerStatus.DECLINED
        factories.proposal(session, process, title=f"Laterne {number}", answer_status=status)
    session.commit()
    base = f"/verfahren/{process.slug}/vorschlaege?antwort="
    assert "24 Vorschläge" in browser.text(f"{base}ja")
    for extra in ("", "&sort=unterstuetzt", "&sort=diskutiert", "&sort=zufall", "&q=Laterne", "&thema=verkehr"):
        page = browser.open(f"{base}umgesetzt{extra}")
        assert len(page.find_class("bp-contribution")) == 11, extra
        assert page.xpath("//select[@name='antwort']/option[@selected]/@value") == ["umgesetzt"]
    second = browser.open(f"{base}ja").xpath("//a[@rel='next']/@href")[0]
    assert len(browser.open(second).find_class("bp-contribution")) == 4
    assert "noch keine Antwort" in browser.text(f"{base}angenommen")
    assert len(browser.open(f"{base}unsinn").find_class("bp-contribution")) == 20
