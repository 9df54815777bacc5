"""The second factor: an app whose codes work once, and codes on paper."""

from __future__ import annotations

import secrets
import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING

import pyotp
from sqlalchemy import delete, or_, update

from participation import audit
from participation.accounts.models import Account, Passkey, RecoveryCode
from participation.accounts.operations.entered import CONFIRM_FIRST
from participation.accounts.operations.leaving import hold_account
from participation.accounts.operations.sessions import revoke_sessions
from participation.errors import Conflict, InvalidInput
from participation.i18n import N_

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

TOTP_STEP_SECONDS = 30
RECOVERY_CODES = 10


def begin_second_factor(session: Session, keyring: Keyring, account: Account) -> str:
    """A secret to scan; it counts only once a code of it was entered. Raises AccountGone, or Conflict when one is set up already.

    Not before the address is confirmed: else it could be a stranger's lock on somebody's account.
    """
    hold_account(session, account.id)
    if account.email_confirmed_at is None:
        raise Conflict(CONFIRM_FIRST)
    if account.totp_confirmed_at is not None:
        raise Conflict(N_("Ihr zweiter Faktor ist schon eingerichtet."))
    secret = keyring.unseal(account.totp_secret_sealed) if account.totp_secret_sealed else None
    if secret is None:
        secret = pyotp.random_base32()
        account.totp_secret_sealed = keyring.seal(secret)
        session.flush()
    return secret


def confirm_second_factor(session: Session, keyring: Keyring, account: Account, code: str, now: datetime) -> list[str]:
    """The first code proves that scanning worked. Returns the recovery codes, shown this once. Raises AccountGone, Conflict, InvalidInput."""
    hold_account(session, account.id)
    if account.totp_confirmed_at is not None:
        raise Conflict(N_("Ihr zweiter Faktor ist schon eingerichtet."))
    check_code(session, keyring, account, code, now)
    account.totp_confirmed_at = now
    codes = _new_recovery_codes(session, keyring, account)
    audit.record(session, at=now, actor=f"account:{account.id}", action="second_factor_set_up", subject_type="account",
                 subject_id=account.id)
    return codes


def renew_recovery_codes(session: Session, keyring: Keyring, account: Account, now: datetime) -> list[str]:
    """Other codes on paper, shown this once; the old ones are worth nothing any more. Raises AccountGone, or Conflict without an app."""
    hold_account(session, account.id)
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
    """Accept a code once (RFC 6238, 5.2), or a recovery code once. Raises AccountGone, InvalidInput (field "code")."""
    hold_account(session, account.id)
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
