"""Forms of editors. What is checked further, and cleaned, is the operations' business."""

from __future__ import annotations

import enum
from dataclasses import Field, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flask_babel import gettext as _, lazy_gettext as _l
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import (
    BooleanField,
    DateField,
    DateTimeField,
    DateTimeLocalField,
    Field as FormField,
    IntegerField,
    RadioField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import Optional

from participation.formats import CHOICE_LABELS, FORMATS, NOT_OFFERED, PhaseSettings
from participation.municipalities.forms import Needed
from participation.own_fields import OwnField, store_field
from participation.processes.models import Theme

if TYPE_CHECKING:
    from collections.abc import Iterable

EMPTY = "leer"
SETTING = "setting_"
# The first is what browsers send; the others are typed where a browser knows no such field.
DATE_FORMATS = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y, %H:%M", "%Y-%m-%d %H:%M"]
DAY_FORMATS = ["%Y-%m-%d", "%d.%m.%Y"]
TONE_NAMES = [
    _l("Blau"), _l("Rot"), _l("Grün"), _l("Violett"), _l("Orange"), _l("Türkis"), _l("Pink"), _l("Grau"),
]


class _WithExample(DateTimeField):
    """A field of time that says, when it is not understood, how to write it."""

    not_understood: Any

    def process_formdata(self, valuelist: list[str]) -> None:
        """As the base class, with a message of ours."""
        try:
            super().process_formdata(valuelist)
        except ValueError as error:
            raise ValueError(str(self.not_understood)) from error


class DayField(_WithExample, DateField):
    """A day."""

    not_understood = _l("Diesen Tag verstehen wir nicht. Schreiben Sie zum Beispiel: 30.06.2027")


class WallClockField(_WithExample, DateTimeLocalField):
    """A date with time in Berlin."""

    not_understood = _l("Dieses Datum verstehen wir nicht. Schreiben Sie zum Beispiel: 30.06.2027 18:00")


class WholeNumberField(IntegerField):
    """A whole number."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """As the base class, with a message that says what is expected."""
        try:
            super().process_formdata(valuelist)
        except ValueError as error:
            raise ValueError(_("Bitte geben Sie eine ganze Zahl an, zum Beispiel %(number)s.", number=self.default or 30)) from error


def choice_field(label: Any, choices: list[tuple[Any, Any]], **options: Any) -> Any:  # noqa: ANN401 - a field that its form binds later
    """One of a list of (value, label), with messages of ours."""
    message = _l("Bitte wählen Sie etwas aus der Liste.")
    return SelectField(
        label, choices=[SelectChoice(value, text) for value, text in choices], invalid_choice_message=message,
        invalid_value_message=message, **options,
    )


class NewProcessForm(FlaskForm):
    """How a draft begins."""

    title = StringField(_l("Titel"), validators=[Needed()])
    summary = TextAreaField(_l("Kurzbeschreibung"))
    source = RadioField(_l("Womit möchten Sie beginnen?"), validate_choice=False, default=EMPTY)
    starts_on = DayField(_l("Wann geht es los?"), format=DAY_FORMATS, validators=[Optional()])

    def offer(self, templates: Iterable[tuple[str, str]], processes: Iterable[tuple[str, str]]) -> NewProcessForm:
        """Templates and processes to copy as (value, text), the empty beginning first."""
        self.source.choices = [(EMPTY, _("Leer: alles selbst anlegen")), *templates, *processes]
        return self


class NewsForm(FlaskForm):
    """Something new to tell."""

    title = StringField(_l("Überschrift"), validators=[Needed()])
    body = TextAreaField(_l("Text"), validators=[Needed()])


class ProcessForm(FlaskForm):
    """What a process says of itself."""

    title = StringField(_l("Titel"), validators=[Needed()])
    slug = StringField(_l("Adresse"))
    summary = TextAreaField(_l("Kurzbeschreibung"))
    body = TextAreaField(_l("Worum es geht"))
    theme_label = StringField(_l("Wie heißen Themen hier?"))
    contact = TextAreaField(_l("Kontakt"))
    faq = TextAreaField(_l("Fragen und Antworten"))
    attribution = StringField(_l("Quelle der Beiträge"))
    picture = FileField(_l("Bild"))
    picture_alt = StringField(_l("Beschreibung des Bildes"))


class PhaseForm(FlaskForm):
    """A phase without the settings of its format; `phase_form` adds them."""

    format_key = choice_field(_l("Format"), [(entry.key, _l(entry.label)) for entry in FORMATS.values()])
    title = StringField(_l("Titel"), validators=[Needed()])
    body = TextAreaField(_l("Text"))
    vague_dates = StringField(_l("Zeitraum in Worten"))
    starts_at = WallClockField(_l("Beginn"), format=DATE_FORMATS, validators=[Optional()])
    ends_at = WallClockField(_l("Ende"), format=DATE_FORMATS, validators=[Optional()])
    extension_reason = StringField(_l("Warum geht die Abstimmung weiter?"))

    def setting_groups(self, format_key: str) -> list[tuple[str, list[FormField]]]:
        """The same under their headings; without one they stand under the name of the format."""
        groups: dict[str, list[FormField]] = {}
        for entry in fields(FORMATS[format_key].settings):
            groups.setdefault(entry.metadata["group"], []).append(self[SETTING + entry.name])
        return list(groups.items())

    def settings(self, format_key: str) -> PhaseSettings:
        """The typed settings; call after validation. What could not be read is as it would be by itself."""
        kind = FORMATS[format_key].settings
        values: dict[str, Any] = {}
        for entry in fields(kind):
            asked = self[SETTING + entry.name]
            data = settings_data(kind())[asked.name] if asked.errors else asked.data
            values[entry.name] = type(entry.default)(data) if isinstance(entry.default, enum.Enum) else data
        return kind(**values)


class OwnFieldForm(FlaskForm):
    """A field that editors add to the form of a phase; own_fields.checked_field judges it."""

    label = StringField(_l("Frage"), validators=[Needed()])
    hint = StringField(_l("Hinweis"))
    options = TextAreaField(_l("Antworten zur Auswahl"))
    longest = WholeNumberField(_l("Höchstens so viele Zeichen"), validators=[Optional()])
    low = StringField(_l("Kleinste Zahl"))
    high = StringField(_l("Größte Zahl"))
    unit = StringField(_l("Einheit"))
    has_decimals = BooleanField(_l("Auch Zahlen mit Komma"))
    is_required = BooleanField(_l("Pflichtfeld"))
    is_public = BooleanField(_l("Die Antwort ist öffentlich"))


def own_field_data(one: OwnField) -> dict[str, Any]:
    """A field as the data of its form."""
    return store_field(one) | {"options": "\n".join(one.options)}


class ThemeForm(FlaskForm):
    """A theme."""

    name = StringField(_l("Name"), validators=[Needed()])
    description = TextAreaField(_l("Beschreibung"))
    tone = choice_field(_l("Farbe"), list(enumerate(TONE_NAMES)), coerce=int)


class DocumentForm(FlaskForm):
    """A document to read or download."""

    title = StringField(_l("Bezeichnung"), validators=[Needed()])
    document = FileField(_l("Datei"), validators=[Needed()])


class DocumentTitleForm(FlaskForm):
    """How a document is called."""

    title = StringField(_l("Bezeichnung"), validators=[Needed()])


@lru_cache(maxsize=32)
def phase_form_class(format_key: str) -> type[PhaseForm]:
    """The form of a phase with one field per setting of its format, made from the dataclass in FORMATS."""
    members = {SETTING + entry.name: _setting_field(entry) for entry in fields(FORMATS[format_key].settings)}
    return type(f"PhaseForm_{format_key}", (PhaseForm,), members)


def _setting_field(entry: Field[Any]) -> Any:  # noqa: ANN401 - a field that its form binds later
    label, hint, default = _l(entry.metadata["label"]), entry.metadata["hint"], entry.default
    options: dict[str, Any] = {"default": default, "description": _l(hint) if hint else ""}
    if isinstance(default, bool):
        return BooleanField(label, **options)
    if isinstance(default, int):
        return WholeNumberField(label, validators=[Needed()], **options)
    if isinstance(default, enum.Enum):
        choices = [(member.value, _l(CHOICE_LABELS[member])) for member in type(default) if member not in NOT_OFFERED]
        options["default"] = default.value
        return choice_field(label, choices, validators=[Needed()], **options)
    return StringField(label, **options)


def settings_data(settings: PhaseSettings) -> dict[str, Any]:
    """Typed settings as the data of a form."""
    values = {SETTING + entry.name: getattr(settings, entry.name) for entry in fields(settings)}
    return {name: value.value if isinstance(value, enum.Enum) else value for name, value in values.items()}


def theme_data(theme: Theme) -> dict[str, Any]:
    """A theme as the data of its form."""
    return {"name": theme.name, "description": theme.description, "tone": theme.tone}
