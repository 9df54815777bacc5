"""Finding who works here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import contains_eager

from participation.accounts.models import Account, Passkey, RoleGrant
from participation.municipalities.models import Municipality
from participation.permissions import Role
from participation.processes.models import Process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

LISTED = 400


def grants_for(process: Process) -> Select[RoleGrant, str]:
    """Every role that covers a process, its own and inherited ones, with the name of the municipality that gave it."""
    return (
        select(RoleGrant, Municipality.name)
        .join(Account, Account.id == RoleGrant.account_id)
        .join(Municipality, Municipality.id == RoleGrant.municipality_id)
        .where(RoleGrant.municipality_id.in_(process.scope.municipality_ids),
               or_(RoleGrant.process_id.is_(None), RoleGrant.process_id == process.id))
        .options(contains_eager(RoleGrant.account))
        .order_by(Account.email, RoleGrant.process_id.is_not(None), RoleGrant.id).limit(LISTED)
    )


def grants_in(municipality_id: int) -> Select[RoleGrant, str]:
    """Every role in a municipality, with the title of the process where it holds for that one only."""
    return (
        select(RoleGrant, Process.title)
        .join(Account, Account.id == RoleGrant.account_id)
        .outerjoin(Process, Process.id == RoleGrant.process_id)
        .where(RoleGrant.municipality_id == municipality_id)
        .options(contains_eager(RoleGrant.account))
        .order_by(Account.email, RoleGrant.process_id.is_not(None), RoleGrant.id).limit(LISTED)
    )


def with_second_factor(session: Session, accounts: Sequence[Account]) -> set[int]:
    """Which of these accounts can use their roles already."""
    passkeys = session.scalars(select(Passkey.account_id).where(Passkey.account_id.in_([one.id for one in accounts])))
    return {one.id for one in accounts if one.totp_confirmed_at is not None} | set(passkeys)


def other_admins(session: Session, grant: RoleGrant) -> int:
    """How many others could give a role back: administration of the municipality, confirmed and not shut out."""
    return session.scalar(
        select(func.count(func.distinct(RoleGrant.account_id))).join(Account, Account.id == RoleGrant.account_id).where(
            RoleGrant.municipality_id == grant.municipality_id, RoleGrant.role == Role.ADMIN,
            RoleGrant.process_id.is_(None), RoleGrant.id != grant.id, Account.is_disabled.is_(False),
            Account.email_confirmed_at.is_not(None),
        )) or 0
