"""The form of a proposal. Every text is cleaned before it is judged, so that blanks and invisible signs are no text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import (
    BooleanField,
    EmailField,
    HiddenField,
    RadioField,
    SelectChoice,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import StopValidation
from wtforms.widgets import CheckboxInput, ListWidget, Select

from participation.contributions.proposals.models import WITHDRAWAL_REASONS
from participation.contributions.proposals.operations.content import ALT_MAX, BODY_MAX, PLACE_MAX, TITLE_MAX
from participation.contributions.proposals.operations.submitting import PSEUDONYM_MAX
from participation.language import translated, wording_of
from participation.own_fields import PREFIX, Answer, FieldKind, OwnField
from participation.processes.edge import as_read
from participation.text import clean_line, clean_text
from participation.tokens import new_token
from participation.web import language, reading
from participation.written import format_decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from participation.processes.models import Process

EMAIL_MAX = 254
KEY_MAX = 64
# More themes than this are a list to open; fewer are seen at once.
THEMES_AS_CARDS = 6
_ID_DIGITS = 9


class Text:
    """A cleaned text of limited length; with `missing` it must say something."""

    def __init__(self, longest: int, missing: str | None = None) -> None:
        """`longest` in characters, `missing` the message when nothing readable was entered."""
        self.longest = longest
        self.missing = missing
        self.field_flags = {"required": True} if missing else {}

    def __call__(self, _form: object, field: Any) -> None:  # noqa: ANN401 - any field with text
        """Raise StopValidation with the message."""
        value = field.data or ""
        if self.missing and not value:
            raise StopValidation(self.missing)
        if len(value) > self.longest:
            raise StopValidation(str(_l(
                "Das ist zu lang: %(found)s Zeichen. Höchstens %(number)s sind möglich.",
                found=format_decimal(len(value)), number=format_decimal(self.longest),
            )))


def _theme_id(raw: object) -> int:
    """0 stands for none; what is no id becomes none, and the form then asks for a choice."""
    value = str(raw)
    return int(value) if value.isdecimal() and len(value) <= _ID_DIGITS else 0


class ProposalForm(FlaskForm):
    """An idea: title, text, theme, place, picture; for guests a name if they want."""

    submission_key = HiddenField(default=new_token)
    # When going on with a draft: the version of it that was there when the form was opened.
    draft_version = HiddenField()
    # When changing: the revision that was there when the form was opened, so that two windows can't undo each other.
    revision_seen = HiddenField()
    title = StringField(
        _l("Titel"), [Text(TITLE_MAX, _l("Bitte geben Sie Ihrem Vorschlag einen Titel."))], filters=[clean_line]
    )
    body = TextAreaField(
        _l("Ihr Vorschlag"), [Text(BODY_MAX, _l("Bitte beschreiben Sie Ihren Vorschlag."))], filters=[clean_text]
    )
    theme_id = RadioField(_l("Thema"), coerce=_theme_id, validate_choice=False)
    place = StringField(_l("Ort in Worten"), [Text(PLACE_MAX)], filters=[clean_line])
    lon = StringField(_l("Längengrad"), filters=[clean_line])
    lat = StringField(_l("Breitengrad"), filters=[clean_line])
    picture = FileField(_l("Bild"))
    picture_alt = StringField(_l("Was ist auf dem Bild zu sehen?"), [Text(ALT_MAX)], filters=[clean_line])
    # A picture that came with an earlier, refused try: see operations.keep_picture.
    picture_kept = HiddenField()
    picture_drop = BooleanField(_l("Dieses Bild weglassen"))
    pseudonym = StringField(_l("Ihr Name, den andere sehen"), [Text(PSEUDONYM_MAX)], filters=[clean_line])

    def offer(self, process: Process, *, optional: bool = False) -> None:
        """Offer the themes of a process: as cards, or as a list to open when they are many."""
        shown = as_read(process)
        self.theme_id.label.text = shown.theme_label
        choices = [_choice(theme.id, theme.name) for theme in shown.themes]
        if len(choices) > THEMES_AS_CARDS:
            self.theme_id.widget = Select()
            choices.insert(0, SelectChoice(0, str(_l("Ohne Angabe") if optional else _l("Bitte wählen"))))
        elif optional:
            choices.append(SelectChoice(0, str(_l("Ohne Angabe"))))
        self.theme_id.choices = choices


def _choice(value: Any, shown: str) -> SelectChoice:  # noqa: ANN401 - what is sent when it is chosen
    """A choice in the words of editors, marked where they are not in the language of the page (WCAG 2.2, 3.1.2)."""
    own = wording_of(shown)
    return SelectChoice(value, shown, {} if own == language() else {"lang": own})


class ChecksField(SelectMultipleField):
    """Several of a list, as boxes to tick."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


