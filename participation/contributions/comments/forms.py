"""The form of a comment."""

from __future__ import annotations

from flask_babel import gettext, lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import HiddenField, RadioField, TextAreaField
from wtforms.validators import Length

from participation.contributions.comments.models import STANCE_LABELS
from participation.tokens import new_token

KEY_MAX = 64


class CommentForm(FlaskForm):
    """What is checked further, and cleaned, is the operation's business. Who a guest is, the receipt asks."""

    body = TextAreaField(_l("Ihr Kommentar"), render_kw={"required": True})
    quote = TextAreaField(_l("Stelle aus dem Vorschlag"))
    stance = RadioField(_l("Ihre Haltung"), validate_choice=False)
    parent_id = HiddenField()
    # Made with the page: the same form sent twice stays one comment.
    submission_key = HiddenField(default=new_token, validators=[Length(max=KEY_MAX)])

    def offer_stances(self, asked: bool) -> CommentForm:  # noqa: FBT001 - whether there is a question at all
        """Ask where the comment stands, or do not ask."""
        if asked:
            self.stance.choices = [(stance.value, gettext(label)) for stance, label in STANCE_LABELS.items()]
        else:
            del self.stance
        return self
