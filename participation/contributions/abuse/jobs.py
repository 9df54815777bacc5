"""What is forgotten by the clock."""

from __future__ import annotations

from participation import clock, schedule
from participation.contributions.abuse.operations import forget_sources
from participation.web import current_database


@schedule.hourly
def forget_sources_of_votes() -> None:
    """As the privacy notice promises."""
    with current_database().unit_of_work() as session:
        forget_sources(session, clock.now())
