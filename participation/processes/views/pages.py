"""The home page, the list of processes, and a process's own page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from flask import Blueprint, Response, make_response, render_template, request, send_file, url_for
from flask_babel import format_date, format_decimal, get_locale, gettext as _, ngettext
from markupsafe import Markup

from participation import clock, web
from participation.actions import Action
from participation.errors import NotFound
from participation.formats import CollectSettings
from participation.language import Translated, wording_of
from participation.municipalities.models import Municipality, MunicipalityKind
from participation.municipalities.queries import towns_of
from participation.municipalities.views import blueprint as town_blueprint
from participation.page_cache import cached
from participation.permissions import NEEDED
from participation.processes.edge import load_process, shown_name, shown_names, shown_news, shown_process
from participation.processes.export import calendar
from participation.processes.models import Phase, PhaseState, Process, ProcessDocument, ProcessState
from participation.processes.queries import (
    ARCHIVE_PAGE,
    LARGEST_ID,
    archived_processes,
    documents_of,
    news_of,
    process_by_slug,
    process_of_preview,
    published_processes,
    supports_of,
)
from participation.text import questions
from participation.tokens import hash_token
from participation.uploads import SIZES, Upload, document_path, picture_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("processes", __name__)
HOME_CARDS = 6
HOME_RESULTS = 3
CARD_PHASES = 2
NEWS_SHOWN = 2
NEWS_PAGE = 20
FILE_SECONDS = 3600
ONE_MOMENT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Step:
    """Something that a visitor can do now: where, until when, and by which button."""

    process: Process
    phase: Phase | None
    title: str
    text: str
    label: str
    href: str
    icon: str
    until: str = ""
    # The phase's own words, not ours: in the language that its editors wrote.
    title_is_own: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """A process as lists show it."""

    process: Process
    status: PhaseState
    until: str
    href: str
    figures: list[tuple[str, str]]


def day(instant: datetime) -> str:
    """A day in Berlin, in words."""
    return str(format_date(clock.to_berlin(instant), "long"))


def last_day(ends_at: datetime) -> str:
    """The last day of a phase in words; the end itself is the first instant after it."""
    return day(ends_at - ONE_MOMENT)


def phase_until(phase: Phase) -> str:
    """Until when a phase is open."""
    return str(_("bis %(date)s", date=last_day(phase.ends_at))) if phase.ends_at else str(_("durchgehend"))


def status_of(process: Process, now: datetime) -> PhaseState:
    """Running, not begun, or over."""
    if process.state is ProcessState.ARCHIVED:
        return PhaseState.CLOSED
    states = {phase.state(now) for phase in process.phases}
    for state in (PhaseState.OPEN, PhaseState.UPCOMING):
        if state in states:
            return state
    return PhaseState.CLOSED


def next_start(process: Process, now: datetime) -> datetime | None:
    """When the next phase begins."""
    return min((phase.starts_at for phase in process.phases if phase.starts_at and phase.starts_at > now), default=None)


def card(process: Process, now: datetime) -> Card:
    """What a list shows of a process: where it stands, until when, what is open, how many took part."""
    status = status_of(process, now)
    until = ""
    figures: list[tuple[str, str]] = []
    if status is PhaseState.OPEN:
        # Asked of the phases, not of the process: editors see their draft as it will look.
        phases = sorted((one for one in process.phases if one.is_open(now)), key=lambda one: _rank(one, now))
        until = phase_until(phases[0])
        figures += [(phase.format.icon, Markup("{}, {}").format(web.in_language(phase.title), phase_until(phase))) for phase in phases[:CARD_PHASES]]
    elif status is PhaseState.UPCOMING:
        start = next_start(process, now)
        until = str(_("ab %(date)s", date=day(start))) if start else ""
    if process.proposal_count:
        figures.append(("idea", ngettext("%(num)s Vorschlag", "%(num)s Vorschläge", process.proposal_count)))
    if process.participant_count:
        figures.append(("users", ngettext("%(num)s Person", "%(num)s Personen", process.participant_count)))
    return Card(process, status, until, url_for("processes.show", slug=process.slug), figures)


def _rank(phase: Phase, now: datetime) -> tuple[int, datetime]:
    """Submitting before discussing, discussing before reading; what ends sooner first."""
    kinds = (Action.SUBMIT_PROPOSAL, Action.CAST_BALLOT, Action.COMMENT, Action.SUPPORT)
    kind = next((number for number, action in enumerate(kinds) if phase.opens(action)), len(kinds))
    return kind, phase.ends_at or now + timedelta(days=36_500)


def _step(process: Process, phase: Phase) -> Step:
    """What a visitor can do in an open phase."""
    slug = process.slug
    if phase.opens(Action.SUBMIT_PROPOSAL):
        settings = phase.settings
        hint = (
            _("Das geht auch ohne Konto und dauert zwei Minuten.")
            if isinstance(settings, CollectSettings) and settings.admits_guests
            else _("Das dauert zwei Minuten. Sie brauchen ein Konto.")
        )
        needed = NEEDED.get((Action.SUBMIT_PROPOSAL, settings.verification_for(Action.SUBMIT_PROPOSAL)))
        hint = f"{hint} {_(needed)}" if needed else hint
        label, href, icon = _("Vorschlag einreichen"), url_for("submissions.new", slug=slug), "plus"
        title = _("Was schlagen Sie vor?")
    elif phase.opens(Action.CAST_BALLOT):
        label, href, icon = _("Jetzt abstimmen"), url_for("ballots.show", slug=slug, phase_id=phase.id), "check"
        title, hint = phase.title, _(phase.format.question)
    elif phase.opens(Action.COMMENT) or phase.opens(Action.SUPPORT):
        label, href, icon = _("Mitreden"), url_for("proposals.index", slug=slug), "comment"
        title = _("Was meinen Sie dazu?")
        hint = _("Lesen Sie, was andere vorschlagen. Unterstützen Sie, was Ihnen gefällt.")
    else:
        label, icon = _("Mehr dazu"), phase.format.icon
        href = url_for("processes.show", slug=slug, _anchor=f"phase-{phase.id}")
        title, hint = phase.title, _(phase.format.question)
    is_own = title is phase.title
    return Step(process, phase, title if is_own else str(title), str(hint), str(label), href, icon, phase_until(phase),
                is_own)


def open_steps(process: Process, now: datetime) -> list[Step]:
    """Everything that is open in a process, the most active first."""
    return [_step(process, phase) for phase in sorted(process.open_phases(now), key=lambda one: _rank(one, now))]


def main_step(process: Process, now: datetime) -> Step | None:
    """The one thing that a process asks its visitors to do now."""
    steps = open_steps(process, now)
    if steps and steps[0].phase is not None and _takes_part(steps[0].phase):
        return steps[0]
    slug = process.slug
    if process.catalogue_is_public:
        return Step(
            process, None, str(_("Was ist daraus geworden?")), str(_("Aus den Vorschlägen sind Maßnahmen entstanden.")),
            str(_("Maßnahmenkatalog ansehen")), url_for("catalogue.index", slug=slug), "target",
        )
    if steps:
        return steps[0]
    if process.proposal_count:
        return Step(
            process, None, str(_("Lesen Sie nach")), str(_("Die Beiträge bleiben hier stehen.")),
            str(_("Vorschläge ansehen")), url_for("proposals.index", slug=slug), "list",
        )
    return None


def _takes_part(phase: Phase) -> bool:
    """Whether people can contribute something themselves."""
    return any(phase.opens(action) for action in (Action.SUBMIT_PROPOSAL, Action.COMMENT, Action.SUPPORT))


def _shown(figures: dict[str, int]) -> dict[str, str]:
    """Numbers as Germans write them: 4.005."""
    return {name: str(format_decimal(number)) for name, number in figures.items()}


def _has_results(process: Process, now: datetime) -> bool:
    return (
        process.catalogue_is_public
        or process.state is ProcessState.ARCHIVED
        or any(phase.format_key == "results" and phase.state(now) is not PhaseState.UPCOMING for phase in process.phases)
    )


@town_blueprint.get("/")
@web.public
@cached
def home() -> ResponseReturnValue:
    """What is going on, where can I take part now, what became of it.

    Five queries (six for a Kreis), however much there is; one more for who reads something else than German.
    """
    municipality = web.the_municipality()
    now = web.current_now()
    session = web.current_session()
    published = published_processes(session, municipality.id)
    archived = archived_processes(session, municipality.id, None, HOME_RESULTS)[:HOME_RESULTS]
    everything = shown_names([*published, *archived])
    published, archived = everything[: len(published)], everything[len(published) :]
    cards = [card(process, now) for process in published]
    running = [one for one in cards if one.status is PhaseState.OPEN]
    steps = [
        step for one in running for step in open_steps(one.process, now)
        if step.phase is not None and _takes_part(step.phase)
    ]
    steps.sort(key=lambda step: _rank(step.phase, now) if step.phase else (9, now))
    results = [card(process, now) for process in everything if _has_results(process, now)]
    towns: Sequence[Municipality] = ()
    if municipality.kind is MunicipalityKind.KREIS:
        towns = session.scalars(towns_of(municipality.id)).all()
    return render_template(
        "processes/home.html",
        intro=municipality.intro_for(web.reading()),
        towns=[(town.name, f"{request.scheme}://{town.host}/") for town in towns],
        running=running[:HOME_CARDS],
        running_count=len(running),
        steps=steps[:HOME_CARDS],
        step_count=len(steps),
        upcoming=[one for one in cards if one.status is PhaseState.UPCOMING][:HOME_RESULTS],
        results=results[:HOME_CARDS],
        result_count=len(results),
        figures=(figures := {
            "proposals": sum(process.proposal_count for process in everything),
            "comments": sum(process.comment_count for process in everything),
            "supports": sum(supports_of(web.current_session(), [
                process.id for process in everything if not process.hides_supports(now)]).values()),
        }),
        shown=_shown(figures),
    )


@blueprint.get("/verfahren")
@web.public
@cached
def index() -> ResponseReturnValue:
    """All processes of the municipality, by what can be done there now; the archive by pages (?archiv=<id>)."""
    municipality = web.the_municipality()
    now = web.current_now()
    session = web.current_session()
    before = _number(request.args.get("archiv", ""))
    archived = archived_processes(session, municipality.id, before, ARCHIVE_PAGE)
    cards = [] if before else [card(process, now) for process in shown_names(published_processes(session, municipality.id))]
    groups = [
        (_("Läuft gerade"), [one for one in cards if one.status is PhaseState.OPEN]),
        (_("Beginnt bald"), [one for one in cards if one.status is PhaseState.UPCOMING]),
        (_("Wird ausgewertet"), [one for one in cards if one.status is PhaseState.CLOSED]),
        (_("Abgeschlossen"), [card(process, now) for process in shown_names(archived[:ARCHIVE_PAGE])]),
    ]
    older = archived[ARCHIVE_PAGE - 1].id if len(archived) > ARCHIVE_PAGE else None
    return render_template(
        "processes/index.html", groups=[group for group in groups if group[1]], older=older, is_later_page=bool(before)
    )


@blueprint.get("/verfahren/<slug>")
@web.public
@cached
def show(slug: str) -> ResponseReturnValue:
    """A process: what it is about, where it stands, the one main action."""
    return _page(load_process(slug))


@blueprint.get("/vorschau/<token>")
@web.public
@web.limiter.limit("120 per hour")
def preview(token: str) -> ResponseReturnValue:
    """A draft, for whoever was given the link."""
    process = _process_of_preview(token)
    if process.is_visible:
        return web.go("processes.show", slug=process.slug)
    response = make_response(_page(process, preview=token))
    response.headers["X-Robots-Tag"], response.headers["Cache-Control"] = "noindex", "no-store"
    return response


@blueprint.get("/vorschau/<token>/bild")
@web.public
@web.limiter.limit("600 per hour")
def preview_picture(token: str) -> ResponseReturnValue:
    """The picture of a draft, for whoever was given the link."""
    return _picture(_process_of_preview(token), "large")


@blueprint.get("/vorschau/<token>/dokumente/<int:document_id>")
@web.public
@web.limiter.limit("600 per hour")
def preview_document(token: str, document_id: int) -> ResponseReturnValue:
    """A document of a draft, for whoever was given the link."""
    return _document(_process_of_preview(token), document_id)


def _process_of_preview(token: str) -> Process:
    web.do_not_cache()
    process = process_of_preview(web.current_session(), web.the_municipality().id, hash_token(token), web.current_now())
    if process is None:
        raise NotFound
    return process


@blueprint.get("/verfahren/<slug>/neuigkeiten")
@web.public
@cached
def all_news(slug: str) -> ResponseReturnValue:
    """Everything the editors told, the newest first."""
    process = load_process(slug)
    raw = request.args.get("vor", "")
    before = min(int(raw), LARGEST_ID) if raw.isascii() and raw.isdecimal() and len(raw) < 12 else None  # noqa: PLR2004
    rows = list(web.current_session().scalars(news_of(process.id, before).limit(NEWS_PAGE + 1)))
    shown = rows[:NEWS_PAGE]
    return render_template(
        "processes/news.html", process=shown_name(process), rows=shown_news(process.id, shown),
        next_url=url_for("processes.all_news", slug=slug, vor=shown[-1].id) if len(rows) > NEWS_PAGE else None,
    )


@blueprint.get("/verfahren/<slug>/neuigkeiten.atom")
@web.public
@cached
def news_feed(slug: str) -> ResponseReturnValue:
    """The same as an Atom feed (RFC 4287)."""
    process = load_process(slug)
    rows = list(web.current_session().scalars(news_of(process.id).limit(NEWS_PAGE)))
    body = render_template("processes/news.xml", process=shown_name(process), rows=shown_news(process.id, rows), get_locale=get_locale,
                           updated=rows[0].published_at if rows else process.published_at or process.created_at)
    return make_response(body, 200, {"Content-Type": "application/atom+xml; charset=utf-8"})


def _parts_in_other_words(process: Process, parts: dict[str, list[str]]) -> set[str]:
    """Parts of the page that are not in its language, so that it says so; none where that stands above all of it."""
    around = web.language()
    if wording_of(process.summary or process.title) != around:
        return set()
    return {name for name, texts in parts.items() if any(text and wording_of(text) != around for text in texts)}


def _as(whole: str, part: str) -> str:
    """A part of a text, in the language of the whole."""
    if not isinstance(whole, Translated):
        return part
    found = Translated(part)
    found.language = whole.language
    return found


def _page(process: Process, *, preview: str = "") -> str:
    """`preview` is the token of the link by which somebody reads a draft: the other pages of it are not for them."""
    slug, now = process.slug, web.current_now()
    documents = web.current_session().scalars(documents_of(process.id)).all()
    start = next_start(process, now) if process.state is ProcessState.PUBLISHED else None
    reads, has_easy = shown_process(process)
    news = shown_news(process.id, web.current_session().scalars(news_of(process.id).limit(NEWS_SHOWN + 1)).all())
    faq = [(_as(reads.faq, question), _as(reads.faq, answer)) for question, answer in questions(reads.faq)]
    supports = 0 if process.hides_supports(now) else supports_of(web.current_session(), [process.id])[process.id]
    if preview:
        picture_href = url_for("processes.preview_picture", token=preview)
        hrefs = [url_for("processes.preview_document", token=preview, document_id=row.id) for row in documents]
    else:
        picture_href = url_for("processes.picture", slug=slug, size="large", v=process.picture_id)
        hrefs = [url_for("processes.document", slug=slug, document_id=row.id) for row in documents]
    return render_template(
        "processes/show.html", process=reads, status=status_of(process, now), documents=documents,
        has_easy=has_easy,
        step=main_step(reads, now) if process.is_visible else None, card=card(reads, now), is_preview=bool(preview),
        picture_href=picture_href,
        questions=faq, news=news, news_shown=NEWS_SHOWN,
        foreign=_parts_in_other_words(reads, {
            "news": [row.body for row in news[:NEWS_SHOWN]], "themes": [theme.description for theme in reads.themes],
            "phases": [phase.body for phase in reads.phases], "questions": [answer for _question, answer in faq],
        }),
        next_start=day(start) if start else "", annulled_votes=web.part("annulled_votes", process=process) if process.has_annulments and not preview else "",
        hides_supports=process.hides_supports(now), supports=supports,
        shown=_shown({
            "proposals": process.proposal_count, "comments": process.comment_count, "supports": supports,
            "participants": process.participant_count,
        }),
        other_steps=[step for step in open_steps(reads, now)[1:] if step.phase and _takes_part(step.phase)],
        files=[(row.title, href, _file_note(row)) for row, href in zip(documents, hrefs, strict=True)],
    )


@blueprint.get("/verfahren/<slug>/termine.ics")
@web.public
def dates(slug: str) -> ResponseReturnValue:
    """The dates of a process for one's own calendar."""
    process = load_process(slug)
    address = url_for("processes.show", slug=slug, _external=True)
    host = request.host.split(":")[0]
    response = Response(calendar(process, address, host, web.current_now(), _), content_type="text/calendar; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{process.slug}.ics"'
    return response


@blueprint.get("/verfahren/<slug>/bild/<any(small,large):size>")
@web.public
def picture(slug: str, size: str) -> ResponseReturnValue:
    """The picture of a process."""
    return _picture(load_process(slug), size)


def _picture(process: Process, size: str) -> ResponseReturnValue:
    upload = web.current_session().get(Upload, process.picture_id or 0)
    if upload is None or size not in SIZES:
        raise NotFound
    return _file(picture_path(web.current_settings().upload_dir, upload.name, size), upload, process)


@blueprint.get("/verfahren/<slug>/dokumente/<int:document_id>")
@web.public
def document(slug: str, document_id: int) -> ResponseReturnValue:
    """A document to download, under the name it came with."""
    return _document(load_process(slug), document_id)


def _document(process: Process, document_id: int) -> ResponseReturnValue:
    if document_id > LARGEST_ID:
        raise NotFound
    row = web.current_session().scalar(documents_of(process.id).where(ProcessDocument.id == document_id))
    if row is None:
        raise NotFound
    path = document_path(web.current_settings().upload_dir, row.upload.name)
    return _file(path, row.upload, process, download_name=row.upload.shown_name)


def _file(path: Path, upload: Upload, process: Process, download_name: str | None = None) -> ResponseReturnValue:
    """Send a stored file; what belongs to a draft stays out of every cache."""
    if not path.exists():
        raise NotFound
    response = send_file(
        # The charset of a text is added there once more.
        path, mimetype=upload.media_type.partition(";")[0], as_attachment=download_name is not None, download_name=download_name,
        max_age=FILE_SECONDS,
    )
    if not process.is_visible:
        response.headers["Cache-Control"] = "no-store"
    return response


def _file_note(row: ProcessDocument) -> str:
    """Kind and size, so that nobody downloads 20 MB on the road by surprise."""
    kind = row.upload.shown_name.rpartition(".")[2].upper()
    size = row.upload.byte_size
    megabyte = 1_000_000
    shown = (
        f"{format_decimal(size / megabyte, '#,##0.0')} MB" if size >= megabyte
        else f"{format_decimal(max(1, round(size / 1000)))} kB"
    )
    return f"{kind}, {shown}"


def _number(raw: str) -> int | None:
    """A number in an address; nonsense is no error, it shows the first page."""
    return int(raw) if raw.isascii() and raw.isdecimal() and len(raw) < 12 and int(raw) > 0 else None  # noqa: PLR2004 - longer than any id


@web.for_staff
def process_staff_links(slug: str) -> str:
    """The personal part of a process page: the way to edit it, for those who may."""
    process = process_by_slug(web.current_session(), web.the_municipality().id, slug)
    if process is None or not web.can(Action.EDIT_PROCESS, process):
        return ""
    return web.render_part("processes/_staff_links.html", process=process)


HOLES: dict[str, Callable[..., str]] = {"process_staff_links": process_staff_links}
