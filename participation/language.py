"""Which language somebody reads: what they chose, else what their browser asks for, else German.

Leichte Sprache is chosen like a language. Texts of the platform itself are German then, and plain already.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from babel import Locale

# In the order in which the menu shows them, each named by itself.
LANGUAGES = {"de": "Deutsch", "en": "English", "nl": "Nederlands"}
DEFAULT = "de"
# German that is easy to read, for people who learn, forget or never learnt to read much (BITV 2.0, § 4).
EASY = "de-x-ls"
# What texts of editors may be written in besides German.
VARIANTS = {EASY: "Leichte Sprache", "en": "English", "nl": "Nederlands"}
# What a reader can choose. One choice, not two: nobody reads Leichte Sprache and Dutch at once.
READINGS = {DEFAULT: LANGUAGES[DEFAULT], **VARIANTS}
# Set only by choosing a language; needed for that and nothing else (TDDDG § 25 Abs. 2 Nr. 2).
COOKIE = "language"
COOKIE_SECONDS = 365 * 24 * 3600
_CHOSEN = re.compile(rf"(?:^|;\s*){COOKIE}=({'|'.join(READINGS)})(?:;|$)")
_WEIGHT = re.compile(r"q=(0(?:\.\d{1,3})?|1(?:\.0{1,3})?)")


def language_of(cookies: str, accepted: str) -> str:
    """What is read, one of READINGS, for the headers Cookie and Accept-Language."""
    chosen = _CHOSEN.search(cookies) if COOKIE in cookies else None
    return chosen[1] if chosen else _asked_for(accepted[:200])


@lru_cache(maxsize=500)
def _asked_for(accepted: str) -> str:
    """The best of ours by Accept-Language (RFC 9110, 12.5.4). Who can read German gets what people really wrote."""
    best, weight = DEFAULT, 0.0
    for part in accepted.split(","):
        tag, _, rest = part.partition(";")
        known = tag.strip().lower().split("-")[0]
        found = _WEIGHT.search(rest)
        number = float(found[1]) if found else 1.0
        if known in LANGUAGES and number > weight:
            best, weight = known, number
    return best


def locale_of(reading: str) -> str:
    """The language of catalogues, dates and the attribute lang: Leichte Sprache is German."""
    return DEFAULT if reading == EASY else reading


def formats_of(language: str) -> str:
    """The locale by which dates and numbers are written for a language: ours is the English of Europe, with 24 hours."""
    return "en_GB" if language == "en" else language


@lru_cache(maxsize=20)
def direction(language: str) -> str:
    """Whether a language is written from left to right ("ltr") or from right to left ("rtl")."""
    return str(Locale.parse(language, sep="-").text_direction)


class Translated(str):
    """A text of the municipality that is in the reader's language; every other one on the page is German."""

    __slots__ = ("language",)
    language: str


def translated(text: str, reading: str) -> Translated:
    """A text that somebody wrote for this reading."""
    found = Translated(text)
    found.language = locale_of(reading)
    return found


def wording_of(text: Any) -> str:  # noqa: ANN401 - any text, marked or not
    """The language that a text of the municipality is in."""
    return text.language if isinstance(text, Translated) else DEFAULT
