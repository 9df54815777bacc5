"""Supporting: exactly once, whatever people and networks do, and only while the phase is open."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from app import Beteiligung
from participation import clock, web
from participation.contributions.models import Contribution, ContributionState, Voter
from participation.contributions.votes.models import Vote
from participation.processes.models import Process
from participation.processes.queries import supports_of
from tests import factories
from tests.browser_client import Browser

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.contributions.proposals.models import Proposal

JSON = {"Accept": "application/json"}
AT_ONCE = 10


@pytest.fixture
def proposal(session: Session) -> Proposal:
    """A proposal in an open phase."""
    found = factories.proposal(session, factories.process(session))
    session.commit()
    return found


@pytest.fixture
def page(proposal: Proposal) -> str:
    """Its address."""
    return f"/verfahren/{proposal.process.slug}/vorschlaege/{proposal.id}"


@pytest.fixture
def resident(session: Session, browser: Browser) -> Browser:
    """Somebody signed in."""
    account = factories.account(session)
    session.commit()
    return browser.sign_in(account)


def support_count(session: Session, proposal: Proposal) -> tuple[int, int]:
    session.expire_all()
    return proposal.support_count, supports_of(session, [proposal.process_id])[proposal.process_id]


def test_supporting_and_taking_it_back_by_the_buttons_of_the_page(
    session: Session, proposal: Proposal, resident: Browser, page: str
) -> None:
    first = resident.submit(page, form="unterstuetzen").get_data(as_text=True)
    assert "Ihre Unterstützung ist gezählt" in first
    assert "Sie unterstützen diesen Vorschlag" in first
    assert support_count(session, proposal) == (1, 1)
    second = resident.submit(page, form="zuruecknehmen").get_data(as_text=True)
    assert "zurückgenommen" in second
    assert support_count(session, proposal) == (0, 0)
    assert session.scalars(select(Vote)).all() == []


def test_a_message_waits_for_the_page_of_its_proposal_while_another_tab_opens_another(
    session: Session, proposal: Proposal, resident: Browser, page: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = factories.proposal(session, proposal.process)
    session.commit()
    elsewhere, said = f"/verfahren/{proposal.process.slug}/vorschlaege/{other.id}", "Ihre Unterstützung ist gezählt"
    for _time in range(2):
        # The second time both come from kept pages.
        assert resident.post(f"{page}/unterstuetzen").status_code == 303
        assert said not in resident.text(elsewhere)
        shown = resident.open(page).xpath("//div[contains(@class, 'bp-messages--here')]")
        assert [said in one.text_content() for one in shown] == [True]
        assert said not in resident.text(page), "said once"
        resident.submit(page, form="zuruecknehmen")
    resident.post(f"{page}/unterstuetzen")
    monkeypatch.setattr(web, "LANDS_WITHIN", 0)
    assert said in resident.text(elsewhere), "nothing is left unsaid where the page never came"


def test_a_second_support_counts_no_more_and_says_so(
    session: Session, proposal: Proposal, resident: Browser, page: str
) -> None:
    assert resident.post(f"{page}/unterstuetzen").status_code == 303
    again = resident.post(f"{page}/unterstuetzen", follow_redirects=True)
    assert "schon abgestimmt" in again.get_data(as_text=True)
    assert support_count(session, proposal) == (1, 1)


def test_the_script_gets_the_new_count(resident: Browser, page: str) -> None:
    first = resident.post(f"{page}/unterstuetzen", headers=JSON)
    assert (first.status_code, first.json["count"], first.json["supported"]) == (201, 1, True)
    again = resident.post(f"{page}/unterstuetzen", headers=JSON)
    assert (again.status_code, again.json["count"], again.json["changed"]) == (200, 1, False)
    assert "schon abgestimmt" in again.json["message"]
    back = resident.post(f"{page}/unterstuetzung-zuruecknehmen", headers=JSON)
    assert (back.status_code, back.json["count"], back.json["supported"]) == (200, 0, False)


def test_the_token_of_the_form_is_needed_in_either_way(
    csrf: None, session: Session, proposal: Proposal, resident: Browser, page: str
) -> None:
    assert resident.post(f"{page}/unterstuetzen").status_code == 400
    token = resident.open(page).xpath("//section[@data-support]//input[@name='csrf_token']/@value")[0]
    response = resident.post(f"{page}/unterstuetzen", headers={**JSON, "X-CSRFToken": token})
    assert response.status_code == 201
    assert support_count(session, proposal) == (1, 1)


def test_a_new_browser_is_no_new_person(
    session: Session, proposal: Proposal, new_browser: Callable[[], Browser], page: str
) -> None:
    account = factories.account(session)
    session.commit()
    for expected in (201, 200, 200):
        assert new_browser().sign_in(account).post(f"{page}/unterstuetzen", headers=JSON).status_code == expected
    assert support_count(session, proposal) == (1, 1)


def test_one_second_decides_at_the_end_of_the_phase(
    session: Session, proposal: Proposal, new_browser: Callable[[], Browser], page: str
) -> None:
    people = [factories.account(session) for _ in range(2)]
    phase = proposal.process.phases[0]
    phase.ends_at = clock.now() + timedelta(hours=1)
    session.commit()
    assert new_browser().sign_in(people[0]).post(f"{page}/unterstuetzen").status_code == 303
    phase.ends_at = clock.now() - timedelta(seconds=1)
    session.commit()
    late = new_browser().sign_in(people[1])
    response = late.post(f"{page}/unterstuetzen")
    assert response.status_code == 409
    assert "Phase beendet" in response.get_data(as_text=True)
    answer = late.post(f"{page}/unterstuetzen", headers=JSON)
    assert answer.status_code == 409
    assert "Phase beendet" in answer.json["message"]
    assert "Ihre Stimme ist nicht gespeichert" in answer.json["message"]
    # Taking back is voting, too.
    early = new_browser().sign_in(people[0])
    assert early.post(f"{page}/unterstuetzung-zuruecknehmen").status_code == 409
    assert support_count(session, proposal) == (1, 1)
    assert "Die Phase ist beendet" in late.text(page)


def test_without_a_confirmed_account_nothing_is_counted(
    session: Session, proposal: Proposal, new_browser: Callable[[], Browser], page: str
) -> None:
    unconfirmed = factories.account(session, email_confirmed_at=None)
    session.commit()
    assert new_browser().post(f"{page}/unterstuetzen").status_code == 401
    stranger = new_browser().post(f"{page}/unterstuetzen", headers=JSON)
    assert stranger.status_code == 401
    assert "/konto/anmelden" in stranger.json["sign_in"]
    assert new_browser().sign_in(unconfirmed).post(f"{page}/unterstuetzen").status_code == 403
    assert support_count(session, proposal) == (0, 0)
    # Whoever signs in on the way comes back by GET, which changes nothing.
    assert new_browser().get(f"{page}/unterstuetzen").headers["Location"].startswith(page)


# ------------------------------------------------------------------------------------------------- really at once


def test_ten_votes_at_once_of_one_person_are_one(committing: Beteiligung) -> None:
    database = committing.extensions["platform"].database
    with database.unit_of_work() as session:
        process = factories.process(session)
        proposal_id = factories.proposal(session, process).id
        account = factories.account(session)
        path = f"/verfahren/{process.slug}/vorschlaege/{proposal_id}/unterstuetzen"
        process_id = process.id
        before = process.participant_count
    browsers = [Browser(committing).sign_in(account) for _ in range(AT_ONCE)]
    gate = Barrier(AT_ONCE)

    def vote(browser: Browser) -> tuple[int, str]:
        gate.wait()
        response = browser.post(path, headers=JSON)
        return response.status_code, response.json["message"]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(vote, browsers))
    assert sorted(status for status, _ in answers) == [200] * (AT_ONCE - 1) + [201]
    assert sum("schon abgestimmt" in message for _, message in answers) == AT_ONCE - 1
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Vote)) == 1
        assert session.get_one(Contribution, proposal_id).support_count == 1
        process = session.get_one(Process, process_id)
        assert supports_of(session, [process.id]) == {process.id: 1}
        assert process.participant_count == before + 1


def test_many_people_at_once_lose_no_vote_and_wait_for_nobody_for_ever(committing: Beteiligung) -> None:
    """First acts (which raise the process's number of participants) and later ones cross each other here."""
    database = committing.extensions["platform"].database
    with database.unit_of_work() as session:
        process = factories.process(session)
        paths = [f"/verfahren/{process.slug}/vorschlaege/{factories.proposal(session, process).id}/unterstuetzen"
                 for _ in range(3)]
        accounts = [factories.account(session) for _ in range(AT_ONCE)]
        process_id = process.id
    browsers = [Browser(committing).sign_in(account) for account in accounts]
    gate = Barrier(AT_ONCE)

    def vote(number: int) -> list[int]:
        gate.wait()
        return [browsers[number].post(paths[(number + step) % 3], headers=JSON).status_code for step in range(3)]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = [status for found in pool.map(vote, range(AT_ONCE)) for status in found]
    assert answers == [201] * (3 * AT_ONCE)
    with database.reading() as session:
        process = session.get_one(Process, process_id)
        assert supports_of(session, [process_id]) == {process_id: 3 * AT_ONCE}
        # The three authors were made without counting.
        assert process.participant_count == session.scalar(select(func.count()).select_from(Voter)) == AT_ONCE
        assert set(session.scalars(select(Voter.supports))) == {3}


def test_a_process_shows_the_supports_of_its_public_proposals(session: Session, browser: Browser) -> None:
    process = factories.process(session, proposal_count=2)
    other = factories.process(session, process.municipality)
    first, second = factories.proposal(session, process), factories.proposal(session, process)
    hidden = factories.proposal(session, process, state=ContributionState.HIDDEN, state_reason="Werbung")
    for what, number in ((first, 20), (second, 17), (hidden, 40), (factories.comment(session, first), 5),
                         (factories.proposal(session, other), 60)):
        what.support_count = number
        for _ in range(number):
            factories.vote(session, what)
    session.commit()
    figures = " ".join(browser.open(f"/verfahren/{process.slug}").xpath("//section[@aria-labelledby='zahlen']")[0].text_content().split())
    assert "37" in figures.replace("Unterstützungen", " ").split()
    assert supports_of(session, [process.id, other.id]) == {process.id: 37, other.id: 60}
    assert "97" in " ".join(browser.open("/").text_content().split())
