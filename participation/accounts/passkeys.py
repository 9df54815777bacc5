"""Passkeys (WebAuthn Level 3): a device proves that it holds a key; what it signs names our host, so it can't be phished."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select, update
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from participation import audit, text, tokens
from participation.accounts.models import Account, Passkey
from participation.accounts.operations.entered import CONFIRM_FIRST
from participation.accounts.operations.leaving import hold_account
from participation.accounts.queries import passkeys_of
from participation.errors import Conflict, InvalidInput, NotFound
from participation.i18n import N_

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

NAME_MAX = 60
PASSKEYS_MAX = 20
FAILED = N_("Das hat mit diesem Passkey nicht geklappt. Versuchen Sie es noch einmal, oder melden Sie sich mit Kennwort "
            "oder Link an.")


def _handle(keyring: Keyring, account_id: int) -> bytes:
    """What the device keeps to recognise the account: says nothing about who it is."""
    return bytes.fromhex(keyring.person_hash(0, f"passkey:{account_id}"))


def registration_options(
    session: Session, keyring: Keyring, account: Account, host: str, site: str
) -> tuple[dict[str, Any], bytes]:
    """What the browser needs to make a key, and the challenge to keep. Raises Conflict or InvalidInput.

    `host` is our host name without port, `site` the name that the device shows.
    """
    if account.email_confirmed_at is None:
        raise Conflict(CONFIRM_FIRST)
    known = session.scalars(passkeys_of(account.id)).all()
    if len(known) >= PASSKEYS_MAX:
        raise Conflict(N_("Sie haben schon sehr viele Passkeys. Bitte entfernen Sie zuerst einen."))
    options = generate_registration_options(
        rp_id=host, rp_name=site, user_id=_handle(keyring, account.id), user_name=account.email,
        user_display_name=account.display_name,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.PREFERRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.credential_id)) for one in known],
    )
    return json.loads(options_to_json(options)), options.challenge


def add_passkey(
    session: Session, account: Account, answer: object, *, challenge: bytes, host: str, origin: str, name: str,
    now: datetime,
) -> bool:
    """Keep a new key; returns whether the device checked who is there (PIN, finger, face). Raises AccountGone, InvalidInput."""
    hold_account(session, account.id)
    name = text.clean_line(name)
    if not name or len(name) > NAME_MAX:
        raise InvalidInput(N_("Bitte geben Sie dem Passkey einen Namen von höchstens %(number)s Zeichen."),
                           field="name", number=NAME_MAX)
    try:
        verified = verify_registration_response(
            credential=_as_dict(answer), expected_challenge=challenge, expected_rp_id=host, expected_origin=origin,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(FAILED) from error
    credential_id = bytes_to_base64url(verified.credential_id)
    credential_hash = tokens.hash_token(credential_id)
    if session.scalar(select(Passkey.id).where(Passkey.credential_hash == credential_hash)) is not None:
        raise InvalidInput(N_("Diesen Passkey gibt es schon."))
    session.add(Passkey(
        account_id=account.id, credential_hash=credential_hash, credential_id=credential_id,
        public_key=bytes_to_base64url(verified.credential_public_key), sign_count=verified.sign_count, name=name,
        last_challenge_hash=tokens.hash_token(bytes_to_base64url(challenge)), created_at=now,
    ))
    audit.record(session, at=now, actor=f"account:{account.id}", action="add_passkey", subject_type="account",
                 subject_id=account.id)
    session.flush()
    return verified.user_verified


def sign_in_options(host: str, *, verified: bool) -> tuple[dict[str, Any], bytes]:
    """What the browser needs to find a key of ours, and the challenge to keep. `verified` insists on PIN or finger."""
    options = generate_authentication_options(
        rp_id=host, user_verification=UserVerificationRequirement.REQUIRED if verified
        else UserVerificationRequirement.PREFERRED,
    )
    return json.loads(options_to_json(options)), options.challenge


def check_passkey(
    session: Session, keyring: Keyring, answer: object, *, challenge: bytes, host: str, origin: str, now: datetime
) -> tuple[Account, bool]:
    """Whose key answered, and whether the device checked who is there. One answer counts once. Raises InvalidInput."""
    try:
        credential = _as_dict(answer)
        found = session.execute(
            select(Passkey, Account).join(Account, Account.id == Passkey.account_id)
            .where(Passkey.credential_hash == tokens.hash_token(str(credential["id"])), Account.is_disabled.is_(False))
        ).first()
        if found is None:
            raise InvalidInput(FAILED)
        passkey, account = found
        if base64url_to_bytes(str(credential["response"]["userHandle"])) != _handle(keyring, account.id):
            raise InvalidInput(FAILED)
        verified = verify_authentication_response(
            credential=credential, expected_challenge=challenge, expected_rp_id=host, expected_origin=origin,
            credential_public_key=base64url_to_bytes(passkey.public_key),
            credential_current_sign_count=passkey.sign_count,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(FAILED) from error
    asked = tokens.hash_token(bytes_to_base64url(challenge))
    taken = session.execute(
        update(Passkey)
        .where(Passkey.id == passkey.id,
               or_(Passkey.last_challenge_hash.is_(None), Passkey.last_challenge_hash != asked))
        .values(last_challenge_hash=asked, sign_count=verified.new_sign_count, last_used_at=now)
        .execution_options(synchronize_session=False)
    )
    if not taken.rowcount:  # type: ignore[attr-defined]
        raise InvalidInput(FAILED)
    return account, verified.user_verified


def remove_passkey(session: Session, account: Account, passkey_id: int, now: datetime) -> None:
    """It signs nobody in any more. Raises NotFound."""
    passkey = session.scalar(passkeys_of(account.id).where(Passkey.id == passkey_id))
    if passkey is None:
        raise NotFound
    session.delete(passkey)
    audit.record(session, at=now, actor=f"account:{account.id}", action="remove_passkey", subject_type="account",
                 subject_id=account.id)


def _as_dict(answer: object) -> dict[str, Any]:
    if not isinstance(answer, dict) or not isinstance(answer.get("response"), dict):
        raise TypeError
    return answer
