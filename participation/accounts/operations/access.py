"""Whose account it is, and by what it opens: a confirmed address, a new one, a new password."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from participation import audit, outbox, tokens
from participation.accounts.models import (
    Account,
    AccountVerification,
    ExternalIdentity,
    OneTimeToken,
    SignInSession,
    TokenPurpose,
)
from participation.accounts.operations.entered import NEW_NAME, clean_email
from participation.accounts.operations.factors import forget_second_factor
from participation.accounts.operations.leaving import hold_account
from participation.accounts.operations.links import account_of_token, issue_token, kill_links, use_token
from participation.accounts.operations.sessions import revoke_sessions
from participation.accounts.passwords import check_password, hash_password, password_matches
from participation.accounts.queries import new_email_asked_for
from participation.errors import Conflict, Gone, InvalidInput
from participation.i18n import N_

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.tokens import Keyring


def confirm_email(session: Session, token: str, password: str, now: datetime) -> Account:
    """The address is the person's own. Raises Gone, or InvalidInput (field "password").

    Whoever opens the link must know the password that was chosen: else a stranger who registers with somebody's address,
    and waits until its owner presses the button, would come in by it. Accounts of a provider have none to ask for.
    """
    account = account_of_token(session, token, TokenPurpose.CONFIRM_EMAIL, now)
    if account.password_hash is not None and not password_matches(account.password_hash, password):
        raise InvalidInput(N_("Das ist nicht das Kennwort, das beim Registrieren gewählt wurde. Wissen Sie es nicht mehr, "
                              "dann wählen Sie ein neues."), field="password")
    use_token(session, token, TokenPurpose.CONFIRM_EMAIL, now)
    if account.email_confirmed_at is None:
        account.email_confirmed_at = now
        if account.password_hash is not None:
            _clear_all_but_password(session, account, now)
    return account


def sign_in_by_link(session: Session, token: str, now: datetime) -> Account:
    """Take the link; whoever reads the postbox is the owner. Raises Gone.

    Was the address not confirmed before, then somebody else may have set up everything else: it goes.
    """
    account = use_token(session, token, TokenPurpose.SIGN_IN, now)
    if account.email_confirmed_at is None:
        clear_access(session, account, now)
        account.email_confirmed_at, account.display_name = now, NEW_NAME
    return account


def request_email_change(session: Session, keyring: Keyring, account: Account, email: str, now: datetime) -> None:
    """Mail a link to the new address; until it is opened the old one stays. Raises InvalidInput.

    Whether the new address has an account already is found out by the job, and told in that postbox only.
    """
    hold_account(session, account.id)
    email = clean_email(email)
    if email == account.email:
        raise InvalidInput(N_("Das ist schon Ihre Adresse. Geben Sie die neue an."), field="email")
    to = keyring.person_hash(0, f"mail:{email}")[:16]
    # Pressed twice it is one mail; after the link has come, another one may be asked for within the minute.
    last = session.scalar(select(func.max(OneTimeToken.id)).where(
        OneTimeToken.account_id == account.id, OneTimeToken.purpose == TokenPurpose.CHANGE_EMAIL))
    outbox.enqueue(session, "mail_change_email", f"mail-change:{account.id}:{to}:{last or 0}:{now:%Y%m%d%H%M}",
                   account_id=account.id, email=keyring.seal(email))


def issue_email_change(session: Session, account: Account, sealed: str, now: datetime) -> str:
    """The link that the new address (sealed) is to be confirmed by. Raises AccountGone."""
    # The address is stored with it, and must not come to lie behind an account that is gone.
    hold_account(session, account.id)
    return issue_token(session, account.id, TokenPurpose.CHANGE_EMAIL, now, sealed)


def cancel_email_change(session: Session, account: Account, now: datetime) -> bool:
    """The address stays as it is: links in the postbox of another one do nothing any more, nor do those not mailed yet.

    Returns False when none was waited for, for it was opened already perhaps.
    """
    hold_account(session, account.id)
    waited_for = session.scalar(new_email_asked_for(account.id, now)) is not None
    kill_links(session, account.id, now, TokenPurpose.CHANGE_EMAIL)
    return outbox.give_up(session, f"mail-change:{account.id}:", now) > 0 or waited_for


def new_email_of(session: Session, keyring: Keyring, token: str, now: datetime) -> tuple[Account, str]:
    """Whose address a link changes, and to what. Raises Gone."""
    account = account_of_token(session, token, TokenPurpose.CHANGE_EMAIL, now)
    sealed = session.scalar(select(OneTimeToken.payload_sealed).where(
        OneTimeToken.token_hash == tokens.hash_token(token)))
    email = keyring.unseal(sealed) if sealed else None
    if email is None:
        raise Gone(N_("Dieser Link wurde schon benutzt oder ist abgelaufen."))
    return account, email


def change_email(session: Session, keyring: Keyring, token: str, now: datetime) -> Account:
    """The new address is confirmed. Every link to the old one dies, and the old one is told. Raises Gone, Conflict."""
    account, email = new_email_of(session, keyring, token, now)
    use_token(session, token, TokenPurpose.CHANGE_EMAIL, now)
    old = account.email
    account.email, account.email_confirmed_at = email, now
    try:
        with session.begin_nested():
            session.flush()
    except IntegrityError as error:
        raise Conflict(N_("Zu dieser Adresse gibt es inzwischen ein anderes Konto. Ihre Adresse ist nicht geändert.")
                       ) from error
    kill_links(session, account.id, now)
    outbox.enqueue(session, "mail_email_changed", f"mail-email-changed:{account.id}:{now:%Y%m%d%H%M%S}",
                   account_id=account.id, email=keyring.seal(old))
    audit.record(session, at=now, actor=f"account:{account.id}", action="change_email", subject_type="account",
                 subject_id=account.id)
    return account


def change_password(session: Session, account: Account, password: str, town: str, token: str, now: datetime) -> str:
    """By whoever is signed in with `token`; every other session ends, every mailed link dies. Raises InvalidInput.

    Returns the token that stands for this session from now on: a copy of the old one is dead too.
    """
    hold_account(session, account.id)
    check_password(password, account.email, account.display_name, town)
    account.password_hash = hash_password(password)
    revoke_sessions(session, account.id, now, but=token)
    _tell_of_new_password(session, account, now)
    renewed = tokens.new_token()
    session.execute(update(SignInSession).where(SignInSession.token_hash == tokens.hash_token(token))
                    .values(token_hash=tokens.hash_token(renewed)))
    kill_links(session, account.id, now)
    audit.record(session, at=now, actor=f"account:{account.id}", action="change_password", subject_type="account",
                 subject_id=account.id)
    return renewed


def _tell_of_new_password(session: Session, account: Account, now: datetime) -> None:
    """So that the owner notices when it was somebody else, by whatever way they came in."""
    outbox.enqueue(session, "mail_password_changed", f"mail-password:{account.id}:{now:%Y%m%d%H%M%S}",
                   account_id=account.id)


def set_password(session: Session, token: str, purpose: TokenPurpose, password: str, town: str, now: datetime) -> Account:
    """By a reset link or an invitation. Every open session ends. Raises Gone or InvalidInput."""
    account = account_of_token(session, token, purpose, now)
    check_password(password, account.email, account.display_name, town)
    use_token(session, token, purpose, now)
    if account.email_confirmed_at is None:
        clear_access(session, account, now)
        account.email_confirmed_at = now
        if purpose is TokenPurpose.RESET_PASSWORD:
            # That of an invitation was given by a colleague.
            account.display_name = NEW_NAME
    if purpose is TokenPurpose.RESET_PASSWORD or account.password_hash is not None:
        _tell_of_new_password(session, account, now)
    account.password_hash = hash_password(password)
    revoke_sessions(session, account.id, now)
    kill_links(session, account.id, now)
    audit.record(session, at=now, actor=f"account:{account.id}", action=f"password_{purpose.value}",
                 subject_type="account", subject_id=account.id)
    return account


def clear_access(session: Session, account: Account, now: datetime) -> None:
    """Nothing that was set up so far opens this account: no password, provider or second factor, no session or link.

    For addresses that nobody had confirmed when their owner appears by another way than the mail about registering:
    anybody can have registered with somebody else's address.
    """
    account.password_hash = None
    _clear_all_but_password(session, account, now)


def _clear_all_but_password(session: Session, account: Account, now: datetime) -> None:
    session.execute(delete(ExternalIdentity).where(ExternalIdentity.account_id == account.id))
    # Who came by a provider and typed this address proved who they are, not who owns it.
    session.execute(delete(AccountVerification).where(AccountVerification.account_id == account.id))
    kill_links(session, account.id, now)
    forget_second_factor(session, account, now)
