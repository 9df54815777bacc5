"""What a process was after every change of its editors, and the way back to any of it.

A row keeps its lineage when it is deleted and comes back: numbers say nothing of it, SQLite gives them again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select

from participation import audit, text
from participation.actions import Action
from participation.errors import Conflict
from participation.events import PhaseRulesChanging, PublicFieldsChanged, emit
from participation.formats import BallotRule, read_settings
from participation.i18n import N_
from participation.municipalities.operations import raise_content_version
from participation.permissions import Actor, require
from participation.processes.models import (
    Phase,
    PhaseState,
    Process,
    ProcessDocument,
    ProcessNews,
    ProcessState,
    ProcessVersion,
    TextVariant,
    Theme,
)
from participation.processes.queries import (
    documents_of,
    news_of,
    referred_ids,
    slug_is_taken,
    texts_in_all_languages,
    versions_of,
)
from participation.tokens import hash_token
from participation.uploads import Upload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

Row = Phase | Theme | ProcessDocument | ProcessNews
Content = dict[str, Any]
KEPT_OF_PROCESS = ("title", "summary", "body", "theme_label", "contact", "attribution", "faq", "picture_id", "picture_alt",
                   "slug")


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of a process that come and go: what is kept of each, and the column that names it to people."""

    model: type[Row]
    kept: tuple[str, ...]
    name: str
    rows: Callable[[Session, Process], Sequence[Row]]
    # People may have used it meanwhile: then it stays.
    may_be_held: bool = False


GROUPS: dict[str, Group] = {
    "phases": Group(Phase, ("title", "body", "format_key", "stored_settings", "stored_fields", "vague_dates", "starts_at",
                            "ends_at", "position"), "title", lambda _session, process: process.phases, may_be_held=True),
    "themes": Group(Theme, ("name", "description", "tone", "slug", "position"), "name",
                    lambda _session, process: process.themes, may_be_held=True),
    "documents": Group(ProcessDocument, ("title", "upload_id", "position"), "title",
                       lambda session, process: session.scalars(documents_of(process.id)).all()),
    "news": Group(ProcessNews, ("title", "body", "published_at"), "title",
                  lambda session, process: session.scalars(news_of(process.id)).all()),
}
# Without these no process becomes public.
OBLIGATORY = {
    "summary": N_("Es fehlt die Kurzbeschreibung. Sie steht auf der Startseite."),
    "body": N_("Es fehlt der Text, worum es geht."),
}
DATES = ("starts_at", "ends_at", "vague_dates")
# Texts in other languages belong to the process itself or to one of these.
ENTITIES = {"phase": "phases", "theme": "themes", "document": "documents", "news": "news"}


def content_of(session: Session, process: Process) -> Content:
    """Everything that editors can change, ready for JSON; rows by their lineage."""
    rows = {name: group.rows(session, process) for name, group in GROUPS.items()}
    lineages = {(entity, row.id): row.lineage for entity, name in ENTITIES.items() for row in rows[name]}
    lineages["process", process.id] = ""
    variants = {
        "/".join((one.language, one.entity, lineages[one.entity, one.entity_id], one.field)): {"text": one.text}
        for one in session.scalars(texts_in_all_languages(process.id)) if (one.entity, one.entity_id) in lineages
    }
    content = {
        "process": {name: getattr(process, name) for name in KEPT_OF_PROCESS},
        **{name: {row.lineage: {key: _written(getattr(row, key)) for key in ("id", *group.kept)} for row in rows[name]}
           for name, group in GROUPS.items()},
        "variants": variants,
    }
    found: Content = json.loads(json.dumps(content))
    return found


def lineages_of(session: Session, process: Process) -> dict[tuple[str, int], str]:
    """The lineage of everything that has texts in other languages, by kind and number; the process itself has none."""
    return {("process", process.id): ""} | {
        (entity, row.id): row.lineage for entity, name in ENTITIES.items() for row in GROUPS[name].rows(session, process)}


