"""What a process says of itself, and who sees it."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sqlalchemy import select, update

from participation import text
from participation.accounts.models import Participant, ParticipantKind
from participation.errors import Checks, Conflict, InvalidInput
from participation.i18n import N_
from participation.permissions import Actor
from participation.processes.history import begin_change, changed, forget_variants, lost_texts
from participation.processes.models import Process, ProcessState
from participation.processes.operations.common import (
    BODY_MAX,
    CONTACT_MAX,
    LABEL_MAX,
    LINE_MAX,
    SLUG_MAX,
    SUMMARY_MAX,
    TITLE_MAX,
    checked_line,
    checked_text,
    move_row,
)
from participation.processes.plausibility import publish_problems
from participation.processes.queries import slug_is_taken
from participation.tokens import hash_token, new_token
from participation.uploads import store_picture

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

PREVIEW_FOR = timedelta(days=14)


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

    The address can be changed until the process was published: printed links must go on working. Raises InvalidInput
    with everything that is wrong.
    """
    begin_change(session, actor, process, now)
    checks = Checks()
    values: dict[str, str] = {}
    for key, read in {
        "title": partial(checked_line, title, "title", TITLE_MAX, N_("Bitte geben Sie dem Verfahren einen Titel.")),
        "summary": partial(checked_text, summary, "summary", SUMMARY_MAX),
        "body": partial(checked_text, body, "body", BODY_MAX),
        "theme_label": partial(checked_line, theme_label, "theme_label", LABEL_MAX),
        "contact": partial(checked_text, contact, "contact", CONTACT_MAX),
        "faq": partial(_checked_questions, faq),
        "attribution": partial(checked_line, attribution, "attribution", LINE_MAX),
        "picture_alt": partial(_checked_description, picture_alt, is_needed=has_new_picture or process.picture_id is not None),
    }.items():
        with checks:
            values[key] = read()
    for message, field in lost_texts(process, values):
        with checks:
            raise InvalidInput(message, field=field)
    if process.published_at is None:
        with checks:
            values["slug"] = _own_slug(session, process, slug, values.get("title", ""))
    checks.done()
    values["theme_label"] = values["theme_label"] or "Thema"
    for key, value in values.items():
        setattr(process, key, value)
    changed(session, actor, process, now, "process_edited")


def _checked_questions(raw: str) -> str:
    found = checked_text(raw, "faq", BODY_MAX)
    if found and not text.questions(found):
        raise InvalidInput(N_("Bitte beginnen Sie jede Frage in einer eigenen Zeile mit # und schreiben Sie die Antwort darunter."),
                           field="faq")
    return found


def _checked_description(raw: str, *, is_needed: bool) -> str:
    """What is to be seen on the picture. Raises InvalidInput."""
    return checked_line(raw, "picture_alt", LINE_MAX, N_(
        "Bitte beschreiben Sie, was auf dem Bild zu sehen ist. Wer es nicht sehen kann, hört diesen Satz.",
    ) if is_needed else "")


def _own_slug(session: Session, process: Process, raw: str, title: str) -> str:
    """The wanted address, or one made from the title. Raises InvalidInput (field "slug") when it is taken."""
    wanted = text.clean_line(raw)
    if not wanted:
        return free_slug(session, process.municipality_id, text.make_slug(title), process.id)
    slug = text.make_slug(wanted)[:SLUG_MAX]
    if slug_is_taken(session, process.municipality_id, slug, process.id):
        raise InvalidInput(
            N_("Diese Adresse hat schon ein anderes Verfahren. Bitte wählen Sie eine andere."), field="slug"
        )
    return slug


def free_slug(session: Session, municipality_id: int, slug: str, own_id: int | None) -> str:
    """An address that no other process of the municipality has."""
    wanted, number = slug, 1
    while slug_is_taken(session, municipality_id, wanted, own_id):
        number += 1
        wanted = f"{slug}-{number}"
    return wanted


def set_picture(
    session: Session, actor: Actor, process: Process, stream: IO[bytes], folder: Path, limit: int, now: datetime
) -> None:
    """Give a process a picture (`limit` in bytes); edit_process has seen to its description. Raises InvalidInput."""
    begin_change(session, actor, process, now)
    process.picture = store_picture(session, folder, process.municipality_id, stream, limit)
    forget_variants(session, process, "process", process.id, "picture_alt")
    changed(session, actor, process, now, "process_picture_set")


def remove_picture(session: Session, actor: Actor, process: Process, now: datetime) -> None:
    """Show the drawing again."""
    begin_change(session, actor, process, now)
    process.picture = None
    process.picture_alt = ""
    forget_variants(session, process, "process", process.id, "picture_alt")
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
    secret = next((phase for phase in process.open_phases(now) if phase.hides_interim_results), None)
    if secret is not None:
        # The archive shows results, and the way back from it opens the vote again.
        raise Conflict(N_("In „%(title)s“ wird noch abgestimmt, und das Ergebnis ist bis zum Ende geheim. Beenden Sie zuerst "
                          "diese Phase."), title=secret.title)
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
    move_row(rows, process, step)
    changed(session, actor, process, now, "process_moved")


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
