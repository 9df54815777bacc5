"""Which language somebody reads: what they chose, else what their browser asks for, else German."""

from __future__ import annotations

import re
from functools import lru_cache

# In the order in which the menu shows them, each named by itself.
LANGUAGES = {"de": "Deutsch", "en": "English", "nl": "Nederlands"}
DEFAULT = "de"
# German that is easy to read, for people who learn, forget or never learnt to read much (BITV 2.0, § 4).
EASY = "de-x-ls"
# What texts of editors may be written in besides German.
VARIANTS = {EASY: "Leichte Sprache", "en": "English", "nl": "Nederlands"}
# Set only by choosing a language; needed for that and nothing else (TDDDG § 25 Abs. 2 Nr. 2).
COOKIE = "language"
COOKIE_SECONDS = 365 * 24 * 3600
_CHOSEN = re.compile(rf"(?:^|;\s*){COOKIE}=({'|'.join(LANGUAGES)})(?:;|$)")
_WEIGHT = re.compile(r"q=(0(?:\.\d{1,3})?|1(?:\.0{1,3})?)")


def language_of(cookies: str, accepted: str) -> str:
    """The language for the headers Cookie and Accept-Language."""
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
