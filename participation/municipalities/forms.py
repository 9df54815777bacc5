"""Forms about a municipality. What is checked further, and cleaned, is the operations' business."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import ColorField, EmailField, StringField, TextAreaField, URLField

REQUIRED = {"required": True}


class MunicipalityForm(FlaskForm):
    """What every page shows."""

    name = StringField(_l("Name"), render_kw=REQUIRED)
    intro = TextAreaField(_l("Begrüßung auf der Startseite"))
    email = EmailField(_l("E-Mail-Adresse für Anliegen"), render_kw=REQUIRED)
    address = TextAreaField(_l("Anschrift"), render_kw=REQUIRED)
    website = URLField(_l("Internetseite"))
    accent_color = ColorField(_l("Farbe"), render_kw=REQUIRED)


class LogoForm(FlaskForm):
    """A picture of its own instead of the neutral mark."""

    picture = FileField(_l("Bilddatei"), render_kw=REQUIRED)


class PageForm(FlaskForm):
    """The wording of an owed page."""

    body = TextAreaField(_l("Text"), render_kw=REQUIRED)


class BarrierForm(FlaskForm):
    """What somebody could not use."""

    message = TextAreaField(_l("Was geht nicht?"), render_kw=REQUIRED)
    page = StringField(_l("Auf welcher Seite?"))
    email = EmailField(_l("Ihre E-Mail-Adresse"))
