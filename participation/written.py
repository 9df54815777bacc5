"""How dates and numbers are written in the language of the page: the one place that asks Babel.

Not flask_babel's functions of the same names: they write English as in America ("Dec 21", "4/12/27, 12:00 AM"), and
"4/12" is another day to whoever learnt English in Europe.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache

from babel import Locale, dates, numbers
from flask_babel import get_locale

from participation import clock
from participation.language import formats_of


def format_date(day: date, style: str = "medium", language: str | None = None) -> str:
    """A day; of an instant, the day in Berlin."""
    return dates.format_date(_wall(day) if isinstance(day, datetime) else day, style, locale=_formats(language))


def format_datetime(instant: datetime, style: str = "medium") -> str:
    """Day and hour in Berlin."""
    return dates.format_datetime(_wall(instant), style, locale=_formats(None))


def format_decimal(number: float | Decimal | str, pattern: str | None = None) -> str:
    """A number with the separators of the language."""
    return numbers.format_decimal(number, format=pattern, locale=_formats(None))


def _wall(instant: datetime) -> datetime:
    """What the clock shows in Berlin; a time without a zone was read from it already."""
    return clock.to_berlin(instant) if instant.tzinfo else instant


def _formats(language: str | None) -> Locale:
    return _parsed(language or str(get_locale()))


@lru_cache(maxsize=20)
def _parsed(language: str) -> Locale:
    """Read once: a list has dozens of dates."""
    return Locale.parse(formats_of(language))
