"""Readers point out what is wrong; moderators decide; nothing is hidden by numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from moderation.models import Case, CaseState, Decision, Outcome, Report
from participation import clock
from participation.contributions import operations as contributions
from participation.contributions.models import ContributionState
from participation.permissions import Role
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.contributions.proposals.models import Proposal
    from tests.browser_client import Browser

GOOD = {"reason_key": "insult", "statement": "Der zweite Satz beleidigt eine Nachbarin.", "in_good_faith": "y"}


@pytest.fixture
def proposal(session: Session) -> Proposal:
    """A published proposal."""
    found = factories.proposal(session, factories.process(session), title="Ein strittiger Vorschlag")
    session.commit()
    return found


@pytest.fixture
def moderator(session: Session, proposal: Proposal, new_browser: Callable[[], Browser]) -> Browser:
    """Somebody who decides about it."""
    account = factories.account(session, Role.MODERATOR, on=proposal.process)
    session.commit()
    return new_browser().sign_in(account)


def _report(browser: Browser, proposal: Proposal, **changes: str) -> str:
    page = browser.open(f"/verfahren/{proposal.process.slug}/vorschlaege/{proposal.id}")
    link = page.xpath("//a[contains(@href, '/melden/')]/@href")[0]
    return browser.submit(link, {**GOOD, **changes}, form=-1).get_data(as_text=True)


def test_a_report_gets_a_number_and_comes_to_the_desk_while_the_text_stays(
    session: Session, proposal: Proposal, browser: Browser, moderator: Browser,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    text = _report(browser, proposal, email="leserin@beispiel.example", name="Lotte")
    report = session.scalars(select(Report)).one()
    assert report.receipt_number in text
    assert "leserin" not in (report.contact_sealed or "")
    run_jobs()
    assert report.receipt_number in mails()[-1]
    assert "Guten Tag Lotte," in mails()[-1]
    assert "Ein strittiger Vorschlag" in browser.text(f"/verfahren/{proposal.process.slug}/vorschlaege")
    desk = moderator.text("/moderation")
    assert "1 Meldung" in desk
    assert "beleidigt eine Nachbarin" in desk
    assert "Stehen lassen" in desk
    # Unfounded: the reader hears it, the author hears nothing, for nothing changed.
    before = len(mails())
    moderator.submit("/moderation", {"outcome": "approve"}, form="faelle")
    run_jobs()
    assert len(mails()) == before + 1
    assert "leserin@beispiel.example" in mails()[-1]
    assert "bleibt stehen" in mails()[-1]
    assert "1 Meldung" not in moderator.text("/moderation")
    session.expire_all()
    assert report.handled_at is not None
    assert proposal.is_published


def test_a_founded_report_hides_the_text_with_a_reason(
    session: Session, proposal: Proposal, browser: Browser, moderator: Browser,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    _report(browser, proposal, email="leserin@beispiel.example")
    page = "/moderation"
    refused = moderator.submit(page, {"outcome": "reject"}, form="faelle")
    assert refused.status_code == 422
    moderator.submit(page, {"outcome": "reject", "rule_key": "insult", "statement": "Eine Beleidigung."}, form="faelle")
    run_jobs()
    session.expire_all()
    assert proposal.state is ContributionState.HIDDEN
    assert session.scalars(select(Decision.outcome)).all() == [Outcome.REJECT]
    assert any("nicht mehr zu sehen" in mail for mail in mails() if "leserin" in mail)


@pytest.mark.parametrize(("changes", "message"), [
    ({"reason_key": ""}, "Bitte wählen Sie aus, worum es geht"),
    ({"reason_key": "erfunden"}, "Bitte wählen Sie aus, worum es geht"),
    ({"statement": "  \u200b "}, "Bitte schreiben Sie kurz"),
    ({"statement": "x" * 2001}, "Der Text ist zu lang"),
    ({"email": "keine-adresse"}, "Das ist keine E-Mail-Adresse"),
])
def test_a_report_with_a_gap_keeps_its_text_and_says_what_is_missing(
    session: Session, proposal: Proposal, browser: Browser, changes: dict[str, str], message: str
) -> None:
    text = _report(browser, proposal, **changes)
    assert message in text
    if "statement" not in changes:
        assert "beleidigt eine Nachbarin" in text
    assert session.scalars(select(Report)).all() == []


def test_everything_that_is_wrong_with_a_report_is_said_at_once(proposal: Proposal, browser: Browser) -> None:
    values = {**GOOD, "reason_key": "", "statement": "", "email": "keine-adresse"}
    del values["in_good_faith"]
    text = browser.submit(f"/melden/{proposal.id}", values, form=-1).get_data(as_text=True)
    for message in ("Bitte wählen Sie aus, worum es geht", "Bitte schreiben Sie kurz", "Das ist keine E-Mail-Adresse",
                    "Bitte bestätigen Sie"):
        assert message in text


def test_good_faith_must_be_confirmed_and_is_not_pre_ticked(proposal: Proposal, browser: Browser) -> None:
    page = browser.open(f"/melden/{proposal.id}")
    assert not page.xpath("//input[@name='in_good_faith'][@checked]")
    values = {name: value for name, value in GOOD.items() if name != "in_good_faith"}
    assert "Bitte bestätigen Sie" in browser.submit(f"/melden/{proposal.id}", values, form=-1).get_data(as_text=True)


def test_a_hundred_reports_hide_nothing_and_a_double_press_is_one(
    session: Session, proposal: Proposal, browser: Browser
) -> None:
    for number in range(100):
        browser.post(f"/melden/{proposal.id}", {**GOOD, "submission_key": f"key-{number // 2}"})
    session.expire_all()
    assert proposal.is_published
    assert len(session.scalars(select(Report)).all()) == 50
    assert [case.state for case in session.scalars(select(Case))] == [CaseState.OPEN]


def test_what_is_not_public_can_not_be_reported_by_strangers(
    session: Session, proposal: Proposal, browser: Browser
) -> None:
    contributions.hide(session, proposal, "Regel", clock.now())
    session.commit()
    assert browser.get(f"/melden/{proposal.id}").status_code in {401, 403, 404}
    assert browser.post(f"/melden/{proposal.id}", GOOD).status_code in {401, 403, 404}
    assert browser.get("/melden/999999").status_code == 404


@pytest.mark.parametrize("name", ["Gratis: www.kaufen.example", "kaufen.example", "https://kaufen.example/x"])
def test_a_stranger_is_sent_no_link_by_the_name_of_whoever_reports(
    proposal: Proposal, browser: Browser, run_jobs: Callable[[], int], mails: Callable[[], list[str]], name: str,
) -> None:
    _report(browser, proposal, email="opfer@beispiel.example", name=name)
    run_jobs()
    assert mails()[-1].startswith("To: opfer@beispiel.example\n")
    assert "kaufen" not in mails()[-1]


@pytest.mark.parametrize("outcome", ["approve", "reject"])
def test_whoever_reported_reads_which_contribution_it_is_about(
    session: Session, proposal: Proposal, browser: Browser, moderator: Browser,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]], outcome: str,
) -> None:
    comment = factories.comment(session, proposal, body="Kaufen Sie bei mir.")
    session.commit()
    browser.submit(f"/melden/{comment.id}", {**GOOD, "email": "leserin@beispiel.example"}, form=-1)
    run_jobs()
    page = f"http://localhost/verfahren/{proposal.process.slug}/vorschlaege/{proposal.id}/kommentare/{comment.id}"
    receipt = " ".join(mails()[-1].split())
    assert f"einen Kommentar im Verfahren „{proposal.process.title}“" in receipt
    assert page in receipt
    assert "Kaufen" not in receipt, "nobody confirmed the address, and nobody has read the comment yet"
    reasons = {} if outcome == "approve" else {"rule_key": "insult", "statement": "Werbung."}
    moderator.submit("/moderation", {"outcome": outcome, **reasons}, form="faelle")
    run_jobs()
    told = next(" ".join(one.split()) for one in reversed(mails()) if "leserin" in one)
    stays = outcome == "approve"
    assert ("Vorschlag „Ein strittiger Vorschlag“. Er beginnt so: „Kaufen Sie bei mir.“" in told) is stays
    assert ((page in told), ("Kaufen" in told)) == (stays, stays)
