"""Following, ending it, confirming addresses, and the links of mails."""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.exc import IntegrityError

from participation import outbox
from participation.accounts.operations.entered import clean_email
from participation.accounts.operations.leaving import hold_account
from participation.accounts.queries import account_by_email
from participation.actions import Action
from participation.errors import Conflict, NotFound
from participation.following.models import Follower, Frequency, Subscription
from participation.following.queries import (
    follower_of_account,
    follower_of_address,
    target_of,
)
from participation.i18n import N_
from participation.permissions import Actor, require
from participation.processes.models import Process

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.contributions.proposals.models import Proposal
    from participation.tokens import Keyring

# Of one person; a limit against scripts, not against interest.
FOLLOWED_MAX = 500
# So many wishes of one address may wait for its owner's word.
PENDING_MAX = 5
UNCONFIRMED_DAYS = timedelta(days=7)


def follower_token(keyring: Keyring, follower: Follower) -> str:
    """The key in the links of mails: it opens what this follower chose, and nothing else.

    Its end says of the rest that it came from us. So a link that a mail program has cut is told from one whose follower is
    forgotten, of whom nothing is left to compare it with.
    """
    key = f"{follower.id}-{keyring.mark('follower', f'{follower.id}:{follower.link_salt}')[:32]}"
    return f"{key}-{_end_of(keyring, key)}"


def _end_of(keyring: Keyring, key: str) -> str:
    return keyring.mark("follower-link", key)[:16]


def was_ours(keyring: Keyring, token: str) -> bool:
    """Whether a link to a follower is whole and was made here, whatever has become of the follower."""
    key, _dash, end = token.rpartition("-")
    return _same(_end_of(keyring, key), end)


def subscription_token(keyring: Keyring, subscription: Subscription) -> str:
    """The key that confirms one subscription of an address."""
    value = f"{subscription.id}:{subscription.follower.link_salt}"
    return f"{subscription.id}-{keyring.mark('subscription', value)[:32]}"


def follower_by_token(session: Session, keyring: Keyring, token: str) -> Follower:
    """Raises NotFound for anything but a link of ours that still holds."""
    found = session.get(Follower, _number(token))
    if found is None:
        raise NotFound
    whole = follower_token(keyring, found)
    # Mails from before links had their end still lie in mailboxes; what is left of it is as good a proof.
    if not (_same(whole, token) or _same(whole.rpartition("-")[0], token)):
        raise NotFound
    return found


def subscription_by_token(session: Session, keyring: Keyring, token: str) -> Subscription:
    """Raises NotFound for anything but a link of ours that still holds."""
    found = session.get(Subscription, _number(token))
    if found is None or not _same(subscription_token(keyring, found), token):
        raise NotFound
    return found


def _number(token: str) -> int:
    head = token.partition("-")[0]
    return int(head) if head.isascii() and head.isdecimal() and len(head) < 10 else 0  # noqa: PLR2004 - longer is no id


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())


def follow(
    session: Session, keyring: Keyring, actor: Actor, process: Process, proposal: Proposal | None, now: datetime,
    *, frequency: Frequency | None = None, locale: str = "de",
) -> Follower:
    """An account follows a process or one of its proposals from now on. Raises SignInNeeded, NotAllowed, Conflict.

    Whoever had ended all mails follows this alone: what was ended stays so.
    """
    require(actor, Action.FOLLOW, proposal or process, now)
    hold_account(session, actor.account_id)
    account_id = actor.account_id or 0
    follower = follower_of_account(session, process.municipality_id, account_id)
    if follower is None:
        follower = _made(session, Follower(
            municipality_id=process.municipality_id, account_id=account_id, link_salt=secrets.token_hex(8),
            told_until=now, locale=locale, created_at=now,
        )) or follower_of_account(session, process.municipality_id, account_id)
        if follower is None:  # pragma: no cover - somebody else made it one statement earlier
            raise NotFound
        known = _by_address(session, keyring, process.municipality_id, actor.email)
        if known is not None:
            follower.frequency, follower.told_until = known.frequency, known.told_until
            _take_over(session, known, follower)
    if frequency is not None or follower.frequency is Frequency.NEVER:
        leave_ended_behind(session, follower)
        set_frequency(session, follower, frequency or Frequency.WEEKLY, now)
    _subscribe(session, follower, process, proposal, now, confirmed=True)
    return follower


