"""Flags with their numbers, and annulments."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, select

from participation.contributions.abuse.models import Annulment, VoteFlag
from participation.contributions.ballots.models import Ballot
from participation.contributions.models import Contribution
from participation.contributions.votes.models import Vote
from participation.processes.models import Phase

SHOWN = 100


def flags_of(process_id: int) -> Select[*tuple[Any, ...]]:
    """(flag, supports that count, people behind them, ballots that count), the newest first."""
    here = (
        select(Contribution.id).where(Contribution.id == Vote.contribution_id, Contribution.process_id == process_id)
        .exists()
    )
    counted = (Vote.source_hash == VoteFlag.source_hash, Vote.annulment_id.is_(None), here)
    votes = select(func.count()).select_from(Vote).where(*counted).scalar_subquery()
    people = select(func.count(Vote.participant_id.distinct())).where(*counted).scalar_subquery()
    ballots = (
        select(func.count()).select_from(Ballot).join(Phase, Phase.id == Ballot.phase_id)
        .where(Ballot.source_hash == VoteFlag.source_hash, Ballot.annulment_id.is_(None), Ballot.size > 0,
               Phase.process_id == process_id).scalar_subquery()
    )
    return (
        select(VoteFlag, votes, people, ballots).where(VoteFlag.process_id == process_id)
        .order_by(VoteFlag.last_at.desc(), VoteFlag.id.desc()).limit(SHOWN)
    )


def annulments_of(process_id: int) -> Select[Annulment]:
    """The annulments of a process, the newest first."""
    return select(Annulment).where(Annulment.process_id == process_id).order_by(Annulment.id.desc()).limit(SHOWN)
