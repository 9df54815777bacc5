"""Finding processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Select, select
from sqlalchemy.orm import selectinload

from participation.processes.models import Process, ProcessState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

LISTED = 60


def process_by_slug(session: Session, municipality_id: int, slug: str) -> Process | None:
    """A process with its phases and themes: three queries, whatever it holds."""
    return session.scalar(
        select(Process)
        .where(Process.municipality_id == municipality_id, Process.slug == slug)
        .options(selectinload(Process.phases), selectinload(Process.themes))
    )


def visible_processes(session: Session, municipality_id: int, *, limit: int = LISTED) -> Sequence[Process]:
    """What residents may see, running ones before archived ones; bounded, with phases. Two queries."""
    return session.scalars(
        select(Process)
        .where(Process.municipality_id == municipality_id, Process.state != ProcessState.DRAFT)
        .options(selectinload(Process.phases))
        .order_by(Process.state.desc(), Process.position, Process.id.desc())
        .limit(limit)
    ).all()


def all_processes(municipality_ids: Sequence[int], before_id: int | None, limit: int) -> Select[Process]:
    """For staff: every process of these municipalities, newest first, by keyset."""
    statement = select(Process).where(Process.municipality_id.in_(municipality_ids)).order_by(Process.id.desc())
    if before_id is not None:
        statement = statement.where(Process.id < before_id)
    return statement.limit(limit)
