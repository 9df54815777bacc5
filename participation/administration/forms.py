"""Forms of the staff's room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_babel import gettext as _, lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import EmailField, SelectChoice, StringField
from wtforms.validators import InputRequired

from participation.permissions import ROLE_DUTIES, ROLE_LABELS, Role
from participation.processes.forms import choice_field

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUIRED = InputRequired(_l("Bitte füllen Sie dieses Feld aus."))


class InviteForm(FlaskForm):
    """Somebody on the staff, new or known."""

    email = EmailField(_l("E-Mail-Adresse"), [REQUIRED])
    display_name = StringField(_l("Name, wie er bei Antworten steht"), [REQUIRED])
    role = choice_field(_l("Rolle"), [], validators=[InputRequired(_l("Bitte wählen Sie eine Rolle."))])

    def offer(self, roles: Iterable[Role]) -> InviteForm:
        """The roles that may be given, each with what it is for; none before somebody chose."""
        self.role.choices = [SelectChoice("", _("Bitte wählen")), *(
            SelectChoice(role.value, f"{_(ROLE_LABELS[role])}: {_(ROLE_DUTIES[role])}") for role in roles)]
        return self
