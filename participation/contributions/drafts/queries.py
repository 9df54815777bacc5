"""Finding a person's own drafts. There is no way to ask for anybody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Select, select
from sqlalchemy.orm import joinedload

from participation.contributions.drafts.models import Draft

if TYPE_CHECKING:
    from participation.tokens import Keyring


def owner_hash(keyring: Keyring, account_id: int) -> str:
    """Whose drafts they are, in all processes."""
    return keyring.mark("draft", f"account:{account_id}")


def form_hash(keyring: Keyring, account_id: int, submission_key: str) -> str:
    """Which form it is; nobody reaches another person's draft by sending its key."""
    return keyring.mark("draft-form", f"account:{account_id}:{submission_key}")


def own_drafts(keyring: Keyring, account_id: int, process_id: int | None = None) -> Select[Draft]:
    """The drafts of an account, of one process or of all, the last saved first."""
    statement = (
        select(Draft).where(Draft.owner_hash == owner_hash(keyring, account_id))
        .options(joinedload(Draft.process), joinedload(Draft.upload)).order_by(Draft.saved_at.desc(), Draft.id.desc())
    )
    return statement if process_id is None else statement.where(Draft.process_id == process_id)


def draft_of_form(keyring: Keyring, account_id: int, submission_key: str) -> Select[Draft]:
    """The draft that a form was put aside as."""
    return select(Draft).where(Draft.form_hash == form_hash(keyring, account_id, submission_key))
