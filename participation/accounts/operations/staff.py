"""Staff come in by an invitation."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select

from participation.accounts.models import Account, RoleGrant, TokenPurpose
from participation.accounts.operations.access import clear_access
from participation.accounts.operations.entered import clean_email, clean_staff_name
from participation.accounts.operations.links import issue_token
from participation.accounts.queries import account_by_email
from participation.errors import InvalidInput
from participation.i18n import N_
from participation.permissions import Role

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def admit_staff(session: Session, email: str, name: str, now: datetime) -> Account:
    """The account that shall get a role; a new one, with this name, where there is none. Raises InvalidInput."""
    email, name = clean_email(email), clean_staff_name(name)
    account = session.scalar(account_by_email(email))
    if account is None:
        account = Account(email=email, display_name=name, created_at=now)
        session.add(account)
        session.flush()
    elif account.is_disabled:
        raise InvalidInput(N_("Dieses Konto ist gesperrt. Bitte wenden Sie sich an den technischen Betrieb."), field="email")
    elif account.email_confirmed_at is None and not account.grants:
        account.display_name = name
        clear_access(session, account, now)
    return account


def invite_staff(
    session: Session, email: str, name: str, role: Role, municipality_id: int, process_id: int | None, now: datetime
) -> str:
    """Give a role to an address, known or not; returns the token of the invitation. Raises InvalidInput."""
    account = admit_staff(session, email, name, now)
    exists = session.scalar(select(RoleGrant.id).where(
        RoleGrant.account_id == account.id, RoleGrant.role == role, RoleGrant.municipality_id == municipality_id,
        RoleGrant.process_id.is_(None) if process_id is None else RoleGrant.process_id == process_id,
    ))
    if exists is None:
        session.add(RoleGrant(account_id=account.id, role=role, municipality_id=municipality_id, process_id=process_id))
    return issue_token(session, account.id, TokenPurpose.STAFF_INVITATION, now)
