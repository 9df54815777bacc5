"""Accounts that go, and those that stay meanwhile; and whatever else has no purpose any more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Integer, bindparam, delete, exists, func, or_, select, update

from participation.accounts.models import (
    Account,
    AccountVerification,
    ExternalIdentity,
    OneTimeToken,
    Passkey,
    RecoveryCode,
    RoleGrant,
    SignInSession,
)
from participation.db import is_sqlite
from participation.errors import AccountGone
from participation.i18n import N_
from participation.prepared import run

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

GONE_NAME = N_("Gelöschtes Konto")
# Never delivered to (RFC 6761), so the address of a deleted account can be nobody's.
GONE_DOMAIN = "geloescht.invalid"
KEEP_UNCONFIRMED = timedelta(days=7)
# Built once: they run with every vote. The first number says of what kind the second is, for locks that have no row.
_HOLD, _HOLD_ALONE = (
    select(lock(bindparam("kind", 0x6B746F, Integer), bindparam("account_id", type_=Integer)))
    for lock in (func.pg_advisory_xact_lock_shared, func.pg_advisory_xact_lock)
)
_ROW = Account.__table__.c
_IS_THERE = select(_ROW.id).where(_ROW.id == bindparam("account_id"), _ROW.deleted_at.is_(None))
# For a statement that asks this itself, after `await_leaving`.
ACCOUNT_IS_THERE = _IS_THERE.exists()


def hold_account(session: Session, account_id: int | None, *, alone: bool = False) -> None:
    """The account stays until the end of the transaction; with `alone` nobody acts by it meanwhile, to delete it.

    Whatever stores something of an account begins so, before it holds anything else: it waits for a deletion that has
    begun, and the deletion waits for it and finds what it stored. Not at the row of the account: a lock there leaves the
    number of the transaction, which stands at the vote too (see docs/architecture.md, "Who voted for what").
    Raises AccountGone.
    """
    if account_id is None:
        return
    await_leaving(session, account_id, alone=alone)
    # A statement of its own: what was committed while the one before waited is seen by this one.
    if session.scalar(_IS_THERE, {"account_id": account_id}) is None:
        raise AccountGone


def await_leaving(session: Session, account_id: int, *, alone: bool = False) -> None:
    """The first half of `hold_account`: a deletion that has begun has ended. Whether the account is there is not asked yet."""
    if not is_sqlite(session):
        run(session.connection(), _HOLD_ALONE if alone else _HOLD, {"account_id": account_id})


def forget_expired(session: Session, now: datetime) -> int:
    """Remove what has no purpose any more; returns how many accounts went.

    Accounts whose address nobody confirmed within a week (staff keep theirs: they were invited), sign-ins and links
    that ended. DSGVO Art. 5 (1) e. Twice is the same as once.
    """
    old = now - KEEP_UNCONFIRMED
    session.execute(
        delete(SignInSession).where(or_(SignInSession.expires_at < old, SignInSession.revoked_at < old))
    )
    session.execute(
        update(SignInSession).where(SignInSession.id_token_sealed.is_not(None), or_(
            SignInSession.expires_at < now, SignInSession.revoked_at < now - timedelta(hours=1)))
        .values(id_token_sealed=None).execution_options(synchronize_session=False)
    )
    session.execute(delete(OneTimeToken).where(or_(OneTimeToken.expires_at < old, OneTimeToken.used_at < old)))
    unconfirmed = (
        Account.email_confirmed_at.is_(None), Account.created_at < old, Account.deleted_at.is_(None),
        ~exists().where(RoleGrant.account_id == Account.id),
    )
    # SQLite gives the highest number to the next account once it is free, and with it what its owner wrote.
    newest = session.scalar(select(func.max(Account.id)))
    emptied = session.scalars(select(Account).where(Account.id == newest, *unconfirmed)).all()
    for account in emptied:
        empty_account(session, account, now)
    gone = session.scalars(
        delete(Account).where(Account.id != newest, *unconfirmed).returning(Account.id)
        .execution_options(synchronize_session=False)
    ).all()
    return len(gone) + len(emptied)


def empty_account(session: Session, account: Account, now: datetime) -> None:
    """Take everything out of an account that says who it was. Its number stays and never means anybody again."""
    for model in (SignInSession, OneTimeToken, RecoveryCode, Passkey, ExternalIdentity, AccountVerification, RoleGrant):
        session.execute(delete(model).where(model.account_id == account.id))
    session.expire(account, ["grants"])
    account.email, account.display_name = f"{account.id}@{GONE_DOMAIN}", GONE_NAME
    account.password_hash = account.totp_secret_sealed = account.email_confirmed_at = None
    account.totp_confirmed_at = account.totp_last_step = None
    account.is_disabled, account.deleted_at = True, now
    session.flush()
