"""Forms of the desk."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import HiddenField, SelectField, TextAreaField

from moderation.reasons import REASONS


class DecisionForm(FlaskForm):
    """A decision; which one says the button."""

    revision_seen = HiddenField()
    rule_key = SelectField(_l("Grund"), validate_choice=False)
    statement = TextAreaField(_l("Begründung an die Verfasserin oder den Verfasser"))

    def offer_reasons(self) -> None:
        """Fill the choices in the reader's language."""
        self.rule_key.choices = [("", _l("Bitte wählen")), *((key, _l(label)) for key, label in REASONS.items())]
