"""Why votes count no more, or count again."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import SelectField, TextAreaField

from participation.processes.forms import WallClockField


class ReasonForm(FlaskForm):
    """Everybody reads it."""

    reason = TextAreaField(_l("Grund, den alle lesen"), render_kw={"required": True})


class WindowForm(FlaskForm):
    """Which votes to look at; sent by GET, since looking changes nothing."""

    class Meta:
        """A form that only asks needs no token, and its address stays short."""

        csrf = False

    von = WallClockField(_l("Von"), format=["%Y-%m-%dT%H:%M", "%d.%m.%Y %H:%M"], render_kw={"required": True})
    bis = WallClockField(_l("Bis vor"), format=["%Y-%m-%dT%H:%M", "%d.%m.%Y %H:%M"], render_kw={"required": True})
    adresse = SelectField(_l("Woher"), default="")
