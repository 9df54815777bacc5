"""Whom to invite."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import EmailField


class InviteForm(FlaskForm):
    """An address, if the invitation is to go by mail."""

    email = EmailField(_l("E-Mail-Adresse"))