def _written(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _read(name: str, value: Any) -> Any:  # noqa: ANN401 - any column
    return datetime.fromisoformat(value) if name.endswith("_at") and value is not None else value


def begin_change(session: Session, actor: Actor, process: Process, now: datetime) -> None:
    """Whoever may edit goes on; what a process was before its first recorded change is kept too."""
    require(actor, Action.EDIT_PROCESS, process, now)
    if session.scalar(versions_of(process.id).limit(1)) is None:
        session.flush()
        session.add(ProcessVersion(process_id=process.id, action="before_first_change", made_by="", made_at=now,
                                   content=content_of(session, process)))
        session.flush()


def changed(session: Session, actor: Actor, process: Process, now: datetime, action: str, **details: object) -> None:
    """Every change ends here: kept in the history, told to cached pages, written into the audit log."""
    session.flush()
    content, last = content_of(session, process), session.scalar(versions_of(process.id).limit(1))
    if last is None or last.content != content:
        session.add(ProcessVersion(process_id=process.id, action=action, made_by=actor.display_name, made_at=now,
                                   content=content))
    raise_content_version(session, process.municipality_id)
    audit.record(
        session, at=now, actor=actor.label, action=action, subject_type="process", subject_id=process.id, **details
    )


def fingerprint(row: Process | Row | None) -> str:
    """What a form was filled with: who sends it back can be told that somebody else saved meanwhile."""
    if row is None:
        return ""
    kept = KEPT_OF_PROCESS if isinstance(row, Process) else next(
        group.kept for group in GROUPS.values() if isinstance(row, group.model))
    values = {name: _written(getattr(row, name)) for name in kept if name not in {"position", "picture_id"}}
    return hash_token(json.dumps(values, sort_keys=True))


def refuse_overwriting(session: Session, process: Process, seen: str, current: str) -> None:
    """Raises Conflict when what a form showed (`seen`, as a fingerprint) is not what is stored any more."""
    if seen in {"", current}:
        return
    last = session.scalar(versions_of(process.id).limit(1))
    raise Conflict(
        N_("Inzwischen hat %(name)s hier etwas gespeichert. Ihre Eingaben stehen noch da, sind aber nicht gespeichert. "
           "Sehen Sie unter „Verlauf“ nach, was anders ist. Speichern Sie dann noch einmal, gelten Ihre Eingaben."),
        name=last.made_by if last else "",
    )


@dataclass(slots=True)
class Effect:
    """What going back would do, as (group, name): what goes, what returns, and what stays because people use it."""

    goes: list[tuple[str, str]] = field(default_factory=list)
    returns: list[tuple[str, str]] = field(default_factory=list)
    stays: list[tuple[str, str]] = field(default_factory=list)
    # Phases whose dates stay as they are, since people have voted until then.
    dates: list[tuple[str, str]] = field(default_factory=list)


def held_rows(session: Session, content: Content) -> set[tuple[str, str]]:
    """(group, lineage) of what something stands under that editors can't take away. As many queries for any number."""
    found: set[tuple[str, str]] = set()
    for name, group in GROUPS.items():
        if group.may_be_held:
            held = referred_ids(session, group.model, [row["id"] for row in content[name].values()])
            found |= {(name, lineage) for lineage, row in content[name].items() if row["id"] in held}
    return found


def effect_of(
    process: Process, current: Content, wanted: Content, held: set[tuple[str, str]], now: datetime
) -> Effect:
    """What going back from the state of a process to another would do."""
    effect = Effect(dates=[("phases", phase.title) for phase in process.phases if phase.lineage in wanted["phases"]
                           and _dates_stay(phase, wanted["phases"][phase.lineage], now)])
    for name, group in GROUPS.items():
        here: Content = current[name]
        there: Content = wanted.get(name, here)
        for lineage in here.keys() - there.keys():
            target = effect.stays if (name, lineage) in held else effect.goes
            target.append((name, here[lineage][group.name]))
        effect.returns += [(name, there[lineage][group.name]) for lineage in there.keys() - here.keys()]
    for part in (effect.goes, effect.returns, effect.stays):
        part.sort()
    return effect


def _dates_stay(phase: Phase, wanted: Content, now: datetime) -> bool:
    """Whether other dates would let a vote go on after its end, or change while people vote what belongs to it."""
    if phase.ballot is None or phase.process.published_at is None:
        return False
    before = {name: _read(name, wanted[name]) for name in DATES if name in wanted}
    is_other = any(getattr(phase, name) != value for name, value in before.items())
    then = Phase(**({name: getattr(phase, name) for name in DATES} | before)).state(now)
    is_open = phase.state(now) is PhaseState.OPEN
    # Supports belong to a vote by when they were given.
    begins_elsewhere = phase.ballot is BallotRule.SUPPORT and before.get("starts_at", phase.starts_at) != phase.starts_at
    return is_other and (phase.vote_is_over(now) or (is_open and (then is not PhaseState.OPEN or begins_elsewhere)))


def lost_texts(process: Process, values: Content) -> list[tuple[str, str]]:
    """What a public process says of itself and would not with these texts any more, as (German message, its name)."""
    return [(message, name) for name, message in OBLIGATORY.items() if process.state is ProcessState.PUBLISHED
            and getattr(process, name) and not values.get(name, getattr(process, name))]


def restore_version(
    session: Session, actor: Actor, process: Process, version: ProcessVersion, now: datetime
) -> Effect:
    """Everything as it was after an earlier change; itself a change that can be undone.

    What was deleted since comes back, what was added since goes, unless people have used it. Raises Conflict when
    people have voted by other rules, or when a published process would be left without a phase or without its texts.
    """
    begin_change(session, actor, process, now)
    before = content_of(session, process)
    held = held_rows(session, before)
    effect = effect_of(process, before, version.content, held, now)
    if process.state is ProcessState.PUBLISHED and not version.content["phases"] and not any(
        name == "phases" for name, _lineage in held
    ):
        raise Conflict(N_("Ein veröffentlichtes Verfahren braucht mindestens eine Phase."))
    if lost_texts(process, version.content["process"]):
        raise Conflict(N_("In diesem Stand fehlt die Kurzbeschreibung oder der Text, worum es geht. Ein veröffentlichtes "
                          "Verfahren braucht beides."))
    _restore_texts(session, process, version.content["process"])
    numbers: dict[tuple[str, str], int] = {}
    for name, group in GROUPS.items():
        if name in version.content:
            _restore_rows(session, process, group, version.content[name], {one for kind, one in held if kind == name}, now)
        session.flush()
        session.expire(process, ["phases", "themes", "documents"])
        numbers |= {(name, row.lineage): row.id for row in group.rows(session, process)}
    if "variants" in version.content:
        numbers["process", ""] = process.id
        kept = {key: one for key, one in before["variants"].items() if _owner(key) in held}
        _restore_variants(session, process, kept | version.content["variants"], numbers)
    changed(session, actor, process, now, "process_restored", version=version.id)
    return effect


def _restore_texts(session: Session, process: Process, values: Content) -> None:
    for name, value in values.items():
        # The address holds once people know it.
        is_fixed = name == "slug" and (
            process.published_at is not None or slug_is_taken(session, process.municipality_id, value, process.id))
        is_lost = name == "picture_id" and value is not None and session.get(Upload, value) is None
        if not is_fixed and not is_lost:
            setattr(process, name, value)


def _restore_rows(
    session: Session, process: Process, group: Group, wanted: Content, held: set[str], now: datetime
) -> None:
    there = {row.lineage: row for row in group.rows(session, process)}
    for lineage, row in there.items():
        if lineage not in wanted and lineage not in held:
            if isinstance(row, Phase):
                emit(session, PhaseRulesChanging(row.id, row.settings, None))
            session.delete(row)
    session.flush()
    taken = {row.slug for row in there.values() if isinstance(row, Theme)}
    for lineage, values in wanted.items():
        known = there.get(lineage)
        back = known or _returning(session, process, group, lineage, values, taken)
        if back is None:
            continue
        if isinstance(known, Phase):
            emit(session, PhaseRulesChanging(known.id, known.settings,
                                             read_settings(values["format_key"], values["stored_settings"])))
        if isinstance(known, Phase) and known.stored_fields != values.get("stored_fields", known.stored_fields):
            emit(session, PublicFieldsChanged(known.id, now))
        stay = DATES if isinstance(known, Phase) and _dates_stay(known, values, now) else ()
        for name in group.kept:
            if name in values and name != "slug" and name not in stay:
                setattr(back, name, _read(name, values[name]))
        session.add(back)


def _returning(
    session: Session, process: Process, group: Group, lineage: str, values: Content, taken: set[str]
) -> Row | None:
    """A row that was deleted, under its old number where that is free; None for a document whose file is gone."""
    if group.model is ProcessDocument and session.get(Upload, values["upload_id"]) is None:
        return None
    row = group.model(lineage=lineage, process_id=process.id)
    if "id" in values and session.get(group.model, values["id"]) is None:
        # Links to it go on working.
        row.id = values["id"]
    if isinstance(row, Theme):
        row.slug = unused(values.get("slug") or text.make_slug(values["name"], "thema"), taken)
        taken.add(row.slug)
    return row


def _owner(key: str) -> tuple[str, str]:
    _language, entity, lineage, _field = key.split("/", 3)
    return ENTITIES.get(entity, entity), lineage


def _restore_variants(
    session: Session, process: Process, wanted: Content, numbers: dict[tuple[str, str], int]
) -> None:
    session.execute(delete(TextVariant).where(TextVariant.process_id == process.id))
    for key, values in wanted.items():
        language, entity, _lineage, name = key.split("/", 3)
        number = numbers.get(_owner(key))
        if number is not None:
            session.add(TextVariant(process_id=process.id, entity=entity, entity_id=number, field=name,
                                    language=language, text=values["text"]))


def unused(slug: str, taken: set[str]) -> str:
    """The address, or the next one with a number that nothing else has."""
    wanted, number = slug, 1
    while wanted in taken:
        number += 1
        wanted = f"{slug}-{number}"
    return wanted


def forget_variants(session: Session, process: Process, entity: str, number: int, field: str | None = None) -> None:
    """A part of it is gone; whatever gets its number next must not inherit its texts.

    Or only one of them, where the old wording would tell something wrong beside a new German one.
    """
    statement = delete(TextVariant).where(TextVariant.process_id == process.id, TextVariant.entity == entity,
                                          TextVariant.entity_id == number)
    session.execute(statement if field is None else statement.where(TextVariant.field == field))


def version_of(session: Session, process: Process, version_id: int) -> ProcessVersion | None:
    """A state of this process and no other."""
    return session.scalar(select(ProcessVersion).where(ProcessVersion.id == version_id,
                                                       ProcessVersion.process_id == process.id))
