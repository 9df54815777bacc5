"""Who supports what. Nobody but the person concerned is ever told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, or_, select

from participation.accounts.models import Participant
from participation.contributions.comments.models import Comment
from participation.contributions.votes.models import Vote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

_OF_COMMENTS = select(Comment.__table__.c.id).where(Comment.__table__.c.proposal_id == bindparam("proposal_id"))
_OWN = (
    select(Participant.id, Vote.contribution_id)
    .outerjoin(
        Vote,
        (Vote.participant_id == Participant.id)
        & or_(Vote.contribution_id == bindparam("proposal_id"), Vote.contribution_id.in_(_OF_COMMENTS)),
    )
    .where(Participant.process_id == bindparam("process_id"), Participant.person_hash == bindparam("person_hash"))
)


@dataclass(frozen=True, slots=True)
class OwnPart:
    """What a person did on the page of a proposal: who they are there, and what they support of it."""

    participant_id: int | None
    supported: frozenset[int]


def own_part(session: Session, proposal_id: int, process_id: int, person_hash: str) -> OwnPart:
    """The person behind the hash on the page of a proposal with its comments, in one query."""
    values = {"proposal_id": proposal_id, "process_id": process_id, "person_hash": person_hash}
    rows: Sequence[Any] = session.execute(_OWN, values).all()
    return OwnPart(rows[0][0] if rows else None, frozenset(row[1] for row in rows if row[1] is not None))
