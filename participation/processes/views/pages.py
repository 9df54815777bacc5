"""The home page, the list of processes, and a process's own page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, make_response, render_template, request, url_for
from flask_babel import get_locale, gettext as _

from participation import web
from participation.actions import Action
from participation.errors import NotFound
from participation.language import EASY, Translated, wording_of
from participation.municipalities.models import Municipality, MunicipalityKind
from participation.municipalities.queries import towns_of
from participation.municipalities.views import blueprint as town_blueprint
from participation.page_cache import cached
from participation.processes.edge import (
    beginning,
    load_process,
    shown_documents,
    shown_name,
    shown_names,
    shown_news,
    shown_process,
)
from participation.processes.models import PhaseState, Process, ProcessDocument, ProcessState
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
from participation.processes.views.cards import (
    card,
    has_results,
    hours_of,
    main_step,
    next_start,
    open_steps,
    rank,
    shown_figures,
    status_of,
    takes_part,
)
from participation.text import questions
from participation.tokens import hash_token
from participation.written import format_decimal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("processes", __name__)
HOME_CARDS = 6
# Whatever one can do now; several votes of a process are as many.
HOME_STEPS = 24
HOME_RESULTS = 3
NEWS_SHOWN = 2
NEWS_PAGE = 20


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
        if step.phase is not None and takes_part(step.phase)
    ]
    steps.sort(key=lambda step: rank(step.phase, now) if step.phase else (9, now))
    results = [card(process, now) for process in everything if has_results(process, now)]
    towns: Sequence[Municipality] = ()
    if municipality.kind is MunicipalityKind.KREIS:
        towns = session.scalars(towns_of(municipality.id)).all()
    return render_template(
        "processes/home.html",
        intro=municipality.intro_for(web.reading()),
        towns=[(town.name, f"{request.scheme}://{town.host}/") for town in towns],
        running=running[:HOME_CARDS],
        running_count=len(running),
        steps=steps[:HOME_STEPS],
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
        shown=shown_figures(figures),
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
@web.limiter.limit("120 per hour", deduct_when=web.was_refused)
def preview(token: str) -> ResponseReturnValue:
    """A draft, for whoever was given the link."""
    process = process_of_preview_link(token)
    if process.is_visible:
        return web.go("processes.show", slug=process.slug)
    response = make_response(_page(process, preview=token))
    response.headers["X-Robots-Tag"], response.headers["Cache-Control"] = "noindex", "no-store"
    return response


def process_of_preview_link(token: str) -> Process:
    """What a preview link shows. Raises NotFound when there is none, or no more."""
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


def _parts_in_other_words(process: Process, *, has_easy: bool, parts: dict[str, list[str]]) -> set[str]:
    """Parts of the page that are not in what its reader chose, so that it says so; none where that stands above all of it."""
    if (web.reading() == EASY and not has_easy) or wording_of(process.summary or process.title) != web.language():
        return set()
    return {name for name, texts in parts.items() if any(web.in_other_words(text) for text in texts)}


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
        foreign=_parts_in_other_words(reads, has_easy=has_easy, parts={
            "body": [reads.body], "news": [row.body for row in news[:NEWS_SHOWN]], "themes": [theme.description for theme in reads.themes],
            "phases": [phase.body for phase in reads.phases], "questions": [answer for _question, answer in faq],
        }),
        next_start=beginning(start) if start else "", annulled_votes=web.part("annulled_votes", process=process) if process.has_annulments and not preview else "",
        has_begun=any(phase.state(now) is not PhaseState.UPCOMING for phase in process.phases),
        hours={phase.id: hours_of(phase) for phase in process.phases},
        hides_supports=process.hides_supports(now), supports=supports,
        shown=shown_figures({
            "proposals": process.proposal_count, "comments": process.comment_count, "supports": supports,
            "participants": process.participant_count,
        }),
        other_steps=[step for step in open_steps(reads, now)[1:] if step.phase and takes_part(step.phase)],
        files=[(row.title, href, _file_note(row))
               for row, href in zip(shown_documents(process.id, documents), hrefs, strict=True)],
    )


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
