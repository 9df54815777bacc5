"""Who supports what. Nobody but the person concerned is ever told."""

from __future__ import annotations

from sqlalchemy import Select, select

from participation.accounts.models import Participant
from participation.contributions.votes.models import Vote


def own_vote(contribution_id: int, process_id: int, person_hash: str) -> Select[int]:
    """A row when the person behind the hash supports the contribution."""
    return (
        select(Vote.contribution_id)
        .join(Participant, Participant.id == Vote.participant_id)
        .where(
            Vote.contribution_id == contribution_id, Participant.process_id == process_id,
            Participant.person_hash == person_hash,
        )
    )
