"""How people are called on pages."""

from __future__ import annotations

from flask_babel import gettext

from participation.accounts.operations.leaving import GONE_NAME


def author_name(name: str) -> str:
    """A name as it was chosen; what stands in the place of one whose account is gone is ours, and speaks the language."""
    return str(gettext(GONE_NAME)) if name == GONE_NAME else name
