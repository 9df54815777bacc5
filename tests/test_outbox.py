"""Jobs happen exactly once as far as anybody can see, and a failing one never blocks the others."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import select

from participation import audit, clock, outbox
from participation.db import Database
from tests.databases import migrated_sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session


@pytest.fixture
def handlers() -> Iterator[None]:
    """Jobs of the tests: one that writes, one that always fails."""

    @outbox.job("write")
    def write(context: outbox.JobContext) -> None:
        with context.database.unit_of_work() as session:
            if not context.finish(session):
                return
            audit.record(
                session,
                at=clock.now(),
                actor="job:write",
                action="written",
                subject_type="test",
                subject_id=context.args["number"],
            )

    @outbox.job("poison")
    def poison(context: outbox.JobContext) -> None:
        message = f"secret text {context.key}"
        raise ValueError(message)

    yield
    for name in ("write", "poison"):
        outbox._handlers.pop(name)


def _enqueue(database: Database, name: str, key: str, **args: object) -> int:
    with database.unit_of_work() as session:
        outbox.enqueue(session, name, key, **args)
    with database.reading() as session:
        return session.scalars(select(outbox.OutboxRow.id).where(outbox.OutboxRow.key == key)).one()


def _written(session: Session) -> int:
    return len(session.scalars(select(audit.AuditEntry).where(audit.AuditEntry.action == "written")).all())


@pytest.mark.usefixtures("handlers")
def test_job_run_three_times_acts_once(database: Database, session: Session) -> None:
    row = _enqueue(database, "write", "once", number=1)
    assert [outbox.work_row(database, row) for _ in range(3)] == [True, False, False]
    assert _written(session) == 1


@pytest.mark.usefixtures("handlers")
def test_same_key_is_one_job(database: Database) -> None:
    assert _enqueue(database, "write", "same", number=1) == _enqueue(database, "write", "same", number=2)


@pytest.mark.usefixtures("handlers")
def test_job_run_twice_at_once_acts_once(tmp_path: Path) -> None:
    url = migrated_sqlite(tmp_path / "race.sqlite3")
    database = Database(url)
    rows = [_enqueue(database, "write", f"race-{number}", number=number) for number in range(10)]
    threads = [threading.Thread(target=lambda: [outbox.work_row(database, row) for row in rows]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        assert _written(session) == 10
    database.dispose()


@pytest.mark.usefixtures("handlers")
def test_poison_job_is_parked_after_three_tries_and_others_proceed(
    database: Database, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = _enqueue(database, "poison", "poison")
    other = _enqueue(database, "write", "other", number=1)
    for _ in range(5):
        outbox.work_row(database, poison)
    assert outbox.work_row(database, other)
    row = session.get_one(outbox.OutboxRow, poison)
    assert row.attempts == 3
    assert row.failed_at is not None
    assert row.last_error == "ValueError", "an error's text may hold personal data"
    with database.unit_of_work() as writing:
        outbox.retry(writing, poison)
    outbox.work_row(database, poison)
    session.refresh(row)
    assert row.attempts == 1


@pytest.mark.usefixtures("handlers")
def test_job_of_a_dead_worker_comes_back_when_its_lease_ends(
    database: Database, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_id = _enqueue(database, "write", "dead", number=1)
    with database.unit_of_work() as writing:
        row = writing.get_one(outbox.OutboxRow, row_id)
        row.leased_until = clock.now() + outbox.LEASE
        row.attempts = 1
    assert not outbox.work_row(database, row_id), "somebody else holds it"
    later = clock.now() + outbox.LEASE + timedelta(seconds=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert outbox.work_row(database, row_id)
    assert _written(session) == 1


def test_dead_queue_costs_nothing_but_a_warning(database: Database) -> None:
    redis = Redis(port=1, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0))
    row = _enqueue(database, "write", "waiting", number=1)
    assert outbox.send(database, redis, [row]) == 0
    with database.reading() as session:
        assert session.get_one(outbox.OutboxRow, row).sent_at is None, "the sweep must find it"
