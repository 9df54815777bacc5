"""What happens to accounts: registering, signing in and out, the second factor, roles."""

from __future__ import annotations

import secrets
import unicodedata
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pyotp
from email_validator import EmailNotValidError, validate_email
from sqlalchemy import Integer, bindparam, delete, exists, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from participation import audit, outbox, text, tokens
from participation.accounts.models import (
    Account,
    AccountVerification,
    ExternalIdentity,
    OneTimeToken,
    Passkey,
    RecoveryCode,
    RoleGrant,
    SignInSession,
    TokenPurpose,
)
from participation.accounts.names import require_no_office
from participation.accounts.passwords import check_password, hash_password, needs_rehash, password_matches
from participation.accounts.queries import account_by_email
from participation.db import is_sqlite
from participation.errors import AccountGone, Conflict, Gone, InvalidInput
from participation.i18n import N_
from participation.permissions import Role

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

NAME_MAX = 60
GONE_NAME = N_("Gelöschtes Konto")
# Never delivered to (RFC 6761), so the address of a deleted account can be nobody's.
GONE_DOMAIN = "geloescht.invalid"
KEEP_UNCONFIRMED = timedelta(days=7)
RESIDENT_SESSION = timedelta(days=30)
STAFF_SESSION = timedelta(hours=12)
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
TOTP_STEP_SECONDS = 30
RECOVERY_CODES = 10
# Built once: they run with every vote. The first number says of what kind the second is, for locks that have no row.
_HOLD, _HOLD_ALONE = (
    select(lock(bindparam("kind", 0x6B746F, Integer), bindparam("account_id", type_=Integer)))
    for lock in (func.pg_advisory_xact_lock_shared, func.pg_advisory_xact_lock)
)
_IS_THERE = select(Account.id).where(Account.id == bindparam("account_id"), Account.deleted_at.is_(None))


def clean_email(raw: str) -> str:
    """The address as it is stored. Raises InvalidInput (field "email")."""
    entered = text.clean_line(raw)
    if not entered.rpartition("@")[0].isascii():
        # Possible since RFC 6531, but hardly any server takes it; mostly somebody mistyped.
        raise InvalidInput(N_("Vor dem @ stehen Umlaute oder andere Sonderzeichen. Dorthin können wir nicht schreiben. "
                              "Geben Sie eine Adresse ohne Umlaute vor dem @ an."), field="email")
    try:
        return validate_email(entered, check_deliverability=False, test_environment=True).normalized.lower()
    except EmailNotValidError as error:
        raise InvalidInput(
            N_("Das ist keine E-Mail-Adresse. Sie sieht zum Beispiel so aus: name@anbieter.de"), field="email"
        ) from error


def clean_name(raw: str) -> str:
    """The name that others see. Raises InvalidInput (field "display_name")."""
    name = text.clean_line(raw)
    if not name:
        raise InvalidInput(N_("Bitte geben Sie einen Namen an. Es muss nicht Ihr richtiger sein."), field="display_name")
    if len(name) > NAME_MAX:
        raise InvalidInput(
            N_("Der Name ist zu lang. Höchstens %(number)s Zeichen sind möglich."), field="display_name", number=NAME_MAX
        )
    return name


def register(
    session: Session, keyring: Keyring, *, email: str, display_name: str, password: str, town: str, now: datetime,
    target: str = "", locale: str = "de",
) -> None:
    """Make an unconfirmed account and send the link. A known address gets a mail that says so; the answer is the same.

    `target` is the path to go on to after the confirmation. It may be a receipt's secret address, so it is sealed.
    """
    email, display_name = clean_email(email), clean_name(display_name)
    require_no_office(display_name, "display_name")
    check_password(password, email.partition("@")[0], display_name, town)
    # Hashed for a known address too: the time must not tell.
    password_hash = hash_password(password)
    account = add_account(session, Account(email=email, display_name=display_name, password_hash=password_hash,
                                           created_at=now, locale=locale), now)
    if account is None:
        return
    outbox.enqueue(session, "mail_confirm_email", f"mail-confirm:{account.id}:{now:%Y%m%d%H%M%S}", account_id=account.id,
                   target=keyring.seal(target) if target else "")
    audit.record(session, at=now, actor=f"account:{account.id}", action="register", subject_type="account",
                 subject_id=account.id)


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


