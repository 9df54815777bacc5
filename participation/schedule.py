"""What happens by the clock. Runs as a small process of its own: it loads RQ and the settings, not the application."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from datetime import timedelta

from redis import Redis
from redis.exceptions import RedisError

from participation.settings import Settings, SettingsError

log = logging.getLogger(__name__)
QUEUE_NAME = "beteiligung"
SWEEP_SECONDS = 15
CLEANUP_SECONDS = 3600
RECONNECT_SECONDS = 2
KEEP_DONE = timedelta(days=14)


_chores: list[Callable[[], None]] = []


def hourly(chore: Callable[[], None]) -> Callable[[], None]:
    """Register what a feature does every hour, inside the worker's application context. It must bear being run twice."""
    _chores.append(chore)
    return chore


def run_sweep() -> None:
    """Job: hand over what was never sent, or sent and not finished."""
    from participation import outbox  # noqa: PLC0415 - the worker has it loaded, this process must not
    from participation.web import current_database, platform  # noqa: PLC0415

    outbox.sweep(current_database(), platform().redis)


def run_cleanup() -> None:
    """Job: forget finished jobs after two weeks, and let every feature forget what is old.

    Twice is the same as once. One that fails does not keep the others from their work; it fails the job at the end.
    """
    from sqlalchemy import delete  # noqa: PLC0415 - as above

    from participation import clock, outbox  # noqa: PLC0415
    from participation.web import current_database  # noqa: PLC0415

    with current_database().unit_of_work() as session:
        session.execute(delete(outbox.OutboxRow).where(outbox.OutboxRow.done_at < clock.now() - KEEP_DONE))
    failures = []
    for chore in _chores:
        try:
            chore()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other chores must go on
            log.error("cleanup_failed", extra={"chore": chore.__qualname__, "error": type(error).__name__})  # noqa: TRY400 - the text may hold personal data
            failures.append(error)
    if failures:
        raise failures[0]


def run(redis_url: str) -> None:
    """Run `rq cron` with the platform's jobs until stopped; wait for the queue when it is away."""
    from rq.cron import CronScheduler  # noqa: PLC0415 - loaded when it is certain to run

    while True:
        try:
            scheduler = CronScheduler(connection=Redis.from_url(redis_url), logging_level="WARNING")
            scheduler.register(run_sweep, QUEUE_NAME, interval=SWEEP_SECONDS, result_ttl=0)
            scheduler.register(run_cleanup, QUEUE_NAME, interval=CLEANUP_SECONDS, result_ttl=0)
            scheduler.start()  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            log.warning("queue unreachable: %s", type(error).__name__)
            time.sleep(RECONNECT_SECONDS)
        else:
            return


def main() -> int:
    """`beteiligung cron`. Returns the exit code."""
    try:
        settings = Settings.from_environ()
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - to the operator
        return 1
    if not settings.redis_url:
        message = "REDIS_URL ist nicht gesetzt. `beteiligung serve` startet eine eingebaute Warteschlange."
        print(message, file=sys.stderr)  # noqa: T201 - to the operator
        return 1
    run(settings.redis_url)
    return 0
