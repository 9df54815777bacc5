"""Fields that editors add to the form of a phase, and what people answer there.

An answer keeps the words it was given in: the question, the chosen options, the unit, and whether it was asked for in
public. So nothing is lost when a field is reworded or deleted, and what somebody wrote for the administration alone is
never shown because an editor changes their mind.
"""

from __future__ import annotations

import enum
import re
import secrets
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, fields as members, replace
from decimal import Decimal
from typing import Any

from participation import text
from participation.errors import Checks, InvalidInput
from participation.i18n import N_

FIELDS_MAX = 10
LABEL_MAX, HINT_MAX, OPTION_MAX, UNIT_MAX = 120, 300, 120, 20
OPTIONS_MAX = 30
LINE_MAX, TEXT_MAX = 300, 3000
PREFIX = "own-"
_KEY = re.compile(r"[0-9a-f]{8}")
_NUMBER = re.compile(r"-?[0-9]{1,12}(?:,[0-9]{1,6})?")
_GROUPED = re.compile(r"(-?[0-9]{1,3}(?:\.[0-9]{3})+)(,[0-9]{1,6})?")
_POINTED = re.compile(r"-?[0-9]{1,12}\.[0-9]{1,6}")


class FieldKind(enum.Enum):
    """What is entered into a field."""

    LINE = "line"
    TEXT = "text"
    CHOICE = "choice"
    CHOICES = "choices"
    NUMBER = "number"


