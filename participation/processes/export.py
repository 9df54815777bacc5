"""The dates of a process for a calendar (iCalendar, RFC 5545)."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from participation import clock
from participation.processes.models import ONE_MOMENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from participation.processes.models import Phase, Process

# A line may have 75 octets; longer ones go on after a line break and a blank (RFC 5545, 3.1).
LINE_OCTETS = 75
MEETING = "workshop"


def calendar(process: Process, address: str, host: str, now: datetime, translate: Callable[[str], str]) -> bytes:
    """Meetings with their hours; of other phases begin and end, as all-day events where no hour was given.

    A phase of six weeks as one event would cover six weeks of a calendar. Days are those of Berlin.
    """
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Beteiligungsplattform//DE", "CALSCALE:GREGORIAN",
        f"X-WR-CALNAME:{_text(process.title)}",
    ]
    for phase in process.phases:
        lines += _events(process, phase, address, host, now, translate)
    lines.append("END:VCALENDAR")
    return "".join(f"{_folded(line)}\r\n" for line in lines).encode()


def _events(
    process: Process, phase: Phase, address: str, host: str, now: datetime, translate: Callable[[str], str]
) -> list[str]:
    place = str(getattr(phase.settings, "place", ""))
    if phase.format_key == MEETING and phase.starts_at is not None:
        end = phase.ends_at or phase.starts_at + timedelta(hours=2)
        if _is_midnight(phase.starts_at) and _is_midnight(end):
            when = _days(clock.to_berlin(phase.starts_at), clock.to_berlin(end))
        else:
            when = [f"DTSTART:{phase.starts_at:%Y%m%dT%H%M%SZ}", f"DTEND:{end:%Y%m%dT%H%M%SZ}"]
        if place:
            when.append(f"LOCATION:{_text(place)}")
        return _event(f"phase-{phase.id}@{host}", f"{process.title}: {phase.title}", when, address, now)
    found: list[str] = []
    if phase.starts_at is not None:
        summary = translate("%(process)s: %(phase)s beginnt") % {"process": process.title, "phase": phase.title}
        when = _day(phase.starts_at) if _is_midnight(phase.starts_at) else _moment(phase.starts_at)
        found += _event(f"phase-{phase.id}-start@{host}", summary, when, address, now)
    if phase.ends_at is not None and _is_midnight(phase.ends_at):
        summary = translate("%(process)s: %(phase)s, letzter Tag") % {"process": process.title, "phase": phase.title}
        found += _event(f"phase-{phase.id}-end@{host}", summary, _day(phase.ends_at - ONE_MOMENT), address, now)
    elif phase.ends_at is not None:
        summary = translate("%(process)s: %(phase)s endet") % {"process": process.title, "phase": phase.title}
        found += _event(f"phase-{phase.id}-end@{host}", summary, _moment(phase.ends_at), address, now)
    return found


def _moment(instant: datetime) -> list[str]:
    """Without an end it ends as it begins (RFC 5545, 3.6.1)."""
    return [f"DTSTART:{instant:%Y%m%dT%H%M%SZ}"]


def _is_midnight(instant: datetime) -> bool:
    return clock.to_berlin(instant).time().replace(second=0, microsecond=0) == time(0, 0)


def _day(instant: datetime) -> list[str]:
    day = clock.to_berlin(instant).date()
    return _days(day, day + timedelta(days=1))


def _days(first: date, end: date) -> list[str]:
    """Whole days; that of the end is not among them."""
    return [f"DTSTART;VALUE=DATE:{first:%Y%m%d}", f"DTEND;VALUE=DATE:{end:%Y%m%d}"]


def _event(uid: str, summary: str, when: list[str], address: str, now: datetime) -> list[str]:
    return [
        "BEGIN:VEVENT", f"UID:{uid}", f"DTSTAMP:{now:%Y%m%dT%H%M%SZ}", *when, f"SUMMARY:{_text(summary)}", f"URL:{address}",
        "TRANSP:TRANSPARENT", "END:VEVENT",
    ]


def _text(value: str) -> str:
    """A text value: what has a meaning in the format is escaped (RFC 5545, 3.3.11)."""
    for char, escaped in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\r", ""), ("\n", "\\n")):
        value = value.replace(char, escaped)
    return value


def _folded(line: str) -> str:
    parts: list[str] = []
    part = ""
    for char in line:
        if len((part + char).encode()) > LINE_OCTETS - (1 if parts else 0):
            parts.append(part)
            part = ""
        part += char
    return "\r\n ".join([*parts, part])
