"""Finding what one account did. Neither participants nor voters name their account: their hashes are computed anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import joinedload, selectinload

from participation.accounts.models import Participant
from participation.contributions.comments.models import Comment
from participation.contributions.models import CoAuthor, Contribution, Voter
from participation.contributions.proposals.models import Proposal
from participation.contributions.votes.models import Vote
from participation.processes.models import Process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

AT_ONCE = 500


def participants_of(session: Session, keyring: Keyring, account_id: int) -> list[Participant]:
    """Who an account is, in every process it took part in. One query per 500 processes."""
    found: list[Participant] = []
    process_ids = session.scalars(select(Process.id)).all()
    for start in range(0, len(process_ids), AT_ONCE):
        some = process_ids[start : start + AT_ONCE]
        hashes = [keyring.person_hash(process_id, f"account:{account_id}") for process_id in some]
        found += session.scalars(
            select(Participant).where(Participant.process_id.in_(some), Participant.person_hash.in_(hashes))
        )
    return found


def voters_of(session: Session, keyring: Keyring, account_id: int) -> list[Voter]:
    """As whom an account voted, in every process. One query per 500 processes."""
    numbers = [keyring.voter_of(process_id, f"account:{account_id}") for process_id in session.scalars(select(Process.id))]
    found: list[Voter] = []
    for start in range(0, len(numbers), AT_ONCE):
        found += session.scalars(select(Voter).where(Voter.id.in_(numbers[start : start + AT_ONCE])))
    return sorted(found, key=lambda voter: voter.process_id)


def own_contributions(participant_ids: Sequence[int], before: int | None = None) -> Select[Any]:
    """(contribution, and of the proposal it is or belongs to title, id, state and reason), by descending id.

    `before` is the last id of the page before.
    """
    base, proposal, comment = Contribution.__table__.c, Proposal.__table__, Comment.__table__
    above = Contribution.__table__.alias("above")
    statement = (
        select(Contribution.id, Contribution.kind, Contribution.state, Contribution.created_at, Contribution.body,
               Contribution.support_count, Contribution.comment_count, Contribution.process_id,
               proposal.c.title, proposal.c.id.label("proposal_id"), proposal.c.withdrawal_reason,
               above.c.state.label("proposal_state"))
        .outerjoin(comment, comment.c.id == base.id)
        .join(proposal, proposal.c.id == func.coalesce(comment.c.proposal_id, base.id))
        .join(above, above.c.id == proposal.c.id)
        .where(Contribution.participant_id.in_(participant_ids))
        .order_by(Contribution.id.desc())
    )
    return statement.where(Contribution.id < before) if before is not None else statement


def written_along(participant_ids: Sequence[int]) -> Select[*tuple[Any, ...]]:
    """(id, title, process) of proposals that these write together with others' authors, the newest first."""
    return (
        select(Contribution.id, Proposal.title, Contribution.process_id, Contribution.state, CoAuthor.joined_at)
        .select_from(CoAuthor).join(Proposal, Proposal.id == CoAuthor.contribution_id)
        .where(CoAuthor.participant_id.in_(participant_ids)).order_by(CoAuthor.joined_at.desc()).limit(AT_ONCE)
    )


def all_of_kind(kind: type[Contribution], participant_ids: Sequence[int]) -> Select[Any]:
    """Whole contributions of one kind, the oldest first."""
    return select(kind).where(Contribution.participant_id.in_(participant_ids)).order_by(Contribution.id)


def own_votes(voter_ids: Sequence[int]) -> Select[Any]:
    """(process, contribution, title, in which hour, whether it counts) of each support, for the person concerned only."""
    title = Proposal.__table__.c
    return (
        select(Contribution.process_id, Vote.contribution_id, title.title, Vote.given_at,
               Vote.annulment_id.is_(None))
        .join(Contribution, Contribution.id == Vote.contribution_id)
        .outerjoin(Proposal.__table__, title.id == Vote.contribution_id)
        .where(Vote.voter_id.in_(voter_ids))
        .order_by(Vote.given_at, Vote.contribution_id)
    )


def processes_of(process_ids: Sequence[int]) -> Select[Process]:
    """Processes with their municipality and phases."""
    return select(Process).where(Process.id.in_(process_ids)).options(
        joinedload(Process.municipality), selectinload(Process.phases))
