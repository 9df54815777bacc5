"""What it takes to write to everybody who follows something: one job after the other, in this process."""

from __future__ import annotations

import enum
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select

from participation import clock, mail, outbox
from participation.contributions.models import Contribution
from participation.following.models import Follower, Frequency, Subscription
from participation.following.queries import target_of
from participation.processes.models import Process

if TYPE_CHECKING:
    from participation.db import Database
    from participation.tokens import Keyring

WEEK = timedelta(days=7)


class Joined(enum.Enum):
    """Since when people know what they have been told: all since the last mail, or each since they came."""

    LONG_AGO = "all since the last mail"
    ONE_BY_ONE = "each since another moment"


def measure(app: Any, slug: str, followers: int, joined: Joined) -> None:
    """Everybody follows the process and one proposal and gets the weekly mail. It is built, and not sent anywhere."""
    platform = app.extensions["platform"]
    now = clock.now()
    _fill(platform.database, platform.keyring, slug, followers, joined)
    sent: list[None] = []
    keep, mail._keep = mail._keep, lambda *_args: sent.append(None)
    cpu, started = time.process_time(), time.perf_counter()
    memory: list[int] = []
    with platform.database.unit_of_work() as session:
        outbox.enqueue(session, "send_digests", f"digests:{joined.value}", frequency=Frequency.WEEKLY.value,
                       until=now.isoformat(), after=0)
    with app.app_context():
        while True:
            with platform.database.reading() as session:
                rows = list(session.scalars(select(outbox.OutboxRow.id).where(
                    outbox.OutboxRow.done_at.is_(None), outbox.OutboxRow.job == "send_digests")))
            if not sum(outbox.work_row(platform.database, row) for row in rows):
                break
            memory.append(_resident())
    mail._keep = keep
    print(f"{len(sent):,} digests, {joined.value}: {time.perf_counter() - started:.0f} s "
          f"({time.process_time() - cpu:.0f} s of the worker itself), {(max(memory) - memory[0]) / 1024:.0f} MB more than after the first batch", flush=True)


def _resident() -> int:
    """The memory of this process, in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def _fill(database: Database, keyring: Keyring, slug: str, followers: int, joined: Joined) -> None:
    since = clock.now() - WEEK
    with database.unit_of_work() as session:
        session.execute(delete(Subscription))
        session.execute(delete(Follower))
        process = session.scalars(select(Process).where(Process.slug == slug)).one()
        ids = list(session.scalars(
            select(Contribution.id).where(Contribution.process_id == process.id, Contribution.kind == "proposal")
            .order_by(Contribution.id.desc()).limit(1000)))
        session.execute(insert(Follower), [
            {"id": 1 + number, "municipality_id": process.municipality_id,
             "email_sealed": keyring.seal(f"leser{number}@beispiel.example"), "email_hash": f"{number:064d}",
             "frequency": Frequency.WEEKLY, "locale": "de", "link_salt": "0" * 16, "refusals": 0, "created_at": since,
             "told_until": since + (number * WEEK / followers if joined is Joined.ONE_BY_ONE else timedelta(0))}
            for number in range(followers)])
        session.execute(insert(Subscription), [
            {"follower_id": 1 + number, "process_id": process.id, "target": target_of(process.id, proposal_id),
             "proposal_id": proposal_id, "confirmed_at": since, "created_at": since}
            for number in range(followers) for proposal_id in (None, ids[number % len(ids)])])
