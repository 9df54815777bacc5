"""Forgetting what nobody goes on with."""

from __future__ import annotations

from participation import clock, schedule
from participation.contributions.drafts.operations import forget_old
from participation.web import current_database


@schedule.hourly
def forget_old_drafts() -> None:
    """After three months, some at a time."""
    while True:
        with current_database().unit_of_work() as session:
            if not forget_old(session, clock.now()):
                return
