"""How long texts may be and how they are read, and what stands before what; for all that editors change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from participation import text
from participation.errors import InvalidInput
from participation.i18n import N_
from participation.processes.models import Phase, Process, ProcessDocument, Theme

if TYPE_CHECKING:
    from collections.abc import Sequence

TITLE_MAX = 120
SUMMARY_MAX = 500
BODY_MAX = text.MAX_MARKDOWN_LENGTH
CONTACT_MAX = 2000
LINE_MAX = 300
LABEL_MAX = 60
SLUG_MAX = 80
PHASES_MAX = 30
THEMES_MAX = 40
DOCUMENTS_MAX = 100
VAGUE_MAX = 60
TONES = range(8)


def checked_line(raw: str, field: str, limit: int, missing: str = "") -> str:
    """One line of text, cleaned; `missing` is said where there must be one. Raises InvalidInput."""
    value = text.clean_line(raw)
    if missing and not value:
        raise InvalidInput(missing, field=field)
    return _not_longer(value, field, limit)


def checked_text(raw: str, field: str, limit: int) -> str:
    """Text of any number of lines, cleaned. Raises InvalidInput."""
    return _not_longer(text.clean_text(raw), field, limit)


def _not_longer(value: str, field: str, limit: int) -> str:
    if len(value) > limit:
        raise InvalidInput(
            N_("Der Text ist zu lang: %(length)s Zeichen. Möglich sind %(limit)s."),
            field=field, length=len(value), limit=limit,
        )
    return value


Placed = Process | Phase | Theme | ProcessDocument


def move_row(
    rows: Sequence[Process] | Sequence[Phase] | Sequence[Theme] | Sequence[ProcessDocument], row: Placed, step: int
) -> None:
    """Swap with the neighbour and number anew; at the end of the row nothing happens."""
    ordered: list[Placed] = sorted(rows, key=lambda one: (one.position, one.id))
    place = ordered.index(row)
    target = place + (1 if step > 0 else -1)
    if 0 <= target < len(ordered):
        ordered[place], ordered[target] = ordered[target], ordered[place]
    for number, one in enumerate(ordered):
        one.position = number
