"""The form of an official answer."""

from __future__ import annotations

from flask_babel import gettext, lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import RadioField, StringField, TextAreaField

from participation.contributions.proposals.models import ANSWER_LABELS


class AnswerForm(FlaskForm):
    """What the administration says to a proposal. What is checked is the operation's business."""

    status = RadioField(_l("Was wird aus dem Vorschlag?"), validate_choice=False)
    body = TextAreaField(_l("Antwort"))
    cost = StringField(_l("Voraussichtliche Kosten in Euro"))

    def offer_choices(self) -> None:
        """Fill the choices in the reader's language."""
        self.status.choices = [(status.value, gettext(label)) for status, label in ANSWER_LABELS.items()]
