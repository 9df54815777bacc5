"""The themes of a process."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from participation import text
from participation.errors import Checks, Conflict, InvalidInput
from participation.i18n import N_
from participation.permissions import Actor
from participation.processes.history import begin_change, changed, forget_variants, unused
from participation.processes.models import Process, Theme
from participation.processes.operations.common import (
    SUMMARY_MAX,
    THEMES_MAX,
    TITLE_MAX,
    TONES,
    checked_line,
    checked_text,
    move_row,
)
from participation.processes.queries import is_referred_to

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


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
    checks = Checks()
    with checks:
        wanted = checked_line(name, "name", TITLE_MAX, N_("Bitte geben Sie dem Thema einen Namen."))
        if any(one.name.casefold() == wanted.casefold() and one is not theme for one in process.themes):
            raise InvalidInput(N_("Dieses Thema gibt es schon. Bitte wählen Sie einen anderen Namen."), field="name")
    with checks:
        wording = checked_text(description, "description", SUMMARY_MAX)
    with checks:
        if tone not in TONES:
            raise InvalidInput(N_("Bitte wählen Sie eine Farbe aus der Liste."), field="tone")
    checks.done()
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
    move_row(theme.process.themes, theme, step)
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
