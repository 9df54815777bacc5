"""Why votes count no more, or count again."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import TextAreaField


class ReasonForm(FlaskForm):
    """Everybody reads it."""

    reason = TextAreaField(_l("Grund, den alle lesen"), render_kw={"required": True})
