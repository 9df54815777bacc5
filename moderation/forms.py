"""Forms of the desk."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, EmailField, HiddenField, RadioField, SelectField, StringField, TextAreaField

from moderation.reasons import REASONS, REPORT_REASONS
from participation.tokens import new_token


class DecisionForm(FlaskForm):
    """A decision; which one says the button."""

    revision_seen = HiddenField()
    # A guest may still say who they are while the contribution is being read.
    name_seen = HiddenField()
    rule_key = SelectField(_l("Grund"), validate_choice=False)
    statement = TextAreaField(_l("Begründung an die Verfasserin oder den Verfasser"))

    def offer_reasons(self) -> None:
        """Fill the choices in the reader's language."""
        self.rule_key.choices = [("", _l("Bitte wählen")), *((key, _l(label)) for key, label in REASONS.items())]


class ReportForm(FlaskForm):
    """What a reader points out; the fields of Art. 16 DSA. What is checked is the operation's business."""

    reason_key = RadioField(_l("Worum geht es?"), validate_choice=False)
    statement = TextAreaField(_l("Was ist nicht in Ordnung?"), render_kw={"required": True})
    name = StringField(_l("Ihr Name"))
    email = EmailField(_l("Ihre E-Mail-Adresse"))
    in_good_faith = BooleanField(_l("Meine Angaben stimmen, soweit ich weiß"))
    submission_key = HiddenField(default=new_token)

    def offer_reasons(self) -> None:
        """Fill the choices in the reader's language."""
        self.reason_key.choices = [(key, _l(label)) for key, label in REPORT_REASONS.items()]
