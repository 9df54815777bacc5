"""Links that are mailed once and work once: to confirm, to sign in, to a new password or address."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select, update

from participation import outbox, tokens
from participation.accounts.models import Account, OneTimeToken, TokenPurpose
from participation.accounts.operations.entered import clean_email
from participation.accounts.operations.leaving import hold_account
from participation.errors import Gone
from participation.i18n import N_

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

LIFETIMES = {
    TokenPurpose.CONFIRM_EMAIL: timedelta(hours=24),
    TokenPurpose.RESET_PASSWORD: timedelta(hours=1),
    TokenPurpose.STAFF_INVITATION: timedelta(days=7),
    TokenPurpose.SIGN_IN: timedelta(minutes=30),
    TokenPurpose.CHANGE_EMAIL: timedelta(hours=24),
}
# More links than this go to nobody's postbox as long as they hold; the answer on the page stays the same. Whoever asks
# in an owner's stead, again and again, so keeps nobody out: the last link in the postbox still works.
LINKS_AT_ONCE = 5


def request_reset(session: Session, keyring: Keyring, email: str, now: datetime) -> None:
    """Have a link to a new password mailed, as `request_sign_in_link`. Raises InvalidInput."""
    _request_link(session, keyring, "mail_reset", email, "", now)


def request_sign_in_link(session: Session, keyring: Keyring, email: str, target: str, now: datetime) -> None:
    """Have a link mailed that signs in, if the address is known: whether it is finds out the job.

    So known and unknown addresses cost the same work. `target` is the path to go on to. At most one mail a minute.
    Raises InvalidInput.
    """
    _request_link(session, keyring, "mail_sign_in", email, target, now)


def _request_link(session: Session, keyring: Keyring, job: str, email: str, target: str, now: datetime) -> None:
    email = clean_email(email)
    who = keyring.person_hash(0, f"mail:{email}")[:32]
    outbox.enqueue(session, job, f"{job}:{who}:{now:%Y%m%d%H%M}", email=keyring.seal(email),
                   target=keyring.seal(target) if target else "")


def awaits_invitation(account: Account) -> bool:
    """New staff come in by the invitation alone; once it has expired, no other link stands in for it."""
    return account.email_confirmed_at is None and bool(account.grants)


# Of what does not count.
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def may_get_link(session: Session, account: Account, purpose: TokenPurpose, now: datetime) -> bool:
    """Whether the account may come in by mail at all, and got fewer links than may hold at once."""
    if account.is_disabled or awaits_invitation(account):
        return False
    sent = session.scalar(select(func.count()).select_from(OneTimeToken).where(
        OneTimeToken.account_id == account.id, OneTimeToken.purpose == purpose,
        OneTimeToken.created_at > now - LIFETIMES[purpose],
    ))
    return (sent or 0) < LINKS_AT_ONCE


def uncount_link(session: Session, token: str) -> None:
    """Its mail could not be handed over, or it is not known whether it was: it holds, and does not count in `may_get_link`."""
    session.execute(update(OneTimeToken).where(OneTimeToken.token_hash == tokens.hash_token(token)).values(created_at=LONG_AGO))


def issue_token(
    session: Session, account_id: int, purpose: TokenPurpose, now: datetime, payload_sealed: str | None = None
) -> str:
    """A new link; earlier ones of the same purpose die. `payload_sealed` is what the link is about."""
    kill_links(session, account_id, now, purpose)
    token = tokens.new_token()
    session.add(OneTimeToken(account_id=account_id, purpose=purpose, token_hash=tokens.hash_token(token),
                             created_at=now, expires_at=now + LIFETIMES[purpose], payload_sealed=payload_sealed))
    return token


def kill_links(session: Session, account_id: int, now: datetime, purpose: TokenPurpose | None = None) -> None:
    """No link that was mailed so far works any more: of one purpose, or of all."""
    statement = update(OneTimeToken).where(OneTimeToken.account_id == account_id, OneTimeToken.used_at.is_(None))
    if purpose is not None:
        statement = statement.where(OneTimeToken.purpose == purpose)
    session.execute(statement.values(used_at=now))


def account_of_token(session: Session, token: str, purpose: TokenPurpose, now: datetime) -> Account:
    """Whose link it is. Raises Gone when it was used, has expired, or never was."""
    account = session.scalar(
        select(Account).join(OneTimeToken, OneTimeToken.account_id == Account.id).where(
            OneTimeToken.token_hash == tokens.hash_token(token), OneTimeToken.purpose == purpose,
            OneTimeToken.used_at.is_(None), OneTimeToken.expires_at > now, Account.is_disabled.is_(False),
        )
    )
    if account is None:
        raise Gone(N_("Dieser Link wurde schon benutzt oder ist abgelaufen."))
    return account


def use_token(session: Session, token: str, purpose: TokenPurpose, now: datetime) -> Account:
    """Take a link for good; of two at once one wins. Raises Gone, AccountGone."""
    account = account_of_token(session, token, purpose, now)
    hold_account(session, account.id)
    used = session.execute(
        update(OneTimeToken)
        .where(OneTimeToken.token_hash == tokens.hash_token(token), OneTimeToken.used_at.is_(None))
        .values(used_at=now)
    )
    if not used.rowcount:  # type: ignore[attr-defined]
        raise Gone(N_("Dieser Link wurde schon benutzt oder ist abgelaufen."))
    return account
