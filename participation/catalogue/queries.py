"""Finding measures and what they grew from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Row, Select, exists, func, select
from sqlalchemy.orm import joinedload, selectinload

from participation import search
from participation.accounts.models import Participant
from participation.catalogue.models import Measure, MeasureSource
from participation.contributions.models import Contribution, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.processes.models import Process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

LISTED = 500
PAGE = 15


def measures_of(session: Session, process_id: int) -> Sequence[Measure]:
    """All measures in the order of the catalogue; a catalogue has dozens, not thousands."""
    return session.scalars(
        select(Measure).where(Measure.process_id == process_id).options(joinedload(Measure.theme))
        .order_by(Measure.position, Measure.id).limit(LISTED)
    ).unique().all()


def source_counts(session: Session, process_id: int) -> dict[int, tuple[int, int]]:
    """Per measure: how many published proposals it took up, and how often these were supported."""
    rows = session.execute(
        select(MeasureSource.measure_id, func.count(), func.coalesce(func.sum(Contribution.support_count), 0))
        .join(Measure, Measure.id == MeasureSource.measure_id)
        .join(Contribution, Contribution.id == MeasureSource.proposal_id)
        .where(Measure.process_id == process_id, Contribution.state == ContributionState.PUBLISHED)
        .group_by(MeasureSource.measure_id)
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in rows}


def measure_by_code(session: Session, process_id: int, code: str) -> Measure | None:
    """A measure by the code that the council reads."""
    return session.scalar(
        select(Measure).where(Measure.process_id == process_id, Measure.code == code)
        .options(joinedload(Measure.theme))
    )


def measure_by_id(session: Session, measure_id: int) -> Measure | None:
    """A measure with its process, for the workbench."""
    return session.scalar(
        select(Measure).where(Measure.id == min(measure_id, 2**31 - 1)).options(
            joinedload(Measure.process).options(joinedload(Process.municipality), selectinload(Process.themes)))
    )


def sources_of(
    session: Session, measure_ids: Sequence[int], limit: int | None = LISTED * 4, *, by_supports: bool = True
) -> Sequence[Row[int, Proposal]]:
    """(measure id, proposal) of what was taken up and is published, most supported first.

    Pages show so many at most; an export is complete.
    """
    return session.execute(
        select(MeasureSource.measure_id, Proposal)
        .join(Proposal, Proposal.id == MeasureSource.proposal_id)
        .where(MeasureSource.measure_id.in_(measure_ids), Contribution.state == ContributionState.PUBLISHED)
        .options(joinedload(Proposal.participant))
        .order_by(*((Contribution.support_count.desc(),) if by_supports else ()), Contribution.id)
        .limit(limit)
    ).all()


def measures_of_proposal(session: Session, proposal_id: int) -> Sequence[Measure]:
    """The measures that took a proposal up."""
    return session.scalars(
        select(Measure).join(MeasureSource, MeasureSource.measure_id == Measure.id)
        .where(MeasureSource.proposal_id == proposal_id).order_by(Measure.position)
    ).all()


def open_proposals(
    session: Session, process_id: int, query: str, after: tuple[int, int] | None, *, by_supports: bool = True
) -> Select[Proposal]:
    """Published proposals that no measure took up, most supported first, by keyset (supports, id).

    The newest first where numbers of supports are secret.
    """
    rank = Contribution.support_count if by_supports else Contribution.id
    statement = (
        select(Proposal).where(
            Contribution.process_id == process_id, Contribution.kind == "proposal",
            Contribution.state == ContributionState.PUBLISHED,
            ~exists().where(MeasureSource.proposal_id == Proposal.id),
        )
        .options(joinedload(Proposal.participant).load_only(Participant.pseudonym))
        .order_by(rank.desc(), Contribution.id.desc())
        .limit(PAGE + 1)
    )
    if query:
        statement = statement.where(search.matching(session, process_id, query, Proposal.id))
    if after is not None:
        supports, key = after
        statement = statement.where(
            (rank < supports) | ((rank == supports) & (Contribution.id < key))
        )
    return statement
