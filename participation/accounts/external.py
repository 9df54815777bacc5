"""Accounts by another provider: recognised by issuer and subject, by address only where both sides have confirmed it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import and_, exists, or_, select, update
from sqlalchemy.exc import IntegrityError

from participation import audit, outbox
from participation.accounts.models import Account, AccountVerification, ExternalIdentity, SignInSession
from participation.accounts.names import require_own_name
from participation.accounts.operations.entered import CONFIRM_FIRST, NAME_MAX, NEW_NAME, clean_email
from participation.accounts.operations.leaving import hold_account
from participation.accounts.operations.registering import add_account
from participation.accounts.queries import account_by_email, identities_of
from participation.accounts.verification import verify
from participation.errors import Conflict, InvalidInput, NotFound
from participation.formats import Verification
from participation.i18n import N_
from participation.tokens import hash_token

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.accounts.oidc import Claims, Ended
    from participation.tokens import Keyring

# How long after signing out here one can still go on to sign out there.
ENDING_HOLDS = timedelta(minutes=15)
CLOCKS_DIFFER = timedelta(seconds=5)


def sign_in_by_claims(session: Session, claims: Claims, now: datetime) -> tuple[Account, bool] | None:
    """The account of these claims, and whether it was made just now; None when an address must be asked for first.

    An address that the provider has verified leads to the account that has confirmed the same address, else to a new
    one. An address that it has not verified proves nothing. Raises Conflict for a blocked account.
    """
    identity = session.scalar(select(ExternalIdentity).where(
        ExternalIdentity.issuer == claims.issuer, ExternalIdentity.subject == claims.subject))
    if identity is not None:
        identity.last_used_at = now
        known = _usable(session.get_one(Account, identity.account_id))
        _note_level(session, known, claims, now)
        return known, False
    email = _verified_email(claims)
    if email is None:
        return None
    account = session.scalar(account_by_email(email))
    if account is not None and account.email_confirmed_at is None:
        # Somebody entered this address and never showed that it is theirs; the provider's word is the stronger one.
        return None
    is_new = account is None
    if account is None:
        account = _new_account(session, claims, email, now, confirmed_at=now)
    if account is None:
        # Somebody else was faster by a moment.
        return None
    connect(session, _usable(account), claims, now)
    return account, is_new


def register_by_claims(session: Session, claims: Claims, email: str, now: datetime) -> None:
    """Make an account for an address that must be confirmed first; a known address gets a mail that says so.

    The answer is the same. Raises InvalidInput.
    """
    account = _new_account(session, claims, clean_email(email), now, confirmed_at=None)
    if account is None:
        return
    connect(session, account, claims, now)
    outbox.enqueue(session, "mail_confirm_email", f"mail-confirm:{account.id}:{now:%Y%m%d%H%M%S}",
                   account_id=account.id)


def connect(session: Session, account: Account, claims: Claims, now: datetime) -> None:
    """From now on the provider's person signs in to this account. Raises Conflict when it has another account, AccountGone."""
    hold_account(session, account.id)
    known = session.scalar(select(ExternalIdentity.account_id).where(
        ExternalIdentity.issuer == claims.issuer, ExternalIdentity.subject == claims.subject))
    _note_level(session, account, claims, now)
    if known == account.id:
        return
    try:
        with session.begin_nested():
            session.add(ExternalIdentity(account_id=account.id, issuer=claims.issuer, subject=claims.subject,
                                         created_at=now, last_used_at=now))
            session.flush()
    except IntegrityError as error:
        raise Conflict(N_("Diese Anmeldung gehört schon zu einem anderen Konto.")) from error
    audit.record(session, at=now, actor=f"account:{account.id}", action="connect_provider", subject_type="account",
                 subject_id=account.id)


def connect_own(session: Session, account: Account, claims: Claims, now: datetime) -> None:
    """The same for whoever is signed in. Not before the address is confirmed: else it could be a stranger's way in.

    Raises Conflict, AccountGone.
    """
    if account.email_confirmed_at is None:
        raise Conflict(CONFIRM_FIRST)
    connect(session, account, claims, now)


def mark_session(session: Session, keyring: Keyring, token: str, claims: Claims) -> None:
    """This session was opened by the provider's word: who signs out can end the one there, and its end ends ours."""
    identity_id = session.scalar(select(ExternalIdentity.id).where(
        ExternalIdentity.issuer == claims.issuer, ExternalIdentity.subject == claims.subject))
    session.execute(update(SignInSession).where(SignInSession.token_hash == hash_token(token)).values(
        identity_id=identity_id,
        provider_session_hash=hash_token(claims.session_id) if claims.session_id else None,
        id_token_sealed=keyring.seal(claims.id_token) if claims.id_token else None,
    ))


