"""The form of a comment."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import HiddenField, TextAreaField
from wtforms.validators import Length

from participation.tokens import new_token

KEY_MAX = 64


class CommentForm(FlaskForm):
    """What is checked further, and cleaned, is the operation's business."""

    body = TextAreaField(_l("Ihr Kommentar"), render_kw={"required": True})
    parent_id = HiddenField()
    # Made with the page: the same form sent twice stays one comment.
    submission_key = HiddenField(default=new_token, validators=[Length(max=KEY_MAX)])
