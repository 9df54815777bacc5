"""Who supports what. Nobody but the person concerned is ever told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from participation.accounts.models import Participant
from participation.contributions.votes.models import Vote

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_OWN = (
    select(Vote.contribution_id)
    .join(Participant, Participant.id == Vote.participant_id)
    .where(
        Vote.contribution_id == bindparam("contribution_id"), Participant.process_id == bindparam("process_id"),
        Participant.person_hash == bindparam("person_hash"),
    )
)


def supports_already(session: Session, contribution_id: int, process_id: int, person_hash: str) -> bool:
    """Whether the person behind the hash supports the contribution."""
    values = {"contribution_id": contribution_id, "process_id": process_id, "person_hash": person_hash}
    return session.scalar(_OWN, values) is not None
