"""Forms about a municipality. What is checked further, and cleaned, is the operations' business."""

from __future__ import annotations

from typing import ClassVar

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import ColorField, EmailField, StringField, TextAreaField, URLField


class Needed:
    """Marks a field as one that must be filled; the operation says so in words when it is not."""

    field_flags: ClassVar[dict[str, bool]] = {"required": True}

    def __call__(self, form: object, field: object) -> None:
        """Nothing to check here."""


class MunicipalityForm(FlaskForm):
    """What every page shows."""

    name = StringField(_l("Name"), validators=[Needed()])
    intro = TextAreaField(_l("Begrüßung auf der Startseite"))
    # In the order of language.VARIANTS.
    intro_0 = TextAreaField(_l("Begrüßung in Leichter Sprache"))
    intro_1 = TextAreaField(_l("Begrüßung auf Englisch"))
    intro_2 = TextAreaField(_l("Begrüßung auf Niederländisch"))
    email = EmailField(_l("E-Mail-Adresse für Anliegen"), validators=[Needed()])
    address = TextAreaField(_l("Anschrift"), validators=[Needed()])
    website = URLField(_l("Internetseite"))
    accent_color = ColorField(_l("Farbe"), validators=[Needed()])


class LogoForm(FlaskForm):
    """A picture of its own instead of the neutral mark."""

    picture = FileField(_l("Bilddatei"), validators=[Needed()])


class PageForm(FlaskForm):
    """The wording of an owed page."""

    body = TextAreaField(_l("Text"), validators=[Needed()])


class BarrierForm(FlaskForm):
    """What somebody could not use."""

    message = TextAreaField(_l("Was geht nicht?"), validators=[Needed()])
    page = StringField(_l("Auf welcher Seite?"))
    email = EmailField(_l("Ihre E-Mail-Adresse"))
