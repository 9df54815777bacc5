"""Following, ending it, confirming addresses, and when digests are due."""

from __future__ import annotations

import hmac
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from sqlalchemy import Boolean, bindparam, case, delete, exists, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from participation import clock, outbox
from participation.accounts.operations.entered import clean_email
from participation.accounts.operations.leaving import hold_account
from participation.accounts.queries import account_by_email
from participation.actions import Action
from participation.errors import Conflict, NotFound
from participation.following.models import REFUSALS_MAX, Follower, Frequency, Subscription
from participation.following.queries import (
    due_followers,
    follower_of_account,
    follower_of_address,
    phase_instants,
    target_of,
)
from participation.i18n import N_
from participation.municipalities.models import Municipality
from participation.permissions import Actor, require
from participation.processes.models import Process

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.orm import Session

    from participation.contributions.proposals.models import Proposal
    from participation.returned_mail import Returned
    from participation.tokens import Keyring

# Of one person; a limit against scripts, not against interest.
FOLLOWED_MAX = 500
# So many wishes of one address may wait for its owner's word.
PENDING_MAX = 5
# Mails that came back further apart than this are no series.
BOUNCES_WITHIN = timedelta(days=60)
UNCONFIRMED_DAYS = timedelta(days=7)
DAILY_HOUR = 6
# Thursday, as the weekly paper comes.
WEEKLY_DAY = 3
# "At once": what happens within one slot goes into one mail; with the sweep of the outbox it is out within a minute.
SLOT_SECONDS = 15
# What was written in this time before a mail may not be committed yet.
SETTLING = timedelta(seconds=30)
# Two mails to the same person are at least so far apart. A process that sends holds its lease no longer than that.
PAUSES = {Frequency.AT_ONCE: timedelta(minutes=10), Frequency.DAILY: outbox.LEASE, Frequency.WEEKLY: outbox.LEASE,
          Frequency.NEVER: outbox.LEASE}
# Somewhat more than the hour between two looks at the clock.
COMING = timedelta(minutes=70)


def last_slot(frequency: Frequency, now: datetime) -> datetime:
    """The last instant (UTC) at which digests of a frequency were due: 6 in the morning in Berlin, weekly on Thursday."""
    if frequency is Frequency.AT_ONCE:
        return now - SETTLING
    local = clock.to_berlin(now)
    due = local.replace(hour=DAILY_HOUR, minute=0, second=0, microsecond=0)
    if frequency is Frequency.WEEKLY:
        due -= timedelta(days=(due.weekday() - WEEKLY_DAY) % 7)
        due = due if due <= local else due - timedelta(days=7)
    elif due > local:
        due -= timedelta(days=1)
    return clock.from_berlin(due.replace(tzinfo=None))


def begin_digests(session: Session, frequency: Frequency, now: datetime) -> None:
    """Ask for the digests of a frequency that are due and not out yet.

    Asked again every hour: whom a mail could not be handed over for, because a server was away or asked for patience, is
    tried again, and nobody waits another week.
    """
    until = last_slot(frequency, now)
    for place in session.scalars(select(Municipality.id).order_by(Municipality.id)):
        if due_followers(session, frequency, until, 0, 1, municipality_id=place):
            outbox.enqueue(session, "send_digests", f"digests:{frequency.value}:{place}:{until.isoformat()}:0:{now:%d%H}",
                           owner_id=place, frequency=frequency.value, until=until.isoformat(), after=0, of=place)


