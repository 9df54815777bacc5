"""Accounts, their roles, sign-in sessions and one-time tokens."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from participation.db import Base, Created, Key, Line, enum_type
from participation.formats import Verification
from participation.permissions import Role


class TokenPurpose(enum.Enum):
    """What a one-time link is for."""

    CONFIRM_EMAIL = "confirm_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - a purpose, not a password
    STAFF_INVITATION = "staff_invitation"
    SIGN_IN = "sign_in"
    CHANGE_EMAIL = "change_email"


class Account(Base):
    """A person's sign-in. The e-mail address is stored in lower case and unique."""

    __tablename__ = "account"

    id: Mapped[Key]
    email: Mapped[str] = mapped_column(String(254), unique=True)
    # The pseudonym others see; freely chosen.
    display_name: Mapped[Line]
    password_hash: Mapped[str | None] = mapped_column(String(200))
    email_confirmed_at: Mapped[datetime | None]
    # Sealed by the installation's key: the database alone makes no codes.
    totp_secret_sealed: Mapped[str | None] = mapped_column(String(300))
    totp_confirmed_at: Mapped[datetime | None]
    # The time step of the last accepted code, so that no code is accepted twice (RFC 6238, 5.2).
    totp_last_step: Mapped[int | None]
    locale: Mapped[str] = mapped_column(String(10), default="de")
    is_disabled: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Created]
    # A deleted account keeps its number and nothing else: the number must never mean another person.
    deleted_at: Mapped[datetime | None]

    grants: Mapped[list[RoleGrant]] = relationship(back_populates="account", cascade="all, delete-orphan")


class RoleGrant(Base):
    """A role of an account: for all of a municipality, or for one process when process_id is set."""

    __tablename__ = "role_grant"
    __table_args__ = (UniqueConstraint("account_id", "role", "municipality_id", "process_id"),)

    id: Mapped[Key]
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    role: Mapped[Role] = mapped_column(enum_type(Role))
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id", ondelete="CASCADE"))
    process_id: Mapped[int | None] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"))

    account: Mapped[Account] = relationship(back_populates="grants")


class SignInSession(Base):
    """One signed-in browser. Signing out, or a change of password, revokes it here: a copied cookie is then dead."""

    __tablename__ = "sign_in_session"

    id: Mapped[Key]
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[Created]
    expires_at: Mapped[datetime]
    second_factor_at: Mapped[datetime | None]
    # When the person last showed who they are, after signing in; asked before what can't be undone.
    proven_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    # "Firefox auf Android": enough to recognise one's own device, no full user agent.
    device: Mapped[str] = mapped_column(String(60), default="")
    # By which provider's person it was opened, the provider's own number of its session (hashed), and what shows the
    # provider, when leaving, which of its sessions is meant (sealed).
    identity_id: Mapped[int | None] = mapped_column(ForeignKey("external_identity.id", ondelete="SET NULL"), index=True)
    provider_session_hash: Mapped[str | None] = mapped_column(String(64))
    id_token_sealed: Mapped[str | None] = mapped_column(Text)

    account: Mapped[Account] = relationship()


class OneTimeToken(Base):
    """A link sent by mail; stored hashed, valid once and for a time."""

    __tablename__ = "one_time_token"
    __table_args__ = (Index("ix_one_time_token_account_purpose", "account_id", "purpose"),)

    id: Mapped[Key]
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    purpose: Mapped[TokenPurpose] = mapped_column(enum_type(TokenPurpose))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[Created]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    # What the link is about, sealed: the new address of a change of e-mail.
    payload_sealed: Mapped[str | None] = mapped_column(String(600))


class RecoveryCode(Base):
    """A code on paper for whoever lost the second factor; works once. Hashed with a key: it is short enough to try all."""

    __tablename__ = "recovery_code"

    id: Mapped[Key]
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    code_hash: Mapped[str] = mapped_column(String(64))
    used_at: Mapped[datetime | None]


class Passkey(Base):
    """A key that a device of the account holds (WebAuthn); here lies its public half only."""

    __tablename__ = "passkey"

    id: Mapped[Key]
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    # SHA-256 of the credential's own id, which may be 1,023 bytes long.
    credential_hash: Mapped[str] = mapped_column(String(64), unique=True)
    # base64url, as the browser wants to hear it again.
    credential_id: Mapped[str] = mapped_column(Text)
    public_key: Mapped[str] = mapped_column(Text)
    sign_count: Mapped[int] = mapped_column(BigInteger, default=0)
    # The last question this key answered: the same answer is not taken twice.
    last_challenge_hash: Mapped[str | None] = mapped_column(String(64))
    name: Mapped[Line]
    created_at: Mapped[Created]
    last_used_at: Mapped[datetime | None]


class ExternalIdentity(Base):
    """A person as another provider knows them (OpenID Connect); the pair of issuer and subject never changes."""

    __tablename__ = "external_identity"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[Key]
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    issuer: Mapped[Line]
    subject: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[Created]
    last_used_at: Mapped[datetime | None]


class AccountVerification(Base):
    """What an account has shown, in one municipality; without one it holds everywhere."""

    __tablename__ = "verification"
    __table_args__ = (UniqueConstraint("account_id", "level", "municipality_id"),)

    id: Mapped[Key]
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    level: Mapped[Verification] = mapped_column(enum_type(Verification))
    municipality_id: Mapped[int | None] = mapped_column(ForeignKey("municipality.id", ondelete="CASCADE"), index=True)
    confirmed_at: Mapped[Created]
    # Who of the staff looked; none where a code or a provider did.
    confirmed_by_id: Mapped[int | None] = mapped_column(ForeignKey("account.id", ondelete="SET NULL"))


class LetterBatch(Base):
    """Codes made for one posting. Which household got which code is nowhere kept."""

    __tablename__ = "letter_batch"

    id: Mapped[Key]
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id", ondelete="CASCADE"), index=True)
    label: Mapped[Line]
    created_at: Mapped[Created]
    expires_at: Mapped[datetime]


class LetterCode(Base):
    """A code on a letter, hashed with a key; works once. Who used it is not kept."""

    __tablename__ = "letter_code"

    id: Mapped[Key]
    batch_id: Mapped[int] = mapped_column(ForeignKey("letter_batch.id", ondelete="CASCADE"), index=True)
    code_hash: Mapped[str] = mapped_column(String(64), unique=True)
    used_at: Mapped[datetime | None]


class ParticipantKind(enum.Enum):
    """By which way a person takes part."""

    ACCOUNT = "account"
    GUEST = "guest"
    KIOSK = "kiosk"
    PAPER = "paper"
    IMPORTED = "imported"


class Participant(Base):
    """Who acts, within one process.

    The same person is the same participant within a process, and not linkable to another process: person_hash is
    keyed and differs per process. Where to write to is sealed, readable by jobs only.
    """

    __tablename__ = "participant"
    __table_args__ = (
        UniqueConstraint("process_id", "person_hash"),
        CheckConstraint("length(person_hash) = 64", name="person_hash_length"),
    )

    id: Mapped[Key]
    process_id: Mapped[int] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"))
    person_hash: Mapped[str] = mapped_column(String(64))
    kind: Mapped[ParticipantKind] = mapped_column(enum_type(ParticipantKind))
    pseudonym: Mapped[Line]
    is_staff: Mapped[bool] = mapped_column(default=False)
    # "account:<id>" or "mail:<address>", sealed.
    contact_sealed: Mapped[str | None] = mapped_column(String(600))
    created_at: Mapped[Created]
