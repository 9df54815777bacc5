"""When digests are due, who sends each, and what became of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from sqlalchemy import Boolean, bindparam, case, or_, select, update

from participation import clock, outbox
from participation.errors import NotFound
from participation.following.models import REFUSALS_MAX, Follower, Frequency
from participation.following.operations import follower_by_token
from participation.following.queries import due_followers, phase_instants
from participation.municipalities.models import Municipality
from participation.processes.models import Process

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.orm import Session

    from participation.returned_mail import Returned
    from participation.tokens import Keyring

# Mails that came back further apart than this are no series.
BOUNCES_WITHIN = timedelta(days=60)
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
