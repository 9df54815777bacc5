"""What a person has shown: codes from letters, an address that staff have looked at, a provider that knows them."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from participation import audit, text
from participation.accounts.models import Account, AccountVerification, LetterBatch, LetterCode
from participation.accounts.operations.entered import CONFIRM_FIRST, clean_email
from participation.accounts.operations.leaving import hold_account
from participation.accounts.queries import account_by_email, letter_batches_begun, wrong_codes_since
from participation.actions import Action
from participation.errors import AccountGone, Conflict, Gone, InvalidInput, NotFound, TooManyRequests
from participation.formats import Verification
from participation.i18n import N_
from participation.municipalities.models import Municipality
from participation.permissions import require
from participation.tokens import RECEIPT_ALPHABET, hash_token

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.permissions import Actor
    from participation.tokens import Keyring

CODE_LENGTH = 10
CODES_MAX = 20_000
DAYS_MAX = 365
LABEL_MAX = 100
WRONG_MAX = 10
WRONG_WINDOW = timedelta(hours=1)


class WrongCode(InvalidInput):
    """No such code. The edge notes it, so that guessing comes to an end."""


def verify(
    session: Session, account_id: int, level: Verification, municipality_id: int | None, now: datetime,
    by_id: int | None = None,
) -> bool:
    """Note that an account has shown something; returns False when it had before. Raises AccountGone."""
    hold_account(session, account_id)
    place = AccountVerification.municipality_id
    known = session.scalar(select(AccountVerification.id).where(
        AccountVerification.account_id == account_id, AccountVerification.level == level,
        place.is_(None) if municipality_id is None else place == municipality_id,
    ))
    if known is not None:
        return False
    session.add(AccountVerification(account_id=account_id, level=level, municipality_id=municipality_id,
                                    confirmed_at=now, confirmed_by_id=by_id))
    session.flush()
    return True


def _clean_code(entered: str) -> str:
    """Lower case, blanks and dashes are no mistake."""
    return "".join(char for char in entered.upper() if char.isalnum())[:40]


def _hash(keyring: Keyring, code: str) -> str:
    """Keyed: a code is short enough to try all of them against a plain hash."""
    return keyring.person_hash(0, f"letter:{code}")


def clean_label(raw: str) -> str:
    """What a posting is for. Raises InvalidInput (field "label")."""
    label = text.clean_line(raw)
    if not label or len(label) > LABEL_MAX:
        raise InvalidInput(N_("Bitte geben Sie an, wofür die Codes sind, mit höchstens %(number)s Zeichen."),
                           field="label", number=LABEL_MAX)
    return label


def check_count(count: int) -> None:
    """Raises InvalidInput (field "count")."""
    if not 1 <= count <= CODES_MAX:
        raise InvalidInput(N_("Möglich sind 1 bis %(number)s Codes auf einmal."), field="count", number=CODES_MAX)


def check_days(days: int) -> None:
    """Raises InvalidInput (field "days")."""
    if not 1 <= days <= DAYS_MAX:
        raise InvalidInput(N_("Die Codes können 1 bis %(number)s Tage gelten."), field="days", number=DAYS_MAX)


def issue_codes(
    session: Session, keyring: Keyring, actor: Actor, municipality: Municipality, *, label: str, count: int, days: int,
    now: datetime, submission_key: str = "",
) -> list[str]:
    """New codes for letters, shown this once: only their hashes are kept. Raises InvalidInput.

    A form (`submission_key`) counts once, or the letters would be printed with codes of which nobody sees that there
    are others. Raises Conflict.
    """
    require(actor, Action.VERIFY_RESIDENTS, municipality, now)
    label = clean_label(label)
    check_count(count)
    check_days(days)
    form = hash_token(submission_key) if submission_key else ""
    # The other half of a double click waits here.
    session.execute(select(Municipality.id).where(Municipality.id == municipality.id).with_for_update())
    if form and any(one.get("form") == form for one in session.scalars(letter_batches_begun(actor.label))):
        raise Conflict(N_("Mit diesem Formular haben Sie schon Codes angelegt. Gezeigt werden sie nur einmal. Sind sie "
                          "verloren, beenden Sie sie unten in der Liste. Wollen Sie weitere anlegen, senden Sie das "
                          "Formular noch einmal."))
    batch = LetterBatch(municipality_id=municipality.id, label=label, created_at=now,
                        expires_at=now + timedelta(days=days))
    session.add(batch)
    session.flush()
    codes: set[str] = set()
    while len(codes) < count:
        codes.add("".join(secrets.choice(RECEIPT_ALPHABET) for _ in range(CODE_LENGTH)))
    shown = sorted(codes)
    session.execute(insert(LetterCode), [{"batch_id": batch.id, "code_hash": _hash(keyring, code)} for code in shown])
    audit.record(session, at=now, actor=actor.label, action="issue_letter_codes", subject_type="letter_batch",
                 subject_id=batch.id, count=count, days=days, **({"form": form} if form else {}))
    return [f"{code[:4]}-{code[4:7]}-{code[7:]}" for code in shown]


def end_batch(session: Session, actor: Actor, municipality: Municipality, batch_id: int, now: datetime) -> None:
    """Its unused codes work no more, e.g. when letters were lost. Raises NotFound."""
    require(actor, Action.VERIFY_RESIDENTS, municipality, now)
    batch = session.get(LetterBatch, batch_id)
    if batch is None or batch.municipality_id != municipality.id:
        raise NotFound
    batch.expires_at = min(batch.expires_at, now)
    audit.record(session, at=now, actor=actor.label, action="end_letter_batch", subject_type="letter_batch",
                 subject_id=batch.id)


def redeem_code(session: Session, keyring: Keyring, actor: Actor, entered: str, now: datetime) -> None:
    """Whoever has the letter lives where it was sent. Of two at once one wins.

    Raises TooManyRequests after ten wrong codes within an hour, WrongCode, Conflict (used before), Gone (too late).
    """
    require(actor, Action.MANAGE_OWN_ACCOUNT, None, now)
    if not actor.email_is_confirmed or actor.account_id is None:
        raise InvalidInput(CONFIRM_FIRST, field="code")
    if (session.scalar(wrong_codes_since(actor.label, now - WRONG_WINDOW)) or 0) >= WRONG_MAX:
        raise TooManyRequests(N_("Das waren zu viele falsche Codes. Versuchen Sie es in einer Stunde noch einmal."))
    found = session.execute(
        select(LetterCode, LetterBatch).join(LetterBatch, LetterBatch.id == LetterCode.batch_id)
        .where(LetterCode.code_hash == _hash(keyring, _clean_code(entered)))
    ).first()
    if found is None:
        raise WrongCode(N_("Diesen Code kennen wir nicht. Bitte vergleichen Sie jedes Zeichen mit dem Brief."),
                        field="code")
    code, batch = found
    if code.used_at is not None:
        raise Conflict(N_("Dieser Code wurde schon benutzt. Jeder Code gilt für eine Person."), field="code")
    if batch.expires_at <= now:
        raise Gone(N_("Dieser Code gilt nicht mehr. Fragen Sie bei der Verwaltung nach einem neuen."), field="code")
    taken = session.execute(
        update(LetterCode).where(LetterCode.id == code.id, LetterCode.used_at.is_(None)).values(used_at=now)
        .execution_options(synchronize_session=False)
    )
    if not taken.rowcount:  # type: ignore[attr-defined]
        raise Conflict(N_("Dieser Code wurde schon benutzt. Jeder Code gilt für eine Person."), field="code")
    if not verify(session, actor.account_id, Verification.LETTER, batch.municipality_id, now):
        raise Conflict(N_("Sie haben diesen Nachweis schon. Der Code ist nicht verbraucht; geben Sie ihn jemandem aus "
                          "Ihrem Haushalt."), field="code")
    audit.record(session, at=now, actor=actor.label, action="redeem_letter_code", subject_type="letter_batch",
                 subject_id=batch.id)


def note_wrong_code(session: Session, actor: Actor, now: datetime) -> None:
    """A guess, for the log and for the limit."""
    audit.record(session, at=now, actor=actor.label, action="wrong_letter_code", subject_type="account",
                 subject_id=actor.account_id)


def confirm_residence(
    session: Session, actor: Actor, municipality: Municipality, email: str, now: datetime
) -> Account:
    """Staff have seen that a person lives here. Raises InvalidInput."""
    require(actor, Action.VERIFY_RESIDENTS, municipality, now)
    account = session.scalar(account_by_email(clean_email(email)))
    nobody = InvalidInput(N_("Zu dieser Adresse gibt es kein Konto, dessen Adresse bestätigt ist."), field="email")
    if account is None or account.is_disabled or account.email_confirmed_at is None:
        raise nobody
    if account.id == actor.account_id:
        raise InvalidInput(N_("Den eigenen Wohnsitz muss jemand anderes bestätigen."), field="email")
    try:
        is_new = verify(session, account.id, Verification.RESIDENCE, municipality.id, now, actor.account_id)
    except AccountGone as error:
        # Not the account of whoever reads this.
        raise nobody from error
    if not is_new:
        raise InvalidInput(N_("Der Wohnsitz dieser Person ist schon bestätigt."), field="email")
    audit.record(session, at=now, actor=actor.label, action="confirm_residence", subject_type="account",
                 subject_id=account.id)
    return account
