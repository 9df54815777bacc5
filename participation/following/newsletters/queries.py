"""The newsletters of a process, who gets one, and which ones stopped or may still come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Select, func, select

from participation.accounts.models import Account
from participation.following.models import Follower, Frequency, Subscription
from participation.following.newsletters.models import Newsletter
from participation.following.queries import reachable
from participation.outbox import OutboxRow
from participation.processes.models import Process

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

# More letters are not sent in a month.
LATE_MAX = 200


def newsletters_of(process_id: int) -> Select[Newsletter]:
    """The newsletters of a process, the newest first."""
    return select(Newsletter).where(Newsletter.process_id == process_id).order_by(Newsletter.id.desc())


def newsletter_receivers(process_id: int) -> Select[Follower, Account]:
    """(follower, account or None) of everybody who follows a process and wants mail, in the order of their numbers."""
    return (
        select(Follower, Account).join(Subscription, Subscription.follower_id == Follower.id)
        .outerjoin(Account, Account.id == Follower.account_id)
        .where(Subscription.process_id == process_id, Subscription.proposal_id.is_(None),
               Subscription.confirmed_at.is_not(None), Follower.frequency != Frequency.NEVER, reachable())
        .order_by(Follower.id)
    )


def receivers_number(session: Session, process_id: int) -> int:
    """How many would get a newsletter that is sent now."""
    return session.scalar(select(func.count()).select_from(newsletter_receivers(process_id).order_by(None).subquery())) or 0


def stopped_newsletters(session: Session) -> list[tuple[int, int]]:
    """(job, newsletter) of sendings that failed so often that they were parked."""
    rows = session.execute(
        select(OutboxRow.id, OutboxRow.args)
        .where(OutboxRow.job == "send_newsletter", OutboxRow.done_at.is_(None), OutboxRow.failed_at.is_not(None)))
    return [(row.id, int(row.args["newsletter_id"])) for row in rows]


def late_newsletters(municipality_id: int, since: datetime) -> Select[int]:
    """The newsletters of a municipality that may still come back, the newest first."""
    return (
        select(Newsletter.id).join(Process, Process.id == Newsletter.process_id)
        .where(Process.municipality_id == municipality_id, Newsletter.sent_at > since)
        .order_by(Newsletter.id.desc()).limit(LATE_MAX)
    )
