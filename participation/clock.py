"""The one place that knows what time it is. Stored in UTC, entered and shown in Europe/Berlin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")


def now() -> datetime:
    """The current instant in UTC, whatever time zone the machine is set to."""
    return datetime.now(UTC)


def to_berlin(instant: datetime) -> datetime:
    """The wall clock in Berlin at a given instant."""
    return instant.astimezone(BERLIN)


def from_berlin(wall: datetime) -> datetime:
    """The instant meant by a wall-clock time entered without zone.

    Raises ValueError for the hour that does not exist when summer time starts. In the hour that exists twice in
    October the earlier one is meant, so that a deadline never ends later than a reader could have understood.
    """
    aware = wall.replace(tzinfo=BERLIN, fold=0)
    instant = aware.astimezone(UTC)
    if instant.astimezone(BERLIN).replace(tzinfo=None) != wall.replace(tzinfo=None):
        message = "this wall-clock time does not exist"
        raise ValueError(message)
    return instant


def hour_of(instant: datetime) -> datetime:
    """The full hour that an instant lies in; the same hour in Berlin."""
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def day_of(instant: datetime) -> datetime:
    """The day (in UTC) that an instant lies in."""
    return hour_of(instant).replace(hour=0)


def days(number: float) -> timedelta:
    """A span of days, to read well in rules."""
    return timedelta(days=number)
