"""Forms of the staff's room."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import EmailField, SelectField, StringField
from wtforms.validators import InputRequired

REQUIRED = InputRequired(_l("Bitte füllen Sie dieses Feld aus."))


class InviteForm(FlaskForm):
    """Somebody new on the staff."""

    email = EmailField(_l("E-Mail-Adresse"), [REQUIRED])
    display_name = StringField(_l("Name, wie er bei Antworten steht"), [REQUIRED])
    role = SelectField(_l("Rolle"), [REQUIRED])
