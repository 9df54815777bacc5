"""The receipt of what belongs to an account: a link in the history of a shared computer opens it for its owner alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from lxml import html
from sqlalchemy import select

from participation import tokens
from participation.accounts.models import Account
from participation.contributions.models import Contribution, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.formats import CollectSettings
from tests import factories
from tests.browser_client import Browser

if TYPE_CHECKING:
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

    from participation.processes.models import Process

TITLE = "Eine Bank am Markt"


@pytest.fixture
def process(session: Session) -> Process:
    """Ideas of guests, who may comment too."""
    found = factories.process(session, phases=[factories.phase("collect", settings=CollectSettings(guest_comments=True))])
    session.commit()
    return found


@pytest.fixture
def owner(session: Session) -> Account:
    """Who has an account."""
    found = factories.account(session)
    session.commit()
    return found


def _hand_in(browser: Browser, process: Process) -> str:
    values = {"title": TITLE, "body": "Zum Ausruhen.", "theme_id": str(process.themes[0].id)}
    page = f"/verfahren/{process.slug}/vorschlaege/neu"
    browser.open(page)
    answer = browser.post(page, values | {"submission_key": tokens.new_token()})
    assert answer.status_code == 303
    return str(answer.location)


def _only(session: Session) -> Proposal:
    session.expire_all()
    return session.scalars(select(Proposal)).one()


def _tells_nothing(answer: TestResponse, status: int) -> None:
    assert answer.status_code == status
    assert TITLE not in answer.get_data(as_text=True)


def test_who_hands_in_with_an_account_gets_a_page_without_a_link_for_everybody(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], process: Process, owner: Account,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    place = _hand_in(browser.sign_in(owner), process)
    assert "/beleg/" not in place
    assert TITLE in browser.text(place)
    stranger = new_browser()
    answer = stranger.get(place)
    assert answer.headers["Location"].startswith("/konto/anmelden?next=")
    _tells_nothing(new_browser().sign_in(factories.account(session)).get(place), 404)
    run_jobs()
    (mail,) = mails()
    assert f"http://localhost{place}" in mail
    assert "/beleg/" not in mail


@pytest.mark.parametrize("has_written_before", [False, True])
def test_the_link_of_a_guest_opens_nothing_for_others_once_an_account_has_it(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], process: Process, owner: Account,
    has_written_before: bool,  # noqa: FBT001
) -> None:
    home = new_browser().sign_in(owner)
    if has_written_before:
        home.post(f"/verfahren/{process.slug}/vorschlaege/{factories.proposal(session, process).id}/kommentare", {"body": "Ja."})
    link = _hand_in(browser, process)
    token = link.rpartition("/")[2]
    assert TITLE in new_browser().text(link), "a guest's receipt is whoever holds it"
    home.submit(link, form="zuordnen")
    own = session.scalars(select(Proposal).where(Proposal.title == TITLE)).one()
    page = f"/verfahren/{process.slug}/vorschlaege/{own.id}"
    other = new_browser().sign_in(factories.account(session))
    for stranger, status in ((new_browser(), 302), (browser, 302), (other, 404)):
        for path in (link, f"{page}/bearbeiten?token={token}", f"{page}/bilder?token={token}"):
            _tells_nothing(stranger.get(path), status)
        refused = 401 if status == 302 else 404
        for path, values in ((f"{page}/zurueckziehen", {"confirmed": "yes"}), (f"{page}/bearbeiten", {"title": "Anders"})):
            _tells_nothing(stranger.post(path, values | {"token": token}), refused)
        _tells_nothing(stranger.post(f"{link}/zu-ihnen", {"email": "fremd@beispiel.example"}), refused)
    session.expire_all()
    assert (own.title, own.state) == (TITLE, ContributionState.SUBMITTED)
    assert TITLE in home.text(link)
    assert home.get(link).location == f"{page}/beleg"
    assert "Dieser Link ist nur für Sie" not in home.text(link)
    home.post(f"{page}/zurueckziehen", {"confirmed": "yes", "token": token})
    session.expire_all()
    assert own.state is ContributionState.WITHDRAWN


def test_whoever_signs_in_on_the_way_comes_back_to_the_receipt(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], process: Process, owner: Account,
) -> None:
    link = _hand_in(browser, process)
    new_browser().sign_in(owner).submit(link, form="zuordnen")
    answer = new_browser().client.get(link, follow_redirects=True)
    assert answer.request.path == "/konto/anmelden"
    assert html.fromstring(answer.get_data(as_text=True)).xpath("//input[@name='next']/@value")[0] == link


def test_the_same_holds_for_a_comment(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], process: Process, owner: Account,
) -> None:
    proposal = factories.proposal(session, process)
    session.commit()
    page = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}/kommentare"
    link = str(browser.post(page, {"body": "Bitte mit Lehne."}).location)
    token = link.rpartition("/")[2]
    home = new_browser().sign_in(owner)
    home.submit(link, form="zuordnen")
    comment = session.scalars(select(Contribution).where(Contribution.kind == "comment")).one()
    stranger = new_browser()
    assert stranger.get(link).headers["Location"].startswith("/konto/anmelden?next=")
    for step, values in (("zurueckziehen", {}), ("bearbeiten", {"body": "Ganz anders."})):
        answer: Any = stranger.post(f"{page}/{comment.id}/{step}", values | {"token": token})
        assert answer.status_code in {401, 404}
    session.expire_all()
    assert (comment.body, comment.state) == ("Bitte mit Lehne.", ContributionState.SUBMITTED)
    shown = home.text(link)
    assert "Bitte mit Lehne." in shown
    assert "Sie finden Ihren Kommentar auch in Ihrem Konto." in shown
    assert "Wer ihn hat" not in shown
    home.submit(link, form="zurueckziehen")
    session.expire_all()
    assert comment.state is ContributionState.WITHDRAWN
