"""Forms of one's own contributions and data."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import RadioField
from wtforms.validators import InputRequired

KEEP, TAKE = "keep", "take"


class DeleteForm(FlaskForm):
    """Whether what was written stays. Nothing is chosen beforehand."""

    contributions = RadioField(_l("Was soll mit Ihren Beiträgen geschehen?"),
                               [InputRequired(_l("Bitte wählen Sie, was mit Ihren Beiträgen geschehen soll."))])

    def offer(self) -> None:
        """Set the two ways."""
        self.contributions.choices = [
            (KEEP, _l("Sie bleiben stehen. Statt Ihres Namens steht dort „Gelöschtes Konto“.")),
            (TAKE, _l("Sie werden zurückgezogen, und wir löschen ihre Texte und Bilder.")),
        ]
