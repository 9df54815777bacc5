"""Votes that are counted out to each person, and supports that nobody sees counted until the phase is over."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from lxml import html
from sqlalchemy import select

from participation import clock
from participation.accounts.models import Account
from participation.contributions import operations as contributions
from participation.contributions.abuse.operations import annul, forget_sources, source_of, undo
from participation.contributions.abuse.queries import Suspect
from participation.contributions.ballots import operations as ballots
from participation.contributions.ballots.models import BallotTally
from participation.contributions.ballots.queries import results, turnout
from participation.contributions.personal.operations import delete_account
from participation.contributions.proposals.operations.revising import apply_revision
from participation.contributions.votes import operations as votes
from participation.contributions.votes.models import Vote
from participation.errors import Conflict
from participation.formats import BallotRule, Results, VoteSettings
from participation.permissions import Role
from participation.processes.models import Phase
from tests import factories
from tests.browser_client import Browser

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

    from app import Beteiligung
    from participation.contributions.proposals.models import Proposal
    from participation.processes.models import Process
    from participation.tokens import Keyring

JSON = {"Accept": "application/json"}
TWO = VoteSettings(ballot=BallotRule.CHOICE, votes=2)
SECRET = VoteSettings(results=Results.AFTER, comments_open=True)
# Appears nowhere by chance.
NUMBER = 37


def _process(session: Session, settings: VoteSettings, number: int = 4) -> tuple[Process, list[Proposal]]:
    process = factories.process(session, phases=[factories.phase("vote", title="Abstimmung", settings=settings)])
    proposals = [factories.proposal(session, process, title=f"Idee {name}", lon=7.3, lat=51.98)
                 for name in "ABCDEFGH"[:number]]
    session.commit()
    return process, proposals


def _page(proposal: Proposal) -> str:
    return f"/verfahren/{proposal.process.slug}/vorschlaege/{proposal.id}"


def _paper(process: Process) -> str:
    return f"/verfahren/{process.slug}/abstimmung/{process.phases[-1].id}"


def _mark(browser: Browser, proposal: Proposal, value: int) -> TestResponse:
    return browser.post(_paper(proposal.process), {"zeile": str(proposal.id), f"marke-{proposal.id}": str(value), "von": "vorschlag"})


def test_the_page_says_how_many_are_left_and_where_the_others_went(session: Session, browser: Browser) -> None:
    _, (first, second, third, _rest) = _process(session, TWO)
    browser.sign_in(factories.account(session))
    session.commit()
    assert "0 von 2 Stimmen vergeben" in browser.text(_page(first))
    said = browser.submit(_page(first), form="/abstimmung/").get_data(as_text=True)
    assert "Danke! Gespeichert: Sie haben 1 von 2 Stimmen vergeben." in said
    assert "Dieser Vorschlag hat Ihre Stimme." in said
    browser.submit(_page(second), form="/abstimmung/")
    box = browser.open(_page(third)).xpath("//section[starts-with(@id, 'abstimmen-')]")[0]
    assert "2 von 2 Stimmen vergeben" in " ".join(box.text_content().split())
    assert sorted(link.text_content() for link in box.xpath(".//li/a")) == ["Idee A", "Idee B"]
    assert not box.xpath(".//button")
    refused = _mark(browser, third, 1)
    assert refused.status_code == 422
    told = " ".join(html.fromstring(refused.get_data(as_text=True)).text_content().split())
    assert "Das sind 3 Stimmen, und Sie haben 2." in told
    assert "2 von 2 Stimmen vergeben" in told, "the page beside it says what is stored"
    assert "Stimme zurücknehmen" in browser.text(_page(first))
    browser.submit(_page(first), form="/abstimmung/")
    assert "1 von 2 Stimmen vergeben" in browser.text(_page(third))
    browser.submit(_page(third), form="/abstimmung/")
    assert _tallies(session) == {second.id: 1, third.id: 1}


def test_all_on_one_paper_too_many_are_refused_and_stay_ticked(session: Session, browser: Browser) -> None:
    process, proposals = _process(session, TWO)
    browser.sign_in(factories.account(session))
    session.commit()
    assert "Sie haben 2 Stimmen, für jeden Vorschlag höchstens eine." in browser.text(_paper(process))
    ticked = {f"marke-{one.id}": "1" for one in proposals[:3]}
    refused = browser.submit(_paper(process), ticked, form="/abstimmung/")
    assert refused.status_code == 422
    page = html.fromstring(refused.get_data(as_text=True))
    assert "Das sind 3 Stimmen, und Sie haben 2." in page.text_content()
    assert len(page.xpath("//input[@type='checkbox'][@checked]")) == 3
    assert _tallies(session) == {}
    stored = browser.submit(_paper(process), dict([*ticked.items()][:2]), form="/abstimmung/")
    assert "Sie haben 2 von 2 Stimmen vergeben" in stored.get_data(as_text=True)
    for bad in (2, -1, 7):
        assert _mark(browser, proposals[3], bad).status_code == 422
    assert _tallies(session) == {one.id: 1 for one in proposals[:2]}


def _tallies(session: Session) -> dict[int, int]:
    session.expire_all()
    return {one.contribution_id: one.total for one in session.scalars(select(BallotTally)) if one.people}


def test_votes_at_once_never_give_more_than_there_are(committing: Beteiligung) -> None:
    database = committing.extensions["platform"].database
    with database.unit_of_work() as session:
        _, proposals = _process(session, TWO, 8)
        account, ids = factories.account(session), [one.id for one in proposals]
        path = _paper(proposals[0].process)
    browsers = [Browser(committing).sign_in(account) for _ in ids]
    gate = Barrier(len(ids))

    def vote(number: int) -> int:
        gate.wait()
        return browsers[number].post(path, {"zeile": str(ids[number]), f"marke-{ids[number]}": "1"}).status_code

    with ThreadPoolExecutor(len(ids)) as pool:
        answers = sorted(pool.map(vote, range(len(ids))))
    assert answers == [303, 303, *[422] * 6]
    with database.unit_of_work() as session:
        assert sum(_tallies(session).values()) == 2
        assert not any(ballots.recount(session).values())


def test_each_vote_of_a_process_has_its_own_number_and_nothing_from_before_counts_in_it(
    session: Session, keyring: Keyring, browser: Browser,
) -> None:
    """Neither what was supported while ideas were collected nor what an earlier vote decided, whichever proposals it was."""
    process, (first, second, third) = _process(session, TWO, 3)
    now = clock.now()
    collect, over = factories.phase("collect", opens=-30, closes=-10), process.phases[0]
    over.starts_at, over.ends_at = now - timedelta(days=9), now + timedelta(minutes=1)
    later = factories.phase("vote", title="Zweite", opens=-1, settings=TWO)
    process.phases[:] = [collect, over, later]
    session.flush()
    account = factories.account(session)
    actor = factories.actor(account)
    for proposal in (first, second, third):
        votes.support(session, keyring, actor, proposal, now - timedelta(days=20))
    votes.support(session, keyring, actor, factories.comment(session, first), now - timedelta(days=20))
    ballots.cast(session, keyring, actor, over, {first.id: 1, second.id: 1}, now)
    over.ends_at = now - timedelta(seconds=1)
    session.commit()
    browser.sign_in(account)
    assert "0 von 2 Stimmen vergeben" in browser.text(_page(first))
    for proposal in (first, third):
        assert _mark(browser, proposal, 1).status_code == 303
    assert [(one.id, one.people) for one in results(session, over)] == [(second.id, 1), (first.id, 1)]
    assert [(one.id, one.people) for one in results(session, later)] == [(third.id, 1), (first.id, 1)]
    assert [sum(turnout(session, one).values()) for one in (over, later)] == [1, 1]
    session.refresh(first)
    assert first.support_count == 1, "a vote is no support"
    table = browser.get(f"/verfahren/{process.slug}/abstimmung/{over.id}/ergebnis.csv").get_data(as_text=True)
    assert table.splitlines()[0].endswith("Platz;Nummer;Vorschlag;Stimmen")
    shown = browser.text(f"/verfahren/{process.slug}/abstimmung/{over.id}/ergebnis")
    assert "Jede Person hat 2 Stimmen, für jeden Vorschlag höchstens eine." in shown


@pytest.mark.parametrize(("spent", "left"), [(2, 0), (2, 1)])
def test_what_was_hidden_gives_its_vote_back(session: Session, browser: Browser, spent: int, left: int) -> None:
    settings = VoteSettings(ballot=BallotRule.CHOICE, votes=spent + left)
    _, (first, second, third, _fourth) = _process(session, settings)
    account = factories.account(session)
    browser.sign_in(account)
    session.commit()
    for one in (first, second):
        _mark(browser, one, 1)
    contributions.hide(session, first, "Grund", clock.now())
    session.commit()
    assert f"1 von {spent + left} Stimmen vergeben" in browser.text(_page(third)), "it does not count what is gone"
    assert _mark(browser, third, 1).status_code == 303
    contributions.publish(session, first, clock.now())
    session.commit()
    assert _tallies(session) == {second.id: 1, third.id: 1}, "nobody has three"


def test_a_running_vote_is_offered_wherever_people_look_and_also_beside_a_public_catalogue(
    session: Session, browser: Browser,
) -> None:
    process, _ = _process(session, TWO, 1)
    vote, more = process.phases[0], factories.phase("vote", title="Zweite", settings=TWO)
    process.phases[:] = [factories.phase("collect", title="Ideen"), vote, more]
    session.commit()
    ways = [f"/verfahren/{process.slug}/abstimmung/{one.id}" for one in (vote, more)]

    def offered(page: str) -> set[str]:
        return {way for way in browser.open(page).xpath("//main//a/@href") if way in ways}

    for page in ("/", f"/verfahren/{process.slug}"):
        assert offered(page) == set(ways), page
    process.phases[0].ends_at = clock.now() - timedelta(minutes=1)
    process.catalogue_is_public = True
    process.municipality.content_version += 1
    session.commit()
    assert offered(f"/verfahren/{process.slug}") == set(ways)
    assert "Jetzt abstimmen" in browser.text(f"/verfahren/{process.slug}")


def test_a_text_that_people_may_have_voted_for_is_not_changed_without_a_trace(
    session: Session, keyring: Keyring, new_browser: Callable[[], Browser],
) -> None:
    process, _ = _process(session, TWO, 1)
    process.phases[:] = [factories.phase("collect", title="Ideen"), process.phases[0]]
    author = factories.account(session)
    participant = factories.participant(session, process, person_hash=keyring.person_hash(process.id, f"account:{author.id}"))
    mine = factories.proposal(session, process, participant=participant, title="Bänke am Markt")
    session.commit()
    writer = new_browser().sign_in(author)
    writer.submit(f"{_page(mine)}/bearbeiten", {"title": "Hochhaus am Markt"}, form=-1)
    session.expire_all()
    if mine.pending_revision:
        apply_revision(session, mine, clock.now())
        session.commit()
    assert mine.title == "Hochhaus am Markt"
    assert mine.edited_at is not None
    assert "Bänke" in new_browser().text(f"{_page(mine)}/verlauf")
    assert "Über Ihren Vorschlag können oder konnten Menschen abstimmen." in writer.text(f"{_page(mine)}/bearbeiten")
    # What was handed in after a vote could not be chosen in it.
    vote = next(one for one in process.phases if one.ballot)
    vote.ends_at, mine.edited_at = clock.now() - timedelta(seconds=1), None
    mine.published_at = clock.now()
    session.commit()
    writer.submit(f"{_page(mine)}/bearbeiten", {"title": "Zwei Bänke"}, form=-1)
    session.expire_all()
    if mine.pending_revision:
        apply_revision(session, mine, clock.now())
    assert (mine.title, mine.edited_at) == ("Zwei Bänke", None)


def test_what_counts_in_a_vote_that_is_over_has_no_button_to_take_it_back(
    session: Session, keyring: Keyring, browser: Browser,
) -> None:
    process, (first, second) = _process(session, VoteSettings(), 2)
    over, now = process.phases[0], clock.now()
    over.starts_at, over.ends_at = now - timedelta(days=9), now - timedelta(days=2)
    process.phases.append(factories.phase("collect", opens=-9, closes=None))
    account = factories.account(session)
    votes.support(session, keyring, factories.actor(account), first, now - timedelta(days=4))
    votes.support(session, keyring, factories.actor(account), second, now)
    session.commit()
    browser.sign_in(account)
    box = browser.open(_page(first)).get_element_by_id("unterstuetzen")
    assert "lässt sich nicht mehr zurücknehmen" in box.text_content()
    assert not box.xpath(".//button")
    assert browser.open(_page(second)).get_element_by_id("unterstuetzen").xpath(".//button")


def test_of_the_time_of_a_vote_little_is_kept_and_votes_belong_to_their_phase_all_the_same(
    session: Session, keyring: Keyring,
) -> None:
    """A phase that begins within the hour in which an earlier one ended."""
    process, (first, second) = _process(session, VoteSettings(), 2)
    noon = clock.now().replace(hour=12, minute=0, second=0, microsecond=0)
    earlier, phase = factories.phase("collect"), process.phases[0]
    earlier.starts_at, earlier.ends_at = noon - timedelta(days=3), noon + timedelta(minutes=20)
    phase.starts_at, phase.ends_at = noon + timedelta(minutes=25), noon + timedelta(days=60)
    process.phases.insert(0, earlier)
    session.flush()
    actor, source = factories.actor(factories.account(session)), "a" * 16
    assert votes.support(session, keyring, actor, first, noon + timedelta(minutes=10), source)
    assert votes.support(session, keyring, actor, second, noon + timedelta(minutes=30), source)
    assert set(session.scalars(select(Vote.given_at))) == {noon, noon + timedelta(minutes=25)}
    forget_sources(session, noon + timedelta(days=15))
    assert set(session.scalars(select(Vote.given_at))) == {clock.day_of(noon), noon + timedelta(minutes=25)}


def test_the_result_of_a_vote_that_is_over_stays_whatever_is_supported_afterwards(
    session: Session, keyring: Keyring, browser: Browser,
) -> None:
    """Also within the hour and the day of its end, which is what is kept of the time of a vote."""
    process, (first, second, third) = _process(session, VoteSettings(), 3)
    over = process.phases[0]
    noon = clock.day_of(clock.now()) - timedelta(days=16) + timedelta(hours=12)
    over.starts_at, over.ends_at = noon - timedelta(days=9), noon + timedelta(minutes=40)
    process.phases.append(factories.phase("collect", opens=-60, closes=None))
    session.flush()
    early, late = (factories.actor(factories.account(session)) for _ in range(2))
    source = "a" * 16
    for proposal in (first, second):
        votes.support(session, keyring, early, proposal, noon + timedelta(minutes=10), source)
    votes.support(session, keyring, late, second, noon + timedelta(minutes=20), source)
    after = noon + timedelta(minutes=45)
    before = [(one.id, one.people) for one in results(session, over)]
    assert before == [(second.id, 2), (first.id, 1)]
    people = turnout(session, over)
    newcomer = factories.actor(factories.account(session))
    for actor, proposal in ((late, first), (late, third), (newcomer, third), (newcomer, first)):
        assert votes.support(session, keyring, actor, proposal, after, source)
    with pytest.raises(Conflict, match="zählt im Ergebnis einer Abstimmung"):
        votes.withdraw_support(session, keyring, early, first, after)
    assert votes.withdraw_support(session, keyring, late, third, after), "what came later goes as ever"
    assert not votes.withdraw_support(session, keyring, late, third, after)
    for _ in range(2):
        assert [(one.id, one.people) for one in results(session, over)] == before
        assert turnout(session, over) == people
        # Two weeks later only the day of a vote is known.
        forget_sources(session, noon + timedelta(days=15))
    session.refresh(first)
    assert first.support_count == 3
    session.commit()
    # Whoever leaves takes along what came later, and an editor who ends the other phase changes no result either.
    account = session.get_one(Account, early.account_id)
    delete_account(session, keyring, early, account, take_along=False, now=clock.now())
    assert [(one.id, one.people) for one in results(session, over)] == before
    process.phases[1].ends_at = over.ends_at
    session.flush()
    assert [(one.id, one.people) for one in results(session, over)] == before
    assert turnout(session, over) == people
    process.phases[1].ends_at = None
    session.commit()
    shown = browser.open(f"/verfahren/{process.slug}/abstimmung/{over.id}/ergebnis").text_content()
    assert "Was danach dazukam, steht nur bei den Vorschlägen" in shown


# ------------------------------------------------------------------------------------------------ hidden until the end


@pytest.fixture
def secret(session: Session, keyring: Keyring) -> list[Proposal]:
    """Two proposals in a vote whose numbers are secret; the older one has many supports, also on its comment."""
    process, (first, second) = _process(session, SECRET, 2)
    comment = factories.comment(session, first)
    for number in range(NUMBER):
        actor = factories.actor(factories.account(session))
        votes.support(session, keyring, actor, first, clock.now(), source_of(keyring, process.id, "203.0.113.9", clock.now()))
        if number % 2:
            votes.support(session, keyring, actor, comment, clock.now())
    second.title = "Andere Idee A"
    process.catalogue_is_public = True
    # How many take part is no secret; here it must not look like the number of supports.
    process.participant_count += 500
    session.commit()
    return [first, second]


def _addresses(proposal: Proposal) -> list[str]:
    base, phase = f"/verfahren/{proposal.process.slug}", proposal.process.phases[0]
    return [
        "/", base, f"{base}/vorschlaege", f"{base}/vorschlaege?sort=unterstuetzt", f"{base}/vorschlaege?q=Idee",
        f"{base}/vorschlaege.atom", f"{base}/karte", f"{base}/karte.geojson", _page(proposal),
        f"{_page(proposal)}/aehnliche", f"{_page(proposal)}?kommentare=unterstuetzt", f"{base}/massnahmen",
        f"{base}/abstimmung/{phase.id}", f"{base}/abstimmung/{phase.id}/ergebnis", f"{base}/abstimmung/{phase.id}/ergebnis.csv",
        f"/verwaltung/verfahren/{proposal.process_id}/massnahmen",
    ]


def _tells(text: str) -> list[str]:
    """Where the number stands so that a reader or a script would take it for one."""
    return re.findall(rf".{{,60}}(?<![\w./#:-]){NUMBER}(?![\w./-]).{{,40}}", text)


def test_until_the_end_nobody_sees_a_number_and_afterwards_everybody(
    session: Session, secret: list[Proposal], new_browser: Callable[[], Browser],
) -> None:
    first, _ = secret
    process = first.process
    account = factories.account(session)
    staff = factories.account(session, Role.ADMIN, town=process.municipality)
    session.commit()
    readers = [new_browser(), new_browser().sign_in(account), new_browser().sign_in(staff)]
    for reader in readers:
        for address in _addresses(first):
            assert not _tells(reader.get(address).get_data(as_text=True)), address
    answer = readers[1].post(f"{_page(first)}/unterstuetzen", headers=JSON)
    assert answer.json["count"] is None
    assert str(NUMBER + 1) not in answer.json["message"]
    assert "Sie unterstützen diesen Vorschlag" in readers[1].text(_page(first)), "one's own stays visible"
    readers[1].post(f"{_page(first)}/unterstuetzung-zuruecknehmen", headers=JSON)
    process.phases[0].ends_at = clock.now() - timedelta(seconds=1)
    process.municipality.content_version += 1
    session.commit()
    for address in ("/vorschlaege", f"/abstimmung/{process.phases[0].id}/ergebnis"):
        assert _tells(readers[0].get(f"/verfahren/{process.slug}{address}").get_data(as_text=True)), address
    assert _tells(readers[0].get(_page(first)).get_data(as_text=True))


def test_an_annulment_tells_its_reason_at_once_and_its_number_after_the_end(
    session: Session, secret: list[Proposal], browser: Browser,
) -> None:
    process, now = secret[0].process, clock.now()
    planner = factories.actor(factories.account(session, Role.PLANNER, on=process))
    annulment = annul(session, planner, process, Suspect(since=now - timedelta(days=1)), "Alle aus einem Programm.", now)
    number = f"{annulment.votes} Unterstützungen zählten nicht."
    undo(session, planner, process, annulment, "Es waren doch Menschen.", now)
    session.commit()
    page = f"/verfahren/{process.slug}"
    running = browser.text(page)
    assert "Alle aus einem Programm." in running
    assert "Es waren doch Menschen." in running
    assert "Unterstützungen zählten nicht" not in running
    process.phases[0].ends_at = now - timedelta(seconds=1)
    process.municipality.content_version += 1
    session.commit()
    assert number in browser.text(page)


def test_the_order_tells_nothing_either(session: Session, secret: list[Proposal], browser: Browser) -> None:
    first, second = secret
    base = f"/verfahren/{first.process.slug}"
    page = browser.open(f"{base}/vorschlaege?sort=unterstuetzt")
    assert "unterstuetzt" not in page.xpath("//select[@name='sort']/option/@value")
    titles = [one.text_content().strip() for one in page.xpath("//article//h3")]
    newest = [one.text_content().strip() for one in browser.open(f"{base}/vorschlaege").xpath("//article//h3")]
    assert titles == newest
    assert second.title in titles[0]
    assert "kommentare=unterstuetzt" not in browser.get(_page(first)).get_data(as_text=True)


def test_an_earlier_vote_of_the_process_does_not_tell_what_a_later_one_keeps(
    session: Session, secret: list[Proposal], browser: Browser,
) -> None:
    process = secret[0].process
    process.phases.append(factories.phase("vote", opens=-20, closes=-10, settings=VoteSettings()))
    session.commit()
    assert browser.get(f"/verfahren/{process.slug}/abstimmung/{process.phases[1].id}/ergebnis").status_code == 404


def test_points_of_the_map_carry_no_number(session: Session, secret: list[Proposal], browser: Browser) -> None:
    answer = browser.get(f"/verfahren/{secret[0].process.slug}/karte.geojson")
    features = json.loads(answer.get_data())["features"]
    assert len(features) == 2
    assert all("supports" not in one["properties"] for one in features)


def test_secret_supports_are_a_setting_that_editors_can_save(session: Session) -> None:
    assert VoteSettings(ballot=BallotRule.SUPPORT, results=Results.AFTER).contradiction() is None
    phase = factories.phase("vote", settings=SECRET)
    factories.process(session, phases=[phase])
    assert session.get_one(Phase, phase.id).process.hides_supports(clock.now())
    assert not phase.process.hides_supports(clock.now() + timedelta(days=31))
