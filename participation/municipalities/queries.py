"""Finding municipalities, and the wording of the pages they owe."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Select, bindparam, case, or_, select

from participation.municipalities.models import Municipality, MunicipalityKind, MunicipalityPage, PageKind

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.db import Database


@dataclass(frozen=True, slots=True)
class PageText:
    """The Markdown of an owed page, its places not yet filled."""

    body: str
    updated_at: datetime
    is_own: bool


# Built once: it runs in nearly every request.
_FOR_HOST = (
    select(Municipality)
    .where(or_(Municipality.host == bindparam("host"), Municipality.host.is_(None)))
    .order_by(
        case((Municipality.host == bindparam("host"), 0), else_=1),
        case((Municipality.kind == MunicipalityKind.TOWN, 0), else_=1),
        Municipality.id,
    )
    .limit(1)
)
_ID_FOR_HOST = _FOR_HOST.with_only_columns(Municipality.id)


def municipality_for_host(session: Session, host: str) -> Municipality | None:
    """The municipality that answers to a host name, else the installation's default: the first without a host.

    Towns come before their Kreis.
    """
    return session.scalar(_FOR_HOST, {"host": host})


def municipality_id_for_host(database: Database, host: str) -> int | None:
    """Only the id of it, for what needs no more, such as a vote."""
    rows = database.glance(_ID_FOR_HOST, {"host": host})
    return int(rows[0][0]) if rows else None


def municipality_by_ags(ags: str) -> Select[Municipality]:
    """The municipality with this Amtlicher Gemeindeschlüssel."""
    return select(Municipality).where(Municipality.ags == ags)


def towns_of(kreis_id: int) -> Select[Municipality]:
    """The towns of a Kreis that answer to a host name of their own, by name."""
    return (
        select(Municipality)
        .where(Municipality.parent_id == kreis_id, Municipality.host.is_not(None))
        .order_by(Municipality.name)
    )


def own_pages(municipality_id: int) -> Select[MunicipalityPage]:
    """The pages that a municipality has worded itself."""
    return select(MunicipalityPage).where(MunicipalityPage.municipality_id == municipality_id)


@lru_cache(maxsize=1)
def draft_pages() -> dict[str, dict[str, str]]:
    """What pages.toml offers for each page, by its address."""
    return tomllib.loads((Path(__file__).parent / "pages.toml").read_text(encoding="utf-8"))


def page_text(session: Session, municipality: Municipality, kind: PageKind) -> PageText:
    """The municipality's own wording, or the draft that holds until there is one."""
    own = session.scalar(own_pages(municipality.id).where(MunicipalityPage.kind == kind))
    if own is not None:
        return PageText(own.body, own.updated_at, is_own=True)
    return PageText(draft_pages()[kind.value]["body"].strip(), municipality.created_at, is_own=False)
