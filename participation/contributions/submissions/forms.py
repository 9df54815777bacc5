"""The form of a proposal. Texts are judged by the operation; the form turns the place into a checked point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import EmailField, HiddenField, RadioField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from participation.contributions.proposals.operations import BODY_MAX, PLACE_MAX, PSEUDONYM_MAX, TITLE_MAX

if TYPE_CHECKING:
    from participation.processes.models import Process


class ProposalForm(FlaskForm):
    """An idea: title, text, theme, place, picture; for guests a name and an address if they want."""

    submission_key = HiddenField()
    title = StringField(
        _l("Titel"), [InputRequired(_l("Bitte geben Sie Ihrem Vorschlag einen Titel.")),
                      Length(max=TITLE_MAX * 2, message=_l("Der Titel ist zu lang."))],
    )
    body = TextAreaField(
        _l("Ihr Vorschlag"), [InputRequired(_l("Bitte beschreiben Sie Ihren Vorschlag.")),
                              Length(max=BODY_MAX * 2, message=_l("Der Text ist zu lang."))],
    )
    theme_id = RadioField(_l("Thema"), coerce=lambda value: int(value) if str(value).isdecimal() else 0,
                          validate_choice=False)
    place = StringField(_l("Wo?"), [Length(max=PLACE_MAX * 2)])
    lon = StringField(_l("Längengrad"), [Length(max=40)])
    lat = StringField(_l("Breitengrad"), [Length(max=40)])
    picture = FileField(_l("Bild"))
    picture_alt = StringField(_l("Was ist auf dem Bild zu sehen?"), [Length(max=300)])
    pseudonym = StringField(_l("Ihr Name, den andere sehen"), [Length(max=PSEUDONYM_MAX * 2)])
    email = EmailField(_l("Ihre E-Mail-Adresse"), [Length(max=254)])

    def offer(self, process: Process) -> None:
        """Offer the themes of a process."""
        self.theme_id.label.text = process.theme_label
        self.theme_id.choices = [(theme.id, theme.name) for theme in process.themes]


class ReceiptForm(FlaskForm):
    """A receipt number."""

    number = StringField(_l("Vorgangsnummer"), [InputRequired(_l("Bitte geben Sie die Nummer ein."))])


class EmptyForm(FlaskForm):
    """A button."""
