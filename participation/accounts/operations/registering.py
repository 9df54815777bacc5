"""New accounts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy.exc import IntegrityError

from participation import audit, outbox
from participation.accounts.models import Account, TokenPurpose
from participation.accounts.names import require_own_name
from participation.accounts.operations.entered import clean_email, clean_name
from participation.accounts.operations.leaving import hold_account
from participation.accounts.operations.links import kill_links, may_get_link
from participation.accounts.passwords import check_password, hash_password
from participation.accounts.queries import account_by_email, identities_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.tokens import Keyring


def register(
    session: Session, keyring: Keyring, *, email: str, display_name: str, password: str, town: str, now: datetime,
    target: str = "", locale: str = "de",
) -> None:
    """Make an unconfirmed account and send the link. A known address gets a mail that says so; the answer is the same.

    Where nobody has confirmed the address yet, the last who registers counts, and an earlier link ends: the mail may have
    been lost, or somebody else have taken the address.
    `target` is the path to go on to after the confirmation. It may be a receipt's secret address, so it is sealed.
    """
    email, display_name = clean_email(email), clean_name(display_name)
    require_own_name(session, display_name, "display_name")
    check_password(password, email, display_name, town)
    # Hashed for a known address too: the time must not tell.
    password_hash = hash_password(password)
    account = _begun_anew(session, email, now) or add_account(
        session, Account(email=email, display_name=display_name, created_at=now, locale=locale), now)
    if account is None:
        return
    account.display_name, account.password_hash, account.locale = display_name, password_hash, locale
    outbox.enqueue(session, "mail_confirm_email", f"mail-confirm:{account.id}:{now:%Y%m%d%H%M%S}", account_id=account.id,
                   target=keyring.seal(target) if target else "")
    audit.record(session, at=now, actor=f"account:{account.id}", action="register", subject_type="account",
                 subject_id=account.id)


def _begun_anew(session: Session, email: str, now: datetime) -> Account | None:
    """The account of an address that nobody has confirmed, as if it were new.

    Not that of invited staff, nor of whoever comes by a provider and has perhaps written something. So often only that no
    postbox is flooded: then the mail for known addresses leads to a new password.
    """
    account = session.scalar(account_by_email(email))
    if account is None:
        return None
    hold_account(session, account.id)
    session.refresh(account)
    if account.email_confirmed_at is not None or session.scalars(identities_of(account.id)).first() is not None:
        return None
    if not may_get_link(session, account, TokenPurpose.CONFIRM_EMAIL, now):
        return None
    # Other links went to the owner alone, and clear what is here when they are used.
    kill_links(session, account.id, now, TokenPurpose.CONFIRM_EMAIL)
    account.created_at = now
    return account


def add_account(session: Session, account: Account, now: datetime) -> Account | None:
    """Store a new account. None where its address has one, perhaps since this very moment: then a mail there says so."""
    known = session.scalar(account_by_email(account.email))
    if known is None:
        try:
            with session.begin_nested():
                session.add(account)
                session.flush()
        except IntegrityError:
            known = session.scalars(account_by_email(account.email)).one()
        else:
            return account
    outbox.enqueue(session, "mail_known_address", f"mail-known:{known.id}:{now:%Y%m%d%H}", account_id=known.id)
    return None
