"""What is kept about an account that follows something (DSGVO Art. 15 and 20)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from participation.contributions.personal.export import section
from participation.following.models import FREQUENCY_LABELS, Follower, Subscription

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.accounts.models import Account, Participant


@section("folgt")
def followed(session: Session, account: Account, _participants: list[Participant]) -> list[dict[str, object]]:
    """Everything one follows, and how often mail comes."""
    rows = session.scalars(
        select(Subscription).join(Follower, Follower.id == Subscription.follower_id)
        .where(Follower.account_id == account.id).order_by(Subscription.id)
        .options(joinedload(Subscription.follower), joinedload(Subscription.process), joinedload(Subscription.proposal))
    )
    return [
        {"verfahren": row.process.title, "vorschlag": row.shown_proposal.title if row.shown_proposal else row.proposal_id,
         "seit": row.created_at.isoformat(), "e_mails": FREQUENCY_LABELS[row.follower.frequency]}
        for row in rows
    ]
