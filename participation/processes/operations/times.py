"""Times in Berlin as editors enter them, and the instants that are stored."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from participation import clock
from participation.errors import InvalidInput
from participation.i18n import N_

FIRST_YEAR, LAST_YEAR = 2000, 2100
# Whoever enters 23:59 means the whole day; its end is stored as the midnight after.
LAST_MINUTE = time(23, 59)
MINUTE = timedelta(minutes=1)


def read_wall(wall: datetime | None, field: str) -> datetime | None:
    """The instant of a wall-clock time in Berlin. Raises InvalidInput for the hour that summer time leaves out."""
    if wall is None:
        return None
    if not FIRST_YEAR <= wall.year <= LAST_YEAR:
        raise InvalidInput(
            N_("Bitte prüfen Sie das Jahr: %(year)s liegt nicht zwischen %(first)s und %(last)s."),
            field=field, year=str(wall.year), first=str(FIRST_YEAR), last=str(LAST_YEAR),
        )
    try:
        return clock.from_berlin(wall)
    except ValueError as error:
        raise InvalidInput(
            N_(
                "Diese Uhrzeit gibt es nicht: Am %(day)s werden die Uhren von 2 auf 3 Uhr vorgestellt. Bitte wählen Sie 3:00 Uhr oder später."
            ),
            field=field, day=wall.date(),
        ) from error


def read_end(wall: datetime | None) -> datetime | None:
    """The first instant that is over: 23:59 means the whole day, every other time itself. Raises as `read_wall`."""
    instant = read_wall(wall, "ends_at")
    if instant is not None and wall is not None and (wall.hour, wall.minute) == (LAST_MINUTE.hour, LAST_MINUTE.minute):
        return instant.replace(second=0) + MINUTE
    return instant


def shown_start(starts_at: datetime | None) -> datetime | None:
    """The wall-clock time to show for a start."""
    return None if starts_at is None else clock.to_berlin(starts_at).replace(tzinfo=None)


def shown_end(ends_at: datetime | None) -> datetime | None:
    """The wall-clock time to show for an end: midnight as 23:59 of the day before, so that the day is the last one."""
    if ends_at is None:
        return None
    wall = clock.to_berlin(ends_at).replace(tzinfo=None)
    return wall - MINUTE if wall.time() == time(0, 0) else wall
