"""What is entered of a person: the address and the name, as they are stored."""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

from participation import text
from participation.errors import InvalidInput
from participation.i18n import N_

NAME_MAX = 60
# Of whom we know no name of their own yet.
NEW_NAME = N_("Neu dabei")
CONFIRM_FIRST = N_("Bitte bestätigen Sie zuerst Ihre E-Mail-Adresse über den Link in unserer E-Mail.")


def clean_email(raw: str) -> str:
    """The address as it is stored. Raises InvalidInput (field "email")."""
    entered = text.clean_line(raw)
    if not entered.rpartition("@")[0].isascii():
        # Possible since RFC 6531, but hardly any server takes it; mostly somebody mistyped.
        raise InvalidInput(N_("Vor dem @ stehen Umlaute oder andere Sonderzeichen. Dorthin können wir nicht schreiben. "
                              "Geben Sie eine Adresse ohne Umlaute vor dem @ an."), field="email")
    try:
        return validate_email(entered, check_deliverability=False, test_environment=True).normalized.lower()
    except EmailNotValidError as error:
        raise InvalidInput(
            N_("Das ist keine E-Mail-Adresse. Sie sieht zum Beispiel so aus: name@anbieter.de"), field="email"
        ) from error


def clean_name(raw: str, missing: str = N_("Bitte geben Sie einen Namen an. Es muss nicht Ihr richtiger sein.")) -> str:
    """The name that others see. `missing` is said where there is none. Raises InvalidInput (field "display_name")."""
    return text.checked(text.clean_line(raw), NAME_MAX, field="display_name", missing=missing,
                        too_long=N_("Der Name ist zu lang. Höchstens %(number)s Zeichen sind möglich."))


def clean_staff_name(raw: str) -> str:
    """The same, entered by a colleague. Raises InvalidInput."""
    return clean_name(raw, N_("Bitte geben Sie an, wie die Person heißt."))
