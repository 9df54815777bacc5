"""First checks: text in, findings out. None decides; they show a moderator where to look.

Every check is quick on a hostile text of full length: no nested repetition in a pattern, and texts are cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rapidfuzz import fuzz

from moderation.models import Severity
from participation.i18n import N_

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LENGTH = 8000
MAX_FINDINGS = 12
SHORT = 15
SIMILAR_FROM = 82.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a check says, and where: `start` and `end` in characters of the text it was given."""

    key: str
    severity: Severity
    message: str
    start: int | None = None
    end: int | None = None
    related_id: int | None = None


Check = Callable[[str], "Iterator[Found]"]

_LINK = re.compile(
    r"(?:https?://|www\.)[^\s<>\"]{2,200}|\b[\w-]{2,60}\.(?:com|net|org|info|biz|shop|xyz|top|ru|io|de|example)\b"
    r"(?!@)(?:/[^\s<>\"]{0,200})?", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
_PHONE = re.compile(r"(?<![\w/])(?:\+|00)49[\d\s/()-]{6,18}\d|(?<![\w/.,])0\d{2,5}[\s/-]{1,3}\d[\d\s-]{3,12}\d|(?<!\w)01\d{8,11}(?!\w)")
_IBAN = re.compile(r"\bDE\d{2}(?:\s?\d{4}){4}\s?\d{2}\b")
_ADDRESS = re.compile(
    r"\b(?:Herr|Frau|Familie|Nachbar(?:in)?)\s+[A-ZÄÖÜ][\wäöüß-]{1,40}[^.\n]{0,60}?\b[\w-]{2,40}\s?"
    r"(?:straße|strasse|str\.|weg|platz|gasse|allee|ring)\s+\d{1,4}\w?", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{4,}")
_MARKS = re.compile(r"[!?]{4,}")
_REPEAT = re.compile(r"(.)\1{5,}", re.DOTALL)
_INSULTS = re.compile(
    r"\b(?:idiot(?:en)?|deppen?|trottel|vollpfosten|arschl\w{1,8}|schwachkopf\w{0,3}|dummkopf|dummköpfe|pfeifen|spinner|"
    r"versager|pack|abschaum|drecks\w{2,20}|halt(?:et|en sie)? (?:die )?(?:klappe|schnauze|maul))\b", re.IGNORECASE)


def links(text: str) -> Iterator[Found]:
    """Links to elsewhere."""
    for match in _LINK.finditer(text):
        if text[max(0, match.start() - 1) : match.start()] != "@":
            yield Found("link", Severity.HINT, N_("Enthält einen Link"), *match.span())


def contact_data(text: str) -> Iterator[Found]:
    """Addresses, numbers and accounts that should not stand in public."""
    for pattern, message in (
        (_EMAIL, N_("Enthält eine E-Mail-Adresse")), (_PHONE, N_("Enthält wohl eine Telefonnummer")),
        (_IBAN, N_("Enthält eine Kontonummer")), (_ADDRESS, N_("Nennt wohl eine Person mit Anschrift")),
    ):
        for match in pattern.finditer(text):
            yield Found("contact", Severity.WARNING, message, *match.span())


def shouting(text: str) -> Iterator[Found]:
    """Mostly capitals, or rows of exclamation marks."""
    words = _WORD.findall(text)
    loud = [word for word in words if word.isupper()]
    if len(loud) >= 3 and len(loud) * 2 > len(words):  # noqa: PLR2004 - DRK, ÖPNV and the like are no shouting
        yield Found("shouting", Severity.HINT, N_("Überwiegend in Großbuchstaben"))
    for match in _MARKS.finditer(text):
        yield Found("shouting", Severity.HINT, N_("Viele Satzzeichen hintereinander"), *match.span())


def gibberish(text: str) -> Iterator[Found]:
    """Keys that were held down, or next to nothing."""
    for match in _REPEAT.finditer(text):
        yield Found("gibberish", Severity.HINT, N_("Ein Zeichen wiederholt sich oft"), *match.span())
    if 0 < len(text.strip()) < SHORT:
        yield Found("short", Severity.HINT, N_("Sehr kurzer Text"))


def insults(text: str) -> Iterator[Found]:
    """Words that often insult; a moderator reads whether they do here."""
    for match in _INSULTS.finditer(text):
        yield Found("insult", Severity.WARNING, N_("Womöglich eine Beleidigung"), *match.span())


CHECKS: tuple[Check, ...] = (contact_data, insults, links, shouting, gibberish)


def check(text: str) -> list[Found]:
    """All checks over one text."""
    found: list[Found] = []
    for one in CHECKS:
        found.extend(one(text[:MAX_LENGTH]))
        if len(found) >= MAX_FINDINGS:
            break
    return found[:MAX_FINDINGS]


def similar(title: str, body: str, candidates: Iterable[tuple[int, str, str]]) -> list[Found]:
    """Published proposals (id, title, text) that say nearly the same, best first, three at most."""
    scored = []
    for key, other_title, other_body in candidates:
        by_title = fuzz.token_set_ratio(title.casefold(), other_title.casefold())
        by_text = fuzz.token_set_ratio(body.casefold()[:600], other_body.casefold()[:600])
        score = max(by_title * 0.6 + by_text * 0.4, by_text)
        if score >= SIMILAR_FROM:
            scored.append((score, key))
    scored.sort(reverse=True)
    return [Found("duplicate", Severity.WARNING, N_("Sehr ähnlich zu einem veröffentlichten Vorschlag"), related_id=key)
            for _score, key in scored[:3]]
