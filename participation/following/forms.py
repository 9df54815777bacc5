"""How often, and to which address."""

from __future__ import annotations

from flask_babel import gettext, lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import EmailField, HiddenField, RadioField

from participation.errors import InvalidInput
from participation.following.models import FREQUENCY_LABELS, Frequency
from participation.i18n import N_


class FollowForm(FlaskForm):
    """How often to write, and where to for whoever has no account."""

    email = EmailField(_l("Ihre E-Mail-Adresse"), render_kw={"required": True})
    frequency = RadioField(_l("Wie oft sollen wir Ihnen schreiben?"), validate_choice=False)
    proposal_id = HiddenField()

    def offer(self, *, address: bool = False, silence: bool = False) -> FollowForm:
        """Ask for an address only where none is known, and offer silence only to whoever follows already."""
        self.frequency.choices = [
            (one.value, gettext(label)) for one, label in FREQUENCY_LABELS.items()
            if silence or one is not Frequency.NEVER
        ]
        if not address:
            del self.email
        return self

    @property
    def chosen(self) -> Frequency:
        """What was chosen of what is offered. Raises InvalidInput: nobody gets mail as often as they never said."""
        if self.frequency.data not in {value for value, _label in self.frequency.choices}:
            raise InvalidInput(N_("Bitte wählen Sie, wie oft wir Ihnen schreiben sollen."), field="frequency")
        return Frequency(self.frequency.data)
