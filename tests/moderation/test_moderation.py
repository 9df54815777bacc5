"""From a submission to a decision: nothing is lost, the first moderator wins, the author is told."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from moderation import listening
from moderation.checks import check, similar
from moderation.models import Case, CaseState, Decision, Finding, Outcome
from moderation.operations import decide
from participation import clock
from participation.actions import Action
from participation.contributions.guests import operations as guests
from participation.contributions.models import ContributionState
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations.content import ProposalDraft
from participation.contributions.proposals.operations.submitting import submit_proposal
from participation.db import Database
from participation.errors import Conflict, InvalidInput
from participation.permissions import Actor, Role, can
from tests import factories
from tests.databases import migrated_sqlite

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring
    from tests.browser_client import Browser

GUEST = Actor(guest_token="ein Gast")


def _submit(session: Session, keyring: Keyring, process, key: str = "k", email: str = "", **values) -> Proposal:
    listening.connect()
    draft = ProposalDraft(**{"title": "Ein Brunnen", "body": "Für alle, mit Wasser.", "theme_id": process.themes[0].id,
                             **values})
    proposal = submit_proposal(session, keyring, GUEST, process, draft, submission_key=key, now=clock.now()).proposal
    if email:
        proposal.is_own = True
        guests.introduce_guest(session, keyring, GUEST, proposal, name="", email=email, now=clock.now())
    session.commit()
    return proposal


def _case(session: Session, proposal: Proposal) -> Case:
    return session.scalars(select(Case).where(Case.contribution_id == proposal.id).order_by(Case.id.desc())).first()


@pytest.mark.parametrize(("text", "key"), [
    ("Ruf mich an: 02543 7312-45", "contact"), ("Tel. +49 151 23456789", "contact"), ("mail: ute@web.example", "contact"),
    ("DE12 3456 7890 1234 5678 90", "contact"), ("Frau Meier, Lange Straße 12, ist schuld", "contact"),
    ("Mehr auf www.billig-kaufen.example/jetzt", "link"), ("SO GEHT DAS NICHT WEITER LEUTE", "shouting"),
    ("Sofort!!!!!", "shouting"), ("aaaaaaaaaaaa was nun los", "gibberish"), ("test", "short"),
    ("Ihr Idioten im Rathaus", "insult"),
])
def test_checks_find_what_they_are_for(text: str, key: str) -> None:
    found = check(text)
    assert key in {one.key for one in found}
    assert all(one.start is None or text[one.start : one.end] for one in found)


@pytest.mark.parametrize("text", [
    "Der ÖPNV und die DB sollen besser werden, sagt die IHK.", "Bitte 30 km/h auf der B525 zwischen 6 und 22 Uhr.",
    "Am 24.12.2026 um 18 Uhr auf dem Markt.", "Ein Spielplatz 🛝 für Kinder von 3 bis 12 wäre schön.",
])
def test_checks_leave_ordinary_texts_alone(text: str) -> None:
    assert check(text) == []


@pytest.mark.parametrize("text", ["0" * 8000, "www." * 2000, "a@" * 4000, "!" * 8000, "Frau A" * 1300, "DE12 " * 1600,
                                  "a.b-" * 2000, "Ä" * 8000, "x1" * 4000])
def test_checks_are_quick_on_hostile_texts(text: str) -> None:
    started = time.process_time()
    check(text)
    assert time.process_time() - started < 1


def test_duplicates_are_named_and_others_not() -> None:
    candidates = [(1, "Trinkbrunnen am Markt", "Im Sommer braucht es Wasser am Markt."), (2, "Mehr Bänke", "Zum Sitzen.")]
    assert [one.related_id for one in similar("Ein Trinkbrunnen am Markt", "Im Sommer braucht es Wasser am Markt!",
                                              candidates)] == [1]


def test_submission_opens_a_case_that_the_job_checks(
    session: Session, keyring: Keyring, run_jobs: Callable[[], int]
) -> None:
    process = factories.process(session)
    factories.proposal(session, process, title="Ein Brunnen", body="Für alle, mit Wasser.")
    proposal = _submit(session, keyring, process, body="Für alle, mit Wasser. Tel. 0151 23456789")
    case = _case(session, proposal)
    assert case.state is CaseState.OPEN
    assert run_jobs() == 1
    session.refresh(case)
    keys = set(session.scalars(select(Finding.check_key).where(Finding.case_id == case.id)))
    assert keys == {"contact", "duplicate"}
    assert case.warning_count == 2


def test_decisions_publish_return_and_reject_and_tell_the_author(
    session: Session, keyring: Keyring, browser: Browser, run_jobs: Callable[[], int], mails: Callable[[], list[str]]
) -> None:
    process = factories.process(session)
    moderator = factories.account(session, Role.MODERATOR, on=process)
    first = _submit(session, keyring, process, "a", email="gast@beispiel.example")
    second = _submit(session, keyring, process, "b")
    browser.sign_in(moderator)
    case = _case(session, first)
    page = f"/moderation/faelle/{case.id}"
    answer = browser.submit(page, {"outcome": "reject"}, form="faelle")
    assert answer.status_code == 422
    assert "Bitte wählen Sie einen Grund aus" in answer.get_data(as_text=True)
    browser.submit(page, {"outcome": "return", "rule_key": "unclear", "statement": "Bitte nennen Sie den Ort."}, form="faelle")
    session.refresh(first)
    assert first.state is ContributionState.RETURNED
    run_jobs()
    decision = next(mail for mail in mails() if "Bitte nennen Sie den Ort." in mail)
    assert "kein Programm" in decision
    assert "Hier können Sie ihn ändern:\nhttp://localhost/" in decision
    assert len([mail for mail in mails() if "Bitte nennen" in mail]) == 1
    browser.submit(f"/moderation/faelle/{_case(session, second).id}", {"outcome": "approve"}, form="faelle")
    session.refresh(second)
    assert second.state is ContributionState.PUBLISHED
    assert second.title in browser.text(f"/verfahren/{process.slug}/vorschlaege")


def test_the_second_moderator_sees_who_decided_what(session: Session, keyring: Keyring) -> None:
    process = factories.process(session)
    anna = factories.actor(factories.account(session, Role.MODERATOR, on=process, display_name="Anna M."))
    ben = factories.actor(factories.account(session, Role.MODERATOR, on=process))
    case = _case(session, _submit(session, keyring, process))
    decide(session, anna, case, Outcome.APPROVE, rule_key="", statement="", revision_seen=1, now=clock.now())
    with pytest.raises(Conflict, match=r"Anna M\..*Freigegeben"):
        decide(session, ben, case, Outcome.REJECT, rule_key="insult", statement="Nein.", revision_seen=1, now=clock.now())


def test_of_two_decisions_at_once_one_counts(tmp_path: Path, keyring: Keyring) -> None:
    url = migrated_sqlite(tmp_path / "race.sqlite3")
    database = Database(url)
    with database.unit_of_work() as session:
        process = factories.process(session)
        actors = [factories.actor(factories.account(session, Role.MODERATOR, on=process)) for _ in range(6)]
        case_id = _case(session, _submit(session, keyring, process)).id
    results: list[str] = []

    def try_it(actor: Actor, outcome: Outcome) -> None:
        try:
            with database.unit_of_work() as session:
                decide(session, actor, session.get_one(Case, case_id), outcome, rule_key="insult", statement="Grund",
                       revision_seen=1, now=clock.now())
            results.append("won")
        except Conflict:
            results.append("lost")

    threads = [threading.Thread(target=try_it, args=(actor, outcome))
               for actor, outcome in zip(actors, [Outcome.APPROVE, Outcome.REJECT] * 3, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["lost"] * 5 + ["won"]
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Decision)) == 1
    database.dispose()


def test_moderators_of_one_process_have_no_say_in_another(session: Session, keyring: Keyring, browser: Browser) -> None:
    here = factories.process(session)
    there = factories.process(session, here.municipality)
    moderator = factories.account(session, Role.MODERATOR, on=here)
    case = _case(session, _submit(session, keyring, there))
    browser.sign_in(moderator)
    assert browser.get(f"/moderation/faelle/{case.id}").status_code == 403
    assert browser.post(f"/moderation/faelle/{case.id}", {"outcome": "approve"}).status_code == 403
    assert f"faelle/{case.id}" not in browser.get("/moderation").get_data(as_text=True)
    _submit(session, keyring, here, "hier")
    assert "1 Beitrag wartet" in browser.text("/moderation")
    assert "1 Beitrag wartet" in browser.text("/verwaltung"), "the overview counts what the desk shows"
    assert not can(factories.actor(moderator), Action.MODERATE, there, clock.now())


def test_hiding_takes_it_off_the_pages_and_restoring_brings_it_back(
    session: Session, keyring: Keyring, browser: Browser, new_browser: Callable[[], Browser]
) -> None:
    process = factories.process(session)
    proposal = factories.proposal(session, process, title="Sonnensegel")
    moderator = factories.account(session, Role.MODERATOR, on=process)
    session.commit()
    browser.sign_in(moderator)
    answer = browser.post(f"/moderation/beitraege/{proposal.id}/ausblenden", {"rule_key": "", "statement": ""})
    assert answer.status_code == 422
    browser.post(f"/moderation/beitraege/{proposal.id}/ausblenden", {"rule_key": "insult", "statement": "Beleidigt."})
    visitor = new_browser()
    assert "Sonnensegel" not in visitor.text(f"/verfahren/{process.slug}/vorschlaege")
    assert visitor.get(f"/verfahren/{process.slug}/vorschlaege/{proposal.id}").status_code == 404
    browser.post(f"/moderation/beitraege/{proposal.id}/einblenden")
    assert "Sonnensegel" in visitor.text(f"/verfahren/{process.slug}/vorschlaege")


def test_the_desk_costs_the_same_at_any_length(
    session: Session, keyring: Keyring, browser: Browser, count_queries
) -> None:
    process = factories.process(session)
    moderator = factories.account(session, Role.MODERATOR, on=process)
    browser.sign_in(moderator)
    lengths = []
    for number in range(2):
        for part in range(1 if number == 0 else 25):
            _submit(session, keyring, process, f"k{number}-{part}")
        with count_queries() as statements:
            assert browser.get("/moderation").status_code == 200
        lengths.append(len([one for one in statements if one.startswith("SELECT")]))
    assert lengths[0] == lengths[1]


def test_batch_approval_skips_what_somebody_else_decided(
    session: Session, keyring: Keyring, browser: Browser
) -> None:
    process = factories.process(session)
    moderator = factories.account(session, Role.MODERATOR, on=process)
    cases = [_case(session, _submit(session, keyring, process, f"k{number}")) for number in range(3)]
    decide(session, factories.actor(moderator), cases[0], Outcome.APPROVE, rule_key="", statement="", revision_seen=1,
           now=clock.now())
    session.commit()
    browser.sign_in(moderator)
    answer = browser.post("/moderation/sammelfreigabe", {"case": [str(case.id) for case in cases]}, follow_redirects=True)
    text = answer.get_data(as_text=True)
    assert "2 Beiträge freigegeben" in text
    assert "1 waren schon entschieden" in text


def test_a_statement_is_needed_and_the_newest_text_must_be_seen(session: Session, keyring: Keyring) -> None:
    process = factories.process(session)
    moderator = factories.actor(factories.account(session, Role.MODERATOR, on=process))
    case = _case(session, _submit(session, keyring, process))
    with pytest.raises(InvalidInput) as error:
        decide(session, moderator, case, Outcome.REJECT, rule_key="insult", statement=" \u200b", revision_seen=1,
               now=clock.now())
    assert error.value.field == "statement"
    with pytest.raises(Conflict, match="überarbeitet"):
        decide(session, moderator, case, Outcome.APPROVE, rule_key="", statement="", revision_seen=2, now=clock.now())


def test_a_name_that_came_while_it_was_read_is_read_first(
    session: Session, keyring: Keyring, browser: Browser
) -> None:
    process = factories.process(session)
    moderator = factories.account(session, Role.MODERATOR, on=process)
    first, second = (_submit(session, keyring, process, f"k{number}") for number in range(2))
    page = f"/moderation/faelle/{_case(session, first).id}"
    case = _case(session, second)
    opened = browser.sign_in(moderator).open(page)
    (seen,) = opened.xpath("//*[@name='name_seen']/@value")
    (revision,) = opened.xpath("//*[@name='revision_seen']/@value")
    first.is_own = True
    guests.introduce_guest(session, keyring, GUEST, first, name="Der mit dem Schimpfwort", email="", now=clock.now())
    session.commit()
    answer = browser.post(page, {"outcome": "approve", "name_seen": seen, "revision_seen": revision})
    assert answer.status_code == 409
    assert "Der Name über dem Beitrag ist inzwischen ein anderer" in answer.get_data(as_text=True)
    assert ">Gast</textarea>" not in answer.get_data(as_text=True), "nobody typed that"
    many = {"case": [str(case.id)], f"name-{case.id}": seen}
    told = browser.post("/moderation/sammelfreigabe", many, follow_redirects=True).get_data(as_text=True)
    assert "Der Name über dem Beitrag ist inzwischen ein anderer" in told
    session.expire_all()
    assert {first.state, second.state} == {ContributionState.SUBMITTED}
    browser.submit(page, {"outcome": "approve"}, form="faelle")
    session.expire_all()
    assert first.state is ContributionState.PUBLISHED


@pytest.mark.parametrize("outcome", ["reject", "return", "approve"])
def test_what_was_refused_reaches_no_address_that_nobody_confirmed(
    session: Session, keyring: Keyring, browser: Browser, run_jobs: Callable[[], int], mails: Callable[[], list[str]],
    outcome: str,
) -> None:
    process = factories.process(session)
    moderator = factories.account(session, Role.MODERATOR, on=process)
    proposal = _submit(session, keyring, process, title="Kaufen Sie jetzt")
    proposal.is_own = True
    guests.introduce_guest(session, keyring, GUEST, proposal, name="Billig Markt", email="opfer@beispiel.example",
                                  now=clock.now())
    session.commit()
    case = _case(session, proposal)
    reasons = {} if outcome == "approve" else {"rule_key": "unclear", "statement": "Das ist Werbung."}
    browser.sign_in(moderator).submit(f"/moderation/faelle/{case.id}", {"outcome": outcome, **reasons}, form="faelle")
    run_jobs()
    (mail,) = [one for one in mails() if "kein Programm" in one]
    assert mail.startswith("To: opfer@beispiel.example\n")
    is_told = outcome == "approve"
    assert "http" in mail
    assert ("Kaufen" in mail) is is_told
    assert "Billig" not in mail
    assert (f"mit der Nummer {proposal.receipt_number}" in mail) is not is_told


@pytest.mark.parametrize("outcome", ["reject", "approve"])
def test_who_wrote_several_comments_reads_which_one_was_decided_on(
    session: Session, keyring: Keyring, new_browser: Callable[[], Browser], run_jobs: Callable[[], int],
    mails: Callable[[], list[str]], outcome: str,
) -> None:
    listening.connect()
    process = factories.process(session)
    process.phases = [factories.phase("discuss")]
    proposal = factories.proposal(session, process, title="Bänke am Fluss")
    moderator = factories.account(session, Role.MODERATOR, on=process)
    author = factories.account(session, email="wer@beispiel.example")
    session.commit()
    page = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}"
    writer = new_browser().sign_in(author)
    writer.submit(f"{page}/kommentare", {"body": "Bitte mit Lehne.\n\nUnd aus Holz."}, form=-1)
    case = session.scalars(select(Case).order_by(Case.id.desc())).first()
    assert case is not None
    reasons = {} if outcome == "approve" else {"rule_key": "unclear", "statement": "Das ist Werbung."}
    new_browser().sign_in(moderator).submit(f"/moderation/faelle/{case.id}", {"outcome": outcome, **reasons}, form="faelle")
    run_jobs()
    (mail,) = [" ".join(one.split()) for one in mails() if "kein Programm" in one]
    assert "es geht um Ihren Kommentar zum Vorschlag „Bänke am Fluss“." in mail
    assert "Er beginnt so: „Bitte mit Lehne. Und aus Holz.“" in mail
    link = f"{page}/kommentare/{case.contribution_id}" if outcome == "approve" else "/konto/beitraege"
    assert f"http://localhost{link}" in mail
    assert writer.get(link, follow_redirects=True).status_code == 200
