"""V06: a flood from one address is slowed down, shown, annulled with a reason, and can be given back."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from babel.dates import format_date
from lxml import html
from sqlalchemy import func, select

from app import Beteiligung, create_app
from participation import clock
from participation.audit import AuditEntry
from participation.contributions.abuse import operations
from participation.contributions.abuse.models import Annulment, VoteFlag
from participation.contributions.abuse.queries import Suspect
from participation.contributions.ballots import operations as ballots
from participation.contributions.ballots.models import Ballot, BallotTally
from participation.contributions.models import Contribution
from participation.contributions.personal.operations import delete_account
from participation.contributions.proposals.operations.counting import recount
from participation.contributions.votes import operations as votes
from participation.contributions.votes.models import Vote
from participation.errors import Conflict, InvalidInput
from participation.formats import BallotRule, Results, VoteSettings, store_settings
from participation.municipalities.operations import raise_content_version
from participation.permissions import Role
from participation.processes.models import Phase, Process
from participation.processes.queries import supports_of
from tests import factories
from tests.browser_client import Browser

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.contributions.proposals.models import Proposal
    from participation.db import Database
    from participation.permissions import Actor
    from participation.tokens import Keyring

BOTS = 6


@pytest.fixture
def proposal(session: Session) -> Proposal:
    process = factories.process(session, phases=[
        factories.phase("collect"), factories.phase("vote", settings=VoteSettings(ballot=BallotRule.POINTS))])
    found = factories.proposal(session, process)
    session.commit()
    return found


@pytest.fixture
def planner(session: Session, proposal: Proposal) -> Actor:
    return factories.actor(factories.account(session, Role.PLANNER, on=proposal.process, display_name="Planung"))


@pytest.fixture
def flood(session: Session, keyring: Keyring, proposal: Proposal) -> VoteFlag:
    """Six accounts of one address, and one honest person from elsewhere: supports and points."""
    now, phase = clock.now(), proposal.process.phases[1]
    source = operations.source_of(keyring, proposal.process_id, "203.0.113.9", now)
    for number in range(BOTS + 1):
        actor = factories.actor(factories.account(session))
        where = source if number < BOTS else operations.source_of(keyring, proposal.process_id, "198.51.100.1", now)
        votes.support(session, keyring, actor, proposal, now, where)
        ballots.cast(session, keyring, actor, phase, {proposal.id: 2}, now, source=where)
    operations.flag(session, proposal.process_id, source, now)
    operations.flag(session, proposal.process_id, source, now + timedelta(minutes=1))
    session.commit()
    return session.scalars(select(VoteFlag)).one()


def _of(found: VoteFlag) -> Suspect:
    return Suspect(source_hash=found.source_hash)


def _numbers(session: Session, proposal: Proposal) -> tuple[int, int, int]:
    session.expire_all()
    points = session.scalar(select(BallotTally.total).where(BallotTally.contribution_id == proposal.id)) or 0
    return (session.get_one(Contribution, proposal.id).support_count,
            supports_of(session, [proposal.process_id])[proposal.process_id], points)


def _is_recounted(session: Session, keyring: Keyring) -> bool:
    return not any((recount(session, keyring) | ballots.recount(session)).values())


def test_annulled_votes_count_nowhere_and_come_back(
    session: Session, keyring: Keyring, proposal: Proposal, planner: Actor, flood: VoteFlag,
) -> None:
    # The factory's process has not counted the supports yet.
    recount(session, keyring)
    before = _numbers(session, proposal)
    assert before == (BOTS + 1, BOTS + 1, 2 * (BOTS + 1))
    process = session.get_one(Process, proposal.process_id)
    annulment = operations.annul(session, planner, process, _of(flood), "Alle aus einem Programm.", clock.now())
    assert (annulment.votes, annulment.ballots) == (BOTS, BOTS)
    assert _numbers(session, proposal) == (1, 1, 2)
    assert _is_recounted(session, keyring), "counters as their rows say"
    with pytest.raises(Conflict):
        operations.annul(session, planner, process, _of(session.scalars(select(VoteFlag)).one()), "Noch einmal.", clock.now())
    annulment = session.scalars(select(Annulment).order_by(Annulment.id)).first()
    assert annulment is not None
    operations.undo(session, planner, process, annulment, "Es war die Grundschule.", clock.now())
    assert _numbers(session, proposal) == before
    assert _is_recounted(session, keyring)
    with pytest.raises(Conflict):
        operations.undo(session, planner, process, annulment, "Noch einmal.", clock.now())


def test_an_annulled_voter_can_neither_take_back_nor_vote_anew(
    session: Session, keyring: Keyring, proposal: Proposal, planner: Actor, flood: VoteFlag,
) -> None:
    bot = factories.actor(factories.account(session))
    votes.support(session, keyring, bot, proposal, clock.now(), flood.source_hash)
    ballots.cast(session, keyring, bot, proposal.process.phases[1], {proposal.id: 1}, clock.now(),
                 source=flood.source_hash)
    process = session.get_one(Process, proposal.process_id)
    operations.annul(session, planner, process, _of(flood), "Programm.", clock.now())
    session.refresh(proposal)
    assert votes.withdraw_support(session, keyring, bot, proposal, clock.now()) is False
    assert votes.support(session, keyring, bot, proposal, clock.now()) is False
    with pytest.raises(Conflict, match="zählt nicht"):
        ballots.cast(session, keyring, bot, process.phases[1], {proposal.id: 3}, clock.now())
    assert _numbers(session, proposal)[0] == 1


@pytest.mark.parametrize("rule", [BallotRule.POINTS, None])
def test_whoever_has_an_annulled_support_reads_that_beside_the_button(
    session: Session, keyring: Keyring, proposal: Proposal, planner: Actor, browser: Browser,
    new_browser: Callable[[], Browser], rule: BallotRule | None,
) -> None:
    process, account, now = session.get_one(Process, proposal.process_id), factories.account(session), clock.now()
    if rule is None:
        # No page of results.
        process.phases.remove(process.phases[1])
        session.flush()
    comment = factories.comment(session, proposal)
    recount(session, keyring)
    for liked in (proposal, comment):
        votes.support(session, keyring, factories.actor(account), liked, now, "einwahl")
    operations.annul(session, planner, process, Suspect(source_hash="einwahl"), "Ein <b>Programm</b> war es.", now)
    session.commit()
    page = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}"
    browser.sign_in(account)
    sentence = "Ihre Unterstützung wurde nach einer Prüfung aus der Zählung genommen."

    def places(text: str) -> list[str]:
        tree = html.fromstring(text)
        found = [tree.get_element_by_id("unterstuetzen"), tree.get_element_by_id(f"kommentar-{comment.id}")]
        assert "Unterstützung zurücknehmen" not in found[0].text_content()
        for place in found:
            words = " ".join(place.text_content().split())
            assert sentence in words
            (link,) = place.xpath(".//a[contains(., 'Den Grund lesen')]/@href")
            address, _hash, anchor = link.partition("#")
            reasons = html.fromstring(new_browser().get(address).get_data(as_text=True)).xpath(f"//*[@id='{anchor}']/..")
            assert "2 Unterstützungen zählen nicht." in reasons[0].text_content()
            assert "Ein <b>Programm</b> war es." in reasons[0].text_content()
        return [" ".join(place.text_content().split()) for place in found]

    places(browser.get(page).get_data(as_text=True))
    for path in ("unterstuetzen", "unterstuetzung-zuruecknehmen"):
        text = browser.post(f"{page}/{path}", follow_redirects=True).get_data(as_text=True)
        assert "Sie haben schon abgestimmt" not in text
        assert text.count(sentence) == 3, "as the answer, and at both places"
        assert places(text)
    answer = browser.post(f"{page}/unterstuetzen", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json["message"]) == (409, sentence), "the script then sends the form as it stands"
    text = browser.post(f"{page}/kommentare/{comment.id}/unterstuetzen", follow_redirects=True).get_data(as_text=True)
    assert "Sie haben diesen Kommentar schon unterstützt" not in text
    assert text.count(sentence) == 3
    session.expire_all()
    assert (proposal.support_count, comment.support_count) == (0, 0)


def test_who_leaves_with_annulled_votes_and_comes_back_is_counted_once_when_that_is_undone(
    session: Session, keyring: Keyring, proposal: Proposal, planner: Actor, flood: VoteFlag,
) -> None:
    now, process = clock.now(), session.get_one(Process, proposal.process_id)
    for is_back in (False, True):
        account = factories.account(session)
        actor = factories.actor(account)
        votes.support(session, keyring, actor, proposal, now, None if is_back else flood.source_hash)
        ballots.cast(session, keyring, actor, process.phases[1], {proposal.id: 2}, now,
                     source=None if is_back else flood.source_hash)
        if not is_back:
            annulment = operations.annul(session, planner, process, _of(flood), "Programm.", now)
            delete_account(session, keyring, actor, account, take_along=False, now=now)
            process, flood = session.get_one(Process, process.id), session.scalars(select(VoteFlag)).one()
    recount(session, keyring)
    operations.undo(session, planner, process, session.get_one(Annulment, annulment.id), "Es war die Grundschule.", now)
    assert _numbers(session, proposal) == (BOTS + 2, BOTS + 2, 2 * (BOTS + 2)), "one honest person, and whoever came back"
    assert _is_recounted(session, keyring)


def test_the_download_of_own_data_says_what_does_not_count(
    session: Session, keyring: Keyring, proposal: Proposal, planner: Actor, flood: VoteFlag,
    new_browser: Callable[[], Browser],
) -> None:
    account = factories.account(session)
    actor, process = factories.actor(account), session.get_one(Process, proposal.process_id)
    votes.support(session, keyring, actor, proposal, clock.now(), flood.source_hash)
    ballots.cast(session, keyring, actor, process.phases[1], {proposal.id: 1}, clock.now(), source=flood.source_hash)
    session.commit()
    browser = new_browser().sign_in(account)

    def told() -> list[bool]:
        (mine,) = json.loads(browser.get("/konto/meine-daten.json").get_data(as_text=True))["teilnahmen"]
        return [one["zaehlt"] for one in (*mine["unterstuetzungen"], *mine["stimmzettel"])]

    assert told() == [True, True]
    operations.annul(session, planner, process, _of(flood), "Programm.", clock.now())
    session.commit()
    assert told() == [False, False]


def test_a_planner_sees_numbers_only_and_everybody_reads_the_reason(
    session: Session, proposal: Proposal, flood: VoteFlag, new_browser: Callable[[], Browser],
) -> None:
    account = factories.account(session, Role.PLANNER, on=proposal.process)
    session.commit()
    process = proposal.process
    office, base = new_browser().sign_in(account), f"/verwaltung/verfahren/{process.id}/stimmen"
    rows = office.open(base).xpath("//tbody/tr")
    assert [cell.text_content().strip() for cell in rows[0].xpath("./td")][:3] == [str(BOTS)] * 3
    assert flood.source_hash not in office.get(base).get_data(as_text=True)
    address = f"{base}/{flood.id}/annullieren"
    promised = office.text(address)
    assert "Er steht auf der Seite des Verfahrens, bei Stimmzetteln auch beim Ergebnis." in promised
    refused = office.submit(address, {"reason": "  "}, form=-1)
    assert refused.status_code == 422
    assert "Bitte nennen Sie den Grund" in refused.get_data(as_text=True)
    office.submit(address, {"reason": "Sechs Konten aus einem Programm."}, form=-1)
    result = f"/verfahren/{process.slug}/abstimmung/{process.phases[1].id}/ergebnis"
    text = new_browser().text(result)
    annulled = session.scalars(select(Annulment)).one()
    assert annulled.since is not None
    assert annulled.until is not None
    assert annulled.since <= flood.first_at < annulled.until
    assert annulled.until - annulled.since <= timedelta(hours=2), "as exactly as it is kept, and no more exactly"
    since, until = (f"{clock.to_berlin(one):%H:%M} Uhr" for one in (annulled.since, annulled.until))
    told = re.search(r"6 Stimmzettel zählen nicht. Abgegeben von (.*) bis (.*). Sechs Konten aus einem Programm.", text)
    assert told is not None
    assert (told[1].endswith(since), told[2].endswith(until)) == (True, True)
    assert "Unterstützungen" not in told[0]
    everything = re.search(r"6 Unterstützungen zählen nicht. 6 Stimmzettel zählen nicht. Abgegeben von (.*) bis (.*). Sechs Konten "
                           "aus einem Programm.", new_browser().text(f"/verfahren/{process.slug}"))
    assert everything is not None
    assert everything.groups() == told.groups()
    assert "Auffällige Stimmen prüfen" not in text
    assert "Auffällige Stimmen prüfen" in office.text(result)
    stranger = new_browser().sign_in(factories.account(session, Role.PLANNER, on=factories.process(session)))
    session.commit()
    assert stranger.get(base).status_code in {403, 404}
    assert stranger.post(address, {"reason": "x"}).status_code in {403, 404}


def test_a_planner_is_told_of_a_flag_and_led_to_it_until_nothing_of_it_counts(
    session: Session, keyring: Keyring, proposal: Proposal, flood: VoteFlag, new_browser: Callable[[], Browser],
    count_queries: Any,
) -> None:
    process, account = proposal.process, factories.account(session, Role.PLANNER, on=proposal.process)
    elsewhere = factories.account(session, Role.PLANNER, on=factories.process(session, process.municipality))
    session.commit()
    office, base = new_browser().sign_in(account), f"/verwaltung/verfahren/{process.id}/stimmen"
    told = "1 Hinweis ist noch zu prüfen."
    with count_queries() as few:
        page = office.open("/verwaltung")
    assert told in page.text_content()
    assert base in page.xpath("//a/@href")
    assert base in office.open(f"/verwaltung/verfahren/{process.id}/auswertung").xpath("//a/@href")
    trail = office.open(base).xpath("//nav[@class='bp-breadcrumb']//a/@href")
    assert [office.get(address).status_code for address in trail] == [200, 200], "no way back is closed to planners"
    assert told not in new_browser().sign_in(elsewhere).text("/verwaltung")
    other = factories.process(session, process.municipality)
    other.phases.append(factories.phase("collect"))
    session.flush()
    liked = factories.proposal(session, other)
    votes.support(session, keyring, factories.actor(factories.account(session)), liked, clock.now(), "zweite")
    operations.flag(session, other.id, "zweite", clock.now())
    session.commit()
    with count_queries() as many:
        assert told in office.text("/verwaltung")
    assert len(few) == len(many)
    office.submit(f"{base}/{flood.id}/annullieren", {"reason": "Ein Programm."}, form=-1)
    assert told not in office.text("/verwaltung")


def test_a_result_names_what_is_missing_in_it_and_nothing_of_other_phases(
    session: Session, keyring: Keyring, proposal: Proposal, planner: Actor, flood: VoteFlag, browser: Browser,
) -> None:
    process = session.get_one(Process, proposal.process_id)
    other = factories.phase("vote", settings=VoteSettings(ballot=BallotRule.POINTS), title="Zweite Abstimmung", position=2)
    process.phases.append(other)
    session.flush()
    voter = factories.actor(factories.account(session))
    ballots.cast(session, keyring, voter, other, {proposal.id: 1}, clock.now(), source="zweite")
    annulment = operations.annul(session, planner, process, _of(flood), "Sechs aus einem Programm.", clock.now())
    operations.annul(session, planner, process, Suspect(source_hash="zweite"), "Das war die zweite.", clock.now())
    session.commit()
    first, second = (browser.text(f"/verfahren/{process.slug}/abstimmung/{one.id}/ergebnis")
                     for one in process.phases if one.ballot)
    assert "6 Stimmzettel zählen nicht." in first
    assert "Das war die zweite." not in first
    assert "1 Stimmzettel zählt nicht." in second
    assert "Bisher zählt keine Stimme" in second
    assert "Sechs aus einem Programm." not in second
    operations.undo(session, planner, process, annulment, "Es war die Grundschule.", clock.now())
    session.commit()
    assert "Stimmen, die nicht zählen" not in browser.text(f"/verfahren/{process.slug}/abstimmung/{process.phases[1].id}/ergebnis")
    assert "zählen sie wieder: Es war die Grundschule." in browser.text(f"/verfahren/{process.slug}")


def test_a_result_names_what_was_missing_in_it_for_a_time(
    session: Session, keyring: Keyring, proposal: Proposal, planner: Actor, flood: VoteFlag, browser: Browser,
) -> None:
    process = session.get_one(Process, proposal.process_id)
    earlier, later = (factories.phase("vote", opens=opens, closes=closes, position=9,
                                      settings=VoteSettings(ballot=BallotRule.POINTS))
                      for opens, closes in ((-9, -5), (5, 9)))
    supports = factories.phase("vote", position=9)
    process.phases += [earlier, later, supports]
    # Comments have no result.
    votes.support(session, keyring, factories.actor(factories.account(session)), factories.comment(session, proposal),
                  clock.now(), flood.source_hash)
    annulment = operations.annul(session, planner, process, _of(flood), "Sechs aus einem Programm.", clock.now())
    operations.undo(session, planner, process, annulment, "Es war die <b>Grundschule</b>.", clock.now())
    session.commit()

    def counted_again(phase: Phase) -> str:
        page = browser.open(f"/verfahren/{process.slug}/abstimmung/{phase.id}/ergebnis")
        assert "Stimmen, die nicht zählen" not in page.text_content()
        return " ".join(page.xpath("string(//section[@aria-labelledby='wieder-gezaehlt'])").split())

    for phase, number in ((process.phases[1], f"{BOTS} Stimmzettel zählten nicht."),
                          (supports, f"{BOTS} Unterstützungen zählten nicht.")):
        told = counted_again(phase)
        assert number in told
        assert "Sechs aus einem Programm." in told
        today = format_date(clock.to_berlin(clock.now()), "long", locale="de")
        assert f"Seit dem {today} zählen sie wieder: Es war die <b>Grundschule</b>." in told
    assert counted_again(earlier) == ""
    # Of an annulment that does not know its phases, with two votes at once, nobody can tell which ballots were whose.
    annulment.ballots_by_phase = None
    process.phases.append(factories.phase("vote", position=9, settings=VoteSettings(ballot=BallotRule.POINTS)))
    raise_content_version(session, process.municipality_id)
    session.commit()
    for phase in (process.phases[1], process.phases[-1]):
        told = counted_again(phase)
        assert "Sechs aus einem Programm." in told
        assert "Einige Stimmzettel zählten nicht." in told
        assert f"{BOTS} Stimmzettel" not in told


@pytest.mark.parametrize("kind", ["new", "older"])
def test_ballots_of_several_votes_at_once_are_told_with_their_numbers_when_they_count_again(
    session: Session, keyring: Keyring, proposal: Proposal, planner: Actor, browser: Browser, new_browser: Callable[[], Browser],
    flood: VoteFlag, kind: str,
) -> None:
    process, now = session.get_one(Process, proposal.process_id), clock.now()
    other = factories.phase("vote", position=9, settings=VoteSettings(ballot=BallotRule.POINTS))
    process.phases.append(other)
    session.flush()
    for _number in range(2):
        ballots.cast(session, keyring, factories.actor(factories.account(session)), other, {proposal.id: 1}, now,
                     source=flood.source_hash)
    annulment = operations.annul(session, planner, process, _of(flood), "Aus einem Programm.", now)
    if kind == "older":
        annulment.ballots_by_phase = None
    account = factories.account(session, Role.PLANNER, on=process)
    session.commit()
    staff = new_browser().sign_in(account)
    answer = staff.submit(f"/verwaltung/verfahren/{process.id}/stimmen/zuruecknehmen/{annulment.id}",
                          {"reason": "Es war die Grundschule."}, form=-1)
    assert f"{BOTS + BOTS + 2} Stimmen zählen wieder." in answer.get_data(as_text=True)
    for phase, number in ((process.phases[1], BOTS), (other, 2)):
        assert f"{number} Stimmzettel zählten nicht." in browser.text(f"/verfahren/{process.slug}/abstimmung/{phase.id}/ergebnis")


def test_whoever_has_an_annulled_ballot_reads_that_before_filling_it_in(
    session: Session, keyring: Keyring, proposal: Proposal, planner: Actor, browser: Browser,
) -> None:
    process, account, now = session.get_one(Process, proposal.process_id), factories.account(session), clock.now()
    phase = process.phases[1]
    ballots.cast(session, keyring, factories.actor(account), phase, {proposal.id: 2}, now, source="einwahl")
    operations.annul(session, planner, process, Suspect(source_hash="einwahl"), "Ein <b>Programm</b> war es.", now)
    session.commit()
    browser.sign_in(account)
    for path in (f"abstimmung/{phase.id}", f"vorschlaege/{proposal.id}"):
        page = browser.open(f"/verfahren/{process.slug}/{path}")
        words = " ".join(page.text_content().split())
        assert "Ihre Stimme in dieser Phase zählt nicht" in words
        assert "Der Grund: Ein <b>Programm</b> war es." in words
        assert "Sie können Ihre Stimme bis zum Ende der Phase ändern" not in words
        assert not page.xpath(f"//input[@name='marke-{proposal.id}']")


def test_one_vote_that_does_not_count_any_more_is_told_as_one(
    session: Session, keyring: Keyring, proposal: Proposal, new_browser: Callable[[], Browser],
) -> None:
    process = proposal.process
    votes.support(session, keyring, factories.actor(factories.account(session)), proposal, clock.now(), "einwahl")
    office = new_browser().sign_in(factories.account(session, Role.PLANNER, on=process))
    session.commit()
    wall = [clock.to_berlin(clock.now() + timedelta(hours=step)).strftime("%Y-%m-%dT%H:%M") for step in (-1, 1)]
    answer = office.submit(f"/verwaltung/verfahren/{process.id}/stimmen/{_window(*wall)}", {"reason": "Programm."}, form=-1)
    assert "1 Stimme zählt nicht mehr." in answer.get_data(as_text=True)


@pytest.mark.parametrize("reason", ["", "x" * 1001])
def test_a_reason_is_needed_and_bounded(
    session: Session, proposal: Proposal, planner: Actor, flood: VoteFlag, reason: str,
) -> None:
    with pytest.raises(InvalidInput):
        operations.annul(session, planner, proposal.process, _of(flood), reason, clock.now())


def test_after_two_weeks_nobody_knows_what_came_from_one_place(session: Session, flood: VoteFlag) -> None:
    now = clock.now()
    operations.forget_sources(session, now + timedelta(days=13))
    assert session.scalar(select(func.count()).select_from(Vote).where(Vote.source_hash.is_not(None)))
    assert {*session.scalars(select(Vote.given_at)), *session.scalars(select(Ballot.changed_at))} == {clock.hour_of(now)}
    operations.forget_sources(session, now + timedelta(days=15))
    assert not session.scalar(select(func.count()).select_from(Vote).where(Vote.source_hash.is_not(None)))
    assert not session.scalar(select(func.count()).select_from(VoteFlag))
    assert {*session.scalars(select(Vote.given_at)), *session.scalars(select(Ballot.changed_at))} == {clock.day_of(now)}
    assert flood is not None


def _window(since: str, until: str, address: str = "") -> str:
    return f"zeitraum?von={since}&bis={until}&adresse={address}"


def test_votes_of_a_time_are_shown_as_numbers_first_then_annulled_and_given_back(
    session: Session, keyring: Keyring, proposal: Proposal, flood: VoteFlag, new_browser: Callable[[], Browser],
) -> None:
    process, phase = proposal.process, proposal.process.phases[1]
    recount(session, keyring)
    # Earlier, and from the same address: outside of the window.
    early = factories.actor(factories.account(session))
    votes.support(session, keyring, early, proposal, clock.now() - timedelta(hours=3), flood.source_hash)
    office = new_browser().sign_in(factories.account(session, Role.PLANNER, on=process))
    session.commit()
    before = _numbers(session, proposal)
    base = f"/verwaltung/verfahren/{process.id}/stimmen"
    wall = [clock.to_berlin(clock.now() + timedelta(hours=step)).strftime("%Y-%m-%dT%H:%M") for step in (-1, 1)]
    everything = office.text(f"{base}/{_window(*wall)}")
    assert f"{BOTS + 1} Unterstützungen zählen nicht mehr" in everything
    address = f"{base}/{_window(*wall, str(flood.id))}"
    shown = office.text(address)
    assert f"{BOTS} Unterstützungen zählen nicht mehr, von {BOTS} Personen. Danach zählen 2 statt 8." in shown
    assert f"{BOTS} Stimmzettel zählen nicht mehr. Danach zählen 1 statt 7." in shown
    assert proposal.title not in shown, "nothing by proposal"
    assert _numbers(session, proposal) == before, "looking changes nothing"
    assert office.submit(address, {"reason": ""}, form=-1).status_code == 422
    stale = office.post(address, {"reason": "Programm.", "anzahl": "3"}, follow_redirects=True)
    assert "andere Stimmen als eben angezeigt" in stale.get_data(as_text=True)
    assert _numbers(session, proposal) == before
    office.submit(address, {"reason": "Alle in einer Minute, aus einem Programm."}, form=-1)
    assert _numbers(session, proposal) == (2, 2, 2)
    assert _is_recounted(session, keyring)
    entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "annul_votes")).one()
    assert entry.details["of"] == "one address"
    assert flood.source_hash not in str(entry.details)
    text = new_browser().text(f"/verfahren/{process.slug}/abstimmung/{phase.id}/ergebnis")
    assert "Alle in einer Minute, aus einem Programm." in text
    assert "Abgegeben von" in text
    annulment = session.scalars(select(Annulment)).one()
    office.submit(f"{base}/zuruecknehmen/{annulment.id}", {"reason": "Es war die Grundschule."}, form=-1)
    assert _numbers(session, proposal) == before
    assert _is_recounted(session, keyring)


def test_the_preview_of_an_annulment_tells_its_size_and_no_turnout_that_is_secret(
    session: Session, proposal: Proposal, flood: VoteFlag, new_browser: Callable[[], Browser],
) -> None:
    process, phase = proposal.process, proposal.process.phases[1]
    phase.stored_settings = store_settings(VoteSettings(ballot=BallotRule.POINTS, results=Results.AFTER))
    office = new_browser().sign_in(factories.account(session, Role.PLANNER, on=process))
    session.commit()
    wall = [clock.to_berlin(clock.now() + timedelta(hours=step)).strftime("%Y-%m-%dT%H:%M") for step in (-1, 1)]
    address = f"/verwaltung/verfahren/{process.id}/stimmen/{_window(*wall, str(flood.id))}"
    shown = office.text(address)
    assert f"{BOTS} Stimmzettel zählen nicht mehr" in shown
    assert "zählen nicht mehr. Danach zählen 1 statt 7" not in shown
    assert f"von {BOTS} Personen. Danach zählen 1 statt 7." in shown, "supports are no secret here"
    phase.ends_at = clock.now() - timedelta(minutes=1)
    session.commit()
    assert f"{BOTS} Stimmzettel zählen nicht mehr. Danach zählen 1 statt 7." in office.text(address)


@pytest.mark.parametrize(("since", "until", "message"), [
    ("", "", "verstehen wir nicht"), ("gestern", "2026-11-20T10:00", "verstehen wir nicht"),
    ("2026-11-20T10:00", "2026-11-20T10:00", "muss nach dem Beginn liegen"), ("0001-01-01T00:00", "2026-11-20T10:00", "prüfen Sie das Jahr"),
    ("2026-03-29T02:30", "2026-11-20T10:00", ""), ("2026-11-20T10:00", "9999-12-31T23:59", "prüfen Sie das Jahr"),
])
def test_a_window_that_is_none_says_so_beside_the_field(
    session: Session, proposal: Proposal, new_browser: Callable[[], Browser], since: str, until: str, message: str,
) -> None:
    office = new_browser().sign_in(factories.account(session, Role.PLANNER, on=proposal.process))
    session.commit()
    answer = office.get(f"/verwaltung/verfahren/{proposal.process_id}/stimmen/{_window(since, until)}")
    assert answer.status_code == 422
    assert message in answer.get_data(as_text=True)
    assert "Das würde sich ändern" not in answer.get_data(as_text=True)


@pytest.fixture
def limited(app: Beteiligung, database: Database) -> Beteiligung:
    """The brake as in production, from an empty count."""
    strict = create_app(replace(app.extensions["platform"].settings, rate_limits=True), database)
    strict.config["WTF_CSRF_ENABLED"] = False
    return strict


def test_one_address_is_the_same_within_a_process_and_nothing_joins_its_votes_to_those_of_another(
    session: Session, proposal: Proposal, browser: Browser,
) -> None:
    phase = proposal.process.phases[1]
    other = factories.proposal(session, factories.process(session, proposal.process.municipality))
    comment = factories.comment(session, proposal)
    browser.sign_in(factories.account(session))
    session.commit()
    here, there = (f"/verfahren/{one.process.slug}/vorschlaege/{one.id}" for one in (proposal, other))
    for path, values in ((f"{here}/unterstuetzen", {}), (f"{here}/kommentare/{comment.id}/unterstuetzen", {}),
                         (f"/verfahren/{proposal.process.slug}/abstimmung/{phase.id}",
                          {"zeile": str(proposal.id), f"marke-{proposal.id}": "2"}), (f"{there}/unterstuetzen", {})):
        assert browser.post(path, values).status_code == 303
    sources = {row[0]: row[1] for row in session.execute(select(Vote.contribution_id, Vote.source_hash))}
    assert sources[proposal.id] == sources[comment.id] == session.scalars(select(Ballot.source_hash)).one()
    assert sources[other.id] != sources[proposal.id]


def _tells_why(innocent: Browser, proposal: Proposal) -> None:
    """Somebody else at the same address, who votes once: that it is not stored, why, until when, and where to try again."""
    process = f"/verfahren/{proposal.process.slug}"
    comment = f"{process}/vorschlaege/{proposal.id}/kommentare/1/unterstuetzen"
    for address, label in ((f"{process}/vorschlaege/{proposal.id}/unterstuetzen", "Zurück zum Vorschlag"), (comment, "Zurück zum Vorschlag"),
                           (f"{process}/abstimmung/{proposal.process.phases[1].id}", "Zum Stimmzettel")):
        answer = innocent.post(address, {})
        assert answer.status_code == 429
        tree = html.fromstring(answer.get_data(as_text=True))
        text = " ".join(tree.text_content().split())
        for wanted in ("Diese Stimme ist nicht gespeichert", "Von Ihrem Internet-Anschluss kamen gerade sehr viele Stimmen", "Minuten noch einmal"):
            assert wanted in text, wanted
        assert tree.xpath(f"//main//a[contains(., '{label}')]/@href") == [address]
    answer = innocent.client.post(f"{process}/vorschlaege/{proposal.id}/unterstuetzen", headers={"Accept": "application/json"})
    assert answer.status_code == 429
    assert answer.json["message"].startswith("Diese Stimme ist nicht gespeichert. Von Ihrem Internet-Anschluss kamen")
    assert "Minuten noch einmal." in answer.json["message"]
    assert int(answer.headers["Retry-After"]) > 3000


def test_a_writer_who_is_slowed_down_reads_what_there_was_too_much_of(
    session: Session, proposal: Proposal, limited: Beteiligung,
) -> None:
    page = f"/verfahren/{proposal.process.slug}/vorschlaege/{proposal.id}/kommentare"
    browser = Browser(limited).sign_in(factories.account(session))
    session.commit()
    for number in range(20):
        assert browser.post(page, {"body": f"Text {number}", "submission_key": f"{number}"}).status_code == 303
    last = browser.post(page, {"body": "Ein Text, der bleiben soll."})
    assert last.status_code == 429
    text = last.get_data(as_text=True)
    for wanted in ("Zu viele Kommentare in kurzer Zeit", "Ihr Kommentar ist nicht gespeichert", "Ein Text, der bleiben soll."):
        assert wanted in text, wanted
    assert "Zu viele Versuche" not in text


def test_from_one_address_so_many_an_hour_and_the_rest_is_told_not_dropped(
    session: Session, proposal: Proposal, limited: Beteiligung,
) -> None:
    page = f"/verfahren/{proposal.process.slug}/vorschlaege/{proposal.id}"
    answers: list[int] = []
    for _account in range(6):
        browser = Browser(limited).sign_in(factories.account(session))
        session.commit()
        answers += [browser.post(f"{page}/unterstuetzen").status_code for _try in range(50)]
    assert answers == [303] * 200 + [429] * 100
    last = browser.post(f"{page}/unterstuetzen")
    assert last.status_code == 429
    assert "Zu viele Versuche" not in last.get_data(as_text=True)
    wait = re.search(r"Bitte versuchen Sie es in (\d+) Minuten noch einmal", last.get_data(as_text=True))
    assert wait is not None
    assert 50 <= int(wait[1]) <= 61, "the hour of the brake has just begun"
    assert 3000 <= int(last.headers["Retry-After"]) <= 3601
    _tells_why(Browser(limited).sign_in(factories.account(session)), proposal)
    flag = session.scalars(select(VoteFlag)).one()
    assert set(session.scalars(select(Vote.source_hash))) == {flag.source_hash}, "it shows these votes"
    assert {flag.first_at, flag.last_at} == {clock.hour_of(flag.last_at)}, "no time more exact than that of a vote"
    session.expire_all()
    assert session.get_one(Contribution, proposal.id).support_count == session.scalar(
        select(func.count()).select_from(Vote))
