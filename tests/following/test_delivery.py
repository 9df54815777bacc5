"""Mails on their way: servers that refuse, hesitate or are away, two workers at once, and mails that come too often."""

from __future__ import annotations

import smtplib
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from participation import clock, outbox
from participation.accounts.models import Account
from participation.contributions import operations as contributions
from participation.contributions.models import ContributionState
from participation.following import delivery, jobs, operations
from participation.following.models import Follower, Frequency
from participation.permissions import Role
from participation.processes.operations import save_news
from tests import factories
from tests.following.conftest import follow, refusals

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from app import Beteiligung
    from participation.contributions.proposals.models import Proposal
    from participation.db import Database
    from participation.tokens import Keyring
    from tests.following.conftest import MailServer


def test_who_refuses_or_asks_for_patience_keeps_nobody_else_waiting(
    session: Session, readers: list[str], mail_server: MailServer, digests: Callable[..., None],
) -> None:
    mail_server.answers = {
        f"RCPT {readers[0]}": "550 no such user", f"RCPT {readers[1]}": "451 greylisted, come back",
        f"DATA {readers[2]}": "554 looks like spam",
    }
    digests(later=timedelta(days=8))
    assert mail_server.recipients() == readers[3:]
    assert refusals(session) == {readers[0]: 1}, "a filter or a server that asks for patience is no refusal"
    mail_server.answers = {}
    digests(later=timedelta(days=8, hours=1))
    assert mail_server.recipients() == readers[1:], "tried again an hour later, and nobody got it twice"
    digests(later=timedelta(days=8, hours=2))
    assert mail_server.recipients() == readers[1:]


def test_a_mail_server_that_was_away_on_thursday_morning_costs_nobody_a_week(
    session: Session, readers: list[str], mail_server: MailServer, digests: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_args: Any, **_more: Any) -> None:
        raise smtplib.SMTPServerDisconnected

    with monkeypatch.context() as broken:
        broken.setattr(smtplib.SMTP, "connect", away)
        digests(later=timedelta(days=8))
    row = session.scalars(select(outbox.OutboxRow).where(outbox.OutboxRow.job == "send_digests")).one()
    row.failed_at = clock.now()
    session.commit()
    assert not mail_server.received
    digests(later=timedelta(days=8, hours=1))
    assert mail_server.recipients() == readers


def test_two_workers_write_to_nobody_twice(
    committing: Beteiligung, keyring: Keyring, monkeypatch: pytest.MonkeyPatch,
) -> None:
    platform = committing.extensions["platform"]
    database: Database = platform.database
    with database.unit_of_work() as session:
        proposal = factories.proposal(session, factories.process(session), at=clock.now() - timedelta(days=20))
        for number in range(6):
            operations.follow(session, keyring, factories.actor(factories.account(session, email=f"p{number}@b.example")),
                              proposal.process, proposal, clock.now() - timedelta(days=1))
        factories.comment(session, proposal)
        until = (clock.now() + timedelta(days=8)).isoformat()
        for number in range(2):
            outbox.enqueue(session, "send_digests", f"d:{number}", frequency="weekly", until=until, after=0)
    rows = []
    with database.reading() as session:
        rows = list(session.scalars(select(outbox.OutboxRow.id).where(outbox.OutboxRow.job == "send_digests")))
    both, sent = threading.Barrier(2, timeout=60), []

    def posting(_post: Any, message: Any) -> bool:
        sent.append(message.recipient)
        return False

    real = jobs._digest

    def together(*args: Any) -> Any:
        if args[0].address == "p0@b.example":
            both.wait()
        return real(*args)

    monkeypatch.setattr(jobs, "post_one", posting)
    monkeypatch.setattr(jobs, "_digest", together)

    def work(row: int) -> None:
        with committing.app_context():
            outbox.work_row(database, row)

    threads = [threading.Thread(target=work, args=(row,)) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sent) == [f"p{number}@b.example" for number in range(6)]


def test_whoever_leaves_while_the_mails_are_written_gets_none(
    readers: list[str], mail_server: MailServer, digests: Callable[..., None], monkeypatch: pytest.MonkeyPatch,
    database: Database,
) -> None:
    real = delivery.note_silent

    def meanwhile(*args: Any) -> None:
        real(*args)
        with database.unit_of_work() as other:
            account_id = other.scalar(select(Account.id).where(Account.email == readers[2]))
            operations.unsubscribe(other, other.scalars(select(Follower).where(Follower.account_id == account_id)).one())

    monkeypatch.setattr(delivery, "note_silent", meanwhile)
    digests()
    assert mail_server.recipients() == [*readers[:2], *readers[3:]]


