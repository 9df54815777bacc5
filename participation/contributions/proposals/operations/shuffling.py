"""The shuffled order is fair: everybody's proposal stands first equally often."""

from __future__ import annotations

from random import SystemRandom
from typing import TYPE_CHECKING, cast

from sqlalchemy import bindparam, select, update

from participation.contributions.models import SHUFFLE_RANGE, Contribution, ContributionState

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.orm import Session

# Beyond, nobody's proposal is among the first of a list often enough for the gaps between random places to matter.
SHUFFLED_MAX = 10_000
_table = cast("Table", Contribution.__table__)
_MOVE = update(_table).where(_table.c.id == bindparam("key")).values(shuffle_key=bindparam("place"))


def shuffle_anew(session: Session, process_id: int) -> int:
    """Give the public proposals of a process new places, all equally far apart; returns how many.

    A list begins at a random place and goes round from there (see `Sort.FAIR`). Between places that were drawn one by
    one lie gaps of very different length, and what follows a long one would be first for as long as the process lasts.
    """
    ids = list(session.scalars(
        select(_table.c.id)
        .where(_table.c.process_id == process_id, _table.c.kind == "proposal",
               _table.c.state == ContributionState.PUBLISHED)
        .limit(SHUFFLED_MAX + 1)
    ))
    if not ids or len(ids) > SHUFFLED_MAX:
        return 0
    SystemRandom().shuffle(ids)
    places = {key: place * SHUFFLE_RANGE // len(ids) for place, key in enumerate(ids)}
    # In the order in which all who change many rows take them.
    session.execute(_MOVE, [{"key": key, "place": places[key]} for key in sorted(places)])
    return len(ids)