def tell_at_once(session: Session, process_id: int, at: datetime) -> None:
    """Something happens in a process: whoever wants to hear at once does so within a minute, with what else comes then."""
    until = datetime.fromtimestamp((int(at.timestamp()) // SLOT_SECONDS + 1) * SLOT_SECONDS, tz=UTC)
    outbox.enqueue(session, "send_digests", f"digests:now:{process_id}:{until:%Y%m%dT%H%M%S}:0",
                   not_before=until + SETTLING, frequency=Frequency.AT_ONCE.value, until=until.isoformat(), after=0,
                   process_id=process_id,
                   owner_id=session.scalar(select(Process.municipality_id).where(Process.id == process_id)))


def announce_phases(session: Session, now: datetime) -> None:
    """Phases begin, and come to their end, without anybody doing anything: ask for the mails of the next hour."""
    for process_id, at in phase_instants(session, now - COMING, now + COMING):
        tell_at_once(session, process_id, at)


# ---- links of mails


def follower_token(keyring: Keyring, follower: Follower) -> str:
    """The key in the links of mails: it opens what this follower chose, and nothing else."""
    return f"{follower.id}-{keyring.mark('follower', f'{follower.id}:{follower.link_salt}')[:32]}"


def subscription_token(keyring: Keyring, subscription: Subscription) -> str:
    """The key that confirms one subscription of an address."""
    value = f"{subscription.id}:{subscription.follower.link_salt}"
    return f"{subscription.id}-{keyring.mark('subscription', value)[:32]}"


def follower_by_token(session: Session, keyring: Keyring, token: str) -> Follower:
    """Raises NotFound for anything but a link of ours that still holds."""
    found = session.get(Follower, _number(token))
    if found is None or not _same(follower_token(keyring, found), token):
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


# ---- following


def follow(
    session: Session, keyring: Keyring, actor: Actor, process: Process, proposal: Proposal | None, now: datetime,
    *, frequency: Frequency | None = None, locale: str = "de",
) -> Follower:
    """An account follows a process or one of its proposals from now on. Raises SignInNeeded, NotAllowed, Conflict."""
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
        set_frequency(session, follower, frequency or Frequency.WEEKLY, now)
    _subscribe(session, follower, process, proposal, now, confirmed=True)
    return follower


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
    """The owner of the address agrees. Returns who follows now: where the address has an account, the account does."""
    follower = subscription.follower
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


# ---- what mails report


# Once a mail each: of the table, not the model, and built once, for building them costs more than running them.
_FOLLOWER = cast("Table", Follower.__table__)
_CLAIM = (
    update(_FOLLOWER)
    .where(_FOLLOWER.c.id == bindparam("follower_id"), _FOLLOWER.c.frequency == bindparam("wanted"),
           _FOLLOWER.c.told_until < bindparam("until"),
           or_(_FOLLOWER.c.mailed_at.is_(None), _FOLLOWER.c.mailed_at <= bindparam("rested")))
    .values(mailed_at=bindparam("now")).returning(_FOLLOWER.c.id)
)
_NOTE_TOLD = (
    update(_FOLLOWER).where(_FOLLOWER.c.id == bindparam("follower_id"), _FOLLOWER.c.told_until < bindparam("until"))
    .values(told_until=bindparam("until"),
            refusals=case((bindparam("refused", type_=Boolean), _FOLLOWER.c.refusals + 1), else_=0))
)


def claim(session: Session, follower_id: int, frequency: Frequency, until: datetime, now: datetime) -> bool:
    """Take it upon this process to send somebody's digest; False when another does, or they want none any more."""
    return session.execute(_CLAIM, {
        "follower_id": follower_id, "wanted": frequency, "until": until, "rested": now - PAUSES[frequency], "now": now,
    }).first() is not None


def give_back(session: Session, follower_id: int, mailed_at: datetime | None) -> None:
    """Nothing was sent after all; whoever tries next need not wait."""
    session.execute(update(Follower).where(Follower.id == follower_id).values(mailed_at=mailed_at)
                    .execution_options(synchronize_session=False))


def note_told(session: Session, follower_id: int, until: datetime, *, refused: bool) -> None:
    """A digest is out, or was refused by the recipient's server."""
    session.execute(_NOTE_TOLD, {"follower_id": follower_id, "until": until, "refused": refused})


def note_silent(session: Session, follower_ids: list[int], until: datetime) -> None:
    """There was nothing to tell these."""
    session.execute(update(Follower).where(Follower.id.in_(follower_ids), Follower.told_until < until)
                    .values(told_until=until).execution_options(synchronize_session=False))


def note_bounce(session: Session, keyring: Keyring, returned: Returned, now: datetime) -> Follower | None:
    """A mail that was handed over came back. None when it doesn't count: twice, or by a link that is no more.

    An address from which mails come back again and again gets none.
    """
    try:
        follower = follower_by_token(session, keyring, returned.token)
    except NotFound:
        return None
    session.refresh(follower, with_for_update=True)
    if follower.bounced_mail == returned.number:
        return None
    if returned.is_address_wrong:
        is_old = follower.bounced_at is None or follower.bounced_at < now - BOUNCES_WITHIN
        follower.bounces = 1 if is_old else follower.bounces + 1
        follower.bounced_at = now
    follower.bounced_mail = returned.number
    session.flush()
    return follower


def is_unreachable(follower: Follower) -> bool:
    """Whether nothing is sent any more because the recipient's server refused it again and again."""
    return max(follower.refusals, follower.bounces) >= REFUSALS_MAX
