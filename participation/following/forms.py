"""How often, and to which address."""

from __future__ import annotations

from flask_babel import gettext, lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import EmailField, HiddenField, RadioField

from participation.following.models import FREQUENCY_LABELS, Frequency


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
        """What was chosen; once a week where nothing readable was."""
        raw = self.frequency.data
        return next((one for one in Frequency if one.value == raw), Frequency.WEEKLY)