KIND_LABELS = {
    FieldKind.LINE: N_("Kurzer Text, eine Zeile"),
    FieldKind.TEXT: N_("Langer Text"),
    FieldKind.CHOICE: N_("Auswahl: eine Antwort"),
    FieldKind.CHOICES: N_("Auswahl: mehrere Antworten"),
    FieldKind.NUMBER: N_("Zahl"),
}
CHOOSING = frozenset({FieldKind.CHOICE, FieldKind.CHOICES})
LONGEST = {FieldKind.LINE: LINE_MAX, FieldKind.TEXT: TEXT_MAX}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnField:
    """One field. Its key stays for good; bounds of numbers are written the German way, empty for none."""

    key: str
    kind: FieldKind
    label: str
    hint: str = ""
    is_required: bool = False
    is_public: bool = True
    longest: int = LINE_MAX
    options: tuple[str, ...] = ()
    low: str = ""
    high: str = ""
    has_decimals: bool = False
    unit: str = ""
    # The options in the reader's language, in the same order; never stored.
    shown_options: tuple[str, ...] = ()

    @property
    def choices(self) -> list[tuple[str, str]]:
        """Each option as it is kept, in German, and as it is shown."""
        return list(zip(self.options, self.shown_options or self.options, strict=True))

    @property
    def name(self) -> str:
        """What it is called in a form."""
        return PREFIX + self.key


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody answered, in the words of the form they had before them."""

    key: str
    label: str
    values: tuple[str, ...]
    unit: str = ""
    is_public: bool = True

    @property
    def shown(self) -> str:
        """As it is read."""
        return ", ".join(self.values) + (f" {self.unit}" if self.unit else "")


def worded(one: OwnField, texts: Mapping[str, str]) -> OwnField:
    """The same in another language: texts by the names of `variant_texts`, German where one is missing."""
    options = tuple(texts.get(f"{one.name}-options", "").split("\n"))
    return replace(
        one, label=texts.get(f"{one.name}-label", one.label), hint=texts.get(f"{one.name}-hint", one.hint),
        shown_options=options if len(options) == len(one.options) else ())


def variant_texts(asked: Sequence[OwnField]) -> dict[str, tuple[str, int]]:
    """What of these fields can be written in another language: the German text, and how long it may be."""
    found: dict[str, tuple[str, int]] = {}
    for one in asked:
        found[f"{one.name}-label"] = (one.label, LABEL_MAX)
        found[f"{one.name}-hint"] = (one.hint, HINT_MAX)
        found[f"{one.name}-options"] = ("\n".join(one.options), OPTIONS_MAX * OPTION_MAX)
    return {name: entry for name, entry in found.items() if entry[0]}


def new_key() -> str:
    """A key that no field had before."""
    return secrets.token_hex(4)


def read_fields(stored: Sequence[Mapping[str, Any]] | None) -> tuple[OwnField, ...]:
    """Fields from their stored form; what is unknown is ignored, what is missing defaults."""
    known = {one.name for one in members(OwnField)} - {"shown_options"}
    return tuple(
        OwnField(**{
            **{name: value for name, value in entry.items() if name in known},
            "kind": FieldKind(entry["kind"]), "options": tuple(entry.get("options", ())),
        })
        for entry in stored or ()
    )


def store_field(one: OwnField) -> dict[str, Any]:
    """The stored form of a field."""
    stored = {entry.name: getattr(one, entry.name) for entry in members(one) if entry.name != "shown_options"}
    return stored | {"kind": one.kind.value, "options": list(one.options)}


def checked_field(one: OwnField) -> OwnField:
    """A field as it may be kept. Raises InvalidInput with the name of the attribute that is wrong."""
    checks = Checks()
    with checks:
        label = _short(text.clean_line(one.label), "label", LABEL_MAX)
        if not label:
            raise InvalidInput(N_("Bitte schreiben Sie, was Sie wissen möchten."), field="label")
    with checks:
        options = _checked_options(one)
    most = LONGEST.get(one.kind, LINE_MAX)
    with checks:
        if one.kind in LONGEST and not 1 <= one.longest <= most:
            raise InvalidInput(N_("Bitte geben Sie eine ganze Zahl von %(low)s bis %(limit)s an."), field="longest", low=1,
                               limit=most)
    bounds = {"low": "", "high": ""}
    for name in bounds:
        with checks:
            bounds[name] = _bound(one, name)
    low, high = bounds["low"], bounds["high"]
    with checks:
        if low and high and _decimal(low) > _decimal(high):
            raise InvalidInput(N_("Das ist weniger als die kleinste Zahl."), field="high")
    with checks:
        hint = _short(text.clean_line(one.hint), "hint", HINT_MAX)
    with checks:
        unit = _short(text.clean_line(one.unit), "unit", UNIT_MAX) if one.kind is FieldKind.NUMBER else ""
    checks.done()
    return OwnField(
        key=one.key if _KEY.fullmatch(one.key) else new_key(), kind=one.kind, label=label, hint=hint,
        is_required=one.is_required, is_public=one.is_public,
        longest=one.longest if one.kind in LONGEST else LINE_MAX, options=options if one.kind in CHOOSING else (),
        low=low, high=high, has_decimals=one.kind is FieldKind.NUMBER and one.has_decimals, unit=unit,
    )


def _checked_options(one: OwnField) -> tuple[str, ...]:
    options = tuple(dict.fromkeys(found for raw in one.options if (found := text.clean_line(raw))))
    if one.kind in CHOOSING:
        if len(options) < 2:  # noqa: PLR2004 - one alone is no choice
            raise InvalidInput(N_("Bitte geben Sie mindestens zwei Antworten an, jede in einer eigenen Zeile."),
                               field="options")
        if len(options) > OPTIONS_MAX:
            raise InvalidInput(N_("Mehr als %(limit)s Antworten sind nicht möglich."), field="options",
                               limit=OPTIONS_MAX)
        for option in options:
            _short(option, "options", OPTION_MAX)
    return options


def _short(value: str, name: str, limit: int) -> str:
    if len(value) > limit:
        raise InvalidInput(N_("Der Text ist zu lang: %(length)s Zeichen. Möglich sind %(limit)s."), field=name,
                           length=len(value), limit=limit)
    return value


def _bound(one: OwnField, name: str) -> str:
    raw = text.clean_line(getattr(one, name))
    if one.kind is not FieldKind.NUMBER or not raw:
        return ""
    found = _german(raw)
    if found is None or ("," in found and not one.has_decimals):
        raise InvalidInput(N_("Bitte geben Sie eine Zahl an, zum Beispiel 30."), field=name)
    return found


def _german(raw: str) -> str | None:
    """A number as it is kept: digits, a comma, no points. "1.234,5" has groups, "12.5" an English point."""
    typed = re.sub(r"[\s\u00a0\u202f]", "", raw).replace("\u2212", "-").removeprefix("+")
    if _GROUPED.fullmatch(typed):
        typed = typed.replace(".", "")
    elif _POINTED.fullmatch(typed):
        typed = typed.replace(".", ",")
    if not _NUMBER.fullmatch(typed):
        return None
    whole, comma, rest = typed.partition(",")
    rest = rest.rstrip("0")
    number = f"{int(whole)}{comma if rest else ''}{rest}"
    return f"-{number}" if whole.startswith("-") and int(whole) == 0 and rest else number


def _decimal(german: str) -> Decimal:
    return Decimal(german.replace(",", "."))


def read_answers(
    asked: Sequence[OwnField], entered: Mapping[str, Sequence[str]], kept: Sequence[Answer] = ()
) -> tuple[list[Answer], list[InvalidInput]]:
    """What was entered, by key, as answers; and what is wrong with it, each error with the name of its field.

    `kept` is what the same author answered before: an option that has been reworded since may stay, and answers to
    fields that are not asked any more go along.
    """
    before = {one.key: one for one in kept}
    found: list[Answer] = []
    wrong: list[InvalidInput] = []
    for one in asked:
        try:
            values = _values(one, entered.get(one.key, ()), before[one.key].values if one.key in before else ())
        except InvalidInput as error:
            wrong.append(InvalidInput(error.message, field=one.name, **error.params))
            continue
        if values:
            was_public = before[one.key].is_public if one.key in before and before[one.key].values == values else True
            found.append(Answer(one.key, one.label, values, one.unit, one.is_public and was_public))
        elif one.is_required:
            wrong.append(InvalidInput(
                N_("Bitte wählen Sie etwas aus.") if one.kind in CHOOSING
                else N_("Bitte geben Sie eine Zahl an.") if one.kind is FieldKind.NUMBER
                else N_("Bitte füllen Sie dieses Feld aus."), field=one.name))
    known = {one.key for one in asked}
    return found + [one for one in kept if one.key not in known], wrong


def _values(one: OwnField, raw: Sequence[str], before: tuple[str, ...]) -> tuple[str, ...]:
    if one.kind in CHOOSING:
        chosen = {text.clean_line(value) for value in raw} - {""}
        possible = list(dict.fromkeys((*one.options, *before)))
        if not chosen <= set(possible) or (one.kind is FieldKind.CHOICE and len(chosen) > 1):
            raise InvalidInput(N_("Bitte wählen Sie etwas aus der Liste."))
        return tuple(option for option in possible if option in chosen)
    entered = raw[0] if raw else ""
    value = text.clean_text(entered) if one.kind is FieldKind.TEXT else text.clean_line(entered)
    if not value:
        return ()
    if one.kind is FieldKind.NUMBER:
        return (_number(one, value),)
    if len(value) > one.longest:
        raise InvalidInput(N_("Das ist zu lang: %(found)s Zeichen. Höchstens %(number)s sind möglich."),
                           found=len(value), number=one.longest)
    return (value,)


def _number(one: OwnField, raw: str) -> str:
    if one.unit and raw.casefold().endswith(one.unit.casefold()):
        raw = raw[:-len(one.unit)]
    found = _german(raw)
    if found is None:
        raise InvalidInput(N_("Bitte geben Sie eine Zahl an, zum Beispiel 2,5.") if one.has_decimals
                           else N_("Bitte geben Sie eine ganze Zahl an, zum Beispiel 30."))
    if "," in found and not one.has_decimals:
        raise InvalidInput(N_("Bitte geben Sie eine ganze Zahl an, ohne Komma."))
    if one.low and _decimal(found) < _decimal(one.low):
        raise InvalidInput(N_("Das ist zu wenig. Bitte geben Sie mindestens %(limit)s an."), limit=one.low)
    if one.high and _decimal(found) > _decimal(one.high):
        raise InvalidInput(N_("Das ist zu viel. Bitte geben Sie höchstens %(limit)s an."), limit=one.high)
    return found


def store_answers(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """The stored form of answers."""
    return [{"key": one.key, "label": one.label, "values": list(one.values), "unit": one.unit, "public": one.is_public}
            for one in answers]


def load_answers(stored: Sequence[Mapping[str, Any]] | None) -> list[Answer]:
    """Answers from their stored form."""
    return [Answer(one["key"], one["label"], tuple(one["values"]), one["unit"], one["public"]) for one in stored or ()]


def in_order(answers: Sequence[Answer], asked: Sequence[OwnField]) -> list[Answer]:
    """All answers as the fields stand now, those to fields that are gone last."""
    places = {one.key: place for place, one in enumerate(asked)}
    return sorted(answers, key=lambda one: places.get(one.key, len(places)))


def public_answers(answers: Sequence[Answer], asked: Sequence[OwnField]) -> list[Answer]:
    """What everybody may read: asked for in public then, and still asked for in public."""
    shown = {one.key for one in asked if one.is_public}
    return [one for one in in_order(answers, asked) if one.is_public and one.key in shown]


def as_text(answers: Sequence[Answer]) -> str:
    """Questions and answers, a line each: for checks and differences."""
    return "\n".join(f"{one.label}: {one.shown}" for one in answers)


def columns_of(asked: Sequence[tuple[OwnField, str]], others: Sequence[str]) -> dict[str, str]:
    """The heading of each field in a table, by key, no two alike: programs that read tables keep one of these only.

    `asked` names each field with the title of its phase, which tells the same question of two phases apart; `others`
    are the headings that are there already.
    """
    labels = [one.label.casefold() for one, _phase in asked]
    taken, found = {name.casefold() for name in others}, {}
    for one, phase in asked:
        label = f"{one.label} ({phase})" if labels.count(one.label.casefold()) > 1 else one.label
        found[one.key] = unlike(label, taken)
        taken.add(found[one.key].casefold())
    return found


def unlike(name: str, taken: Container[str]) -> str:
    """A heading that is not among those taken (in lower case), with a number where it must be."""
    number, free = 1, name
    while free.casefold() in taken:
        number += 1
        free = f"{name} ({number})"
    return free
