"""Newsletters: written, tried, confirmed, sent to those who follow, and counted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from participation import clock, outbox
from participation.following.models import REFUSALS_MAX, Frequency
from participation.following.newsletters import jobs, operations
from participation.following.newsletters.models import Newsletter, NewsletterState
from participation.permissions import Role
from tests import factories
from tests.following.conftest import ADDRESS, follow, refusals

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from app import Beteiligung
    from participation.accounts.models import Account
    from participation.contributions.proposals.models import Proposal
    from participation.tokens import Keyring
    from tests.browser_client import Browser
    from tests.following.conftest import MailServer


@pytest.fixture
def editor(session: Session, proposal: Proposal, new_browser: Callable[[], Browser]) -> Browser:
    """Somebody who may write to all."""
    account = factories.account(session, Role.EDITOR, on=proposal.process, display_name="Redaktion",
                                email="redaktion@stadt.example")
    session.commit()
    return new_browser().sign_in(account)


def _letters(proposal: Proposal) -> str:
    return f"/verwaltung/verfahren/{proposal.process_id}/rundbriefe"


def test_a_newsletter_is_tried_confirmed_and_reaches_those_who_follow_the_process(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, editor: Browser,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "BATCH", 2)
    follow(session, keyring, reader, proposal, whole=True)
    for number in range(4):
        follow(session, keyring, factories.account(session, email=f"m{number}@beispiel.example"), proposal, whole=True)
    follow(session, keyring, factories.account(session, email="nur-vorschlag@beispiel.example"), proposal)
    follow(session, keyring, factories.account(session, email="still@beispiel.example"), proposal, whole=True,
            frequency=Frequency.NEVER)
    values = {"subject": "Werkstatt am 3. Mai", "body": "Kommen Sie **ins Rathaus**."}
    shown = editor.submit(_letters(proposal), {**values, "step": "preview"}, form=-1)
    assert shown.status_code == 200
    assert "<strong>ins Rathaus</strong>" in shown.get_data(as_text=True)
    assert session.scalar(select(func.count()).select_from(Newsletter)) == 0, "a preview stores nothing"
    editor.submit(_letters(proposal), {**values, "step": "test"}, form=-1)
    run_jobs()
    (trial,) = mails()
    assert "To: redaktion@stadt.example" in trial
    assert "Probe: Werkstatt am 3. Mai" in trial
    newsletter = session.scalars(select(Newsletter)).one()
    page = f"{_letters(proposal)}/{newsletter.id}"
    assert "Er geht an 6 Personen" not in editor.text(page)
    editor.submit(f"{page}/senden", form=-1)
    assert editor.post(f"{page}/senden").status_code == 303, "the other half of a double click"
    run_jobs()
    letters = [one for one in mails() if "Subject: Werkstatt" in one]
    assert len(letters) == 5
    assert {re.findall(r"To: (\S+)", one)[0] for one in letters} == {
        ADDRESS, *(f"m{number}@beispiel.example" for number in range(4))}
    assert all("ins Rathaus" in one and "/abmelden" in one for one in letters)
    session.expire_all()
    sent = session.scalars(select(Newsletter)).one()
    assert (sent.state, sent.receivers, sent.delivered, sent.refused) == (NewsletterState.SENT, 5, 5, 0)
    assert "Zugestellt" in editor.text(page)
    assert editor.submit(_letters(proposal), {"subject": "", "body": ""}, form=-1).status_code == 422


def test_newsletters_are_for_editors_of_the_process_alone(
    session: Session, proposal: Proposal, reader: Account, browser: Browser, new_browser: Callable[[], Browser],
) -> None:
    browser.sign_in(reader)
    stranger = new_browser().sign_in(factories.account(session, Role.EDITOR, on=factories.process(session)))
    session.commit()
    assert browser.get(_letters(proposal)).status_code == 403
    assert stranger.get(_letters(proposal)).status_code in {403, 404}
    assert stranger.post(_letters(proposal), {"subject": "S", "body": "B"}).status_code in {403, 404}
    assert session.scalar(select(func.count()).select_from(Newsletter)) == 0


def test_the_number_before_sending_is_the_number_of_those_who_get_the_letter(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, editor: Browser,
) -> None:
    for number, frequency in enumerate((Frequency.WEEKLY, Frequency.DAILY, Frequency.NEVER)):
        follow(session, keyring, factories.account(session, email=f"z{number}@beispiel.example"), proposal, whole=True,
                frequency=frequency)
    unreachable = follow(session, keyring, reader, proposal, whole=True)
    unreachable.refusals = REFUSALS_MAX
    session.commit()
    page = editor.text(_letters(proposal))
    assert "4 Personen folgen diesem Verfahren" in page
    assert "Der Rundbrief geht an 2 davon" in page
    editor.submit(_letters(proposal), {"subject": "S", "body": "B", "step": "save"}, form=-1)
    letter = session.scalars(select(Newsletter)).one()
    assert "Er geht an 2 Personen" in editor.text(f"{_letters(proposal)}/{letter.id}/senden")


def _letter(session: Session, proposal: Proposal) -> Newsletter:
    account = factories.account(session, Role.EDITOR, on=proposal.process)
    actor, now = factories.actor(account), clock.now()
    letter = operations.write_newsletter(session, actor, proposal.process, "Werkstatt", "Kommen Sie ins Rathaus.", now)
    operations.send_newsletter(session, actor, letter, now)
    session.commit()
    return letter


def test_a_newsletter_reaches_the_hesitating_later_and_counts_everybody_once(
    session: Session, proposal: Proposal, readers: list[str], mail_server: MailServer, run_jobs: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "BATCH", 2)
    mail_server.answers = {f"RCPT {readers[0]}": "550 no", f"RCPT {readers[1]}": "451 later"}
    real = mail_server.answer_to

    def hesitates_once(recipient: str, step: str) -> str:
        answer = real(recipient, step)
        if recipient == readers[1]:
            mail_server.answers.pop(f"RCPT {recipient}", None)
        return answer

    monkeypatch.setattr(mail_server, "answer_to", hesitates_once)
    letter = _letter(session, proposal)
    run_jobs()
    session.expire_all()
    assert mail_server.recipients() == readers[1:]
    found = session.get_one(Newsletter, letter.id)
    assert (found.state, found.receivers, found.delivered, found.refused) == (NewsletterState.SENT, 5, 4, 1)
    assert refusals(session) == {readers[0]: 1}


def test_a_newsletter_that_stopped_because_the_server_was_away_goes_on_by_itself(
    session: Session, app: Beteiligung, proposal: Proposal, readers: list[str],
    mail_server: MailServer, run_jobs: Callable[[], int],
) -> None:
    letter = _letter(session, proposal)
    row = session.scalars(select(outbox.OutboxRow).where(outbox.OutboxRow.job == "send_newsletter")).one()
    row.failed_at, row.attempts = clock.now(), outbox.MAX_ATTEMPTS
    session.commit()
    run_jobs()
    assert not mail_server.received
    with app.app_context():
        jobs.resume_stopped_newsletters()
    run_jobs()
    session.expire_all()
    assert mail_server.recipients() == readers
    assert session.get_one(Newsletter, letter.id).state is NewsletterState.SENT


def test_the_editors_see_per_newsletter_how_many_were_refused(
    session: Session, proposal: Proposal, browser: Browser,
) -> None:
    process = proposal.process
    session.add(Newsletter(process_id=process.id, subject="Neues", body="X", state=NewsletterState.SENT, receivers=9,
                           delivered=7, refused=2, sent_at=clock.now(), created_at=clock.now()))
    editor = factories.account(session, Role.EDITOR, town=process.municipality)
    session.commit()
    cells = browser.sign_in(editor).open(f"/verwaltung/verfahren/{process.id}/rundbriefe").xpath("//table//tbody//td")
    assert [" ".join(one.text_content().split()) for one in cells[1:]] == ["7 von 9", "2"]
