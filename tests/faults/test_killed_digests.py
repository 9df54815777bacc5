"""A worker killed while it writes to followers: whoever had no mail gets it from the next one, nobody gets two kinds."""

from __future__ import annotations

import email
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from participation import clock
from participation.db import Database
from participation.following import operations
from participation.following.models import Follower, Frequency
from participation.tokens import Keyring
from tests import factories
from tests.conftest import SECRET
from tests.databases import migrated_sqlite
from tests.following.conftest import MailServer, mail_server_running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READERS = 5
# A process of its own that works the digests; `step` names the function after or before whose second call it is killed.
WORKER = """
    import os, signal, sys
    from datetime import timedelta
    from sqlalchemy import select
    from app import create_app
    from participation import clock, outbox
    from participation.following import jobs, operations
    from participation.following.models import Frequency
    from participation.settings import Settings
    step, when, later = sys.argv[1], sys.argv[2], int(sys.argv[3])
    then = clock.now() + timedelta(days=8, minutes=later)
    clock.now = lambda: then
    app = create_app(Settings.from_environ())
    calls = 0
    def killing(real):
        def wrapped(*args, **values):
            global calls
            calls += 1
            if calls == 2 and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            answer = real(*args, **values)
            if calls == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer
        return wrapped
    if step:
        module = jobs if hasattr(jobs, step) else operations
        setattr(module, step, killing(getattr(module, step)))
    jobs.BATCH = 2
    database = app.extensions["platform"].database
    with app.app_context():
        with database.unit_of_work() as session:
            operations.begin_digests(session, Frequency.WEEKLY, then)
        while True:
            with database.reading() as session:
                rows = session.scalars(select(outbox.OutboxRow.id).where(
                    outbox.OutboxRow.done_at.is_(None), outbox.OutboxRow.failed_at.is_(None))).all()
            if not [row for row in rows if outbox.work_row(database, row)]:
                break
"""


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server_running() as found:
        yield found


@pytest.mark.parametrize(("step", "when"), [
    ("claim", "after"), ("_post", "after"), ("note_told", "after"), ("_go_on", "before"), ("_go_on", "after"),
])
def test_a_killed_worker_loses_no_mail(tmp_path: Path, server: MailServer, step: str, when: str) -> None:
    url = migrated_sqlite(tmp_path / "town.sqlite3")
    database, keyring = Database(url), Keyring(SECRET)
    with database.unit_of_work() as session:
        proposal = factories.proposal(session, factories.process(session))
        for _number in range(READERS):
            operations.follow(session, keyring, factories.actor(factories.account(session)), proposal.process, proposal,
                              clock.now(), frequency=Frequency.WEEKLY)
        factories.comment(session, proposal, at=clock.now())
    environment = {**os.environ, "BETEILIGUNG_ENV": "test", "DATABASE_URL": url, "SECRET_KEY": SECRET,
                   "DATA_DIR": str(tmp_path), "BASE_URL": "http://localhost", "REDIS_URL": "redis://127.0.0.1:1/0",
                   "SMTP_URL": f"smtp://127.0.0.1:{server.port}?tls=off"}

    def work(kill: str, later: int) -> int:
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(WORKER), kill, when, str(later)], env=environment, check=False,
            stderr=subprocess.DEVNULL, timeout=240).returncode

    assert work(step, 0) == -signal.SIGKILL
    # At the next look at the clock.
    assert work("", 65) == 0
    got = Counter(recipient for recipient, _text in server.received)
    assert len(got) == READERS, "nobody is left out"
    again = [recipient for recipient, number in got.items() if number > 1]
    # What is killed with `note_told` or `claim` is killed before their common transaction ends.
    assert len(again) == (1 if step in {"claim", "_post", "note_told"} else 0), "only the one that was just on its way"
    numbers: dict[str, set[str]] = {recipient: set() for recipient in got}
    for recipient, text in server.received:
        numbers[recipient].add(email.message_from_string(text)["Message-ID"])
    assert all(len(one) == 1 for one in numbers.values()), "mail programs show it once"
    with database.reading() as session:
        assert all(one.told_until > clock.now() for one in session.scalars(select(Follower)))
    database.dispose()