def may_end_at_provider(session: Session, token: str) -> bool:
    """Whether the provider can be asked to end the session from which this one came."""
    return session.scalar(select(SignInSession.id).where(
        SignInSession.token_hash == hash_token(token), SignInSession.id_token_sealed.is_not(None))) is not None


def id_token_of(session: Session, keyring: Keyring, token: str, now: datetime) -> str | None:
    """What shows the provider which of its sessions is meant, for a session of ours that ended just now."""
    sealed = session.scalar(select(SignInSession.id_token_sealed).where(
        SignInSession.token_hash == hash_token(token), SignInSession.revoked_at > now - ENDING_HOLDS))
    return keyring.unseal(sealed) if sealed else None


def end_sessions(session: Session, said: Ended, now: datetime) -> None:
    """A session ended at the provider: ours that came from it end too. One that began later does not."""
    theirs = select(ExternalIdentity.id).where(ExternalIdentity.issuer == said.issuer)
    person = SignInSession.identity_id.in_(theirs.where(ExternalIdentity.subject == said.subject))
    if said.session_id:
        same = SignInSession.provider_session_hash == hash_token(said.session_id)
        unnamed = and_(person, SignInSession.provider_session_hash.is_(None))
        which = and_(SignInSession.identity_id.in_(theirs), or_(same, unnamed))
    else:
        which = person
    until = datetime.fromtimestamp(said.at, tz=UTC) + CLOCKS_DIFFER
    ended = session.execute(
        update(SignInSession).where(which, SignInSession.revoked_at.is_(None), SignInSession.created_at <= until)
        .values(revoked_at=now, id_token_sealed=None).execution_options(synchronize_session=False)
        .returning(SignInSession.account_id)
    ).scalars().all()
    for account_id in sorted(set(ended)):
        audit.record(session, at=now, actor="job:provider", action="sign_out_by_provider", subject_type="account",
                     subject_id=account_id)


def disconnect(session: Session, account: Account, identity_id: int, now: datetime) -> None:
    """The provider signs in to this account no more; password, link and passkey still do. Raises NotFound.

    Raises Conflict where it has proved who the person is: by another account the same person could vote once more.
    """
    identity = session.scalar(identities_of(account.id).where(ExternalIdentity.id == identity_id))
    if identity is None:
        raise NotFound
    hold_account(session, account.id)
    if session.scalar(select(exists().where(AccountVerification.account_id == account.id,
                                            AccountVerification.level == Verification.OIDC))):
        raise Conflict(N_("Mit dieser Anmeldung haben Sie gezeigt, wer Sie sind. Deshalb lässt sie sich nicht trennen: Sonst "
                          "könnte eine Person mit mehreren Konten abstimmen."))
    session.delete(identity)
    audit.record(session, at=now, actor=f"account:{account.id}", action="disconnect_provider", subject_type="account",
                 subject_id=account.id)


def _note_level(session: Session, account: Account, claims: Claims, now: datetime) -> None:
    if claims.is_verified_person:
        verify(session, account.id, Verification.OIDC, None, now)


def _verified_email(claims: Claims) -> str | None:
    try:
        return clean_email(claims.email) if claims.email and claims.email_is_verified else None
    except InvalidInput:
        return None


def _usable(account: Account) -> Account:
    if account.is_disabled:
        raise Conflict(N_("Dieses Konto ist gesperrt. Bitte wenden Sie sich an die Verwaltung."))
    return account


def _name_of(session: Session, claims: Claims) -> str:
    """What the provider calls the person, unless nobody may be called so; they can choose another name at any time."""
    name = claims.name[:NAME_MAX].strip()
    try:
        require_own_name(session, name, "display_name")
    except InvalidInput:
        return NEW_NAME
    return name or NEW_NAME


def _new_account(
    session: Session, claims: Claims, email: str, now: datetime, *, confirmed_at: datetime | None
) -> Account | None:
    """None where the address has an account already."""
    account = add_account(session, Account(email=email, display_name=_name_of(session, claims), created_at=now,
                                           email_confirmed_at=confirmed_at), now)
    if account is None:
        return None
    audit.record(session, at=now, actor=f"account:{account.id}", action="register", subject_type="account",
                 subject_id=account.id)
    return account
