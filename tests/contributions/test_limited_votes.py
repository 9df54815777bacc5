"""Supports that are counted out to each person, and supports that nobody sees counted until the phase is over."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, update

from participation import clock
from participation.accounts.models import Account
from participation.contributions import operations as contributions
from participation.contributions.abuse.operations import annul, forget_sources, source_of, undo
from participation.contributions.abuse.queries import Suspect
from participation.contributions.ballots.queries import results, turnout
from participation.contributions.personal.operations import delete_account
from participation.contributions.proposals.operations.counting import recount
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

    from app import Beteiligung
    from participation.contributions.proposals.models import Proposal
    from participation.processes.models import Process
    from participation.tokens import Keyring

JSON = {"Accept": "application/json"}
TWO = VoteSettings(votes_per_person=2)
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


def test_the_page_says_how_many_are_left_and_where_the_others_went(session: Session, browser: Browser) -> None:
    _, (first, second, third, _rest) = _process(session, TWO)
    browser.sign_in(factories.account(session))
    session.commit()
    assert "noch 2 von 2 Stimmen" in browser.text(_page(first))
    assert "noch 1 von 2 Stimmen" in browser.post(f"{_page(first)}/unterstuetzen", headers=JSON).json["message"]
    assert "noch 0 von 2 Stimmen" in browser.submit(_page(second), form="unterstuetzen").get_data(as_text=True)
    page = browser.open(_page(third))
    box = page.xpath("//section[@id='unterstuetzen']")[0]
    assert "schon alle 2 Stimmen vergeben" in box.text_content()
    assert sorted(link.text_content() for link in box.xpath(".//li/a")) == ["Idee A", "Idee B"]
    assert not box.xpath(".//button")
    refused = browser.post(f"{_page(third)}/unterstuetzen", headers=JSON)
    assert refused.status_code == 409
    assert "schon alle 2 Stimmen" in refused.json["message"]
    again = browser.post(f"{_page(first)}/unterstuetzen", headers=JSON)
    assert (again.status_code, again.json["changed"]) == (200, False), "the same one again is no new one"
    browser.submit(_page(first), form="zuruecknehmen")
    assert browser.post(f"{_page(third)}/unterstuetzen", headers=JSON).status_code == 201


@pytest.mark.parametrize("is_alone", [True, False])
def test_votes_at_once_never_give_more_than_there_are(
    committing: Beteiligung, keyring: Keyring, is_alone: bool,  # noqa: FBT001
) -> None:
    database = committing.extensions["platform"].database
    with database.unit_of_work() as session:
        process, proposals = _process(session, TWO, 8)
        if not is_alone:
            process.phases.insert(0, factories.phase("collect"))
        paths = [f"{_page(one)}/unterstuetzen" for one in proposals]
        account = factories.account(session)
    browsers = [Browser(committing).sign_in(account) for _ in paths]
    gate = Barrier(len(paths))

    def vote(number: int) -> int:
        gate.wait()
        return browsers[number].post(paths[number], headers=JSON).status_code

    with ThreadPoolExecutor(len(paths)) as pool:
        answers = sorted(pool.map(vote, range(len(paths))))
    assert answers == [201, 201, *[409] * 6]
    with database.unit_of_work() as session:
        assert session.scalar(select(func.count()).select_from(Vote)) == 2
        assert recount(session, keyring)["contribution.support_count"] == 0


@pytest.mark.parametrize("place", [0, 1])
def test_a_phase_beside_it_that_counts_nothing_out_does_not_void_the_limit(
    session: Session, browser: Browser, place: int,
) -> None:
    process, (first, second, *_) = _process(session, VoteSettings(votes_per_person=1))
    process.phases.insert(place, factories.phase("collect", position=place - 1))
    browser.sign_in(factories.account(session))
    session.commit()
    assert "noch 1 von 1 Stimme." in browser.text(_page(first))
    assert "noch 0 von 1 Stimme." in browser.post(f"{_page(first)}/unterstuetzen", headers=JSON).json["message"]
    refused = browser.post(f"{_page(second)}/unterstuetzen", headers=JSON)
    assert (refused.status_code, refused.json["message"]) == (
        409, "Sie haben Ihre Stimme schon vergeben. Nehmen Sie sie zuerst zurück.")
    assert "Nehmen Sie sie bei dem anderen Vorschlag zurück" in browser.text(_page(second))
    assert session.scalar(select(func.count()).select_from(Vote)) == 1


def test_giving_a_vote_back_waits_for_an_annulment_and_does_not_block_it(committing: Beteiligung, keyring: Keyring) -> None:
    database = committing.extensions["platform"].database
    with database.unit_of_work() as session:
        process, (first, second, third, _fourth) = _process(session, TWO)
        account = factories.account(session)
        actor, now = factories.actor(account), clock.now()
        for one in (first, second):
            votes.support(session, keyring, actor, one, now)
        contributions.hide(session, first, "Grund", now)
        voter_id, first_id, path = keyring.voter_of(process.id, actor.identity or ""), first.id, _page(third)
    browser = Browser(committing).sign_in(account)
    with ThreadPoolExecutor(1) as pool:
        with database.unit_of_work() as session:
            # As an annulment begins.
            votes.hold_votes(session, Vote.voter_id == voter_id)
            answer = pool.submit(browser.post, f"{path}/unterstuetzen", headers=JSON)
            wait([answer], timeout=0.5)
            assert not answer.done()
            # As it goes on: the counter of the voter.
            votes.count_many(session, [(first_id, voter_id)], -1)
            session.execute(update(Vote).where(Vote.contribution_id == first_id).values(source_hash="gesehen"))
            votes.count_many(session, [(first_id, voter_id)], 1)
        assert answer.result().status_code == 201
    with database.unit_of_work() as session:
        assert session.scalar(select(func.count()).select_from(Vote)) == 2
        assert recount(session, keyring)["contribution.support_count"] == 0


def test_what_was_hidden_gives_its_vote_back(session: Session, keyring: Keyring) -> None:
    _, (first, second, third, fourth) = _process(session, TWO)
    actor, now = factories.actor(factories.account(session)), clock.now()
    for one in (first, second):
        votes.support(session, keyring, actor, one, now)
    contributions.hide(session, first, "Grund", now)
    assert votes.support(session, keyring, actor, third, now)
    with pytest.raises(Conflict, match="alle 2 Stimmen"):
        votes.support(session, keyring, actor, fourth, now)
    contributions.publish(session, first, now)
    session.refresh(first)
    assert first.support_count == 0, "nobody has three"
    assert recount(session, keyring)["contribution.support_count"] == 0


def test_votes_of_an_earlier_phase_and_of_comments_are_not_counted_out(session: Session, keyring: Keyring) -> None:
    process, (first, second, third, fourth) = _process(session, TWO)
    process.phases.insert(0, factories.phase("collect", opens=-30, closes=-1))
    session.flush()
    actor, now = factories.actor(factories.account(session)), clock.now()
    votes.support(session, keyring, actor, fourth, now - timedelta(days=5))
    votes.support(session, keyring, actor, factories.comment(session, first), now)
    for one in (first, second):
        assert votes.support(session, keyring, actor, one, now)
    with pytest.raises(Conflict):
        votes.support(session, keyring, actor, third, now)


def test_of_the_time_of_a_vote_little_is_kept_and_votes_are_counted_out_all_the_same(
    session: Session, keyring: Keyring,
) -> None:
    """A phase that begins within the hour in which an earlier one ended."""
    process, (first, second, third, fourth) = _process(session, VoteSettings(votes_per_person=1))
    noon = clock.now().replace(hour=12, minute=0, second=0, microsecond=0)
    earlier, phase = factories.phase("collect"), process.phases[0]
    earlier.starts_at, earlier.ends_at = noon - timedelta(days=3), noon + timedelta(minutes=20)
    phase.starts_at, phase.ends_at = noon + timedelta(minutes=25), noon + timedelta(days=60)
    process.phases.insert(0, earlier)
    session.flush()
    actor, source = factories.actor(factories.account(session)), "a" * 16
    assert votes.support(session, keyring, actor, first, noon + timedelta(minutes=10), source)
    assert votes.support(session, keyring, actor, second, noon + timedelta(minutes=30), source)
    with pytest.raises(Conflict, match="Ihre Stimme schon vergeben"):
        votes.support(session, keyring, actor, third, noon + timedelta(minutes=31), source)
    assert set(session.scalars(select(Vote.given_at))) == {noon, noon + timedelta(minutes=25)}
    forget_sources(session, noon + timedelta(days=15))
    assert set(session.scalars(select(Vote.given_at))) == {clock.day_of(noon), noon + timedelta(minutes=25)}
    with pytest.raises(Conflict, match="Ihre Stimme schon vergeben"):
        votes.support(session, keyring, actor, fourth, noon + timedelta(days=15), source)


def test_what_was_hidden_gives_no_vote_back_that_counts_in_a_vote_that_is_over(session: Session, keyring: Keyring) -> None:
    process, (first, second) = _process(session, VoteSettings(votes_per_person=1), 2)
    over, noon = process.phases[0], clock.now()
    over.starts_at, over.ends_at = noon - timedelta(days=9), noon - timedelta(days=2)
    process.phases.append(factories.phase("vote", title="Zweite", opens=-9, settings=VoteSettings(votes_per_person=1)))
    session.flush()
    actor = factories.actor(factories.account(session))
    votes.support(session, keyring, actor, first, noon - timedelta(days=4))
    contributions.hide(session, first, "Grund", noon)
    before = [(one.id, one.people) for one in results(session, over)]
    assert before == [(first.id, 1)]
    with pytest.raises(Conflict, match="Ihre Stimme schon vergeben"):
        votes.support(session, keyring, actor, second, noon)
    assert [(one.id, one.people) for one in results(session, over)] == before


def test_the_result_of_a_vote_that_is_over_stays_whatever_is_supported_afterwards(
    session: Session, keyring: Keyring, browser: Browser,
) -> None:
    """Also within the hour and the day of its end, which is what is kept of the time of a vote."""
    process, (first, second, third) = _process(session, TWO, 3)
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
