"""First checks: text in, findings out. None decides; they show a moderator where to look.

A new check is a function that yields the spans it means, and one entry in CHECKS. Every check must be quick on a
hostile text of full length: patterns repeat bounded parts only, whose pieces can't match the same characters, and
texts are cut before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from rapidfuzz import fuzz

from moderation.models import Severity
from participation import search
from participation.i18n import N_

MAX_LENGTH = 8000
# Ten links are as telling as a hundred; the rest would only push other findings off the page.
MAX_PER_CHECK = 5
SHORT_LETTERS = 8
LOUD_WORDS = 3
NEAR = 80
SIMILAR_FROM = 80.0
COMPARED_LENGTH = 600
MAX_SIMILAR = 3
WORD_FROM = 4

# Where a check looks: the parts of a contribution that others read.
TITLE, BODY, PLACE, AUTHOR = "title", "body", "place", "author"
EVERYWHERE = frozenset({TITLE, BODY, PLACE, AUTHOR})
# A place may well be a street with a number, and a short one.
TEXTS = frozenset({TITLE, BODY})

# The characters that are meant, from start to before end; None means the text as a whole.
Span = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what it is called, how much it weighs, what the moderator reads, and how it looks."""

    key: str
    severity: Severity
    message: str
    look: Callable[[str], Iterator[Span]]
    parts: frozenset[str] = EVERYWHERE


@dataclass(frozen=True, slots=True)
class Found:
    """What a check says, and where: `start` and `end` in characters of `part`; none for the whole."""

    key: str
    severity: Severity
    message: str
    part: str = BODY
    start: int | None = None
    end: int | None = None
    related_id: int | None = None


_LINK = re.compile(
    r"(?:https?://|www\.|mailto:)[^\s<>\"]{2,300}"
    r"|(?<![\w@.-])(?:[^\W_][\w-]{0,62}\.){1,4}"
    r"(?:de|com|net|org|info|eu|biz|shop|xyz|top|ru|cn|io|at|ch|nrw|online|site|club|app|example)(?![\w@-]|\.\w)"
    r"(?:/[^\s<>\"]{0,300})?",
    re.IGNORECASE,
)
_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}(?:@|\s?[(\[]\s?(?:at|ät)\s?[)\]]\s?)(?:[\w-]{1,63}\.){1,4}[^\W\d_]{2,24}(?!\w)",
    re.IGNORECASE,
)
# +49 2543 …, 0049 …, 02543-…, 0160/…; a date has dots and a year no leading zero.
_PHONE = re.compile(
    r"(?<![\w.,+])(?:(?:\+|00)[1-9]\d{0,2}|0[1-9]\d{1,4})(?:[ \t/()\u2013-]{0,3}\d){5,13}(?!\w)"
)
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?(?!\w)", re.IGNORECASE)
_STREET = re.compile(
    r"(?<!\w)(?:[A-ZÄÖÜ][\wäöüß-]{0,40}(?:straße|strasse|str\.|weg|platz|gasse|allee|ring|damm|ufer|kamp|stiege)"
    r"|(?:[A-ZÄÖÜ][\wäöüß-]{0,40} (?:Straße|Str\.|Weg|Platz|Allee|Ring|Damm))"
    r"|(?:Am|An der|Auf dem|Auf der|Im|In der|Zum|Zur) [A-ZÄÖÜ][\wäöüß-]{1,40}) ?\d{1,4} ?[a-zA-Z]?(?!\w)"
)
_PERSON = re.compile(
    r"(?<!\w)(?:(?:Herrn?|Frau|Familie|Fam\.|Dr\.|Nachbarin|Nachbar|Eheleute) [A-ZÄÖÜ][\wäöüß-]{1,40}"
    r"|wohn(?:t|en|haft)(?!\w))"
)
_WORD = re.compile(r"[^\W\d_]{4,}")
_MARKS = re.compile(r"[!?]{4,}")
_REPEATED = re.compile(r"([^\W\d_])\1{4,}", re.IGNORECASE)
# "Angstschweiß" has eight consonants in a row; nine are a hand on the keyboard.
_MASHED = re.compile(r"[bcdfghjklmnpqrstvwxz]{9,}|(?:asdf|qwert|yxcv|jklö|hjkl){2,}", re.IGNORECASE)
# Beginnings of words that hardly ever stand in a friendly text. Short on purpose: a moderator reads everything.
INSULTS = (
    "idiot", "depp", "trottel", "vollpfosten", "arschloch", "arschlöcher", "arsch", "schwachkopf", "schwachköpf",
    "dummkopf", "dummköpf", "hohlkopf", "hohlköpf", "versager", "abschaum", "drecks", "drecksack", "scheiß",
    "vollidiot", "spinner", "schwachsinn", "penner", "wichser", "hurensohn", "hurensöhn", "missgeburt", "blödmann",
    "lügenpack", "gesindel", "untermensch",
)
_INSULT = re.compile(
    r"(?<!\w)(?:(?:" + "|".join(sorted(INSULTS, key=len, reverse=True)) + r")\w{0,20}"
    r"|halt(?:et|en sie)? (?:doch )?(?:die|das|euer|ihr|dein) (?:klappe|schnauze|fresse|maul))",
    re.IGNORECASE,
)


def links(text: str) -> Iterator[Span]:
    """Links with http, www or mailto, and bare domains."""
    return (match.span() for match in _LINK.finditer(text))


