"""What editors fill in for a newsletter."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import StringField, TextAreaField


class NewsletterForm(FlaskForm):
    """Subject and text; what is checked further is the operation's business."""

    subject = StringField(_l("Betreff"), render_kw={"required": True})
    body = TextAreaField(_l("Text"), render_kw={"required": True})
