"""The worker, the clock that sends what was not sent, and a look at the jobs."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING

import click
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import func, select

from participation import outbox, schedule
from participation.settings import Settings
from participation.web import current_database, platform

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

log = logging.getLogger(__name__)
WORKER_TTL_SECONDS = 30
RECONNECT_SECONDS = 2


@click.command("worker", help="Aufträge abarbeiten (E-Mails, Prüfungen).")
@click.option("--burst", is_flag=True, help="Enden, sobald nichts mehr wartet.")
@click.pass_obj
def worker_command(create_app: Callable[[], Flask], *, burst: bool) -> None:
    """One RQ worker that forks per job; the application is loaded once, before the forks."""
    from rq import Queue, Worker  # noqa: PLC0415 - only the worker needs it

    app = create_app()
    with app.app_context():
        settings = platform().settings
        _need_queue(settings)
        while True:
            connection = Redis.from_url(settings.redis_url)
            try:
                _requeue_orphans()
                current_database().dispose()
                worker = Worker(
                    [Queue(schedule.QUEUE_NAME, connection=connection)],
                    connection=connection,
                    worker_ttl=WORKER_TTL_SECONDS,
                    job_monitoring_interval=5,
                )
                worker.log = logging.getLogger("rq.worker")
                worker.work(burst=burst, with_scheduler=False, logging_level="WARNING")
            except (RedisError, OSError) as error:
                log.warning("queue_unreachable", extra={"error": type(error).__name__})
                time.sleep(RECONNECT_SECONDS)
                continue
            return


def _requeue_orphans() -> None:
    """Send at once what waited while no worker was there."""
    outbox.sweep(current_database(), platform().redis)


@click.command("cron", help="Regelmäßige Arbeiten anstoßen: Ungesendetes senden, Altes löschen.")
def cron_command() -> None:
    """The starter script runs participation.schedule without the application; this is the same by the long way."""
    sys.exit(schedule.main())


def _need_queue(settings: Settings) -> None:
    if not settings.redis_url:
        click.echo("REDIS_URL ist nicht gesetzt. `beteiligung serve` startet eine eingebaute Warteschlange.", err=True)
        sys.exit(1)


@click.group("jobs", help="Aufträge ansehen und erneut versuchen.")
def jobs_group() -> None:
    """Collect the subcommands."""


@jobs_group.command("list", help="Wartende und angehaltene Aufträge zählen.")
@click.pass_obj
def list_command(create_app: Callable[[], Flask]) -> None:
    """Counts by kind and state."""
    with create_app().app_context(), current_database().reading() as session:
        row = outbox.OutboxRow
        for label, condition in (
            ("warten", row.done_at.is_(None) & row.failed_at.is_(None)),
            ("angehalten", row.failed_at.is_not(None) & row.done_at.is_(None)),
            ("erledigt", row.done_at.is_not(None)),
        ):
            for name, number in session.execute(select(row.job, func.count()).where(condition).group_by(row.job)):
                click.echo(f"{label:<12}{name:<28}{number}")


@jobs_group.command("retry", help="Alle angehaltenen Aufträge noch einmal versuchen.")
@click.pass_obj
def retry_command(create_app: Callable[[], Flask]) -> None:
    """Give every parked job another three tries."""
    with create_app().app_context():
        with current_database().unit_of_work() as session:
            row = outbox.OutboxRow
            parked = list(session.scalars(select(row.id).where(row.failed_at.is_not(None), row.done_at.is_(None))))
            for row_id in parked:
                outbox.retry(session, row_id)
        outbox.send(current_database(), platform().redis, parked)
        click.echo(f"{len(parked)} Aufträge werden noch einmal versucht.")


COMMANDS = (worker_command, cron_command, jobs_group)