def clear_access(session: Session, account: Account, now: datetime) -> None:
    """Nothing that was set up so far opens this account: no password, provider or second factor, no session or link.

    For addresses that nobody had confirmed when their owner appears by another way than the mail about registering:
    anybody can have registered with somebody else's address.
    """
    account.password_hash = None
    session.execute(delete(ExternalIdentity).where(ExternalIdentity.account_id == account.id))
    kill_links(session, account.id, now)
    forget_second_factor(session, account, now)


def use_token(session: Session, token: str, purpose: TokenPurpose, now: datetime) -> Account:
    """Take a link for good; of two at once one wins. Raises Gone."""
    account = account_of_token(session, token, purpose, now)
    used = session.execute(
        update(OneTimeToken)
        .where(OneTimeToken.token_hash == tokens.hash_token(token), OneTimeToken.used_at.is_(None))
        .values(used_at=now)
    )
    if not used.rowcount:  # type: ignore[attr-defined]
        raise Gone(N_("Dieser Link wurde schon benutzt oder ist abgelaufen."))
    return account


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


def hold_account(session: Session, account_id: int | None, *, alone: bool = False) -> None:
    """The account stays until the end of the transaction; with `alone` nobody acts by it meanwhile, to delete it.

    Whatever stores something of an account begins so, before it holds anything else: it waits for a deletion that has
    begun, and the deletion waits for it and finds what it stored. Not at the row of the account: a lock there leaves the
    number of the transaction, which stands at the vote too (see docs/architecture.md, "Who voted for what").
    Raises AccountGone.
    """
    if account_id is None:
        return
    if not is_sqlite(session):
        session.execute(_HOLD_ALONE if alone else _HOLD, {"account_id": account_id})
    # A statement of its own: what was committed while this one waited is seen by the next.
    if session.scalar(_IS_THERE, {"account_id": account_id}) is None:
        raise AccountGone


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


def confirm_email(session: Session, token: str, now: datetime) -> Account:
    """The address is the person's own."""
    account = use_token(session, token, TokenPurpose.CONFIRM_EMAIL, now)
    account.email_confirmed_at = account.email_confirmed_at or now
    return account


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


def may_get_link(session: Session, account: Account, purpose: TokenPurpose, now: datetime) -> bool:
    """Whether the account may come in by mail at all, and got fewer links than may hold at once."""
    if account.is_disabled or awaits_invitation(account):
        return False
    sent = session.scalar(select(func.count()).select_from(OneTimeToken).where(
        OneTimeToken.account_id == account.id, OneTimeToken.purpose == purpose,
        OneTimeToken.created_at > now - LIFETIMES[purpose],
    ))
    return (sent or 0) < LINKS_AT_ONCE


def sign_in_by_link(session: Session, token: str, now: datetime) -> Account:
    """Take the link; whoever reads the postbox is the owner. Raises Gone.

    Was the address not confirmed before, then somebody else may have set up everything else: it goes.
    """
    account = use_token(session, token, TokenPurpose.SIGN_IN, now)
    if account.email_confirmed_at is None:
        clear_access(session, account, now)
        account.email_confirmed_at = now
    return account


