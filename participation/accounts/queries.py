"""Finding accounts and who is signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, Select, bindparam, func, select
from sqlalchemy.orm import aliased

from participation.accounts.models import (
    Account,
    AccountVerification,
    ExternalIdentity,
    LetterBatch,
    LetterCode,
    OneTimeToken,
    Participant,
    Passkey,
    RecoveryCode,
    RoleGrant,
    SignInSession,
    TokenPurpose,
)
from participation.audit import AuditEntry
from participation.municipalities.models import Municipality
from participation.permissions import Actor, Grant

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.db import Database
    from participation.formats import Verification
    from participation.tokens import Keyring


# Built once: it runs in every request of whoever is signed in, and building it would cost more than running it.
_asked_of = aliased(Municipality)
_SIGNED_IN = (
    select(
        Account.id,
        Account.display_name,
        Account.email,
        Account.email_confirmed_at,
        SignInSession.second_factor_at,
        Account.totp_confirmed_at,
        RoleGrant.role,
        RoleGrant.municipality_id,
        RoleGrant.process_id,
        AccountVerification.level,
        AccountVerification.municipality_id.label("verified_in"),
        Municipality.parent_id,
        select(_asked_of.content_version).where(_asked_of.id == bindparam("asked_of", type_=Integer)).scalar_subquery()
        .label("content_version"),
    )
    .join(SignInSession, SignInSession.account_id == Account.id)
    .outerjoin(RoleGrant, RoleGrant.account_id == Account.id)
    .outerjoin(AccountVerification, AccountVerification.account_id == Account.id)
    .outerjoin(Municipality, Municipality.id == AccountVerification.municipality_id)
    .where(
        SignInSession.token_hash == bindparam("token_hash"),
        SignInSession.revoked_at.is_(None),
        SignInSession.expires_at > bindparam("now"),
        Account.is_disabled.is_(False),
    )
)


def account_by_email(email: str) -> Select[Account]:
    """The account of an address, whatever its case."""
    return select(Account).where(Account.email == email.strip().lower())


def signed_in_actor(
    database: Database, token_hash: str, now: datetime, asked_of: int | None = None,
) -> tuple[Actor, int | None] | None:
    """Who a session token stands for: one query, and none of it trusted longer than this request.

    So a role taken away, a revoked session or a disabled account counts at the very next click. With it comes the
    content version of the municipality `asked_of`, which nearly every page wants to know as well.
    """
    rows = database.glance(_SIGNED_IN, {"token_hash": token_hash, "now": now, "asked_of": asked_of})
    if not rows:
        return None
    first = rows[0]
    actor = Actor(
        account_id=first.id,
        display_name=first.display_name,
        email=first.email,
        email_is_confirmed=first.email_confirmed_at is not None,
        second_factor_done=first.second_factor_at is not None,
        second_factor_awaited=first.second_factor_at is None and first.totp_confirmed_at is not None,
        grants=tuple(dict.fromkeys(
            Grant(row.role, row.municipality_id, row.process_id) for row in rows if row.role is not None
        )),
        # Whoever lives in a town lives in its Kreis.
        verifications=frozenset(
            (row.level, place) for row in rows if row.level is not None
            for place in {row.verified_in, row.parent_id if row.parent_id is not None else row.verified_in}
        ),
    )
    return actor, first.content_version


def recipient_of(session: Session, keyring: Keyring, participant: Participant) -> str | None:
    """Where to write to a participant, for jobs only; None when there is no address, or it may not be used any more."""
    contact = keyring.unseal(participant.contact_sealed) if participant.contact_sealed else None
    if contact is None:
        return None
    kind, _, value = contact.partition(":")
    if kind == "mail":
        return value
    account = session.get(Account, int(value))
    if account is None or account.is_disabled or account.email_confirmed_at is None:
        return None
    return account.email


def last_proof(token_hash: str) -> Select[datetime]:
    """When the person of a session last showed who they are: at signing in, or since."""
    return select(func.coalesce(SignInSession.proven_at, SignInSession.created_at)).where(
        SignInSession.token_hash == token_hash
    )


def verifications_of(account_id: int) -> Select[Verification, datetime, str]:
    """What an account has shown, with the name of the municipality it holds in."""
    return (
        select(AccountVerification.level, AccountVerification.confirmed_at, Municipality.name)
        .outerjoin(Municipality, Municipality.id == AccountVerification.municipality_id)
        .where(AccountVerification.account_id == account_id).order_by(AccountVerification.id)
    )


def wrong_codes_since(actor: str, since: datetime) -> Select[int]:
    """How many wrong letter codes somebody entered."""
    return select(func.count()).select_from(AuditEntry).where(
        AuditEntry.actor == actor, AuditEntry.action == "wrong_letter_code", AuditEntry.at > since
    )


def letter_batches_begun(actor: str) -> Select[dict[str, Any]]:
    """What the log says of each posting that somebody made codes for."""
    return select(AuditEntry.details).where(AuditEntry.actor == actor, AuditEntry.action == "issue_letter_codes")


def letter_batches(municipality_id: int) -> Select[LetterBatch, int, int]:
    """Each posting with how many codes it has and how many were used, the newest first."""
    used = func.count(LetterCode.used_at)
    return (
        select(LetterBatch, func.count(LetterCode.id), used).join(LetterCode, LetterCode.batch_id == LetterBatch.id)
        .where(LetterBatch.municipality_id == municipality_id).group_by(LetterBatch.id)
        .order_by(LetterBatch.id.desc()).limit(50)
    )


def identities_of(account_id: int) -> Select[ExternalIdentity]:
    """By which other providers an account signs in."""
    return select(ExternalIdentity).where(ExternalIdentity.account_id == account_id).order_by(ExternalIdentity.id)


def new_email_asked_for(account_id: int, now: datetime) -> Select[str | None]:
    """The sealed address that an account shall get once its link is opened."""
    return (
        select(OneTimeToken.payload_sealed)
        .where(OneTimeToken.account_id == account_id, OneTimeToken.purpose == TokenPurpose.CHANGE_EMAIL,
               OneTimeToken.used_at.is_(None), OneTimeToken.expires_at > now)
        .order_by(OneTimeToken.id.desc()).limit(1)
    )


def live_sessions(account_id: int, now: datetime) -> Select[SignInSession]:
    """The signed-in devices of an account, the newest first."""
    return (
        select(SignInSession)
        .where(SignInSession.account_id == account_id, SignInSession.revoked_at.is_(None),
               SignInSession.expires_at > now)
        .order_by(SignInSession.id.desc())
    )


def has_second_factor(session: Session, account: Account) -> bool:
    """Whether the account has set up anything besides what signs in. A passkey counts for staff only.

    For residents it is a way of signing in of its own.
    """
    if account.totp_confirmed_at is not None:
        return True
    return bool(account.grants) and session.scalar(passkeys_of(account.id).limit(1)) is not None


def unused_recovery_codes(account_id: int) -> Select[int]:
    """How many codes on paper are left."""
    return select(func.count()).select_from(RecoveryCode).where(
        RecoveryCode.account_id == account_id, RecoveryCode.used_at.is_(None))


def passkeys_of(account_id: int) -> Select[Passkey]:
    """The passkeys of an account, the oldest first."""
    return select(Passkey).where(Passkey.account_id == account_id).order_by(Passkey.id)


def names_of_staff() -> Select[str]:
    """Under which names people of the administrations are read."""
    return select(Account.display_name).where(Account.id.in_(select(RoleGrant.account_id)))


def names_of_towns() -> Select[str]:
    """The towns and Kreise of this installation."""
    return select(Municipality.name)
