"""A guest mistypes the address on the receipt: a stranger gets a link that opens nothing any more."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event
from typing import TYPE_CHECKING

import pytest
from lxml import html
from sqlalchemy import select, update

from moderation.models import Case, Outcome
from moderation.operations import decide
from participation import clock, tokens
from participation.accounts.models import ParticipantKind
from participation.contributions import operations as contributions
from participation.contributions.guests import operations as guests
from participation.contributions.models import Contribution, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.errors import Conflict
from participation.permissions import Actor, Role
from participation.processes.models import ProcessState
from tests import factories
from tests.accounts.test_own_account import throttled  # noqa: F401 - a fixture
from tests.browser_client import Browser

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app import Beteiligung
    from participation.processes.models import Process
    from participation.tokens import Keyring

WRONG, RIGHT = "eba@beispiel.example", "eva@beispiel.example"


@pytest.fixture
def process(session: Session) -> Process:
    """An open collection of ideas."""
    found = factories.process(session)
    session.commit()
    return found


def _hand_in(browser: Browser, process: Process, title: str = "Eine Bank") -> str:
    values = {"title": title, "body": "Zum Ausruhen.", "theme_id": str(process.themes[0].id)}
    answer = browser.post(f"/verfahren/{process.slug}/vorschlaege/neu", values | {"submission_key": tokens.new_token()})
    assert answer.status_code == 303
    return str(answer.location)


def _links(mails: list[str]) -> dict[str, list[str]]:
    """The links to receipts that each address got."""
    found: dict[str, list[str]] = {}
    for mail in mails:
        to = mail.split("\n", 1)[0].removeprefix("To: ")
        found.setdefault(to, []).extend(sorted(set(re.findall(r"http://localhost(/beleg/\w+)", mail))))
    return {to: sorted(links) for to, links in found.items()}


def _say(browser: Browser, link: str, email: str) -> str:
    answer = browser.submit(link, {"email": email}, form="zu-ihnen")
    assert answer.status_code == 200
    return answer.request.path


def test_a_guest_mends_a_mistyped_address_and_the_stranger_holds_a_dead_link(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], process: Process,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    link = _hand_in(browser, process)
    assert _say(browser, link, WRONG) == link
    run_jobs()
    assert WRONG in browser.text(link), "what is stored can be seen"
    answer = browser.submit(link, {"email": f" {RIGHT.title()}"}, form="zu-ihnen")
    renewed = answer.request.path
    assert renewed != link
    shown = " ".join(answer.get_data(as_text=True).split())
    assert "Der alte Link gilt nicht mehr." in shown
    assert RIGHT in shown
    assert WRONG not in shown
    assert new_browser().get(link).status_code == 404
    proposal = session.scalars(select(Proposal)).one()
    page = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}"
    assert new_browser().post(f"{page}/zurueckziehen", {"token": link[7:], "confirmed": "yes"}).status_code == 404
    assert new_browser().get(renewed).status_code == 200
    assert renewed in browser.get(f"{page}/beleg").get_data(as_text=True)
    run_jobs()
    assert _links(mails()) == {WRONG: [link], RIGHT: [renewed]}
    _say(browser, renewed, RIGHT)
    run_jobs()
    assert len(mails()) == 2, "nobody is written to twice"


def test_what_was_not_mailed_yet_goes_to_the_right_address_alone(
    browser: Browser, process: Process, run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    link = _say(browser, _hand_in(browser, process), WRONG)
    assert _say(browser, link, RIGHT) == link, "nobody was told it"
    run_jobs()
    assert _links(mails()) == {RIGHT: [link]}


def test_an_address_is_taken_back_and_its_postbox_opens_nothing(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], process: Process,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    link = _say(browser, _hand_in(browser, process), WRONG)
    run_jobs()
    (button,) = browser.open(link).xpath("//form[.//input[@name='step'][@value='forget']]")
    answer = browser.post(button.action, dict(button.form_values()), follow_redirects=True)
    renewed = answer.request.path
    assert "Die E-Mail-Adresse ist gelöscht." in answer.get_data(as_text=True)
    assert new_browser().get(link).status_code == 404
    assert WRONG not in browser.text(renewed)
    assert "Sollen wir Ihnen schreiben" in browser.text(renewed)
    session.expire_all()
    assert session.scalars(select(Proposal)).one().participant.contact_sealed is None
    assert _say(browser, renewed, RIGHT) == renewed, "nobody else has this link"
    run_jobs()
    assert _links(mails()) == {WRONG: [link], RIGHT: [renewed]}


def test_an_address_that_comes_back_gets_the_link_that_holds_now_and_can_always_be_taken_back(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], process: Process,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    link = _hand_in(browser, process)
    for email in (RIGHT, WRONG, RIGHT):
        link = _say(browser, link, email)
        run_jobs()
    assert link in _links(mails())[RIGHT]
    assert new_browser().get(link).status_code == 200
    # As often as there are links, and once more.
    for number in range(3):
        link = _say(browser, link, f"noch{number}@beispiel.example")
    (button,) = browser.open(link).xpath("//form[.//input[@name='step'][@value='forget']]")
    assert browser.post(button.action, dict(button.form_values()), follow_redirects=True).status_code == 200
    session.expire_all()
    assert session.scalars(select(Proposal)).one().participant.contact_sealed is None


def test_a_link_that_another_window_has_just_replaced_changes_nothing_any_more(
    session: Session, browser: Browser, process: Process, keyring: Keyring,
) -> None:
    _hand_in(browser, process)
    proposal = session.scalars(select(Proposal)).one()
    proposal.is_own = True
    session.execute(update(Contribution).values(claim_token_hash="neu").execution_options(synchronize_session=False))
    with pytest.raises(Conflict):
        guests.introduce_guest(session, keyring, Actor(guest_token="fremd"), proposal, name="", email=WRONG, now=clock.now())
    assert proposal.participant.contact_sealed is None


def test_links_of_other_contributions_change_where_a_mail_told_them_and_stay_on_paper_where_none_did(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], process: Process,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    titles = ("Auf Papier", "Vorher öffentlich", "Die erste", "Entschieden")
    on_paper, public, first, decided = (_hand_in(browser, process, title) for title in titles)
    moderator = factories.actor(factories.account(session, Role.MODERATOR, on=process))

    def decide_on(title: str, outcome: Outcome, reason: str = "") -> None:
        proposal = session.scalars(select(Proposal).where(Proposal.title == title)).one()
        case = session.scalars(select(Case).where(Case.contribution_id == proposal.id)).one()
        decide(session, moderator, case, outcome, rule_key=reason, statement="Bitte anders." if reason else "",
               revision_seen=1, now=clock.now())
        session.commit()

    # Nobody had an address then, so no mail told this link.
    decide_on("Vorher öffentlich", Outcome.APPROVE)
    run_jobs()
    _say(browser, first, WRONG)
    later = _hand_in(browser, process, "Danach")
    decide_on("Entschieden", Outcome.RETURN, "insult")
    run_jobs()
    told = _links(mails())
    assert told[WRONG] == sorted([first, later, decided])
    renewed = _say(browser, first, RIGHT)
    for dead in (first, later, decided):
        assert new_browser().get(dead).status_code == 404
    assert "Auf Papier" in new_browser().text(on_paper)
    assert "Vorher öffentlich" in new_browser().text(public)
    run_jobs()
    links = _links(mails())[RIGHT]
    assert renewed in links
    assert {title for link in links for title in (*titles, "Danach") if title in new_browser().text(link)} == {
        "Die erste", "Danach", "Entschieden"}


@pytest.mark.parametrize("step", ["forget", ""])
def test_a_link_that_was_never_mailed_stays_whatever_is_done_on_its_receipt(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], process: Process,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]], step: str,
) -> None:
    on_paper, mailed = _hand_in(browser, process, "Auf Papier"), _hand_in(browser, process, "Danach")
    _say(browser, mailed, WRONG)
    run_jobs()
    browser.post(f"{on_paper}/zu-ihnen", {"step": step} if step else {"email": RIGHT})
    assert new_browser().get(on_paper).status_code == 200
    assert new_browser().get(mailed).status_code == 404


def test_a_receipt_on_its_way_goes_to_the_address_that_was_mended_meanwhile(
    browser: Browser, process: Process, run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    first = _hand_in(browser, process, "Die erste")
    _say(browser, first, WRONG)
    run_jobs()
    waiting = _hand_in(browser, process, "Die zweite")
    renewed = _say(browser, first, RIGHT)
    run_jobs()
    assert _links(mails()) == {WRONG: [first], RIGHT: sorted([renewed, waiting])}


def test_a_mail_that_is_being_prepared_and_a_new_address_wait_for_each_other(
    committing: Beteiligung, keyring: Keyring,
) -> None:
    """The mail tells the link of another contribution of the same guest."""
    database = committing.extensions["platform"].database
    with database.unit_of_work() as session:
        process = factories.process(session)
        author = factories.participant(session, process, kind=ParticipantKind.GUEST, person_hash=keyring.person_hash(process.id, "guest:x"),
                                       contact_sealed=keyring.seal(f"mail:{WRONG}"))
        ids = []
        for number in range(2):
            row = factories.proposal(session, process, participant=author, state=ContributionState.SUBMITTED,
                                     submission_key=f"form-{number}")
            guests.give_receipt(keyring, row)
            row.link_mailed = number == 0
            session.flush()
            ids.append(row.id)
    started = Event()

    def mend() -> None:
        started.set()
        with database.unit_of_work() as session:
            row = session.get_one(Proposal, ids[0])
            row.is_own = True
            guests.introduce_guest(session, keyring, Actor(guest_token="x"), row, name="", email=RIGHT, now=clock.now())

    with ThreadPoolExecutor(1) as pool:
        with database.unit_of_work() as session:
            told = session.get_one(Proposal, ids[1])
            guests.hold_for_mail(session, told)
            token = guests.link_for_mail(keyring, told)
            changing = pool.submit(mend)
            started.wait()
            wait([changing], timeout=0.5)
        changing.result()
    with database.reading() as session:
        assert session.get_one(Proposal, ids[1]).claim_token_hash != tokens.hash_token(token or "")


def test_the_address_stays_where_the_contribution_can_not_be_changed_any_more(
    session: Session, browser: Browser, process: Process,
) -> None:
    link = _say(browser, _hand_in(browser, process), WRONG)
    proposal = session.scalars(select(Proposal)).one()
    contributions.reject(session, proposal, "Zu teuer.", clock.now())
    session.commit()
    assert WRONG not in browser.text(link)
    assert browser.post(f"{link}/zu-ihnen", {"email": RIGHT}).status_code == 409
    assert browser.post(f"{link}/zu-ihnen", {"step": "forget"}).status_code == 409
    proposal.state, proposal.state_reason, process.state = ContributionState.SUBMITTED, None, ProcessState.ARCHIVED
    session.commit()
    assert browser.post(f"{link}/zu-ihnen", {"step": "forget"}).status_code == 409


def test_nobody_has_mails_sent_around_by_mending_an_address_again_and_again(
    browser: Browser, process: Process, run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    link = _hand_in(browser, process)
    for number in range(guests.RENEWED_MAX + 1):
        link = _say(browser, link, f"person{number}@beispiel.example")
        run_jobs()
    answer = browser.submit(link, {"email": "noch@beispiel.example"}, form="zu-ihnen")
    assert answer.status_code == 409
    assert "schon sehr oft geändert" in answer.get_data(as_text=True)
    run_jobs()
    assert len(mails()) == guests.RENEWED_MAX + 1
    assert f"person{guests.RENEWED_MAX}@beispiel.example" in browser.text(link), "all is as it was"


def test_what_is_no_address_is_told_beside_the_field_and_the_stored_one_stays(browser: Browser, process: Process) -> None:
    link = _say(browser, _hand_in(browser, process), RIGHT)
    answer = browser.submit(link, {"email": "eva.beispiel"}, form="zu-ihnen")
    assert answer.status_code == 422
    assert "keine E-Mail-Adresse" in answer.get_data(as_text=True)
    assert RIGHT in browser.text(link)


@pytest.mark.parametrize("is_mended", [True, False])
def test_links_of_which_no_mail_tells_stand_on_the_page_once(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], process: Process,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]], *, is_mended: bool,
) -> None:
    link = _say(browser, _hand_in(browser, process), WRONG)
    dead = [_hand_in(browser, process, f"Danach {number}") for number in range(guests.MAILED_ANEW + 2)]
    run_jobs()
    if is_mended:
        answer = browser.submit(link, {"email": RIGHT}, form="zu-ihnen")
    else:
        answer = browser.post(f"{link}/zu-ihnen", {"step": "forget"}, follow_redirects=True)
    run_jobs()
    assert all(new_browser().get(one).status_code == 404 for one in dead)
    (said,) = [one for one in html.fromstring(answer.get_data(as_text=True)).find_class("bp-alert")
               if "keine weitere E-Mail" in one.text_content()]
    shown = said.xpath(".//a/@href")
    assert len(shown) == (2 if is_mended else len(dead))
    found = {title for one in [*shown, *_links(mails()).get(RIGHT, [])] for title in re.findall(r"Danach \d", new_browser().text(one))}
    assert len(found) == len(dead), "none is lost"
    assert "keine weitere E-Mail" not in browser.text(answer.request.path)


def test_whoever_has_too_many_mails_sent_to_one_address_reads_that_the_receipt_is_enough(
    throttled: Beteiligung, process: Process,  # noqa: F811
) -> None:
    guests = [Browser(throttled) for _number in range(7)]
    links = [_hand_in(guest, process) for guest in guests]
    answers = [guest.submit(link, {"email": RIGHT}, form="zu-ihnen") for guest, link in zip(guests, links, strict=True)]
    assert [one.status_code for one in answers] == [200] * 6 + [429]
    text = answers[-1].get_data(as_text=True)
    assert "keine weitere E-Mail" in text
    assert "finden Sie Ihren Beitrag wieder" in text
