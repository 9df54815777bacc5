"""What happens to processes by the clock."""

from __future__ import annotations

from participation import schedule
from participation.processes.operations import forget_guest_addresses
from participation.web import current_database


@schedule.hourly
def forget_addresses_of_guests() -> None:
    """As the privacy notice promises."""
    with current_database().unit_of_work() as session:
        forget_guest_addresses(session)
