"""Forms of accounts. Values are cleaned and judged by operations; forms say what a field is called."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, EmailField, HiddenField, IntegerField, PasswordField, StringField
from wtforms.validators import InputRequired

from participation.tokens import new_token

REQUIRED = InputRequired(_l("Bitte füllen Sie dieses Feld aus."))


class SignInForm(FlaskForm):
    """Address and password."""

    email = EmailField(_l("E-Mail-Adresse"), [REQUIRED])
    password = PasswordField(_l("Kennwort"), [REQUIRED])


class RegisterForm(FlaskForm):
    """A new account."""

    email = EmailField(_l("E-Mail-Adresse"), [REQUIRED])
    display_name = StringField(_l("Name, den andere sehen"), [REQUIRED])
    password = PasswordField(_l("Kennwort"), [REQUIRED])


class EmailForm(FlaskForm):
    """Only an address."""

    email = EmailField(_l("E-Mail-Adresse"), [REQUIRED])


class PasswordForm(FlaskForm):
    """A new password."""

    password = PasswordField(_l("Neues Kennwort"), [REQUIRED])


class CodeForm(FlaskForm):
    """A code of the second factor."""

    code = StringField(_l("Code"), [REQUIRED])


class NameForm(FlaskForm):
    """The name that others see."""

    display_name = StringField(_l("Name, den andere sehen"), [REQUIRED])
    everywhere = BooleanField(_l("Auch bei allem ändern, was ich bisher geschrieben habe"))


class EmptyForm(FlaskForm):
    """A button."""


class ConfirmForm(FlaskForm):
    """The password that was chosen when registering."""

    password = PasswordField(_l("Ihr Kennwort"), [REQUIRED])


class ProofForm(FlaskForm):
    """The password once more."""

    password = PasswordField(_l("Ihr Kennwort"), [REQUIRED])


class LetterCodeForm(FlaskForm):
    """A code from a letter."""

    code = StringField(_l("Code aus dem Brief"), [REQUIRED])


class CountField(IntegerField):
    """A whole number, with a message of ours."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """As the base class."""
        try:
            super().process_formdata(valuelist)
        except ValueError as error:
            raise ValueError(_l("Bitte geben Sie eine ganze Zahl an, zum Beispiel 90.")) from error


class LetterBatchForm(FlaskForm):
    """Codes for one posting."""

    # One form counts once: reloading the page with the codes sends it again.
    submission_key = HiddenField(default=new_token)
    label = StringField(_l("Wofür sind die Codes?"), [REQUIRED])
    count = CountField(_l("Wie viele?"), [REQUIRED], default=100)
    days = CountField(_l("Wie viele Tage gelten sie?"), [REQUIRED], default=90)
