"""What happens to accounts elsewhere and concerns what they did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from participation.contributions.personal.operations import leave_to_nobody
from participation.events import AddressClaimed, Event, listen

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def _claimed(session: Session, event: Event) -> None:
    if isinstance(event, AddressClaimed):
        leave_to_nobody(session, event.keyring, event.account_id, event.at)


def connect() -> None:
    """Called once when the application is built."""
    listen(AddressClaimed, _claimed)