def test_at_once_means_one_mail_in_ten_minutes_and_everything_that_came_meanwhile_in_the_next(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, database: Database, app: Beteiligung,
    mails: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = clock.now()
    operations.follow(session, keyring, factories.actor(reader), proposal.process, proposal, begin - timedelta(days=1),
                      frequency=Frequency.AT_ONCE)
    session.commit()

    def comes(seconds: int) -> None:
        comment = factories.comment(session, proposal, state=ContributionState.SUBMITTED)
        contributions.publish(session, comment, begin + timedelta(seconds=seconds))
        session.commit()

    def sweep(seconds: int) -> int:
        """Work what is due at that second; returns how many mails are out."""
        now = begin + timedelta(seconds=seconds)
        with monkeypatch.context() as time, app.app_context():
            time.setattr(clock, "now", lambda: now)
            for row in list(session.scalars(select(outbox.OutboxRow.id).where(
                    outbox.OutboxRow.done_at.is_(None), outbox.OutboxRow.not_before_at <= now))):
                outbox.work_row(database, row)
        return len(mails())

    comes(1)
    assert sweep(46) == 1, "within a minute"
    comes(100)
    comes(200)
    assert sweep(300) == 1
    comes(500)
    assert sweep(600) == 1
    assert sweep(720) == 2, "as soon as the pause is over"
    assert "3 neue Kommentare" in mails()[-1]
    assert sweep(2000) == 2
    open_rows = session.scalars(select(outbox.OutboxRow.id).where(outbox.OutboxRow.done_at.is_(None))).all()
    assert not open_rows, "nothing asks for itself again and again"


@pytest.mark.parametrize(("ends", "words"), [
    (datetime(2027, 6, 11, 16, 0, tzinfo=UTC), "11. Juni 2027, 18:00 Uhr"),
    (datetime(2027, 6, 11, 22, 0, tzinfo=UTC), "11. Juni 2027"),
])
def test_the_coming_end_of_a_phase_is_told_with_its_hour_where_it_has_one(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, app: Beteiligung,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, ends: datetime, words: str,
) -> None:
    proposal.process.phases.append(factories.phase("discuss", title="Reden wir darüber", ends_at=ends))
    session.commit()
    follow(session, keyring, reader, proposal, whole=True, frequency=Frequency.DAILY)
    now = ends - timedelta(hours=2)
    monkeypatch.setattr(clock, "now", lambda: now)
    with app.app_context():
        delivery.begin_digests(session, Frequency.DAILY, now)
    session.commit()
    run_jobs()
    (mail,) = mails()
    assert f"Endet am {words}: Reden wir darüber" in mail


def test_the_beginning_and_the_coming_end_of_a_phase_are_told_at_once_and_only_once(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, database: Database, app: Beteiligung,
    mails: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = clock.now()
    phase = factories.phase("discuss", title="Reden wir darüber", opens=1, closes=5)
    proposal.process.phases.append(phase)
    session.commit()
    follow(session, keyring, reader, proposal, whole=True, frequency=Frequency.AT_ONCE)
    for minutes in range(0, 6 * 24 * 60, 30):
        now = begin + timedelta(minutes=minutes)
        with monkeypatch.context() as time, app.app_context():
            time.setattr(clock, "now", lambda now=now: now)
            with database.unit_of_work() as one:
                delivery.announce_phases(one, now)
                delivery.begin_digests(one, Frequency.AT_ONCE, now)
            for row in list(session.scalars(select(outbox.OutboxRow.id).where(
                    outbox.OutboxRow.done_at.is_(None), outbox.OutboxRow.not_before_at <= now))):
                outbox.work_row(database, row)
    told = [one for one in mails() if "Reden wir darüber" in one]
    assert len([one for one in told if "Jetzt offen: Reden wir darüber" in one]) == 1
    assert len([one for one in told if "Endet am" in one]) == 1
    assert len(mails()) == 2


def test_news_of_the_editors_are_told_at_once_too(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, run_jobs: Callable[[], int],
    mails: Callable[[], list[str]],
) -> None:
    follow(session, keyring, reader, proposal, whole=True, frequency=Frequency.AT_ONCE)
    editor = factories.actor(factories.account(session, Role.EDITOR, on=proposal.process))
    save_news(session, editor, proposal.process, None, clock.now(), title="Der Zeitplan steht", body="Siehe unten.")
    session.commit()
    run_jobs()
    (text,) = mails()
    assert "Der Zeitplan steht" in text
