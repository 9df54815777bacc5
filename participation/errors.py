"""The errors of the domain. Each carries a German message that names cause and cure, and an HTTP status."""

from __future__ import annotations

from participation.i18n import N_


class DomainError(Exception):
    """Something a person asked for can't be done; `message` is a German gettext source with %(name)s places."""

    status = 400

    def __init__(self, message: str, *, field: str | None = None, **params: object) -> None:
        """Keep the untranslated message apart from its parameters, so that the edge can translate it."""
        super().__init__(message)
        self.message = message
        self.field = field
        self.params = params

    def __str__(self) -> str:
        """Spell out the German message."""
        return self.message % self.params if self.params else self.message


class InvalidInput(DomainError):
    """A value can't be accepted; `field` names the input it belongs to."""

    status = 422
    # What else is wrong with the same input.
    others: tuple[InvalidInput, ...] = ()


class Checks:
    """Goes on after a check that failed, so that nobody has to mend an input one round for each thing.

    Each check stands in a `with` of its own; `done` comes before any value that they read is used.
    """

    def __init__(self) -> None:
        """Nothing is wrong yet."""
        self.found: list[InvalidInput] = []

    def __enter__(self) -> None:
        """Begin the next check."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        """Keep what a check said, and go on."""
        if not isinstance(error, InvalidInput):
            return False
        self.found += [error, *error.others]
        return True

    def done(self) -> None:
        """Raises InvalidInput with everything that is wrong."""
        if self.found:
            first, *others = self.found
            first.others = tuple(others)
            raise first


class NotAllowed(DomainError):
    """The actor may not do this."""

    status = 403

    def __init__(self, message: str = N_("Dafür fehlt Ihnen die Berechtigung.")) -> None:
        """Default to the plain sentence."""
        super().__init__(message)


class SignInNeeded(NotAllowed):
    """The action needs an account; the edge leads to the sign-in page and back."""

    status = 401

    def __init__(self, message: str = N_("Bitte melden Sie sich zuerst an.")) -> None:
        """Default to the plain sentence."""
        super().__init__(message)


class AccountGone(SignInNeeded):
    """Whoever acts was signed in when the request began, and deleted the account meanwhile."""

    def __init__(
        self, message: str = N_("Ihr Konto gibt es nicht mehr. Es ist gerade gelöscht worden. Nichts ist gespeichert.")
    ) -> None:
        """Default to the plain sentence."""
        super().__init__(message)


class SecondFactorNeeded(NotAllowed):
    """Staff pages need the second factor first."""

    def __init__(self, message: str = N_("Bitte bestätigen Sie zuerst Ihren zweiten Faktor.")) -> None:
        """Default to the plain sentence."""
        super().__init__(message)


class VerificationNeeded(NotAllowed):
    """The phase asks for a proof that the account does not have yet; the edge leads to where it is given."""


class NotFound(DomainError):
    """There is no such thing, or the actor may not know of it."""

    status = 404

    def __init__(self, message: str = N_("Diese Seite gibt es nicht.")) -> None:
        """Default to the plain sentence."""
        super().__init__(message)


class Conflict(DomainError):
    """The state of things does not allow it any more: phase over, already decided, already voted."""

    status = 409


class Gone(DomainError):
    """A link that was valid once."""

    status = 410


class TooManyRequests(DomainError):
    """Throttled; the message says when to try again."""

    status = 429