def request_email_change(session: Session, keyring: Keyring, account: Account, email: str, now: datetime) -> None:
    """Mail a link to the new address; until it is opened the old one stays. Raises InvalidInput.

    Whether the new address has an account already is found out by the job, and told in that postbox only.
    """
    email = clean_email(email)
    if email == account.email:
        raise InvalidInput(N_("Das ist schon Ihre Adresse. Geben Sie die neue an."), field="email")
    to = keyring.person_hash(0, f"mail:{email}")[:16]
    outbox.enqueue(session, "mail_change_email", f"mail-change:{account.id}:{to}:{now:%Y%m%d%H%M}",
                   account_id=account.id, email=keyring.seal(email))


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
    check_password(password, account.email.partition("@")[0], account.display_name, town)
    account.password_hash = hash_password(password)
    revoke_sessions(session, account.id, now, but=token)
    renewed = tokens.new_token()
    session.execute(update(SignInSession).where(SignInSession.token_hash == tokens.hash_token(token))
                    .values(token_hash=tokens.hash_token(renewed)))
    kill_links(session, account.id, now)
    outbox.enqueue(session, "mail_password_changed", f"mail-password:{account.id}:{now:%Y%m%d%H%M%S}",
                   account_id=account.id)
    audit.record(session, at=now, actor=f"account:{account.id}", action="change_password", subject_type="account",
                 subject_id=account.id)
    return renewed


def prove(session: Session, account: Account, password: str, token: str, now: datetime) -> bool:
    """Whoever is signed in with `token` enters the password again. Returns whether it was right."""
    if not password_matches(account.password_hash, password):
        return False
    session.execute(
        update(SignInSession).where(SignInSession.token_hash == tokens.hash_token(token)).values(proven_at=now)
    )
    return True


def set_password(session: Session, token: str, purpose: TokenPurpose, password: str, town: str, now: datetime) -> Account:
    """By a reset link or an invitation. Every open session ends. Raises Gone or InvalidInput."""
    account = account_of_token(session, token, purpose, now)
    check_password(password, account.email.partition("@")[0], account.display_name, town)
    use_token(session, token, purpose, now)
    if account.email_confirmed_at is None:
        clear_access(session, account, now)
        account.email_confirmed_at = now
    account.password_hash = hash_password(password)
    revoke_sessions(session, account.id, now)
    kill_links(session, account.id, now)
    audit.record(session, at=now, actor=f"account:{account.id}", action=f"password_{purpose.value}",
                 subject_type="account", subject_id=account.id)
    return account


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


def check_credentials(session: Session, email: str, password: str) -> Account | None:
    """The account, or None for a wrong password, an unknown or a disabled account: from outside all the same."""
    try:
        account = session.scalar(account_by_email(clean_email(email)))
    except InvalidInput:
        account = None
    stored = account.password_hash if account is not None and not account.is_disabled else None
    if not password_matches(stored, password) or account is None:
        return None
    if stored and needs_rehash(stored):
        account.password_hash = hash_password(password)
    return account


def open_session(session: Session, account: Account, device: str, now: datetime) -> str:
    """A new sign-in session; returns the token that the cookie holds."""
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


def begin_second_factor(session: Session, keyring: Keyring, account: Account) -> str:
    """A secret to scan; it counts only once a code of it was entered. Raises Conflict when one is set up already."""
    if account.totp_confirmed_at is not None:
        raise Conflict(N_("Ihr zweiter Faktor ist schon eingerichtet."))
    secret = keyring.unseal(account.totp_secret_sealed) if account.totp_secret_sealed else None
    if secret is None:
        secret = pyotp.random_base32()
        account.totp_secret_sealed = keyring.seal(secret)
        session.flush()
    return secret


def confirm_second_factor(session: Session, keyring: Keyring, account: Account, code: str, now: datetime) -> list[str]:
    """The first code proves that scanning worked. Returns the recovery codes, shown this once."""
    if account.totp_confirmed_at is not None:
        raise Conflict(N_("Ihr zweiter Faktor ist schon eingerichtet."))
    check_code(session, keyring, account, code, now)
    account.totp_confirmed_at = now
    codes = _new_recovery_codes(session, keyring, account)
    audit.record(session, at=now, actor=f"account:{account.id}", action="second_factor_set_up", subject_type="account",
                 subject_id=account.id)
    return codes