def leave_ended_behind(session: Session, follower: Follower, but: Subscription | None = None) -> None:
    """Somebody who gets no mail follows something anew: the list from before must not come to life with it.

    What an address has not agreed to yet is no part of that list.
    """
    if follower.frequency is not Frequency.NEVER:
        return
    session.execute(delete(Subscription).where(
        Subscription.follower_id == follower.id, Subscription.confirmed_at.is_not(None),
        Subscription.id != (but.id if but else 0)).execution_options(synchronize_session=False))
    session.expire(follower, ["subscriptions"])


def request_following(
    session: Session, keyring: Keyring, process: Process, proposal: Proposal | None, email: str, now: datetime,
    *, frequency: Frequency, locale: str = "de",
) -> None:
    """Somebody without an account left an address: it gets one mail, and nothing more before its owner agrees.

    What is told is the same whether the address is known or not. Raises InvalidInput (field "email"), Conflict.
    """
    address = clean_email(email)
    email_hash = _address_hash(keyring, process.municipality_id, address)
    follower = follower_of_address(session, process.municipality_id, email_hash)
    if follower is None:
        follower = _made(session, Follower(
            municipality_id=process.municipality_id, email_sealed=keyring.seal(address), email_hash=email_hash,
            frequency=frequency, link_salt=secrets.token_hex(8), told_until=now, locale=locale, created_at=now,
        )) or follower_of_address(session, process.municipality_id, email_hash)
        if follower is None:  # pragma: no cover - as above
            raise NotFound
    subscription = _subscribe(session, follower, process, proposal, now, confirmed=False)
    if subscription.confirmed_at is None and _pending_before(session, subscription) >= PENDING_MAX:
        # Perhaps a stranger fills somebody's mailbox; who means it agrees to one of the mails that came already.
        return
    # One mail an hour at most for the same wish, however often somebody types a stranger's address.
    # Not by numbers of rows: SQLite gives those of deleted rows to the next person.
    outbox.enqueue(session, "mail_confirm_following", f"mail-follow:{follower.link_salt}:{subscription.target}:{now:%Y%m%d%H}",
                   subscription_id=subscription.id, frequency=frequency.value)


def confirm_following(session: Session, keyring: Keyring, subscription: Subscription, now: datetime) -> Follower:
    """The owner of the address agrees. Returns who follows now: where the address has an account, the account does.

    Whoever had ended all mails follows this alone, as in `follow`.
    """
    follower = subscription.follower
    leave_ended_behind(session, follower, subscription)
    if subscription.confirmed_at is None:
        subscription.confirmed_at = now
        follower.refusals = follower.bounces = 0
        if not _has_confirmed(session, subscription):
            follower.told_until = now
    session.flush()
    address = keyring.unseal(follower.email_sealed or "")
    account = session.scalar(account_by_email(address)) if address else None
    if account is None or account.email_confirmed_at is None or account.is_disabled or account.deleted_at is not None:
        return follower
    own = follower_of_account(session, follower.municipality_id, account.id)
    if own is None:
        own = _made(session, Follower(
            municipality_id=follower.municipality_id, account_id=account.id, link_salt=secrets.token_hex(8),
            frequency=follower.frequency, told_until=follower.told_until, locale=follower.locale, created_at=now,
        )) or follower_of_account(session, follower.municipality_id, account.id)
    if own is None:  # pragma: no cover - as in follow
        raise NotFound
    leave_ended_behind(session, own)
    _take_over(session, follower, own)
    return own


def _pending_before(session: Session, subscription: Subscription) -> int:
    """How many mails to the same address still wait for its owner's word."""
    return session.scalar(select(func.count()).select_from(Subscription).where(
        Subscription.follower_id == subscription.follower_id, Subscription.confirmed_at.is_(None),
        Subscription.id < subscription.id)) or 0


def _has_confirmed(session: Session, but: Subscription) -> bool:
    return bool(session.scalar(select(exists().where(
        Subscription.follower_id == but.follower_id, Subscription.confirmed_at.is_not(None), Subscription.id != but.id))))


def _made(session: Session, follower: Follower) -> Follower | None:
    """Store a new follower; None when another request was faster."""
    try:
        with session.begin_nested():
            session.add(follower)
            session.flush()
    except IntegrityError:
        return None
    return follower


