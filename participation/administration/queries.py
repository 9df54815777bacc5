"""Finding who works here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, true
from sqlalchemy.orm import aliased, contains_eager

from participation.accounts.models import Account, Passkey, RoleGrant
from participation.municipalities.models import Municipality
from participation.outbox import OutboxRow
from participation.permissions import Role
from participation.processes.models import Process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

PEOPLE_PER_PAGE = 50


def in_municipality(municipality_id: int) -> ColumnElement[bool]:
    """Every role in a municipality, for all of it or for one process."""
    return RoleGrant.municipality_id == municipality_id


def is_only_one(session: Session) -> bool:
    """Whether the installation has one municipality, whose administration sees what belongs to none, too."""
    return len(session.scalars(select(Municipality.id).limit(2)).all()) == 1


def jobs_of(session: Session, municipality_id: int) -> ColumnElement[bool]:
    """The jobs that the administration of a municipality sees."""
    return true() if is_only_one(session) else OutboxRow.municipality_id == municipality_id


def covering(process: Process) -> ColumnElement[bool]:
    """Every role that covers a process, its own and inherited ones."""
    return and_(RoleGrant.municipality_id.in_(process.scope.municipality_ids),
                or_(RoleGrant.process_id.is_(None), RoleGrant.process_id == process.id))


def staff_page(roles: ColumnElement[bool], words: str = "", after: int | None = None) -> Select[int]:
    """Who has one of these roles, by address, one page and one more; `after` is the last account of the page before.

    Names are searched of those alone whose names are shown: others may have chosen theirs as residents.
    """
    statement = (
        select(Account.id).where(Account.id.in_(select(RoleGrant.account_id).where(roles)))
        .order_by(Account.email).limit(PEOPLE_PER_PAGE + 1)
    )
    if words:
        is_ready = or_(Account.totp_confirmed_at.is_not(None), exists().where(Passkey.account_id == Account.id))
        statement = statement.where(or_(Account.email.icontains(words, autoescape=True),
                                        and_(is_ready, Account.display_name.icontains(words, autoescape=True))))
    if after is not None:
        last = aliased(Account)
        statement = statement.where(Account.email > select(last.email).where(last.id == after).scalar_subquery())
    return statement


def roles_of(roles: ColumnElement[bool], account_ids: Sequence[int]) -> Select[RoleGrant, str, str]:
    """These roles of some accounts, by address, with the names of the municipality and, if for one only, the process."""
    return (
        select(RoleGrant, Municipality.name, Process.title)
        .join(Account, Account.id == RoleGrant.account_id)
        .join(Municipality, Municipality.id == RoleGrant.municipality_id)
        .outerjoin(Process, Process.id == RoleGrant.process_id)
        .where(roles, RoleGrant.account_id.in_(account_ids))
        .options(contains_eager(RoleGrant.account))
        .order_by(Account.email, RoleGrant.process_id.is_not(None), RoleGrant.id)
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
