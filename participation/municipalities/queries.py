"""Finding municipalities, and the wording of the pages they owe."""

from __future__ import annotations

import time
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sqlalchemy import Select, bindparam, case, or_, select

from participation.audit import AuditEntry
from participation.language import DEFAULT, EASY, VARIANTS, Translated, translated
from participation.municipalities.models import Municipality, MunicipalityKind, MunicipalityPage, PageKind
from participation.tokens import hash_token

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.db import Database


@dataclass(frozen=True, slots=True)
class PageText:
    """The Markdown of an owed page, its places not yet filled; German unless it is `Translated`."""

    body: str
    updated_at: datetime
    is_own: bool
    # The German wording has changed since this one was saved.
    is_behind: bool = False
    has_easy: bool = False

    @property
    def fingerprint(self) -> str:
        """What the form was filled with; the draft counts as nothing written yet."""
        return hash_token(self.body if self.is_own else "")

    @property
    def is_german(self) -> bool:
        """Whether German stands in for the language that was asked for, or was itself asked for."""
        return not isinstance(self.body, Translated)


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
# Whoever gives another host to a municipality sees it after this time at the latest. A visitor can send any host.
KEPT_SECONDS, KEPT_HOSTS = 5.0, 100
_ids: WeakKeyDictionary[Database, dict[str, tuple[int, float]]] = WeakKeyDictionary()
_ID_FOR_HOST = _FOR_HOST.with_only_columns(Municipality.id)


def municipality_for_host(session: Session, host: str) -> Municipality | None:
    """The municipality that answers to a host name, else the installation's default: the first without a host.

    Towns come before their Kreis.
    """
    return session.scalar(_FOR_HOST, {"host": host})


def municipality_id_for_host(database: Database, host: str) -> int | None:
    """Only the id of it, for what needs no more, such as a vote; kept for a moment, as pages are for a host."""
    kept = _ids.setdefault(database, {})
    known, read_at = kept.get(host, (0, -KEPT_SECONDS))
    if time.monotonic() - read_at < KEPT_SECONDS:
        return known
    rows = database.glance(_ID_FOR_HOST, {"host": host})
    if not rows:
        return None
    if len(kept) >= KEPT_HOSTS:
        kept.clear()
    kept[host] = int(rows[0][0]), time.monotonic()
    return kept[host][0]


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


def last_edit(municipality_id: int) -> Select[AuditEntry]:
    """When the form about a municipality was last saved, and by whom."""
    return _last(municipality_id, "municipality_edited")


def last_edit_of_page(municipality_id: int, kind: PageKind, language: str) -> Select[AuditEntry]:
    """When somebody last saved or removed the municipality's own wording of a page, and who."""
    return _last(municipality_id, "page_saved", "page_reset").where(
        AuditEntry.details["page"].as_string() == kind.value, AuditEntry.details["language"].as_string() == language)


def _last(municipality_id: int, *actions: str) -> Select[AuditEntry]:
    return (
        select(AuditEntry)
        .where(AuditEntry.subject_type == "municipality", AuditEntry.subject_id == municipality_id,
               AuditEntry.action.in_(actions))
        .order_by(AuditEntry.id.desc())
        .limit(1)
    )


@lru_cache(maxsize=1)
def draft_pages() -> dict[str, dict[str, str]]:
    """What pages.toml offers for each page, by its address."""
    return tomllib.loads((Path(__file__).parent / "pages.toml").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def draft_variants() -> dict[str, dict[str, str]]:
    """The same in other readings, by reading and address (page_variants.toml)."""
    return tomllib.loads((Path(__file__).parent / "page_variants.toml").read_text(encoding="utf-8"))


def page_text(session: Session, municipality: Municipality, kind: PageKind, reading: str = DEFAULT) -> PageText:
    """A municipality's own wording, or the draft that holds until there is one; German where a reading has none.

    A draft of ours in another language holds only as long as the German one does: a translation of what the
    municipality no longer says would mislead.
    """
    rows = {row.language: row for row in session.scalars(
        own_pages(municipality.id).where(MunicipalityPage.kind == kind))}
    german = rows.get(DEFAULT)
    has_easy = EASY in rows or (german is None and kind.value in draft_variants()[EASY])
    if reading in rows and reading in VARIANTS:
        own = rows[reading]
        return PageText(translated(own.body, reading), own.updated_at, is_own=True,
                        is_behind=german is not None and german.updated_at > own.updated_at, has_easy=has_easy)
    if german is not None:
        return PageText(german.body, german.updated_at, is_own=reading == DEFAULT, has_easy=has_easy)
    draft = draft_variants().get(reading, {}).get(kind.value)
    if draft:
        return PageText(translated(draft.strip(), reading), municipality.created_at, is_own=False, has_easy=has_easy)
    return PageText(draft_pages()[kind.value]["body"].strip(), municipality.created_at, is_own=False, has_easy=has_easy)