def email_addresses(text: str) -> Iterator[Span]:
    """E-mail addresses, also spelt with (at)."""
    return (match.span() for match in _EMAIL.finditer(text))


def phone_numbers(text: str) -> Iterator[Span]:
    """Numbers as they are written in Germany."""
    return (match.span() for match in _PHONE.finditer(text))


def bank_accounts(text: str) -> Iterator[Span]:
    """IBANs whose check digits are right (ISO 13616), so that no other long number is meant."""
    for match in _IBAN.finditer(text):
        plain = match[0].replace(" ", "").upper()
        if not plain.isascii():
            continue
        digits = "".join(str(int(char, 36)) for char in plain[4:] + plain[:4])
        if int(digits) % 97 == 1:
            yield match.span()


def home_addresses(text: str) -> Iterator[Span]:
    """A street with a house number close to somebody's name: probably where a person lives."""
    people = [match.start() for match in islice(_PERSON.finditer(text), 200)]
    for match in islice(_STREET.finditer(text), 200):
        if any(match.start() - NEAR <= position <= match.end() + NEAR for position in people):
            yield match.span()


def insults(text: str) -> Iterator[Span]:
    """Words that often insult; a moderator reads whether they do here."""
    return (match.span() for match in _INSULT.finditer(text))


def capitals(text: str) -> Iterator[Span]:
    """Mostly capitals; one DRK or ÖPNV is no shouting."""
    words = _WORD.findall(text)
    loud = sum(word.isupper() for word in words)
    if loud >= LOUD_WORDS and loud * 2 > len(words):
        yield None


def many_marks(text: str) -> Iterator[Span]:
    """Rows of exclamation or question marks."""
    return (match.span() for match in _MARKS.finditer(text))


def repeated_letters(text: str) -> Iterator[Span]:
    """Keys that were held down."""
    return (match.span() for match in _REPEATED.finditer(text))


def mashed_keys(text: str) -> Iterator[Span]:
    """A hand on the keyboard."""
    return (match.span() for match in _MASHED.finditer(text))


def too_short(text: str) -> Iterator[Span]:
    """Next to nothing: fewer letters than "Gute Idee!" has."""
    if sum(char.isalnum() for char in text) < SHORT_LETTERS:
        yield None


CHECKS: tuple[Check, ...] = (
    Check("email", Severity.WARNING, N_("Enthält eine E-Mail-Adresse"), email_addresses),
    Check("phone", Severity.WARNING, N_("Enthält wohl eine Telefonnummer"), phone_numbers),
    Check("iban", Severity.WARNING, N_("Enthält eine Kontonummer"), bank_accounts),
    Check("insult", Severity.WARNING, N_("Womöglich eine Beleidigung"), insults),
    Check("address", Severity.HINT, N_("Nennt womöglich die Anschrift einer Person"), home_addresses, TEXTS),
    Check("link", Severity.HINT, N_("Enthält einen Link"), links),
    Check("capitals", Severity.HINT, N_("Überwiegend in Großbuchstaben"), capitals, TEXTS),
    Check("marks", Severity.HINT, N_("Viele Satzzeichen hintereinander"), many_marks, TEXTS),
    Check("repeated", Severity.HINT, N_("Ein Buchstabe wiederholt sich oft"), repeated_letters),
    Check("mashed", Severity.HINT, N_("Zufällige Buchstaben"), mashed_keys),
    Check("short", Severity.HINT, N_("Sehr kurzer Text"), too_short, frozenset({BODY})),
)


def check(text: str, part: str = BODY) -> list[Found]:
    """All checks that look at a part, over its text."""
    if not text:
        return []
    cut = text[:MAX_LENGTH]
    return [
        Found(one.key, one.severity, one.message, part, *(span or (None, None)))
        for one in CHECKS if part in one.parts
        for span in islice(one.look(cut), MAX_PER_CHECK)
    ]


def similar(title: str, body: str, candidates: Iterable[tuple[int, str, str]]) -> list[Found]:
    """Published proposals (id, title, text) that say nearly the same, best first, three at most.

    Stems are compared, so that "Bäume pflanzen" meets "Baum gepflanzt".
    """
    own_title, own_body = _stems(title), _stems(body[:COMPARED_LENGTH])
    scored = []
    for key, other_title, other_body in candidates:
        theirs = _stems(other_title)
        by_title = (fuzz.token_set_ratio(own_title, theirs) + fuzz.token_sort_ratio(own_title, theirs)) / 2
        by_body = fuzz.token_set_ratio(own_body, _stems(other_body[:COMPARED_LENGTH]))
        score = max(by_title * 0.6 + by_body * 0.4, by_body)
        if score >= SIMILAR_FROM:
            scored.append((score, key))
    scored.sort(reverse=True)
    return [
        Found("duplicate", Severity.WARNING, N_("Sehr ähnlich zu einem veröffentlichten Vorschlag"), related_id=key)
        for _score, key in scored[:MAX_SIMILAR]
    ]


def _stems(text: str) -> str:
    """Only words that carry meaning: "der", "und", "ist" make every two texts alike."""
    return " ".join(stem for stem in search.stems(text) if len(stem) >= WORD_FROM)


def distinctive_words(title: str, body: str, number: int) -> list[str]:
    """The longest words, the title's first: German says in its compounds what a text is about."""
    seen: dict[str, None] = {}
    for text in (title, body[:COMPARED_LENGTH]):
        for word in sorted(_WORD.findall(text), key=len, reverse=True):
            seen.setdefault(word.casefold())
    return list(seen)[:number]
