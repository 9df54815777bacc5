"""Signing in by password and out, and what a session has proven."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from participation import audit, text, tokens
from participation.accounts.models import Account, RoleGrant, SignInSession
from participation.accounts.operations.entered import clean_email
from participation.accounts.operations.leaving import hold_account
from participation.accounts.passwords import hash_password, needs_rehash, password_matches
from participation.accounts.queries import account_by_email
from participation.errors import InvalidInput

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

RESIDENT_SESSION = timedelta(days=30)
STAFF_SESSION = timedelta(hours=12)


def check_credentials(session: Session, email: str, password: str) -> Account | None:
    """The account, or None for a wrong password, an unknown or a disabled account: from outside all the same.

    So for an address that nobody has confirmed: whoever registers with somebody's, and tries whether that signs in, would
    learn whether it has an account already.
    """
    try:
        account = session.scalar(account_by_email(clean_email(email)))
    except InvalidInput:
        account = None
    may_enter = account is not None and not account.is_disabled and account.email_confirmed_at is not None
    stored = account.password_hash if account is not None and may_enter else None
    if not password_matches(stored, password) or account is None:
        return None
    if stored and needs_rehash(stored):
        account.password_hash = hash_password(password)
    return account


def open_session(session: Session, account: Account, device: str, now: datetime) -> str:
    """A new sign-in session; returns the token that the cookie holds. Raises AccountGone."""
    hold_account(session, account.id)
    token = tokens.new_token()
    is_staff = session.scalar(select(RoleGrant.id).where(RoleGrant.account_id == account.id).limit(1)) is not None
    session.add(SignInSession(
        account_id=account.id, token_hash=tokens.hash_token(token), created_at=now, device=text.clean_line(device)[:60],
        expires_at=now + (STAFF_SESSION if is_staff else RESIDENT_SESSION),
    ))
    audit.record(session, at=now, actor=f"account:{account.id}", action="sign_in", subject_type="account",
                 subject_id=account.id)
    return token


def close_session(session: Session, token: str, now: datetime) -> None:
    """Signing out: a copy of the cookie is dead too."""
    session.execute(
        update(SignInSession).where(SignInSession.token_hash == tokens.hash_token(token)).values(revoked_at=now)
    )


def prove(session: Session, account: Account, password: str, token: str, now: datetime) -> bool:
    """Whoever is signed in with `token` enters the password again. Returns whether it was right."""
    if not password_matches(account.password_hash, password):
        return False
    session.execute(
        update(SignInSession).where(SignInSession.token_hash == tokens.hash_token(token)).values(proven_at=now)
    )
    return True


def pass_second_factor(session: Session, token: str, now: datetime) -> None:
    """This session has shown both factors."""
    session.execute(
        update(SignInSession).where(SignInSession.token_hash == tokens.hash_token(token)).values(second_factor_at=now)
    )


def revoke_sessions(
    session: Session, account_id: int, now: datetime, *, only_id: int | None = None, but: str = ""
) -> None:
    """End all sessions of an account, or one of them, or all but the one whose token is `but`."""
    statement = update(SignInSession).where(SignInSession.account_id == account_id, SignInSession.revoked_at.is_(None))
    if only_id is not None:
        statement = statement.where(SignInSession.id == only_id)
    if but:
        statement = statement.where(SignInSession.token_hash != tokens.hash_token(but))
    session.execute(statement.values(revoked_at=now))
