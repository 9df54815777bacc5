"""What editors enter for the ballot paper of a budget."""

from __future__ import annotations

from flask_babel import gettext as _, lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import StringField

from participation import text, web
from participation.contributions.ballots.operations import COST_MAX
from participation.errors import InvalidInput

LONGEST = 10


def whole_number(raw: str) -> int | None:
    """A number of a proposal; None for anything else. Here "1.2" is no way to write 12, which is another one."""
    plain = raw.strip()
    return int(plain) if plain.isascii() and plain.isdecimal() and len(plain) <= LONGEST else None


class OptionForm(FlaskForm):
    """One proposal with its price."""

    proposal_id = StringField(_l("Nummer des Vorschlags"), render_kw={"required": True})
    cost = StringField(_l("Kosten in Euro"), render_kw={"required": True})

    def read(self) -> tuple[int, int] | None:
        """Number and price; None when one of them is no number, with a message beside it."""
        number, cost = whole_number((self.proposal_id.data or "").strip().lstrip("#")), None
        if number is None:
            self.proposal_id.errors = [_("Bitte geben Sie die Nummer an. Sie steht am Ende der Adresse des Vorschlags.")]
        try:
            cost = text.whole_euros(self.cost.data, COST_MAX, field="cost")
        except InvalidInput as error:
            self.cost.errors = [web.translated(error)]
        else:
            if cost is None:
                self.cost.errors = [_("Bitte schreiben Sie die Kosten als ganze Zahl in Euro, zum Beispiel 12000.")]
        return None if number is None or cost is None else (number, cost)
