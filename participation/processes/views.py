"""The home page, the list of processes, and a process's own page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from flask import Blueprint, render_template, send_file, url_for
from flask_babel import format_date, gettext as _
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from participation import clock, web
from participation.actions import Action
from participation.errors import NotFound
from participation.municipalities.views import blueprint as town_blueprint
from participation.page_cache import cached
from participation.processes.edge import load_process
from participation.processes.models import PhaseState, Process, ProcessDocument, ProcessState
from participation.processes.queries import visible_processes
from participation.uploads import SIZES, Upload, document_path, picture_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("processes", __name__)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MainAction:
    """The one thing that a process asks its visitors to do now."""

    title: str
    text: str
    label: str
    href: str
    icon: str


@dataclass(frozen=True, slots=True)
class Card:
    """A process as lists show it."""

    process: Process
    status: PhaseState
    until: str
    href: str


def last_day(ends_at: datetime) -> str:
    """The last day of a phase in words; the end itself is the first instant after it."""
    return format_date(clock.to_berlin(ends_at - timedelta(seconds=1)), "long")


def status_of(process: Process, now: datetime) -> PhaseState:
    """Running, not begun, or over."""
    if process.state is ProcessState.ARCHIVED:
        return PhaseState.CLOSED
    states = {phase.state(now) for phase in process.phases}
    for state in (PhaseState.OPEN, PhaseState.UPCOMING):
        if state in states:
            return state
    return PhaseState.CLOSED


def _card(process: Process, now: datetime) -> Card:
    status = status_of(process, now)
    until = ""
    if status is PhaseState.OPEN:
        ends = [phase.ends_at for phase in process.open_phases(now) if phase.ends_at]
        until = _("noch bis %(date)s", date=last_day(max(ends))) if ends else _("durchgehend")
    elif status is PhaseState.UPCOMING:
        starts = [phase.starts_at for phase in process.phases if phase.starts_at and phase.starts_at > now]
        until = _("ab %(date)s", date=format_date(clock.to_berlin(min(starts)), "long")) if starts else ""
    return Card(process, status, until, url_for("processes.show", slug=process.slug))


def main_action(process: Process, now: datetime) -> MainAction | None:
    """Submitting comes before discussing, discussing before reading."""
    slug = process.slug
    collecting = process.phase_opening(Action.SUBMIT_PROPOSAL, now)
    if collecting is not None:
        end = _("Möglich bis %(date)s.", date=last_day(collecting.ends_at)) if collecting.ends_at else ""
        return MainAction(_("Haben Sie eine Idee?"), f"{_('Das geht auch ohne Konto und dauert fünf Minuten.')} {end}",
                          _("Idee einreichen"), url_for("submissions.new", slug=slug), "plus")
    if process.phase_opening(Action.COMMENT, now) or process.phase_opening(Action.SUPPORT, now):
        return MainAction(_("Reden Sie mit"), _("Lesen Sie die Vorschläge und sagen Sie Ihre Meinung."),
                          _("Vorschläge ansehen"), url_for("proposals.index", slug=slug), "comment")
    if process.catalogue_is_public:
        return MainAction(_("Was ist daraus geworden?"), _("Die Maßnahmen, die aus den Vorschlägen entstanden sind."),
                          _("Maßnahmenkatalog ansehen"), url_for("catalogue.index", slug=slug), "target")
    return None


@town_blueprint.get("/")
@web.public
@cached
def home() -> ResponseReturnValue:
    """What is going on, where can I take part now, what became of it."""
    municipality = web.the_municipality()
    now = web.current_now()
    cards = _cards(visible_processes(web.current_session(), municipality.id), now)
    running = [card for card in cards if card.status is PhaseState.OPEN]
    first = next((card for card in running if card.process.phase_opening(Action.SUBMIT_PROPOSAL, now)),
                 running[0] if running else None)
    return render_template(
        "processes/home.html", running=running[:6],
        upcoming=[card for card in cards if card.status is PhaseState.UPCOMING][:3],
        finished=[card for card in cards if card.status is PhaseState.CLOSED][:3],
        catalogues=[card.process for card in cards if card.process.catalogue_is_public][:3],
        first=first.process if first else None,
        action=main_action(first.process, now) if first else None,
        figures={
            "running": len(running),
            "proposals": sum(card.process.proposal_count for card in cards),
            "comments": sum(card.process.comment_count for card in cards),
            "supports": sum(card.process.support_count for card in cards),
        },
    )


def _cards(processes: Sequence[Process], now: datetime) -> list[Card]:
    return [_card(process, now) for process in processes]


@blueprint.get("/verfahren")
@web.public
@cached
def index() -> ResponseReturnValue:
    """All processes of the municipality, by what can be done there now."""
    cards = _cards(visible_processes(web.current_session(), web.the_municipality().id), web.current_now())
    groups = [
        (_("Jetzt mitmachen"), [card for card in cards if card.status is PhaseState.OPEN]),
        (_("Beginnt bald"), [card for card in cards if card.status is PhaseState.UPCOMING]),
        (_("Abgeschlossen"), [card for card in cards if card.status is PhaseState.CLOSED]),
    ]
    return render_template("processes/index.html", groups=[group for group in groups if group[1]])


@blueprint.get("/verfahren/<slug>")
@web.public
@cached
def show(slug: str) -> ResponseReturnValue:
    """A process: what it is about, where it stands, the one main action."""
    process = load_process(slug)
    now = web.current_now()
    documents = web.current_session().scalars(
        select(ProcessDocument).where(ProcessDocument.process_id == process.id)
        .options(selectinload(ProcessDocument.upload)).order_by(ProcessDocument.position)
    ).all()
    return render_template("processes/show.html", process=process, status=status_of(process, now), documents=documents,
                           action=main_action(process, now), card=_card(process, now))


@blueprint.get("/verfahren/<slug>/bild/<any(small,large):size>")
@web.public
def picture(slug: str, size: str) -> ResponseReturnValue:
    """The picture of a process."""
    process = load_process(slug)
    upload = web.current_session().get(Upload, process.picture_id or 0)
    if upload is None or size not in SIZES:
        raise NotFound
    return send_file(picture_path(web.current_settings().upload_dir, upload.name, size), mimetype="image/webp",
                     max_age=3600)


@blueprint.get("/verfahren/<slug>/dokumente/<int:document_id>")
@web.public
def document(slug: str, document_id: int) -> ResponseReturnValue:
    """A document to download, under the name it came with."""
    process = load_process(slug)
    row = web.current_session().scalar(
        select(ProcessDocument).where(ProcessDocument.process_id == process.id, ProcessDocument.id == document_id)
        .options(selectinload(ProcessDocument.upload))
    )
    if row is None:
        raise NotFound
    return send_file(document_path(web.current_settings().upload_dir, row.upload.name), as_attachment=True,
                     mimetype=row.upload.media_type, download_name=row.upload.shown_name, max_age=3600)
