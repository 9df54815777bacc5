"""A worker killed while it writes to followers: whoever had no mail gets it from the next one, nobody gets two kinds."""

from __future__ import annotations

import email
import multiprocessing
import signal
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
from tests.faults import dying_worker
from tests.following.conftest import MailServer, mail_server_running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READERS = 5
# Processes of their own, as killed ones must be, made by one that has loaded the application for all of them.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.faults.dying_worker"])


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server_running() as found:
        yield found


@pytest.mark.parametrize(("step", "when"), [
    ("claim", "after"), ("post_one", "after"), ("note_told", "after"), ("go_on", "before"), ("go_on", "after"),
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
    environ = {"BETEILIGUNG_ENV": "test", "DATABASE_URL": url, "SECRET_KEY": SECRET,
               "DATA_DIR": str(tmp_path), "BASE_URL": "http://localhost", "REDIS_URL": "redis://127.0.0.1:1/0",
               "SMTP_URL": f"smtp://127.0.0.1:{server.port}?tls=off"}

    def work(kill: str, later: int) -> int | None:
        process = PROCESSES.Process(target=dying_worker.work, args=(environ, kill, when, later))
        process.start()
        process.join(timeout=240)
        return process.exitcode

    assert work(step, 0) == -signal.SIGKILL
    # At the next look at the clock.
    assert work("", 65) == 0
    got = Counter(recipient for recipient, _text in server.received)
    assert len(got) == READERS, "nobody is left out"
    again = [recipient for recipient, number in got.items() if number > 1]
    # What is killed with `note_told` or `claim` is killed before their common transaction ends.
    assert len(again) == (1 if step in {"claim", "post_one", "note_told"} else 0), "only the one that was just on its way"
    numbers: dict[str, set[str]] = {recipient: set() for recipient in got}
    for recipient, text in server.received:
        numbers[recipient].add(email.message_from_string(text)["Message-ID"])
    assert all(len(one) == 1 for one in numbers.values()), "mail programs show it once"
    with database.reading() as session:
        assert all(one.told_until > clock.now() for one in session.scalars(select(Follower)))
    database.dispose()