def _subscribe(
    session: Session, follower: Follower, process: Process, proposal: Proposal | None, now: datetime, *, confirmed: bool
) -> Subscription:
    target = target_of(process.id, proposal.id if proposal else None)
    wanted = select(Subscription).where(Subscription.follower_id == follower.id, Subscription.target == target)
    found = session.scalar(wanted)
    if found is None:
        number = session.scalar(
            select(func.count()).select_from(Subscription).where(Subscription.follower_id == follower.id)) or 0
        if number >= FOLLOWED_MAX:
            raise Conflict(N_("Sie folgen schon sehr vielem. Bitte beenden Sie zuerst etwas davon."))
        found = Subscription(follower_id=follower.id, process_id=process.id, target=target,
                             proposal_id=proposal.id if proposal else None, created_at=now)
        try:
            with session.begin_nested():
                session.add(found)
                session.flush()
        except IntegrityError:
            found = session.scalars(wanted).one()
    if confirmed and found.confirmed_at is None:
        found.confirmed_at = now
    session.flush()
    return found


def _address_hash(keyring: Keyring, municipality_id: int, address: str) -> str:
    return keyring.mark("follower-address", f"{municipality_id}:{address}")


def _by_address(session: Session, keyring: Keyring, municipality_id: int, address: str) -> Follower | None:
    return follower_of_address(session, municipality_id, _address_hash(keyring, municipality_id, address))


def _take_over(session: Session, known: Follower, follower: Follower) -> None:
    """What an address followed, and its owner agreed to, goes along to another.

    The bare address is forgotten, unless mails that its owner has not answered yet still need it.
    """
    there = session.scalars(select(Subscription.target).where(Subscription.follower_id == follower.id)).all()
    agreed = (Subscription.follower_id == known.id, Subscription.confirmed_at.is_not(None))
    session.execute(update(Subscription).where(*agreed, Subscription.target.not_in(there))
                    .values(follower_id=follower.id).execution_options(synchronize_session=False))
    session.execute(delete(Subscription).where(*agreed).execution_options(synchronize_session=False))
    session.expire(follower, ["subscriptions"])
    _forget_idle(session, known)


def end_following(session: Session, follower: Follower, subscription_id: int) -> None:
    """Hear no more of one thing. An address that follows nothing any more is forgotten."""
    session.execute(delete(Subscription).where(Subscription.id == subscription_id,
                                               Subscription.follower_id == follower.id))
    _forget_idle(session, follower)


def unfollow(session: Session, actor: Actor, process: Process, proposal: Proposal | None) -> None:
    """An account does not follow this any more."""
    follower = follower_of_account(session, process.municipality_id, actor.account_id or 0)
    if follower is not None:
        session.execute(delete(Subscription).where(
            Subscription.follower_id == follower.id,
            Subscription.target == target_of(process.id, proposal.id if proposal else None)))


def unsubscribe(session: Session, follower: Follower) -> None:
    """No mail at all from now on: an account keeps its list, a bare address is forgotten (RFC 8058, DSGVO Art. 17)."""
    if follower.account_id is None:
        session.delete(follower)
    else:
        follower.frequency = Frequency.NEVER
    session.flush()


def set_frequency(session: Session, follower: Follower, frequency: Frequency, now: datetime) -> None:
    """How often to write. Whoever had no mail for a while is not told everything that happened meanwhile."""
    if follower.frequency is Frequency.NEVER and frequency is not Frequency.NEVER:
        follower.told_until = now
    follower.frequency = frequency
    follower.refusals = follower.bounces = 0
    session.flush()


def _forget_idle(session: Session, follower: Follower) -> None:
    session.expire(follower, ["subscriptions"])
    if follower.account_id is None and not follower.subscriptions:
        session.delete(follower)
    session.flush()


def forget_unconfirmed(session: Session, now: datetime) -> None:
    """Addresses whose owners did not agree within a week (DSGVO Art. 5: no longer than needed)."""
    session.execute(delete(Subscription).where(Subscription.confirmed_at.is_(None),
                                               Subscription.created_at < now - UNCONFIRMED_DAYS))
    session.execute(delete(Follower).where(
        Follower.account_id.is_(None), Follower.created_at < now - UNCONFIRMED_DAYS,
        ~exists().where(Subscription.follower_id == Follower.id)))


def forget_account(session: Session, account_id: int) -> None:
    """The account is deleted: nothing of what it followed stays."""
    ids = select(Follower.id).where(Follower.account_id == account_id)
    session.execute(delete(Subscription).where(Subscription.follower_id.in_(ids)))
    session.execute(delete(Follower).where(Follower.account_id == account_id))


