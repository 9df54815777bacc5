"""Voting for and against, by points, by spending a budget: exact, changeable, secret."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from lxml import html
from sqlalchemy import func, select, update

from participation import clock
from participation.accounts.models import ParticipantKind
from participation.contributions import operations as contributions
from participation.contributions.ballots import operations
from participation.contributions.ballots.models import Ballot, BallotMark, BallotOption, BallotTally, BallotTurnout
from participation.contributions.models import AnswerStatus, Voter
from participation.contributions.personal.operations import attach_to_account
from participation.contributions.votes import operations as votes
from participation.errors import Conflict, InvalidInput, VerificationNeeded
from participation.formats import BallotRule, BudgetSettings, Results, Verification, VoteSettings, store_settings
from participation.permissions import Role
from participation.processes.models import Phase, Process
from participation.processes.operations import delete_phase, save_phase
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sqlalchemy.orm import Session

    from app import Beteiligung
    from participation.contributions.proposals.models import Proposal
    from participation.tokens import Keyring
    from tests.browser_client import Browser

POINTS = VoteSettings(ballot=BallotRule.POINTS, points=10, points_max=4)
PRO_CONTRA = VoteSettings(ballot=BallotRule.PRO_CONTRA)


def _vote(session: Session, settings: Any, number: int = 4, **values: Any) -> tuple[Phase, list[Proposal]]:
    """A phase with a ballot, and proposals to vote on."""
    kind = "budget" if isinstance(settings, BudgetSettings) else "vote"
    process = factories.process(session, phases=[factories.phase(kind, title="Abstimmung", settings=settings, **values)])
    proposals = [factories.proposal(session, process, title=f"Idee {name}") for name in "ABCDEFGH"[:number]]
    session.commit()
    return process.phases[0], proposals


def _budget(session: Session, costs: list[int], **values: Any) -> tuple[Phase, list[Proposal]]:
    phase, proposals = _vote(session, BudgetSettings(**{"total": 1000, **values}), len(costs))
    session.add_all(BallotOption(phase_id=phase.id, contribution_id=one.id, cost=cost)
                    for one, cost in zip(proposals, costs, strict=True))
    session.commit()
    return phase, proposals


def _page(phase: Phase) -> str:
    return f"/verfahren/{phase.process.slug}/abstimmung/{phase.id}"


def _rows(reader: Browser, phase: Phase) -> list[list[str]]:
    """The table of the result, as it is read."""
    rows = reader.open(f"{_page(phase)}/ergebnis").xpath("//tbody/tr")
    return [[cell.text_content().strip() for cell in row.xpath("./td|./th")] for row in rows]


def _tally(session: Session, proposal: Proposal) -> tuple[int, int, int]:
    session.expire_all()
    found = session.scalars(select(BallotTally).where(BallotTally.contribution_id == proposal.id)).one_or_none()
    return (found.people, found.against, found.total) if found else (0, 0, 0)


def _people(session: Session) -> int:
    return session.scalar(select(func.coalesce(func.sum(BallotTurnout.people), 0))) or 0


def _check_recount(session: Session) -> None:
    assert not any(operations.recount(session).values()), "counters as their rows say"


@pytest.fixture
def voter(session: Session, browser: Browser) -> Browser:
    """Somebody signed in."""
    account = factories.account(session)
    session.commit()
    return browser.sign_in(account)


def test_points_are_given_changed_and_taken_back(session: Session, voter: Browser) -> None:
    phase, (first, second, *_) = _vote(session, POINTS)
    page = _page(phase)
    shown = voter.text(page)
    assert "Sie haben 10 Punkte" in shown
    assert "Niemand sieht, wie Sie abstimmen" in shown
    answer = voter.submit(page, {f"marke-{first.id}": "4", f"marke-{second.id}": "3"}, form="/abstimmung/")
    assert "7 von 10 Punkten sind vergeben" in answer.get_data(as_text=True)
    assert (_tally(session, first), _tally(session, second), _people(session)) == ((1, 0, 4), (1, 0, 3), 1)
    voter.submit(page, {f"marke-{first.id}": "1"}, form="/abstimmung/")
    assert (_tally(session, first), _tally(session, second)) == ((1, 0, 1), (1, 0, 3)), "what was there stays"
    voter.submit(page, {f"marke-{first.id}": "0", f"marke-{second.id}": ""}, form="/abstimmung/")
    assert (_tally(session, first), _people(session)) == ((0, 0, 0), 0)
    _check_recount(session)


@pytest.mark.parametrize(("entered", "message"), [
    ({"A": "5"}, "höchstens 4 Punkte"), ({"A": "4", "B": "4", "C": "3"}, "Das sind 11 Punkte"),
    ({"A": "1" * 10}, "höchstens 4 Punkte"),
    *(({"A": wrong}, "ganze Zahl von 0 bis 4") for wrong in ("-1", "-2", "1,5", "1.5", "viele", "9" * 40)),
])
def test_more_points_than_one_has_are_refused_and_what_was_entered_stays(
    session: Session, voter: Browser, entered: dict[str, str], message: str,
) -> None:
    phase, proposals = _vote(session, POINTS)
    ids = {one.title[-1]: one.id for one in proposals}
    answer = voter.submit(_page(phase), {f"marke-{ids[name]}": value for name, value in entered.items()},
                          form="/abstimmung/")
    assert answer.status_code == 422
    assert message in answer.get_data(as_text=True)
    assert "Gespeichert: 0 von " in answer.get_data(as_text=True)
    for name, value in entered.items():
        assert html.fromstring(answer.get_data(as_text=True)).get_element_by_id(f"marke-{ids[name]}").get("value") == value
    assert session.scalar(select(func.count()).select_from(BallotMark)) == 0


def _answered(answer: Any) -> html.HtmlElement:
    return html.fromstring(answer.get_data(as_text=True))


def test_too_many_points_for_a_proposal_are_said_beside_it_with_its_name(session: Session, voter: Browser) -> None:
    phase, (first, second, third, *_) = _vote(session, POINTS)
    answer = voter.submit(_page(phase), {f"marke-{first.id}": "5", f"marke-{second.id}": "1", f"marke-{third.id}": "x"},
                          form="/abstimmung/")
    tree = _answered(answer)
    links = {one.get("href"): one.text_content().strip() for one in tree.xpath("//*[@data-error-summary]//a")}
    assert links.keys() == {f"#marke-{first.id}", f"#marke-{third.id}"}
    assert links[f"#marke-{first.id}"].startswith("Idee A: ")
    assert links[f"#marke-{third.id}"].startswith("Idee C: ")
    assert set(tree.xpath("//input[@aria-invalid='true']/@id")) == {f"marke-{first.id}", f"marke-{third.id}"}
    field = tree.get_element_by_id(f"marke-{first.id}")
    assert (field.get("min"), field.get("max"), field.get("value")) == ("0", "4", "5")
    assert "höchstens 4 Punkte" in tree.get_element_by_id(field.get("aria-describedby")).text_content()
    named = [" ".join(tree.get_element_by_id(one).text_content() for one in field.get("aria-labelledby").split())
             for field in tree.xpath("//input[@data-points]")]
    assert {one.split()[-1] for one in named} == set("ABCD"), "whoever only hears the fields knows which is which"


def test_what_was_refused_on_a_later_page_of_the_paper_comes_back_on_that_page(session: Session, voter: Browser) -> None:
    phase, _proposals = _vote(session, POINTS)
    many = [factories.proposal(session, phase.process) for _number in range(26)]
    session.commit()
    start = f"{_page(phase)}?ab=0"
    (onward,) = voter.open(start).xpath("//a[contains(., 'ohne zu speichern')]/@href")
    shown = {int(one) for one in voter.open(onward).xpath("//input[@name='zeile']/@value")}
    assert shown < {one.id for one in (*_proposals, *many)}
    wrong = min(shown)
    answer = voter.submit(onward, {f"marke-{wrong}": "9"}, form="/abstimmung/")
    assert answer.status_code == 422
    assert _answered(answer).get_element_by_id(f"marke-{wrong}").get("value") == "9"


def test_too_many_points_on_the_proposals_own_page_stay_there_to_be_mended(session: Session, voter: Browser) -> None:
    phase, (first, *_) = _vote(session, POINTS)
    detail = f"/verfahren/{phase.process.slug}/vorschlaege/{first.id}"
    refused = voter.submit(detail, {f"marke-{first.id}": "5"}, form="/abstimmung/")
    assert refused.status_code == 422
    tree = _answered(refused)
    field = tree.get_element_by_id(f"feld-{phase.id}")
    assert (field.get("value"), field.get("min"), field.get("max"), field.get("aria-invalid")) == ("5", "0", "4", "true")
    assert "höchstens 4 Punkte" in tree.get_element_by_id(f"fehler-{phase.id}").text_content()
    assert tree.xpath("//*[@data-error-summary]//a/@href") == [f"#feld-{phase.id}"]
    again = voter.post(_page(phase), {**dict(tree.forms[-1].form_values()), f"marke-{first.id}": "4"})
    assert again.headers["Location"].endswith(f"{detail}#abstimmen-{phase.id}")
    landed = voter.open(detail)
    (said,) = landed.xpath("//*[@role='status'][contains(@class, 'bp-messages')]")
    assert "4 von 10 Punkten sind vergeben" in said.text_content()
    assert said.getnext().get("id") == f"abstimmen-{phase.id}", "said where one lands, not at the top of the page"
    assert not voter.open(detail).xpath("//*[contains(@class, 'bp-messages')]"), "once"


def test_what_is_gone_from_the_paper_takes_nothing_else_along(session: Session, voter: Browser) -> None:
    phase, (bench, tree, bridge) = _budget(session, [300, 200, 100])
    contributions.hide(session, tree, "Grund", clock.now())
    session.commit()
    answer = voter.post(_page(phase), {"korb": [str(bench.id), str(tree.id), str(bridge.id)]})
    assert answer.status_code == 409
    page = _answered(answer)
    assert f"Vorschlag {tree.id}, nicht mehr öffentlich" in page.xpath("//*[@data-error-summary]")[0].text_content()
    assert "Idee B" not in page.text_content()
    kept = page.xpath("//input[@name='korb'][@checked]/@value")
    assert set(kept) == {str(bench.id), str(bridge.id)}
    assert voter.post(_page(phase), {**dict(page.forms[-1].form_values()), "korb": kept}).status_code == 303
    assert [_tally(session, one)[0] for one in (bench, tree, bridge)] == [1, 0, 1]


def test_points_for_what_is_gone_from_the_paper_take_no_others_along(session: Session, voter: Browser) -> None:
    phase, (first, second, *_) = _vote(session, POINTS)
    contributions.hide(session, first, "Grund", clock.now())
    session.commit()
    answer = voter.post(_page(phase), {"zeile": [str(first.id), str(second.id)], f"marke-{first.id}": "3",
                                       f"marke-{second.id}": "2"})
    assert answer.status_code == 409
    page = _answered(answer)
    assert f"Vorschlag {first.id}, nicht mehr öffentlich" in page.xpath("//*[@data-error-summary]")[0].text_content()
    assert page.get_element_by_id(f"marke-{second.id}").get("value") == "2"
    assert voter.post(_page(phase), dict(page.forms[-1].form_values())).status_code == 303


def test_an_older_ballot_says_what_on_it_is_gone(session: Session, voter: Browser) -> None:
    phase, (first, second, *_) = _vote(session, POINTS)
    voter.submit(_page(phase), {f"marke-{first.id}": "3", f"marke-{second.id}": "2"}, form="/abstimmung/")
    contributions.hide(session, first, "Grund", clock.now())
    session.commit()
    text = voter.text(_page(phase))
    assert f"Vorschlag {first.id}, nicht mehr öffentlich" in text
    assert "Dort stehen noch 3 Punkte von Ihnen" in text
    assert voter.open(_page(phase)).get_element_by_id("stimmzettel").get("data-elsewhere") == "0", "free to be given anew"
    voter.submit(_page(phase), {}, form="/abstimmung/")
    assert "nicht mehr öffentlich" not in voter.text(_page(phase))


def test_one_is_said_as_one(session: Session, voter: Browser) -> None:
    phase, proposals = _budget(session, [1, 1], min_number=1, max_number=1)
    text = voter.text(_page(phase))
    assert "Mindestens 1 Vorschlag." in text
    assert "Höchstens 1 Vorschlag." in text
    refused = voter.post(_page(phase), {"korb": [str(one.id) for one in proposals]})
    assert "höchstens einen Vorschlag auswählen" in _answered(refused).text_content()


def test_for_and_against_from_the_proposals_own_page(session: Session, voter: Browser) -> None:
    phase, (first, *_) = _vote(session, PRO_CONTRA)
    detail = f"/verfahren/{phase.process.slug}/vorschlaege/{first.id}"
    voter.submit(detail, {f"marke-{first.id}": "-1"}, form="/abstimmung/")
    assert _tally(session, first) == (1, 1, -1)
    checked = voter.open(detail).xpath("//section[starts-with(@id, 'abstimmen-')]//input[@checked]/@value")
    assert checked == ["-1"]
    voter.submit(detail, {f"marke-{first.id}": "1"}, form="/abstimmung/")
    assert _tally(session, first) == (1, 0, 1)
    refused = voter.post(_page(phase), {"zeile": str(first.id), f"marke-{first.id}": "7"})
    assert refused.status_code == 422
    _check_recount(session)


def test_two_votes_at_the_same_time_each_have_a_box_on_the_proposals_page(session: Session, voter: Browser) -> None:
    phase, (first, *_) = _vote(session, POINTS)
    other = factories.phase("vote", title="Zweite", settings=PRO_CONTRA)
    phase.process.phases.append(other)
    session.commit()
    detail = f"/verfahren/{phase.process.slug}/vorschlaege/{first.id}"
    boxes = voter.open(detail).xpath("//section[starts-with(@id, 'abstimmen')]")
    assert [box.xpath("string(.//h2)") for box in boxes] == ["Abstimmung", "Zweite"]
    ids = voter.open(detail).xpath("//@id")
    assert len(ids) == len(set(ids))
    voter.submit(detail, {f"marke-{first.id}": "3"}, form=f"/abstimmung/{phase.id}")
    voter.submit(detail, {f"marke-{first.id}": "-1"}, form=f"/abstimmung/{other.id}")
    answer = voter.post(f"/verfahren/{phase.process.slug}/abstimmung/{other.id}", {
        "zeile": str(first.id), f"marke-{first.id}": "-1", "von": "vorschlag"})
    assert answer.headers["Location"].endswith(f"{detail}#abstimmen-{other.id}")
    (said,) = voter.open(detail).xpath("//*[@role='status'][contains(@class, 'bp-messages')]")
    assert said.getnext().get("id") == f"abstimmen-{other.id}", "said above the vote it is about"
    tallies = session.execute(select(BallotTally.phase_id, BallotTally.people, BallotTally.total)).all()
    assert sorted(tallies) == [(phase.id, 1, 3), (other.id, 1, -1)]


def test_a_basket_is_filled_within_the_money_and_replaced_as_a_whole(session: Session, voter: Browser) -> None:
    phase, (bench, tree, bridge) = _budget(session, [300, 600, 5000], max_number=2)
    page = _page(phase)
    answer = voter.submit(page, {"korb": [str(bench.id), str(tree.id)]}, form="/abstimmung/")
    assert "Ihre Auswahl ist gespeichert" in answer.get_data(as_text=True)
    assert "900 von 1.000 Euro" in voter.text(page)
    over = voter.submit(page, {"korb": [str(bench.id), str(bridge.id)]}, form="/abstimmung/")
    assert over.status_code == 422
    text = over.get_data(as_text=True)
    assert "Das sind 5.300 Euro, und es gibt nur 1.000 Euro" in text
    assert f'value="{bridge.id}" data-cost="5000" checked' in text, "what was chosen stays chosen"
    assert (_tally(session, bench), _tally(session, bridge)) == ((1, 0, 1), (0, 0, 0))
    voter.submit(page, {"korb": [str(tree.id)]}, form="/abstimmung/")
    assert (_tally(session, bench), _tally(session, tree), _people(session)) == ((0, 0, 0), (1, 0, 1), 1)
    foreign = factories.proposal(session, phase.process)
    session.commit()
    # What is no number of any must not pass for an empty basket.
    for unknown in (str(foreign.id), "abc", "-1", "0", "9" * 14, "\x00", ""):
        assert voter.post(page, {"korb": [unknown]}).status_code == 409, unknown
    _check_recount(session)


def test_a_large_basket_takes_as_many_statements_as_a_small_one(
    session: Session, keyring: Keyring, count_queries: Callable[[], AbstractContextManager[list[str]]]
) -> None:
    phase, proposals = _budget(session, [10] * 8)
    actor = factories.actor(factories.account(session))
    session.commit()
    numbers = []
    for basket in (proposals[:1], proposals[1:3], proposals[3:]):
        with count_queries() as statements:
            operations.cast(session, keyring, actor, phase, {one.id: 1 for one in basket}, clock.now(), replace=True)
        numbers.append(len(statements))
    assert numbers[1] == numbers[2]
    assert [_tally(session, one) for one in proposals] == [(0, 0, 0)] * 3 + [(1, 0, 1)] * 5
    _check_recount(session)


def test_the_smallest_number_of_a_basket_holds(session: Session, keyring: Keyring) -> None:
    phase, (first, *_) = _budget(session, [1, 1, 1], min_number=2)
    actor = factories.actor(factories.account(session))
    with pytest.raises(InvalidInput, match="mindestens"):
        operations.cast(session, keyring, actor, phase, {first.id: 1}, clock.now(), replace=True)


def test_over_is_over_and_not_begun_is_not_begun(session: Session, keyring: Keyring) -> None:
    """V03: one second decides."""
    phase, (first, *_) = _vote(session, POINTS)
    actor, end = factories.actor(factories.account(session)), phase.ends_at
    assert end is not None
    operations.cast(session, keyring, actor, phase, {first.id: 1}, end - timedelta(seconds=1))
    for instant in (end + timedelta(seconds=1), (phase.starts_at or end) - timedelta(seconds=1)):
        with pytest.raises(Conflict):
            operations.cast(session, keyring, actor, phase, {first.id: 2}, instant)
    assert _tally(session, first) == (1, 0, 1)


def test_one_ballot_for_each_account_whatever_the_browser(
    session: Session, new_browser: Callable[[], Browser],
) -> None:
    """V05."""
    phase, (first, *_) = _vote(session, POINTS)
    account = factories.account(session)
    session.commit()
    for _number in range(2):
        new_browser().sign_in(account).submit(_page(phase), {f"marke-{first.id}": "4"}, form="/abstimmung/")
    assert (_tally(session, first), _people(session)) == ((1, 0, 4), 1)


def test_many_ballots_of_one_person_at_once_never_give_more_than_there_is(
    committing: Beteiligung, keyring: Keyring,
) -> None:
    """V01 for points: whatever the race, nobody spends more than they have, and the counters are exact."""
    own = committing.extensions["platform"].database
    with own.unit_of_work() as session:
        phase, proposals = _vote(session, VoteSettings(ballot=BallotRule.POINTS, points=5, points_max=5), 8)
        phase_id, process_id, ids = phase.id, phase.process_id, [one.id for one in proposals]
        actors = [factories.actor(factories.account(session)) for _ in range(3)]

    def send(number: int) -> bool:
        try:
            with own.unit_of_work() as session:
                process = session.get_one(Process, process_id)
                phase = next(one for one in process.phases if one.id == phase_id)
                operations.cast(session, keyring, actors[number % 3], phase, {ids[number % 8]: 2}, clock.now())
        except InvalidInput:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        stored = list(pool.map(send, range(30)))
    with own.unit_of_work() as session:
        spent = session.execute(select(BallotMark.ballot_id, func.sum(BallotMark.value)).group_by(BallotMark.ballot_id))
        assert sorted(row[1] for row in spent) == [4, 4, 4], "two marks of two points; a third would be too much"
        assert any(stored)
        assert not any(operations.recount(session).values())


def test_points_for_what_was_hidden_come_back(session: Session, keyring: Keyring) -> None:
    phase, (first, second, third, fourth) = _vote(session, POINTS)
    actor = factories.actor(factories.account(session))
    now = clock.now()
    operations.cast(session, keyring, actor, phase, {first.id: 4, second.id: 4, third.id: 2}, now)
    contributions.hide(session, first, "Grund", now)
    left = operations.cast(session, keyring, actor, phase, {fourth.id: 4}, now)
    assert left == {second.id: 4, third.id: 2, fourth.id: 4}
    assert _tally(session, first) == (0, 0, 0)
    with pytest.raises(Conflict):
        operations.cast(session, keyring, actor, phase, {first.id: 1}, now)


def test_results_are_for_nobody_before_their_time(
    session: Session, voter: Browser, new_browser: Callable[[], Browser], keyring: Keyring,
) -> None:
    settings = VoteSettings(ballot=BallotRule.POINTS, points=10, points_max=4, results=Results.AFTER)
    phase, (first, second, *_) = _vote(session, settings)
    staff = factories.account(session, Role.ADMIN, town=phase.process.municipality)
    for number in range(3):
        operations.cast(session, keyring, factories.actor(factories.account(session)), phase,
                        {first.id: 4, second.id: number + 1}, clock.now())
    session.commit()
    office = new_browser().sign_in(staff)
    for reader in (voter, office):
        for path in ("/ergebnis", "/ergebnis.csv"):
            assert reader.get(_page(phase) + path).status_code == 404
        assert "Das Ergebnis steht hier nach dem Ende" in reader.text(_page(phase))
    session.execute(update(type(phase)).where(type(phase).id == phase.id).values(
        starts_at=clock.now() - timedelta(days=3), ends_at=clock.now() - timedelta(days=1)))
    phase.process.municipality.content_version += 1
    session.commit()
    text = voter.text(_page(phase))
    assert "Personen haben mitgemacht" in text
    assert _rows(voter, phase)[:2] == [["1", "Idee A", "12", "3"], ["2", "Idee B", "6", "3"]]
    assert "Ergebnisse" in voter.text(f"/verfahren/{phase.process.slug}")
    table = voter.get(f"{_page(phase)}/ergebnis.csv").get_data(as_text=True)
    assert f"{first.id};Idee A;12;3\r\n" in table


def test_a_vote_that_has_not_begun_says_its_hour(session: Session, voter: Browser) -> None:
    begins = clock.from_berlin(datetime(2099, 12, 7, 19, 0))  # noqa: DTZ001 - a wall clock
    phase, _proposals = _vote(session, POINTS, starts_at=begins, ends_at=begins + timedelta(days=9))
    assert "Die Abstimmung beginnt am 7. Dezember 2099, 19:00 Uhr" in voter.text(_page(phase))


def test_equal_points_share_a_place(session: Session, voter: Browser, keyring: Keyring) -> None:
    phase, proposals = _vote(session, replace(POINTS, results=Results.DURING))
    marks = {one.id: points for one, points in zip(proposals, (3, 1, 3, 2), strict=True)}
    operations.cast(session, keyring, factories.actor(factories.account(session)), phase, marks, clock.now())
    session.commit()
    assert [(row[0], row[2]) for row in _rows(voter, phase)] == [("1", "3"), ("1", "3"), ("3", "2"), ("4", "1")]


def test_an_older_window_does_not_replace_what_was_saved_since_without_a_word(session: Session, voter: Browser) -> None:
    phase, (first, second, third, *_) = _budget(session, [300, 300, 300])
    page = _page(phase)
    old = voter.open(page).xpath("//form[@id='stimmzettel']//input[@name='stand']/@value")[0]
    voter.submit(page, {"korb": [str(first.id), str(second.id)]}, form="/abstimmung/")
    assert voter.post(page, {"stand": old, "korb": [str(first.id), str(second.id)]}).status_code == 303, "sent twice"
    refused = voter.post(page, {"stand": old, "korb": [str(third.id)]})
    assert refused.status_code == 409
    assert (_tally(session, first)[0], _tally(session, third)[0]) == (1, 0)
    tree = html.fromstring(refused.get_data(as_text=True))
    assert "in einem anderen Fenster gespeichert" in tree.xpath("//*[@role='alert']")[0].text_content()
    assert tree.xpath("//input[@name='korb'][@checked]/@value") == [str(third.id)], "what was chosen here is kept"
    again = tree.xpath("//input[@name='stand']/@value")[0]
    assert voter.post(page, {"stand": again, "korb": [str(third.id)]}).status_code == 303
    assert (_tally(session, first)[0], _tally(session, third)[0]) == (0, 1)


def test_an_older_window_of_points_minds_only_the_proposals_on_its_page(session: Session, voter: Browser) -> None:
    phase, (first, second, *_) = _vote(session, POINTS)
    page = _page(phase)
    old = voter.open(page).xpath("//form[@id='stimmzettel']//input[@name='stand']/@value")[0]
    voter.submit(page, {f"marke-{first.id}": "4"}, form="/abstimmung/")
    stale = {"stand": old, "zeile": [str(first.id)], f"marke-{first.id}": "2"}
    refused = voter.post(page, stale)
    assert refused.status_code == 409
    assert html.fromstring(refused.get_data(as_text=True)).get_element_by_id(f"marke-{first.id}").get("value") == "2"
    other_page = {"stand": old, "zeile": [str(second.id)], f"marke-{second.id}": "2"}
    assert voter.post(page, other_page).status_code == 303
    assert (_tally(session, first), _tally(session, second)) == ((1, 0, 4), (1, 0, 2))


def test_what_was_withdrawn_or_hidden_stays_in_the_result_without_its_title(
    session: Session, voter: Browser, keyring: Keyring,
) -> None:
    phase, (first, second, third, *_) = _vote(session, POINTS)
    for number in range(2):
        operations.cast(session, keyring, factories.actor(factories.account(session)), phase,
                        {first.id: 4, second.id: 3, third.id: number + 1}, clock.now())
    phase.ends_at = clock.now() - timedelta(seconds=1)
    first.is_own = True
    contributions.withdraw(session, factories.actor(factories.account(session)), first, clock.now())
    contributions.hide(session, second, "Grund", clock.now())
    phase.process.municipality.content_version += 1
    session.commit()
    gone, hidden = f"Vorschlag {first.id}, zurückgezogen", f"Vorschlag {second.id}, nicht mehr öffentlich"
    assert _rows(voter, phase) == [["1", gone, "8", "2"], ["2", hidden, "6", "2"], ["3", "Idee C", "3", "2"]]
    text = voter.text(f"{_page(phase)}/ergebnis")
    assert "Die Stimmen dafür sind gezählt" in text
    table = voter.get(f"{_page(phase)}/ergebnis.csv").get_data(as_text=True)
    assert f"{first.id};{gone};8;2\r\n" in table
    assert f"{second.id};{hidden};6;2\r\n" in table
    assert "Idee A" not in text + table
    assert "Idee B" not in text + table


def test_supports_of_what_was_withdrawn_or_hidden_stay_in_the_result_too(
    session: Session, voter: Browser, keyring: Keyring,
) -> None:
    phase, (first, second, third, early) = _vote(session, VoteSettings())
    begun = phase.starts_at
    assert begun is not None
    for supported in ([first, second, third, early], [first, second], [first]):
        actor = factories.actor(factories.account(session))
        for one in supported:
            votes.support(session, keyring, actor, one, clock.now())
    author = factories.actor(factories.account(session))
    for one, at in ((early, begun - timedelta(days=1)), (first, clock.now())):
        one.is_own = True
        contributions.withdraw(session, author, one, at)
    phase.ends_at = clock.now() - timedelta(seconds=1)
    session.commit()
    gone, hidden = f"Vorschlag {first.id}, zurückgezogen", f"Vorschlag {second.id}, nicht mehr öffentlich"
    assert _rows(voter, phase) == [["1", gone, "3"], ["2", "Idee B", "2"], ["3", "Idee C", "1"]], (
        "what had gone before the vote began was never in it")
    contributions.hide(session, second, "Grund", clock.now())
    session.commit()
    assert _rows(voter, phase) == [["1", gone, "3"], ["2", hidden, "2"], ["3", "Idee C", "1"]]
    assert "Die Stimmen dafür sind gezählt" in voter.text(f"{_page(phase)}/ergebnis")
    table = voter.get(f"{_page(phase)}/ergebnis.csv").get_data(as_text=True)
    assert f"{first.id};{gone};3\r\n" in table
    assert "Idee A" not in table


def test_no_money_is_planned_for_what_was_withdrawn(session: Session, voter: Browser, keyring: Keyring) -> None:
    phase, (first, second) = _budget(session, [900, 300], results=Results.DURING)
    for chosen in ([first], [first], [second]):
        operations.cast(session, keyring, factories.actor(factories.account(session)), phase,
                        {one.id: 1 for one in chosen}, clock.now(), replace=True)
    first.is_own = True
    contributions.withdraw(session, factories.actor(factories.account(session)), first, clock.now())
    session.commit()
    assert _rows(voter, phase) == [
        ["1", f"Vorschlag {first.id}, zurückgezogen", "2", "900", "Entfällt"], ["2", "Idee B", "1", "300", "Ja"]]
    planned = voter.open(f"{_page(phase)}/ergebnis").xpath("//dl[@class='bp-stats']/div[contains(., 'Euro verplant')]//dd")
    assert planned[0].text_content().strip() == "300"
    table = voter.get(f"{_page(phase)}/ergebnis.csv").get_data(as_text=True).removeprefix("\ufeff")
    assert [line.split(";") for line in table.splitlines()] == [
        ["Platz", "Nummer", "Vorschlag", "Stimmen", "Kosten in Euro", "Reicht das Geld?"],
        ["1", str(first.id), f"Vorschlag {first.id}, zurückgezogen", "2", "900", "Entfällt"],
        ["2", str(second.id), "Idee B", "1", "300", "Ja"]]


def test_a_title_is_no_formula_in_the_table(session: Session, voter: Browser, keyring: Keyring) -> None:
    phase, (first, *_) = _vote(session, POINTS)
    first.title = "=HYPERLINK(1)"
    operations.cast(session, keyring, factories.actor(factories.account(session)), phase, {first.id: 1}, clock.now())
    session.commit()
    assert ";'=HYPERLINK(1);" in voter.get(f"{_page(phase)}/ergebnis.csv").get_data(as_text=True)


def test_a_budget_says_what_the_money_is_enough_for(session: Session, voter: Browser, keyring: Keyring) -> None:
    phase, (big, small, middle) = _budget(session, [900, 50, 300], results=Results.DURING)
    for chosen in ([big], [big, small], [middle], [small], [big]):
        operations.cast(session, keyring, factories.actor(factories.account(session)), phase,
                        {one.id: 1 for one in chosen}, clock.now(), replace=True)
    session.commit()
    assert _rows(voter, phase) == [
        ["1", "Idee A", "3", "900", "Ja"], ["2", "Idee B", "2", "50", "Ja"], ["3", "Idee C", "1", "300", "Nein"]]


def test_a_tie_over_the_last_money_is_left_to_the_council(session: Session, voter: Browser, keyring: Keyring) -> None:
    phase, (first, second, third, dear, last) = _budget(session, [600, 300, 300, 900, 50], results=Results.DURING)
    for chosen in ([first], [first, second], [third], [dear], [second, third], [dear], [last]):
        operations.cast(session, keyring, factories.actor(factories.account(session)), phase,
                        {one.id: 1 for one in chosen}, clock.now(), replace=True)
    session.commit()
    tie = "Gleichstand: Der Rat entscheidet"
    assert {row[1]: (row[0], row[4]) for row in _rows(voter, phase)} == {
        "Idee A": ("1", tie), "Idee B": ("1", tie), "Idee C": ("1", tie), "Idee D": ("1", tie), "Idee E": ("5", "Noch offen")}
    page = voter.open(f"{_page(phase)}/ergebnis")
    assert "4 Vorschläge haben gleich viele Stimmen" in page.text_content()
    assert page.xpath("//dl[@class='bp-stats']/div[contains(., 'Euro verplant')]//dd")[0].text_content().strip() == "0"
    table = voter.get(f"{_page(phase)}/ergebnis.csv").get_data(as_text=True)
    assert f"1;{second.id};Idee B;2;300;{tie}\r\n" in table


def test_equal_baskets_that_the_money_is_enough_for_are_no_tie(session: Session, voter: Browser, keyring: Keyring) -> None:
    phase, (first, second) = _budget(session, [600, 300], results=Results.DURING)
    for one in (first, second):
        operations.cast(session, keyring, factories.actor(factories.account(session)), phase, {one.id: 1}, clock.now(),
                        replace=True)
    session.commit()
    assert {row[1]: (row[0], row[4]) for row in _rows(voter, phase)} == {"Idee A": ("1", "Ja"), "Idee B": ("1", "Ja")}
    assert "Gleichstand" not in voter.text(f"{_page(phase)}/ergebnis")


@pytest.mark.parametrize("results", [Results.AFTER, Results.DURING])
def test_a_paper_that_is_too_short_for_all_answers_tells_no_secret_supports(
    session: Session, monkeypatch: pytest.MonkeyPatch, results: Results,
) -> None:
    process = factories.process(session, phases=[
        factories.phase("vote", settings=VoteSettings(results=results)),
        factories.phase("budget", settings=BudgetSettings(total=1000))])
    known = {"answer_status": AnswerStatus.ACCEPTED, "answer_cost": 100}
    first, liked = (factories.proposal(session, process, support_count=number, **known) for number in (0, 9))
    monkeypatch.setattr(operations, "OPTIONS_MAX", 1)
    editor = factories.actor(factories.account(session, Role.EDITOR, on=process))
    assert operations.take_answered(session, editor, process.phases[1], clock.now()) == 1
    (taken,) = session.scalars(select(BallotOption.contribution_id))
    assert taken == (first.id if results is Results.AFTER else liked.id)


def test_the_rules_stay_once_somebody_voted(session: Session, keyring: Keyring) -> None:
    phase, (first, *_) = _vote(session, POINTS)
    process = phase.process
    process.phases.append(factories.phase("workshop"))
    session.flush()
    editor = factories.actor(factories.account(session, Role.EDITOR, on=process))
    values = {"title": "Neu", "body": "", "starts_at": None, "ends_at": None}
    fewer = VoteSettings(ballot=BallotRule.POINTS, points=5, points_max=4)
    save_phase(session, editor, process, phase, clock.now(), format_key="vote", settings=fewer, **values)
    operations.cast(session, keyring, factories.actor(factories.account(session)), phase, {first.id: 1}, clock.now())
    with pytest.raises(Conflict):
        save_phase(session, editor, process, phase, clock.now(), format_key="vote", settings=POINTS, **values)
    with pytest.raises(Conflict):
        delete_phase(session, editor, phase, clock.now())
    for before, after in ((Verification.NONE, Verification.LETTER), (Verification.LETTER, Verification.NONE)):
        # Who has voted without the proof could not change the ballot any more.
        phase.stored_settings = store_settings(replace(fewer, verification=before))
        session.flush()
        with pytest.raises(Conflict, match="schon Stimmen abgegeben"):
            save_phase(session, editor, process, phase, clock.now(), format_key="vote",
                       settings=replace(fewer, verification=after), **values)
    phase.stored_settings = store_settings(fewer)
    commented = VoteSettings(ballot=BallotRule.POINTS, points=5, points_max=4, comments_open=True)
    save_phase(session, editor, process, phase, clock.now(), format_key="vote", settings=commented, **values)


def test_editors_fill_the_paper_and_nobody_changes_it_after_the_first_vote(
    session: Session, keyring: Keyring, new_browser: Callable[[], Browser],
) -> None:
    phase, (first, second, *_) = _vote(session, BudgetSettings(total=1000))
    second.answer_status, second.answer_cost, second.answer_body = AnswerStatus.ACCEPTED, 400, "Ja."
    account = factories.account(session, Role.EDITOR, on=phase.process)
    session.commit()
    editor = new_browser().sign_in(account)
    page = f"/verwaltung/verfahren/{phase.process_id}/phasen/{phase.id}/stimmzettel"
    wrong = editor.submit(page, {"proposal_id": "viel", "cost": "teuer"}, form=-1)
    assert wrong.status_code == 422
    assert "Die Zahl am Ende" in wrong.get_data(as_text=True) or "Nummer" in wrong.get_data(as_text=True)
    assert editor.submit(page, {"proposal_id": "999999", "cost": "10"}, form=-1).status_code == 422
    for price in ("12.50", "12,50", "1.2.3", "\x00"):
        refused = editor.submit(page, {"proposal_id": str(first.id), "cost": price}, form=-1)
        assert refused.status_code == 422, price
        assert "Euro" in html.fromstring(refused.get_data(as_text=True)).get_element_by_id("cost-fehler").text_content(), price
    assert editor.submit(page, {"proposal_id": f"{str(first.id)[:-1]}.{str(first.id)[-1]}", "cost": "9"}, form=-1).status_code == 422
    editor.submit(page, {"proposal_id": f"#{first.id}", "cost": "1.200 €"}, form=-1)
    editor.submit(page, form="/uebernehmen")
    assert {(one.contribution_id, one.cost) for one in session.scalars(select(BallotOption))} == {
        (first.id, 1200), (second.id, 400)}
    operations.cast(session, keyring, factories.actor(factories.account(session)), phase, {second.id: 1}, clock.now(),
                    replace=True)
    session.commit()
    dearer = editor.submit(page, {"proposal_id": str(second.id), "cost": "450"}, form=-1)
    assert dearer.status_code == 409
    assert "lässt sich nicht mehr ändern" in _answered(dearer).xpath("//*[@data-error-summary]")[0].text_content()
    assert _answered(dearer).get_element_by_id("cost").get("value") == "450"
    late = editor.submit(page, form="/entfernen")
    assert "lässt sich nicht mehr ändern" in late.get_data(as_text=True)
    assert session.scalar(select(func.count()).select_from(BallotOption)) == 2


def test_a_guest_that_becomes_an_account_has_one_ballot(session: Session, keyring: Keyring) -> None:
    phase, (first, second, *_) = _vote(session, POINTS)
    account = factories.account(session)
    actor = factories.actor(account)
    operations.cast(session, keyring, actor, phase, {first.id: 2}, clock.now())
    guest = factories.participant(session, phase.process, kind=ParticipantKind.GUEST)
    second.participant_id = guest.id
    voter = Voter(id=keyring.voter_number(guest.person_hash), process_id=phase.process_id, channel=ParticipantKind.KIOSK)
    ballot = Ballot(phase_id=phase.id, voter_id=voter.id, channel=voter.channel, changed_at=clock.now())
    session.add(voter)
    session.flush()
    session.add(ballot)
    session.flush()
    operations._write(session, ballot, {}, {first.id: 3}, clock.now())
    assert _people(session) == 2
    second.is_own = True
    session.expire(second, ["participant"])
    attach_to_account(session, keyring, actor, second, clock.now())
    assert session.scalar(select(func.count()).select_from(Ballot)) == 1
    assert (_tally(session, first), _people(session)) == ((1, 0, 2), 1)
    _check_recount(session)


def test_nobody_else_is_told_how_somebody_voted(
    session: Session, keyring: Keyring, voter: Browser, new_browser: Callable[[], Browser],
) -> None:
    phase, (first, *_) = _vote(session, PRO_CONTRA)
    voter.submit(_page(phase), {f"marke-{first.id}": "-1"}, form="/abstimmung/")
    admin = new_browser().sign_in(factories.account(session, Role.ADMIN, town=phase.process.municipality))
    session.commit()
    assert not admin.open(_page(phase)).xpath("//input[@type='radio'][@checked][@value='-1']")
    assert str(session.scalars(select(Ballot.voter_id)).one()) not in admin.get(f"{_page(phase)}/ergebnis").get_data(as_text=True)
    own = json.loads(voter.get("/konto/meine-daten.json").get_data(as_text=True))
    assert own["teilnahmen"][0]["stimmzettel"][0]["stimme"] == -1
    assert keyring is not None


def test_a_stranger_reads_the_paper_and_is_led_to_the_sign_in(session: Session, browser: Browser) -> None:
    phase, (first, *_) = _vote(session, POINTS)
    text = browser.text(_page(phase))
    assert "Zum Abstimmen anmelden" in text
    assert "Idee A" in text
    assert browser.post(_page(phase), {"zeile": str(first.id), f"marke-{first.id}": "1"}).status_code in {302, 303, 401}
    assert session.scalar(select(func.count()).select_from(Ballot)) == 0


def test_what_is_secret_until_the_end_needs_an_end(session: Session) -> None:
    process = factories.process(session)
    editor = factories.actor(factories.account(session, Role.EDITOR, on=process))
    values = {"title": "Neu", "body": "", "starts_at": None, "ends_at": None, "format_key": "vote"}
    # Without an end, what is secret until the end would never be told.
    for settings in (VoteSettings(results=Results.AFTER), VoteSettings(ballot=BallotRule.POINTS, results=Results.AFTER),
                     VoteSettings(ballot=BallotRule.POINTS, points=2, points_max=3)):
        with pytest.raises(InvalidInput):
            save_phase(session, editor, process, None, clock.now(), settings=settings, **values)


# ----------------------------------------------------------------------------- rules that change while somebody votes


def _alongside(committing: Beteiligung, first: Callable[[Session], object], second: Callable[[Session], object]) -> object:
    """`second` begins when `first` has done everything but commit; returns what `second` came to."""
    database, outcome = committing.extensions["platform"].database, []
    ready, go_on = Event(), Event()

    def run_first() -> None:
        with database.unit_of_work() as session:
            first(session)
            ready.set()
            go_on.wait(1)

    def run_second() -> None:
        ready.wait(60)
        try:
            with database.unit_of_work() as session:
                outcome.append(second(session))
        except Exception as error:  # noqa: BLE001 - told to the test
            outcome.append(error)

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(run_first), pool.submit(run_second)]
        for one in running:
            one.result(120)
    return outcome[0]


@pytest.fixture
def basket(committing: Beteiligung, keyring: Keyring) -> tuple[int, int, Any, Any]:
    """(phase, proposal, a voter, an editor) of a budget of 1,000 euros, with a proposal for 900."""
    with committing.extensions["platform"].database.unit_of_work() as session:
        phase, (bench,) = _budget(session, [900])
        phase.process.phases.append(factories.phase("inform"))
        session.flush()
        voter = factories.actor(factories.account(session))
        editor = factories.actor(factories.account(session, Role.EDITOR, on=phase.process))
        return phase.id, bench.id, voter, editor


@pytest.fixture
def vote_of_points(committing: Beteiligung) -> tuple[int, int, Any, Any]:
    """The same for points: nothing stands under such a phase until somebody votes."""
    with committing.extensions["platform"].database.unit_of_work() as session:
        phase, (first,) = _vote(session, POINTS, 1)
        phase.process.phases.append(factories.phase("inform"))
        session.flush()
        voter = factories.actor(factories.account(session))
        editor = factories.actor(factories.account(session, Role.EDITOR, on=phase.process))
        return phase.id, first.id, voter, editor


def _both(basket: tuple[int, int, Any, Any], keyring: Keyring) -> tuple[Callable[[Session], object], ...]:
    """Who packs a basket, and who raises the price of what lies in it."""
    phase_id, bench, voter, editor = basket

    def vote(session: Session) -> object:
        phase = session.get_one(Phase, phase_id)
        return operations.cast(session, keyring, voter, phase, {bench: 1}, clock.now(), replace=True)

    def raise_price(session: Session) -> object:
        return operations.set_option(session, editor, session.get_one(Phase, phase_id), bench, 5000, clock.now())

    return vote, raise_price


def test_a_price_does_not_change_under_a_basket_that_is_being_stored(
    committing: Beteiligung, keyring: Keyring, basket: tuple[int, int, Any, Any],
) -> None:
    vote, raise_price = _both(basket, keyring)
    assert isinstance(_alongside(committing, vote, raise_price), Conflict)


def test_a_basket_counts_by_the_price_that_is_being_stored(
    committing: Beteiligung, keyring: Keyring, basket: tuple[int, int, Any, Any],
) -> None:
    vote, raise_price = _both(basket, keyring)
    assert isinstance(_alongside(committing, raise_price, vote), InvalidInput)
    with committing.extensions["platform"].database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Ballot)) == 0


def test_a_phase_does_not_take_a_ballot_along_that_is_being_stored(
    committing: Beteiligung, keyring: Keyring, vote_of_points: tuple[int, int, Any, Any],
) -> None:
    phase_id, bench, voter, editor = vote_of_points

    def vote(session: Session) -> object:
        phase = session.get_one(Phase, phase_id)
        return operations.cast(session, keyring, voter, phase, {bench: 1}, clock.now(), replace=True)

    def remove(session: Session) -> object:
        return delete_phase(session, editor, session.get_one(Phase, phase_id), clock.now())

    assert isinstance(_alongside(committing, vote, remove), Conflict)
    with committing.extensions["platform"].database.reading() as session:
        assert session.scalar(select(func.count()).select_from(BallotMark)) == 1


def test_a_ballot_for_a_phase_that_is_being_removed_or_ended_is_refused(
    committing: Beteiligung, keyring: Keyring, vote_of_points: tuple[int, int, Any, Any],
) -> None:
    phase_id, bench, voter, editor = vote_of_points
    end = clock.now() - timedelta(seconds=1)

    def end_it(session: Session) -> object:
        return session.execute(update(Phase).where(Phase.id == phase_id).values(ends_at=end))

    def remove(session: Session) -> object:
        return delete_phase(session, editor, session.get_one(Phase, phase_id), clock.now())

    def vote(session: Session) -> object:
        # What the request knew of the phase before it waited does not count.
        return operations.cast(session, keyring, voter, Phase(id=phase_id), {bench: 1}, clock.now(), replace=True)

    for change in (end_it, remove):
        assert isinstance(_alongside(committing, change, vote), Conflict)


def test_one_basket_of_many_at_once_is_never_over_the_limit(committing: Beteiligung, keyring: Keyring) -> None:
    database = committing.extensions["platform"].database
    with database.unit_of_work() as session:
        phase, proposals = _budget(session, [600, 600, 600, 400])
        phase_id, ids = phase.id, [one.id for one in proposals]
        actor = factories.actor(factories.account(session))

    def send(number: int) -> bool:
        chosen = {ids[number % 4]: 1, ids[(number + 1) % 4]: 1}
        try:
            with database.unit_of_work() as session:
                operations.cast(session, keyring, actor, session.get_one(Phase, phase_id), chosen, clock.now(), replace=True)
        except InvalidInput:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert any(pool.map(send, range(20)))
    with database.unit_of_work() as session:
        assert max(session.scalars(select(BallotMark.contribution_id))) == ids[3]
        assert session.scalar(select(func.count()).select_from(BallotMark)) == 2
        assert not any(operations.recount(session).values())


def test_a_proof_that_was_withdrawn_leaves_the_ballot_and_lets_nobody_change_it(
    session: Session, keyring: Keyring,
) -> None:
    settings = VoteSettings(ballot=BallotRule.POINTS, verification=Verification.RESIDENCE)
    phase, (first, *_) = _vote(session, settings)
    actor = factories.actor(factories.account(session))
    proved = replace(actor, verifications=frozenset({(Verification.RESIDENCE, phase.process.municipality_id)}))
    operations.cast(session, keyring, proved, phase, {first.id: 1}, clock.now())
    with pytest.raises(VerificationNeeded):
        operations.cast(session, keyring, actor, phase, {first.id: 2}, clock.now())
    assert _tally(session, first) == (1, 0, 1)


@pytest.mark.parametrize("number", ["NaN", "1e5", "٣", "\uff13", "+1", "0x1", "1,5", "1/2", "-0", "1000000000", "∞", "²"])
def test_what_is_no_number_of_points_is_refused(session: Session, voter: Browser, number: str) -> None:
    phase, (first, *_) = _vote(session, POINTS)
    answer = voter.post(_page(phase), {"zeile": str(first.id), f"marke-{first.id}": number})
    assert answer.status_code == 422
    assert session.scalar(select(func.count()).select_from(BallotMark)) == 0


def test_who_supported_in_secret_is_not_told_on_later(session: Session, keyring: Keyring) -> None:
    """Results that were announced for the end do not come earlier by a change of the settings."""
    phase, (first, *_) = _vote(session, VoteSettings(results=Results.AFTER))
    editor = factories.actor(factories.account(session, Role.EDITOR, on=phase.process))
    start, end = (clock.to_berlin(one).replace(tzinfo=None) for one in (phase.starts_at, phase.ends_at))
    values = {"title": "Neu", "body": "", "starts_at": start, "ends_at": end, "format_key": "vote"}
    votes.support(session, keyring, factories.actor(factories.account(session)), first, clock.now())
    with pytest.raises(Conflict):
        save_phase(session, editor, phase.process, phase, clock.now(), settings=VoteSettings(), **values)