def proposal_form(asked: Sequence[OwnField], kept: Sequence[Answer] = ()) -> type[ProposalForm]:
    """The form with the fields that editors added; `kept` is what the author answered before.

    What is entered there is judged by own_fields.read_answers, so that a message says what that field expects.
    """
    before = {one.key: one for one in kept}
    fields = {one.name: _own_field(one, before[one.key].values if one.key in before else ()) for one in asked}
    return type("ProposalForm", (ProposalForm,), fields) if fields else ProposalForm


def _own_field(one: OwnField, before: tuple[str, ...]) -> Any:  # noqa: ANN401 - a field that its form binds later
    first = before[0] if before else ""
    if one.kind is FieldKind.LINE or one.kind is FieldKind.NUMBER:
        return StringField(one.label, default=first, filters=[clean_line])
    if one.kind is FieldKind.TEXT:
        return TextAreaField(one.label, default=first, filters=[clean_text])
    # The German wording is what is sent and kept, whatever the reader's language.
    choices = [_choice(value, translated(shown, reading()) if one.shown_options else shown) for value, shown in one.choices]
    choices += [_choice(value, value) for value in before if value not in one.options]
    if one.kind is FieldKind.CHOICES:
        return ChecksField(one.label, choices=choices, default=list(before), validate_choice=False)
    nothing = SelectChoice("", _l("Bitte wählen") if one.is_required else _l("Ohne Angabe"))
    if len(choices) > THEMES_AS_CARDS:
        return SelectField(one.label, choices=[nothing, *choices], default=first, validate_choice=False)
    return RadioField(one.label, choices=choices if one.is_required else [*choices, nothing], default=first,
                      validate_choice=False)


def entered_answers(form: FlaskForm) -> dict[str, list[str]]:
    """What stands in the fields that editors added, by their keys."""
    return {
        field.name.removeprefix(PREFIX): [str(value) for value in field.data] if isinstance(field.data, list)
        else [field.data or ""]
        for field in form if field.name.startswith(PREFIX)
    }


class IntroductionForm(FlaskForm):
    """What a guest may say of themselves on the receipt."""

    email = EmailField(_l("Ihre E-Mail-Adresse"), [Text(EMAIL_MAX)], filters=[clean_line])
    pseudonym = StringField(_l("Ihr Name, den andere sehen"), [Text(PSEUDONYM_MAX)], filters=[clean_line])


class WithdrawForm(FlaskForm):
    """Why somebody takes a proposal back."""

    reason = RadioField(_l("Möchten Sie sagen, warum?"), validate_choice=False)

    def offer(self, *, is_public: bool) -> None:
        """Offer the reasons; of what nobody has read, nobody needs one."""
        reasons = [(key, str(_l(label))) for key, label in WITHDRAWAL_REASONS.items()] if is_public else []
        self.reason.choices = [("", str(_l("Ohne Angabe: Der Vorschlag verschwindet ganz."))), *reasons]


class PictureForm(FlaskForm):
    """One more picture."""

    picture = FileField(_l("Bild"))
    picture_alt = StringField(_l("Was ist auf dem Bild zu sehen?"))


class ReceiptForm(FlaskForm):
    """A receipt number."""

    number = StringField(
        _l("Vorgangsnummer"), [Text(40, _l("Bitte geben Sie die Nummer von Ihrem Beleg ein."))], filters=[clean_line]
    )
