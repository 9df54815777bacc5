"""What other packages may hear. Listeners run inside the transaction that caused the event.

Inside, not after: a process killed between the commit and a later listener would lose a moderation case for good.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.formats import PhaseSettings


@dataclass(frozen=True, slots=True)
class ContributionSubmitted:
    """A contribution (or a new revision of it) awaits a decision."""

    contribution_id: int
    revision_number: int
    process_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class ContributionWithdrawn:
    """Its author took it back; nothing is left to decide."""

    contribution_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class ContributionPublished:
    """Everybody can read it now, perhaps for the second time."""

    contribution_id: int
    process_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class ParticipantsMerged:
    """Two participants of a process turned out to be one person: everything of `source_id` goes to `target_id`.

    The row of the source is deleted right after; whatever else points at it must be moved by a listener.
    """

    source_id: int
    target_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class AccountDeleted:
    """Somebody left. Whatever else is kept about them must go."""

    account_id: int
    participant_ids: tuple[int, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class ProposalAnswered:
    """The administration answered a public proposal officially, for the first time or anew."""

    contribution_id: int
    process_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class ProposalsTakenUp:
    """Everybody can read from now on which measures one or more proposals of a process became part of."""

    process_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class NewsPublished:
    """The editors told something new about a process."""

    process_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class PhaseRulesChanging:
    """An editor is about to give a phase other settings, or to remove it (None). A listener that can't allow it raises Conflict."""

    phase_id: int
    before: PhaseSettings
    after: PhaseSettings | None


@dataclass(frozen=True, slots=True)
class PublicFieldsChanged:
    """Of the fields that editors added to the form of a phase, others are public now than before."""

    phase_id: int
    at: datetime


Event = (
    ContributionSubmitted | ContributionPublished | ContributionWithdrawn | ProposalAnswered | ParticipantsMerged
    | AccountDeleted | NewsPublished | ProposalsTakenUp | PhaseRulesChanging | PublicFieldsChanged
)
Listener = Callable[["Session", Event], None]
_listeners: defaultdict[type, list[Listener]] = defaultdict(list)


def listen(event_type: type, listener: Listener) -> None:
    """Register once per process; a second registration of the same listener changes nothing."""
    if listener not in _listeners[event_type]:
        _listeners[event_type].append(listener)


def emit(session: Session, event: Event) -> None:
    """Tell every listener, in the order of registration. A listener's error aborts the transaction."""
    for listener in _listeners[type(event)]:
        listener(session, event)
