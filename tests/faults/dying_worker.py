"""A worker of digests that is killed at a step of its work. Loaded once, and copied for each death (see the test)."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from app import create_app
from participation import clock, outbox
from participation.following import delivery, jobs
from participation.following.models import Frequency
from participation.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable


def work(environ: dict[str, str], step: str, when: str, later: int) -> None:
    """Work all digests; `step` names the function after or before whose second call this process is killed."""
    then = clock.now() + timedelta(days=8, minutes=later)
    clock.now = lambda: then
    app = create_app(Settings.from_environ(environ))
    if step:
        module = jobs if hasattr(jobs, step) else delivery
        setattr(module, step, _killing(getattr(module, step), when))
    jobs.BATCH = 2
    database = app.extensions["platform"].database
    with app.app_context():
        with database.unit_of_work() as session:
            delivery.begin_digests(session, Frequency.WEEKLY, then)
        while True:
            with database.reading() as session:
                rows = session.scalars(select(outbox.OutboxRow.id).where(
                    outbox.OutboxRow.done_at.is_(None), outbox.OutboxRow.failed_at.is_(None))).all()
            if not [row for row in rows if outbox.work_row(database, row)]:
                break


def _killing(real: Callable[..., Any], when: str) -> Callable[..., Any]:
    calls = 0

    def wrapped(*args: Any, **values: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = real(*args, **values)
        if calls == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    return wrapped
