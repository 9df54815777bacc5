"""Giving and taking roles, for a whole municipality or for one process of it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select

from participation import audit, outbox
from participation.accounts.models import Account, RoleGrant
from participation.accounts.operations.staff import admit_staff
from participation.actions import Action
from participation.administration.queries import other_admins
from participation.errors import Conflict
from participation.i18n import N_
from participation.municipalities.models import Municipality
from participation.permissions import Actor, Role, RoleIn, require

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.processes.models import Process


def give_role(
    session: Session, actor: Actor, municipality: Municipality, process: Process | None, now: datetime, *, email: str,
    name: str, role: Role,
) -> None:
    """To an address, whether it has an account or not: the answer is the same, nobody learns whose address is known.

    New people get an invitation, the others a mail that says what they may do now. Raises InvalidInput; Conflict
    when the person has the role already.
    """
    if process is None:
        require(actor, Action.MANAGE_ACCOUNTS, municipality, now)
    else:
        require(actor, Action.GIVE_ROLES, RoleIn(role, process), now)
    _lock(session, municipality)
    account = admit_staff(session, email, name, now)
    place = {"role": role, "municipality_id": municipality.id, "process_id": process.id if process else None}
    is_known = session.scalar(select(RoleGrant.id).filter_by(account_id=account.id, **place).limit(1)) is not None
    if is_known and account.email_confirmed_at is not None:
        raise Conflict(N_("Diese Person hat die Rolle schon."), field="email")
    if not is_known:
        session.add(RoleGrant(account_id=account.id, **place))
        session.flush()
    # Whoever was invited and let the link expire gets a new one.
    kind = "mail_invitation" if account.email_confirmed_at is None else "mail_role_given"
    outbox.enqueue(session, kind, f"{kind}:{account.id}:{now:%Y%m%d%H%M%S%f}", account_id=account.id, role=role.value,
                   place=process.title if process else municipality.name)
    audit.record(session, at=now, actor=actor.label, action="invite_staff", subject_type="account",
                 subject_id=account.id, role=role.value, municipality=municipality.id,
                 process=process.id if process else None)


def take_role(
    session: Session, actor: Actor, municipality: Municipality, process: Process | None, grant: RoleGrant, now: datetime
) -> None:
    """It counts at that person's next click. Raises Conflict for the last administration."""
    if process is None:
        require(actor, Action.MANAGE_ACCOUNTS, municipality, now)
    else:
        require(actor, Action.GIVE_ROLES, RoleIn(grant.role, process), now)
    _lock(session, municipality)
    if grant.role is Role.ADMIN and grant.process_id is None and not other_admins(session, grant):
        raise Conflict(N_("Das ist die letzte Administration. Geben Sie zuerst jemand anderem diese Rolle, und warten "
                          "Sie, bis die Person die Einladung angenommen hat."))
    account = session.get_one(Account, grant.account_id)
    account.grants.remove(grant)
    session.flush()
    audit.record(session, at=now, actor=actor.label, action="revoke_role", subject_type="account",
                 subject_id=grant.account_id, role=grant.role.value, municipality=grant.municipality_id,
                 process=grant.process_id)


def _lock(session: Session, municipality: Municipality) -> None:
    """One after the other: two administrations that take the role from each other at once would leave none."""
    session.execute(select(Municipality.id).where(Municipality.id == municipality.id).with_for_update())