def renew_recovery_codes(session: Session, keyring: Keyring, account: Account, now: datetime) -> list[str]:
    """Other codes on paper, shown this once; the old ones are worth nothing any more. Raises Conflict without an app."""
    if account.totp_confirmed_at is None:
        raise Conflict(N_("Richten Sie zuerst den zweiten Faktor ein."))
    codes = _new_recovery_codes(session, keyring, account)
    audit.record(session, at=now, actor=f"account:{account.id}", action="recovery_codes_renewed",
                 subject_type="account", subject_id=account.id)
    return codes


def _new_recovery_codes(session: Session, keyring: Keyring, account: Account) -> list[str]:
    session.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account.id))
    codes = [f"{secrets.token_hex(3)}-{secrets.token_hex(3)}" for _ in range(RECOVERY_CODES)]
    session.add_all(RecoveryCode(account_id=account.id, code_hash=keyring.mark("recovery-code", code)) for code in codes)
    return codes


def check_code(session: Session, keyring: Keyring, account: Account, code: str, now: datetime) -> None:
    """Accept a code once (RFC 6238, 5.2), or a recovery code once. Raises InvalidInput (field "code")."""
    # Keyboards of other scripts give other signs for the same digits.
    digits = "".join(str(unicodedata.decimal(char, char)) for char in code if char.isalnum()).lower()
    secret = keyring.unseal(account.totp_secret_sealed) if account.totp_secret_sealed else None
    if len(digits) == 12:  # noqa: PLR2004 - a recovery code; it may be of digits only
        if _use_recovery_code(session, keyring, account.id, f"{digits[:6]}-{digits[6:]}", now):
            return
    elif secret is not None and digits.isascii() and digits.isdecimal():
        totp = pyotp.TOTP(secret)
        current = int(now.timestamp()) // TOTP_STEP_SECONDS
        for step in (current - 1, current, current + 1):
            if secrets.compare_digest(totp.generate_otp(step), digits):
                taken = session.execute(
                    update(Account)
                    .where(Account.id == account.id, or_(Account.totp_last_step.is_(None), Account.totp_last_step < step))
                    .values(totp_last_step=step)
                    .execution_options(synchronize_session=False)
                )
                if taken.rowcount:  # type: ignore[attr-defined]
                    return
    raise InvalidInput(
        N_("Dieser Code stimmt nicht oder wurde schon benutzt. Warten Sie auf den nächsten und versuchen Sie es noch "
           "einmal."), field="code",
    )


def _use_recovery_code(session: Session, keyring: Keyring, account_id: int, code: str, now: datetime) -> bool:
    used = session.execute(
        update(RecoveryCode)
        .where(RecoveryCode.account_id == account_id, RecoveryCode.code_hash == keyring.mark("recovery-code", code),
               RecoveryCode.used_at.is_(None))
        .values(used_at=now)
    )
    return bool(used.rowcount)  # type: ignore[attr-defined]


def forget_second_factor(session: Session, account: Account, now: datetime) -> None:
    """Whoever lost telephone and paper starts anew: no app, no paper codes, no passkeys, no sessions."""
    account.totp_secret_sealed = account.totp_confirmed_at = account.totp_last_step = None
    for model in (RecoveryCode, Passkey):
        session.execute(delete(model).where(model.account_id == account.id))
    revoke_sessions(session, account.id, now)


def pass_second_factor(session: Session, token: str, now: datetime) -> None:
    """This session has shown both factors."""
    session.execute(
        update(SignInSession).where(SignInSession.token_hash == tokens.hash_token(token)).values(second_factor_at=now)
    )


def admit_staff(session: Session, email: str, name: str, now: datetime) -> Account:
    """The account that shall get a role; a new one, with this name, where there is none. Raises InvalidInput."""
    email, name = clean_email(email), clean_name(name)
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
