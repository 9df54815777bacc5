"""What the search knows of proposals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from participation import outbox, search
from participation.contributions.models import Contribution, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.events import Event, PublicFieldsChanged, listen
from participation.processes.models import Process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session


def searched_text(proposal: Proposal) -> str:
    """What a search looks through besides the title: all that everybody may read."""
    return " ".join([proposal.body, proposal.place, *(one.shown for one in proposal.public_answers)])


def reindex(session: Session, proposal_ids: Sequence[int]) -> None:
    """What everybody may read of these is different now, without a change of their own."""
    for proposal in session.scalars(
        select(Proposal).where(Proposal.id.in_(proposal_ids), Contribution.state == ContributionState.PUBLISHED)
        .options(joinedload(Proposal.process).selectinload(Process.phases))
    ):
        search.index_proposal(session, proposal.id, proposal.process_id, proposal.title, searched_text(proposal))


def _fields_changed(session: Session, event: Event) -> None:
    if isinstance(event, PublicFieldsChanged):
        outbox.enqueue(session, "index_phase", f"index-phase:{event.phase_id}:{event.at.isoformat()}",
                       phase_id=event.phase_id)


def connect() -> None:
    """Listen; a second call changes nothing."""
    listen(PublicFieldsChanged, _fields_changed)
