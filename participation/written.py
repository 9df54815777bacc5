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
from participation.language import DEFAULT, formats_of

# Numbers alone say a day in German, whose order everybody here knows. "12/04/2027" is two days to readers of English.
_IN_NUMBERS = {"short": "dd.MM.yy, HH:mm", "without_year": "dd.MM., HH:mm"}
_WITH_NAMED_MONTH = {"short": "d MMM y, HH:mm", "without_year": "d MMM, HH:mm"}


def format_date(day: date, style: str = "medium", language: str | None = None) -> str:
    """A day; of an instant, the day in Berlin. None of the styles is in numbers but in German."""
    formats = _formats(language)
    if style == "short" and formats.language != DEFAULT:
        style = "medium"
    return dates.format_date(_wall(day) if isinstance(day, datetime) else day, style, locale=formats)


def format_datetime(instant: datetime, style: str = "short") -> str:
    """Day and hour in Berlin: "short", "without_year", or a pattern."""
    formats = _formats(None)
    named = _IN_NUMBERS if formats.language == DEFAULT else _WITH_NAMED_MONTH
    return dates.format_datetime(_wall(instant), named.get(style, style), locale=formats)


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
