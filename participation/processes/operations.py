"""Creating and changing processes, their phases, themes and documents."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sqlalchemy import exists, func, select, update

from participation import audit, clock, text
from participation.accounts.models import Participant, ParticipantKind
from participation.actions import Action
from participation.errors import Conflict, InvalidInput
from participation.events import NewsPublished, PhaseRulesChanging, PublicFieldsChanged, emit
from participation.formats import FORMATS, PhaseSettings, Results, read_settings, store_settings
from participation.i18n import N_
from participation.language import VARIANTS
from participation.own_fields import (
    FIELDS_MAX,
    OwnField,
    checked_field,
    new_key,
    read_fields,
    store_field,
    variant_texts,
)
from participation.permissions import Actor, require
from participation.processes.history import begin_change, changed, forget_variants, unused
from participation.processes.models import (
    Phase,
    Process,
    ProcessDocument,
    ProcessNews,
    ProcessState,
    TextVariant,
    Theme,
)
from participation.processes.plausibility import publish_problems
from participation.processes.queries import is_referred_to, last_position, news_of, slug_is_taken
from participation.tokens import hash_token, new_token
from participation.uploads import store_document, store_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from participation.municipalities.models import Municipality

TITLE_MAX = 120
SUMMARY_MAX = 500
BODY_MAX = text.MAX_MARKDOWN_LENGTH
CONTACT_MAX = 2000
LINE_MAX = 300
LABEL_MAX = 60
SLUG_MAX = 80
PHASES_MAX = 30
THEMES_MAX = 40
DOCUMENTS_MAX = 100
VAGUE_MAX = 60
PREVIEW_FOR = timedelta(days=14)
TONES = range(8)
FIRST_YEAR, LAST_YEAR = 2000, 2100
# Whoever enters 23:59 means the whole day; its end is stored as the midnight after.
LAST_MINUTE = time(23, 59)
MINUTE = timedelta(minutes=1)


@lru_cache(maxsize=1)
def templates() -> dict[str, dict[str, Any]]:
    """What a new process can be made from, by key: name, question, texts, themes, phases in days from its start."""
    found = tomllib.loads((Path(__file__).parent / "templates.toml").read_text(encoding="utf-8"))
    return {entry["key"]: entry for entry in found["template"]}


def create_from_template(
    session: Session, actor: Actor, municipality: Municipality, now: datetime, *, title: str, summary: str, key: str,
    starts_on: date,
) -> Process:
    """Begin a draft with the phases, themes and texts of a template. Raises InvalidInput."""
    template = templates().get(key)
    if template is None:
        raise InvalidInput(N_("Bitte wählen Sie eine Vorlage aus der Liste."), field="source")
    process = create_process(session, actor, municipality, now, title=title, summary=summary or template["summary"])
    process.body, process.faq = template["body"].strip(), template.get("faq", "").strip()
    process.theme_label = template.get("theme_label", process.theme_label or "Thema")
    for position, theme in enumerate(template.get("theme", [])):
        process.themes.append(Theme(
            slug=text.make_slug(theme["name"], "thema"), name=theme["name"], description=theme.get("description", ""),
            tone=position % len(TONES), position=position))
    for position, phase in enumerate(template["phase"]):
        kind = phase["format"]
        process.phases.append(Phase(
            position=position, format_key=kind, title=phase["title"], body=phase.get("body", "").strip(),
            starts_at=_midnight(starts_on + timedelta(days=phase["first_day"])),
            ends_at=_midnight(starts_on + timedelta(days=phase["last_day"] + 1)),
            stored_settings=store_settings(read_settings(kind, phase.get("settings", {}))),
            stored_fields=[store_field(checked_field(one)) for one in read_fields(
                [{"key": new_key(), **entry} for entry in phase.get("field", [])])]))
    changed(session, actor, process, now, "process_filled")
    return process


def copy_process(
    session: Session, actor: Actor, source: Process, now: datetime, *, title: str, summary: str, starts_on: date
) -> Process:
    """Begin a draft with the texts, themes and phases of another process; its dates move with the first one.

    What people contributed, pictures, documents and news stay where they are. Raises InvalidInput.
    """
    require(actor, Action.EDIT_PROCESS, source, now)
    process = create_process(session, actor, source.municipality, now, title=title, summary=summary or source.summary)
    for name in ("body", "faq", "theme_label", "contact"):
        setattr(process, name, getattr(source, name))
    process.themes = [
        Theme(slug=one.slug, name=one.name, description=one.description, tone=one.tone, position=one.position)
        for one in source.themes
    ]
    known = [instant for one in source.phases if (instant := one.starts_at or one.ends_at) is not None]
    moved = starts_on - clock.to_berlin(min(known)).date() if known else timedelta()
    process.phases = [
        Phase(position=one.position, format_key=one.format_key, title=one.title, body=one.body,
              starts_at=_moved(one.starts_at, moved), ends_at=_moved(one.ends_at, moved),
              stored_settings=dict(one.stored_settings), stored_fields=list(one.stored_fields))
        for one in source.phases
    ]
    changed(session, actor, process, now, "process_filled", source=source.id)
    return process


def _midnight(day: date) -> datetime:
    return clock.from_berlin(datetime.combine(day, time(0, 0)))


def _moved(instant: datetime | None, by: timedelta) -> datetime | None:
    """The same hour in Berlin on another day, whatever summer time does; an hour that is left out becomes the next."""
    if instant is None:
        return None
    wall = clock.to_berlin(instant).replace(tzinfo=None) + by
    try:
        return clock.from_berlin(wall)
    except ValueError:
        return clock.from_berlin(wall + timedelta(hours=1))


def delete_process(session: Session, actor: Actor, process: Process, now: datetime) -> None:
    """Drop a draft that nobody has contributed to. Raises Conflict."""
    require(actor, Action.EDIT_PROCESS, process, now)
    taken_part = session.scalar(select(exists().where(Participant.process_id == process.id)))
    if process.state is not ProcessState.DRAFT or process.published_at is not None or taken_part:
        raise Conflict(N_("Nur ein Entwurf, den noch niemand sonst gesehen hat, lässt sich löschen. Legen Sie das "
                          "Verfahren stattdessen ins Archiv."))
    audit.record(session, at=now, actor=actor.label, action="process_deleted", subject_type="process",
                 subject_id=process.id)
    session.delete(process)
    session.flush()


def make_preview_link(session: Session, actor: Actor, process: Process, now: datetime) -> str:
    """A token that shows the draft to whoever has it, for two weeks; an earlier one dies with it."""
    begin_change(session, actor, process, now)
    token = new_token()
    process.preview_hash, process.preview_until = hash_token(token), now + PREVIEW_FOR
    changed(session, actor, process, now, "process_preview_link_made")
    return token


def end_preview_link(session: Session, actor: Actor, process: Process, now: datetime) -> None:
    """The link shows nothing any more."""
    begin_change(session, actor, process, now)
    process.preview_hash = process.preview_until = None
    changed(session, actor, process, now, "process_preview_link_ended")


# Which texts have variants, with how long they may be.
VARIANT_FIELDS: dict[str, tuple[tuple[str, int], ...]] = {
    "process": (("title", TITLE_MAX), ("summary", SUMMARY_MAX), ("body", BODY_MAX), ("faq", BODY_MAX),
                ("contact", CONTACT_MAX), ("theme_label", LABEL_MAX)),
    "phase": (("title", TITLE_MAX), ("body", BODY_MAX)),
    "theme": (("name", TITLE_MAX), ("description", SUMMARY_MAX)),
    "news": (("title", TITLE_MAX), ("body", BODY_MAX)),
}
# Older news are read by few; their translations stay, but are no longer offered for editing.
TRANSLATED_NEWS = 10
VariantKey = tuple[str, int, str]


def variant_keys(session: Session, process: Process) -> dict[VariantKey, tuple[str, int]]:
    """Every text of a process that can have a variant: the German one, and how long it may be."""
    rows: list[tuple[str, Process | Phase | Theme | ProcessNews]] = [("process", process)]
    rows += [("phase", phase) for phase in process.phases] + [("theme", theme) for theme in process.themes]
    rows += [("news", news) for news in session.scalars(news_of(process.id).limit(TRANSLATED_NEWS))]
    found = {
        (entity, row.id, name): (getattr(row, name), limit)
        for entity, row in rows for name, limit in VARIANT_FIELDS[entity] if getattr(row, name)
    }
    for phase in process.phases:
        found |= {("phase", phase.id, name): entry for name, entry in variant_texts(phase.own_fields).items()}
    return found


def save_variants(
    session: Session, actor: Actor, process: Process, language: str, texts: dict[VariantKey, str], now: datetime
) -> None:
    """Keep the texts of a process in another language; an empty one falls back to German. Raises InvalidInput."""
    begin_change(session, actor, process, now)
    if language not in VARIANTS:
        raise InvalidInput(N_("Diese Sprache gibt es hier nicht."))
    known = variant_keys(session, process)
    kept = []
    for key, raw in texts.items():
        if key not in known:
            continue
        wording = _text(raw, "-".join(map(str, key)), known[key][1])
        if key[2].endswith("-options"):
            wording = "\n".join(line for raw_line in wording.split("\n") if (line := text.clean_line(raw_line)))
            if wording and wording.count("\n") != known[key][0].count("\n"):
                raise InvalidInput(N_("Bitte schreiben Sie jede Antwort in eine eigene Zeile, so viele wie auf Deutsch."),
                                   field="-".join(map(str, key)))
        if wording:
            kept.append(TextVariant(process_id=process.id, entity=key[0], entity_id=key[1], field=key[2],
                                    language=language, text=wording))
    for row in session.scalars(
        select(TextVariant).where(TextVariant.process_id == process.id, TextVariant.language == language)):
        if (row.entity, row.entity_id, row.field) in known:
            session.delete(row)
    session.flush()
    session.add_all(kept)
    changed(session, actor, process, now, "process_translated", language=language)


def save_news(
    session: Session, actor: Actor, process: Process, news: ProcessNews | None, now: datetime, *, title: str, body: str
) -> ProcessNews:
    """Tell something new, or mend what was told. Raises InvalidInput."""
    begin_change(session, actor, process, now)
    name = _line(title, "title", TITLE_MAX, N_("Bitte geben Sie der Neuigkeit eine Überschrift."))
    wording = _text(body, "body", BODY_MAX)
    if not wording:
        raise InvalidInput(N_("Bitte schreiben Sie einen Text."), field="body")
    is_new = news is None
    if news is None:
        news = ProcessNews(process_id=process.id, published_at=now)
        session.add(news)
    news.title, news.body = name, wording
    if is_new:
        emit(session, NewsPublished(process.id, now))
    changed(session, actor, process, now, "process_news_saved")
    return news


def delete_news(session: Session, actor: Actor, process: Process, news: ProcessNews, now: datetime) -> None:
    """Take it down."""
    begin_change(session, actor, process, now)
    forget_variants(session, process, "news", news.id)
    session.delete(news)
    changed(session, actor, process, now, "process_news_deleted")


def create_process(
    session: Session, actor: Actor, municipality: Municipality, now: datetime, *, title: str, summary: str
) -> Process:
    """Begin a draft; its address is made from the title. Raises InvalidInput."""
    require(actor, Action.CREATE_PROCESS, municipality, now)
    name = _line(title, "title", TITLE_MAX, N_("Bitte geben Sie dem Verfahren einen Titel."))
    process = Process(
        municipality=municipality, title=name, slug=_free_slug(session, municipality.id, text.make_slug(name), None),
        summary=_text(summary, "summary", SUMMARY_MAX), state=ProcessState.DRAFT, created_at=now,
        position=last_position(session, municipality.id) + 1, phases=[], themes=[],
    )
    session.add(process)
    changed(session, actor, process, now, "process_created")
    return process


def edit_process(
    session: Session,
    actor: Actor,
    process: Process,
    now: datetime,
    *,
    title: str,
    slug: str,
    summary: str,
    body: str,
    theme_label: str,
    contact: str,
    attribution: str,
    picture_alt: str,
    has_new_picture: bool,
    faq: str = "",
) -> None:
    """Change what a process says of itself.

    The address can be changed until the process was published: printed links must go on working. Raises InvalidInput.
    """
    begin_change(session, actor, process, now)
    name = _line(title, "title", TITLE_MAX, N_("Bitte geben Sie dem Verfahren einen Titel."))
    values = {
        "title": name,
        "summary": _text(summary, "summary", SUMMARY_MAX),
        "body": _text(body, "body", BODY_MAX),
        "theme_label": _line(theme_label, "theme_label", LABEL_MAX) or "Thema",
        "contact": _text(contact, "contact", CONTACT_MAX),
        "faq": _text(faq, "faq", BODY_MAX),
        "attribution": _line(attribution, "attribution", LINE_MAX),
        "picture_alt": _line(picture_alt, "picture_alt", LINE_MAX),
    }
    if values["faq"] and not text.questions(values["faq"]):
        raise InvalidInput(N_("Bitte beginnen Sie jede Frage in einer eigenen Zeile mit # und schreiben Sie die Antwort darunter."),
                           field="faq")
    if (has_new_picture or process.picture_id is not None) and not values["picture_alt"]:
        raise InvalidInput(
            N_("Bitte beschreiben Sie, was auf dem Bild zu sehen ist. Wer es nicht sehen kann, hört diesen Satz."),
            field="picture_alt",
        )
    if process.published_at is None:
        values["slug"] = _own_slug(session, process, slug, name)
    for key, value in values.items():
        setattr(process, key, value)
    changed(session, actor, process, now, "process_edited")


def set_picture(
    session: Session, actor: Actor, process: Process, stream: IO[bytes], folder: Path, limit: int, now: datetime
) -> None:
    """Give a process a picture (`limit` in bytes); edit_process has seen to its description. Raises InvalidInput."""
    begin_change(session, actor, process, now)
    process.picture = store_picture(session, folder, process.municipality_id, stream, limit)
    changed(session, actor, process, now, "process_picture_set")


def remove_picture(session: Session, actor: Actor, process: Process, now: datetime) -> None:
    """Show the drawing again."""
    begin_change(session, actor, process, now)
    process.picture = None
    process.picture_alt = ""
    changed(session, actor, process, now, "process_picture_removed")


def publish_process(session: Session, actor: Actor, process: Process, now: datetime) -> None:
    """Let everybody see it; from draft, or back from the archive. Raises InvalidInput with the first problem."""
    begin_change(session, actor, process, now)
    if process.state is ProcessState.PUBLISHED:
        raise Conflict(N_("Das Verfahren ist schon veröffentlicht."))
    problems = publish_problems(process, now)
    if problems:
        raise InvalidInput(problems[0])
    process.state = ProcessState.PUBLISHED
    process.published_at = process.published_at or now
    changed(session, actor, process, now, "process_published")


def archive_process(session: Session, actor: Actor, process: Process, now: datetime) -> None:
    """End it: everything stays readable, nothing can be added."""
    begin_change(session, actor, process, now)
    if process.state is not ProcessState.PUBLISHED:
        raise Conflict(N_("Nur ein veröffentlichtes Verfahren kann ins Archiv."))
    process.state = ProcessState.ARCHIVED
    changed(session, actor, process, now, "process_archived")


def move_process(session: Session, actor: Actor, process: Process, step: int, now: datetime) -> None:
    """Let it stand earlier (step -1) or later (+1) on the home page and in lists."""
    begin_change(session, actor, process, now)
    rows = list(
        session.scalars(
            select(Process).where(Process.municipality_id == process.municipality_id)
            .order_by(Process.position, Process.id)
        )
    )
    _move(rows, process, step)
    changed(session, actor, process, now, "process_moved")


def read_wall(wall: datetime | None, field: str) -> datetime | None:
    """The instant of a wall-clock time in Berlin. Raises InvalidInput for the hour that summer time leaves out."""
    if wall is None:
        return None
    if not FIRST_YEAR <= wall.year <= LAST_YEAR:
        raise InvalidInput(
            N_("Bitte prüfen Sie das Jahr: %(year)s liegt nicht zwischen %(first)s und %(last)s."),
            field=field, year=str(wall.year), first=str(FIRST_YEAR), last=str(LAST_YEAR),
        )
    try:
        return clock.from_berlin(wall)
    except ValueError as error:
        raise InvalidInput(
            N_(
                "Diese Uhrzeit gibt es nicht: Am %(day)s werden die Uhren von 2 auf 3 Uhr vorgestellt. Bitte wählen Sie 3:00 Uhr oder später."
            ),
            field=field, day=wall.date(),
        ) from error


def read_end(wall: datetime | None) -> datetime | None:
    """The first instant that is over: 23:59 means the whole day, every other time itself. Raises as `read_wall`."""
    instant = read_wall(wall, "ends_at")
    if instant is not None and wall is not None and (wall.hour, wall.minute) == (LAST_MINUTE.hour, LAST_MINUTE.minute):
        return instant.replace(second=0) + MINUTE
    return instant


def shown_start(starts_at: datetime | None) -> datetime | None:
    """The wall-clock time to show for a start."""
    return None if starts_at is None else clock.to_berlin(starts_at).replace(tzinfo=None)


def shown_end(ends_at: datetime | None) -> datetime | None:
    """The wall-clock time to show for an end: midnight as 23:59 of the day before, so that the day is the last one."""
    if ends_at is None:
        return None
    wall = clock.to_berlin(ends_at).replace(tzinfo=None)
    return wall - MINUTE if wall.time() == time(0, 0) else wall


def save_phase(
    session: Session,
    actor: Actor,
    process: Process,
    phase: Phase | None,
    now: datetime,
    *,
    format_key: str,
    title: str,
    body: str,
    vague_dates: str = "",
    starts_at: datetime | None,
    ends_at: datetime | None,
    settings: PhaseSettings,
) -> Phase:
    """Add a phase, or change one. `starts_at` and `ends_at` are wall-clock times in Berlin without zone.

    Raises InvalidInput for times that do not exist or contradict each other, and for settings out of range; Conflict
    when people have voted by other rules.
    """
    begin_change(session, actor, process, now)
    if format_key not in FORMATS or not isinstance(settings, FORMATS[format_key].settings):
        raise InvalidInput(N_("Bitte wählen Sie ein Format aus der Liste."), field="format_key")
    name = _line(title, "title", TITLE_MAX, N_("Bitte geben Sie der Phase einen Titel."))
    wording = _text(body, "body", BODY_MAX)
    start, end = read_wall(starts_at, "starts_at"), read_end(ends_at)
    if start is not None and end is not None and end <= start:
        raise InvalidInput(
            N_("Das Ende liegt vor dem Beginn. Bitte wählen Sie ein späteres Ende."), field="ends_at"
        )
    stored = _stored_settings(settings)
    if end is None and getattr(settings, "results", None) is Results.AFTER:
        raise InvalidInput(
            N_("Ohne Ende kämen die Ergebnisse nie. Bitte geben Sie ein Ende an, oder zeigen Sie sie sofort."),
            field="ends_at",
        )
    is_new = phase is None
    if phase is None:
        if len(process.phases) >= PHASES_MAX:
            raise InvalidInput(N_("Mehr als %(limit)s Phasen sind nicht möglich."), limit=PHASES_MAX)
        phase = Phase(position=len(process.phases))
        process.phases.append(phase)
    elif (phase.format_key, phase.settings) != (format_key, settings):
        emit(session, PhaseRulesChanging(phase.id, phase.settings, settings))
    phase.format_key, phase.title, phase.body = format_key, name, wording
    phase.starts_at, phase.ends_at, phase.stored_settings = start, end, stored
    phase.vague_dates = _line(vague_dates, "vague_dates", VAGUE_MAX)
    session.flush()
    changed(session, actor, process, now, "phase_added" if is_new else "phase_edited", phase=phase.id)
    return phase


def save_own_field(
    session: Session, actor: Actor, phase: Phase, one: OwnField, now: datetime, *, is_new: bool
) -> None:
    """Add a field to the form of a phase, or reword one; its key and its kind stay. Raises InvalidInput."""
    begin_change(session, actor, phase.process, now)
    if Action.SUBMIT_PROPOSAL not in phase.format.opens:
        raise InvalidInput(N_("In dieser Phase reicht niemand etwas ein."))
    rows = list(phase.own_fields)
    if is_new and len(rows) >= FIELDS_MAX:
        raise InvalidInput(N_("Mehr als %(limit)s eigene Felder sind nicht möglich."), limit=FIELDS_MAX)
    kept = checked_field(one)
    if any(other.label.casefold() == kept.label.casefold() and other.key != kept.key for other in rows):
        raise InvalidInput(N_("Danach fragt schon ein anderes Feld."), field="label")
    rows = [*rows, kept] if is_new else [kept if other.key == kept.key else other for other in rows]
    _keep_fields(session, actor, phase, rows, now, "own_field_added" if is_new else "own_field_edited")


def move_own_field(session: Session, actor: Actor, phase: Phase, key: str, step: int, now: datetime) -> None:
    """Let it stand earlier (step -1) or later (+1) in the form."""
    begin_change(session, actor, phase.process, now)
    rows = list(phase.own_fields)
    place = next(number for number, one in enumerate(rows) if one.key == key)
    target = place + (1 if step > 0 else -1)
    if 0 <= target < len(rows):
        rows[place], rows[target] = rows[target], rows[place]
    _keep_fields(session, actor, phase, rows, now, "own_field_moved")


def delete_own_field(session: Session, actor: Actor, phase: Phase, key: str, now: datetime) -> None:
    """Ask for it no more. What was answered stays with the administration, and comes back with the field."""
    begin_change(session, actor, phase.process, now)
    rows = [one for one in phase.own_fields if one.key != key]
    _keep_fields(session, actor, phase, rows, now, "own_field_deleted")


def _keep_fields(session: Session, actor: Actor, phase: Phase, rows: Sequence[OwnField], now: datetime, action: str) -> None:
    shown = {one.key for one in phase.own_fields if one.is_public}
    phase.stored_fields = [store_field(one) for one in rows]
    if shown != {one.key for one in rows if one.is_public}:
        emit(session, PublicFieldsChanged(phase.id, now))
    changed(session, actor, phase.process, now, action, phase=phase.id)


def move_phase(session: Session, actor: Actor, phase: Phase, step: int, now: datetime) -> None:
    """Let it stand earlier (step -1) or later (+1) in the timeline."""
    begin_change(session, actor, phase.process, now)
    _move(phase.process.phases, phase, step)
    changed(session, actor, phase.process, now, "phase_moved", phase=phase.id)


def delete_phase(session: Session, actor: Actor, phase: Phase, now: datetime) -> None:
    """Take a phase away. Raises Conflict when contributions came in during it."""
    process = phase.process
    begin_change(session, actor, process, now)
    if is_referred_to(session, phase):
        raise Conflict(N_("In dieser Phase gibt es schon Beiträge. Beenden Sie sie, statt sie zu löschen."))
    if process.state is ProcessState.PUBLISHED and len(process.phases) == 1:
        raise Conflict(N_("Ein veröffentlichtes Verfahren braucht mindestens eine Phase."))
    number = phase.id
    emit(session, PhaseRulesChanging(number, phase.settings, None))
    process.phases.remove(phase)
    forget_variants(session, process, "phase", number)
    changed(session, actor, process, now, "phase_deleted", phase=number)


def save_theme(
    session: Session,
    actor: Actor,
    process: Process,
    theme: Theme | None,
    now: datetime,
    *,
    name: str,
    description: str,
    tone: int,
) -> Theme:
    """Add a theme, or rename one; its address stays, so that links go on working. Raises InvalidInput."""
    begin_change(session, actor, process, now)
    wanted = _line(name, "name", TITLE_MAX, N_("Bitte geben Sie dem Thema einen Namen."))
    wording = _text(description, "description", SUMMARY_MAX)
    if any(one.name.casefold() == wanted.casefold() and one is not theme for one in process.themes):
        raise InvalidInput(N_("Dieses Thema gibt es schon. Bitte wählen Sie einen anderen Namen."), field="name")
    if tone not in TONES:
        raise InvalidInput(N_("Bitte wählen Sie eine Farbe aus der Liste."), field="tone")
    is_new = theme is None
    if theme is None:
        if len(process.themes) >= THEMES_MAX:
            raise InvalidInput(N_("Mehr als %(limit)s Themen sind nicht möglich."), field="name", limit=THEMES_MAX)
        taken = {one.slug for one in process.themes}
        theme = Theme(slug=unused(text.make_slug(wanted, "thema"), taken), position=len(process.themes))
        process.themes.append(theme)
    theme.name, theme.description, theme.tone = wanted, wording, tone
    session.flush()
    changed(session, actor, process, now, "theme_added" if is_new else "theme_edited", theme=theme.id)
    return theme


def move_theme(session: Session, actor: Actor, theme: Theme, step: int, now: datetime) -> None:
    """Let it stand earlier (step -1) or later (+1)."""
    begin_change(session, actor, theme.process, now)
    _move(theme.process.themes, theme, step)
    changed(session, actor, theme.process, now, "theme_moved", theme=theme.id)


def delete_theme(session: Session, actor: Actor, theme: Theme, now: datetime) -> None:
    """Take a theme away. Raises Conflict when anything stands under it, published or not."""
    process = theme.process
    begin_change(session, actor, process, now)
    if is_referred_to(session, theme):
        raise Conflict(N_("Unter diesem Thema stehen Beiträge oder Maßnahmen. Sie können es umbenennen."))
    number = theme.id
    process.themes.remove(theme)
    forget_variants(session, process, "theme", number)
    changed(session, actor, process, now, "theme_deleted", theme=number)


def add_document(
    session: Session,
    actor: Actor,
    process: Process,
    now: datetime,
    *,
    title: str,
    stream: IO[bytes],
    file_name: str,
    folder: Path,
    limit: int,
) -> ProcessDocument:
    """Put a document up (`limit` in bytes). Raises InvalidInput (fields "title", "document")."""
    begin_change(session, actor, process, now)
    name = _line(title, "title", TITLE_MAX, N_("Bitte geben Sie an, wie das Dokument heißt."))
    number = session.scalar(select(func.count(ProcessDocument.id)).where(ProcessDocument.process_id == process.id)) or 0
    if number >= DOCUMENTS_MAX:
        raise InvalidInput(
            N_("Mehr als %(limit)s Dokumente sind nicht möglich."), field="document", limit=DOCUMENTS_MAX
        )
    upload = store_document(session, folder, process.municipality_id, stream, file_name, limit)
    document = ProcessDocument(process_id=process.id, upload=upload, title=name, position=number)
    session.add(document)
    session.flush()
    changed(session, actor, process, now, "document_added", document=document.id)
    return document


def move_document(session: Session, actor: Actor, process: Process, document: ProcessDocument, step: int, now: datetime) -> None:
    """Let it stand earlier (step -1) or later (+1)."""
    begin_change(session, actor, process, now)
    _move(process.documents, document, step)
    changed(session, actor, process, now, "document_moved", document=document.id)


def delete_document(
    session: Session, actor: Actor, process: Process, document: ProcessDocument, now: datetime
) -> None:
    """Take a document down; its address answers 404 from the next request on."""
    begin_change(session, actor, process, now)
    number = document.id
    session.delete(document)
    changed(session, actor, process, now, "document_deleted", document=number)


def _stored_settings(settings: PhaseSettings) -> dict[str, object]:
    """Settings as they are stored. Raises InvalidInput (field "setting_<name>") for a number out of range."""
    stored = store_settings(settings)
    for entry in fields(settings):
        value = stored[entry.name]
        low, high = entry.metadata["low"], entry.metadata["high"]
        if isinstance(entry.default, int) and not isinstance(entry.default, bool) and not low <= value <= high:
            raise InvalidInput(
                N_("Bitte geben Sie eine ganze Zahl von %(low)s bis %(limit)s an."),
                field=f"setting_{entry.name}", low=low, limit=high,
            )
        if isinstance(entry.default, str):
            stored[entry.name] = _line(value, f"setting_{entry.name}", LINE_MAX)
    contradiction = settings.contradiction()
    if contradiction is not None:
        raise InvalidInput(contradiction[1], field=f"setting_{contradiction[0]}")
    return stored


def _line(raw: str, field: str, limit: int, missing: str = "") -> str:
    value = text.clean_line(raw)
    if missing and not value:
        raise InvalidInput(missing, field=field)
    return _not_longer(value, field, limit)


def _text(raw: str, field: str, limit: int) -> str:
    return _not_longer(text.clean_text(raw), field, limit)


def _not_longer(value: str, field: str, limit: int) -> str:
    if len(value) > limit:
        raise InvalidInput(
            N_("Der Text ist zu lang: %(length)s Zeichen. Möglich sind %(limit)s."),
            field=field, length=len(value), limit=limit,
        )
    return value


def _own_slug(session: Session, process: Process, raw: str, title: str) -> str:
    """The wanted address, or one made from the title. Raises InvalidInput (field "slug") when it is taken."""
    wanted = text.clean_line(raw)
    if not wanted:
        return _free_slug(session, process.municipality_id, text.make_slug(title), process.id)
    slug = text.make_slug(wanted)[:SLUG_MAX]
    if slug_is_taken(session, process.municipality_id, slug, process.id):
        raise InvalidInput(
            N_("Diese Adresse hat schon ein anderes Verfahren. Bitte wählen Sie eine andere."), field="slug"
        )
    return slug


def _free_slug(session: Session, municipality_id: int, slug: str, own_id: int | None) -> str:
    wanted, number = slug, 1
    while slug_is_taken(session, municipality_id, wanted, own_id):
        number += 1
        wanted = f"{slug}-{number}"
    return wanted


Placed = Process | Phase | Theme | ProcessDocument


def _move(
    rows: Sequence[Process] | Sequence[Phase] | Sequence[Theme] | Sequence[ProcessDocument], row: Placed, step: int
) -> None:
    """Swap with the neighbour and number anew; at the end of the row nothing happens."""
    ordered: list[Placed] = sorted(rows, key=lambda one: (one.position, one.id))
    place = ordered.index(row)
    target = place + (1 if step > 0 else -1)
    if 0 <= target < len(ordered):
        ordered[place], ordered[target] = ordered[target], ordered[place]
    for number, one in enumerate(ordered):
        one.position = number


def forget_guest_addresses(session: Session) -> int:
    """Remove the e-mail addresses of guests from archived processes; returns how many.

    The privacy notice promises it: they serve for news about a contribution, and there is none any more.
    """
    gone = session.scalars(
        update(Participant)
        .where(
            Participant.kind == ParticipantKind.GUEST, Participant.contact_sealed.is_not(None),
            Participant.process_id.in_(select(Process.id).where(Process.state == ProcessState.ARCHIVED)),
        )
        .values(contact_sealed=None)
        .returning(Participant.id)
        .execution_options(synchronize_session=False)
    ).all()
    return len(gone)
