"""Which translations say what the German text said before it was changed. The history of a process tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from participation.audit import AuditEntry
from participation.own_fields import read_fields, variant_texts
from participation.processes.history import ENTITIES, Content, content_of
from participation.processes.operations.texts import TRANSLATED, VARIANT_FIELDS, VariantKey
from participation.processes.queries import texts_in_all_languages, versions_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.processes.models import Process, ProcessVersion

# How many changes are looked at: each holds the whole process. Older ones than these are taken as known.
CHANGES_READ, CHANGES_AT_ONCE = 200, 20
CHECKS_READ = 200


@dataclass(slots=True)
class _Translation:
    """What the history says of one, going back: whether German was another one then, and when it became what it is."""

    is_behind: bool = False
    changed_at: datetime | None = None


def outdated_texts(session: Session, process: Process) -> dict[tuple[str, VariantKey], datetime]:
    """By language and text: when German was changed last, where that was after the translation was written or checked."""
    if session.scalar(texts_in_all_languages(process.id).limit(1)) is None:
        return {}
    content, checked = content_of(session, process), _checks(session, process)
    german, variants = _german(content), content["variants"]
    looked_at = {key: _Translation() for key in variants if _of(key) in german}
    undecided, later = set(looked_at), None
    for version in _newest_first(session, process):
        then, texts = version.content.get("variants", {}), _german(version.content)
        for key in sorted(undecided):
            if then.get(key) != variants[key]:
                # Another one stood there then. It may have been this one before: an earlier version was brought back.
                continue
            one = looked_at[key]
            one.is_behind = texts.get(_of(key)) != german[_of(key)]
            if one.is_behind and one.changed_at is None:
                one.changed_at = later or version.made_at
            if key in checked and version.made_at <= checked[key]:
                undecided.remove(key)
        later = version.made_at
        if not undecided:
            break
    numbers = {(entity, lineage): row["id"] for entity, name in ENTITIES.items() for lineage, row in content[name].items()}
    numbers["process", ""] = process.id
    found = {}
    for key, one in looked_at.items():
        language, entity, lineage, field = key.split("/", 3)
        if one.is_behind and one.changed_at is not None:
            found[language, (entity, numbers[entity, lineage], field)] = one.changed_at
    return found


def _newest_first(session: Session, process: Process) -> Iterator[ProcessVersion]:
    before_id = None
    for _batch in range(0, CHANGES_READ, CHANGES_AT_ONCE):
        rows = session.scalars(versions_of(process.id, before_id).limit(CHANGES_AT_ONCE)).all()
        yield from rows
        if len(rows) < CHANGES_AT_ONCE:
            return
        before_id = rows[-1].id


def _of(key: str) -> str:
    """Which German text a translation is of."""
    return key.partition("/")[2]


def _german(content: Content) -> dict[str, str]:
    rows = [("process", "", content["process"])]
    rows += [(entity, lineage, row) for entity, name in ENTITIES.items() for lineage, row in content.get(name, {}).items()]
    found: dict[str, str] = {}
    for entity, lineage, row in rows:
        texts = {name: row.get(name) for name, _limit in VARIANT_FIELDS[entity]}
        if entity == "phase":
            texts |= {name: entry[0] for name, entry in variant_texts(read_fields(row.get("stored_fields"))).items()}
        found |= {f"{entity}/{lineage}/{name}": wording for name, wording in texts.items() if wording}
    return found


def _checks(session: Session, process: Process) -> dict[str, datetime]:
    """When somebody said last that a translation still fits, as `save_variants` recorded it."""
    found: dict[str, datetime] = {}
    for entry in session.scalars(
        select(AuditEntry).where(AuditEntry.subject_type == "process", AuditEntry.subject_id == process.id,
                                 AuditEntry.action == TRANSLATED)
        .order_by(AuditEntry.id.desc()).limit(CHECKS_READ)
    ):
        for text in entry.details.get("checked", []):
            found.setdefault(f"{entry.details.get('language', '')}/{text}", entry.at)
    return found
