"""What editors enter for the ballot paper of a budget."""

from __future__ import annotations

from flask_babel import gettext as _, lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import StringField

LONGEST = 10


def whole_number(raw: str) -> int | None:
    """A whole number as people write it ("12.000 €"); None for anything else."""
    plain = raw.replace("€", "").replace(".", "").replace("\N{NO-BREAK SPACE}", "").replace(" ", "")
    return int(plain) if plain.isascii() and plain.isdecimal() and len(plain) <= LONGEST else None


class OptionForm(FlaskForm):
    """One proposal with its price."""

    proposal_id = StringField(_l("Nummer des Vorschlags"), render_kw={"required": True})
    cost = StringField(_l("Kosten in Euro"), render_kw={"required": True})

    def read(self) -> tuple[int, int] | None:
        """Number and price; None when one of them is no number, with a message beside it."""
        number, cost = whole_number((self.proposal_id.data or "").lstrip("#")), whole_number(self.cost.data or "")
        if number is None:
            self.proposal_id.errors = [_("Bitte geben Sie die Nummer an. Sie steht am Ende der Adresse des Vorschlags.")]
        if cost is None:
            self.cost.errors = [_("Bitte schreiben Sie die Kosten als ganze Zahl in Euro, zum Beispiel 12000.")]
        return None if number is None or cost is None else (number, cost)
