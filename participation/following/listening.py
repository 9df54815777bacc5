"""What happens elsewhere and concerns followers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from participation.events import (
    AccountDeleted,
    ContributionPublished,
    Event,
    NewsPublished,
    ProposalAnswered,
    ProposalsTakenUp,
    listen,
)
from participation.following.delivery import tell_at_once
from participation.following.operations import forget_account

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def connect() -> None:
    """Called once when the application is built."""
    listen(ContributionPublished, _happened)
    listen(ProposalAnswered, _happened)
    listen(NewsPublished, _happened)
    listen(ProposalsTakenUp, _happened)
    listen(AccountDeleted, _left)


def _happened(session: Session, event: Event) -> None:
    if isinstance(event, ContributionPublished | ProposalAnswered | NewsPublished | ProposalsTakenUp):
        tell_at_once(session, event.process_id, event.at)


def _left(session: Session, event: Event) -> None:
    if isinstance(event, AccountDeleted):
        forget_account(session, event.account_id)
