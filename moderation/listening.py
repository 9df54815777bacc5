"""Connects participation's events to the queue of cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moderation.operations import close_cases, close_outdated, open_case
from participation.events import ContributionSubmitted, ContributionWithdrawn, Event, listen

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def connect() -> None:
    """Listen; a second call changes nothing."""
    listen(ContributionSubmitted, _submitted)
    listen(ContributionWithdrawn, _withdrawn)


def _submitted(session: Session, event: Event) -> None:
    if isinstance(event, ContributionSubmitted):
        close_outdated(session, event.contribution_id, event.revision_number, event.at)
        open_case(session, event.contribution_id, event.revision_number, event.process_id, event.at)


def _withdrawn(session: Session, event: Event) -> None:
    if isinstance(event, ContributionWithdrawn):
        close_cases(session, event.contribution_id, event.at)
