"""Reading proposals: list, page of one, map, pictures, and what maps fetch."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from flask import Blueprint, flash, make_response, redirect, render_template, request, send_file, url_for
from flask_babel import format_decimal, get_locale, gettext as _, ngettext
from markupsafe import escape
from sqlalchemy import select
from sqlalchemy.orm import undefer

from mapping.basemap import PMTILES_PATH, TILE_PATH, basemap_from_settings
from mapping.clustering import CLUSTER_FROM
from mapping.features import MIME_TYPE
from mapping.folium_map import (
    DetailOptions,
    MapOptions,
    MapParts,
    Theme as MapTheme,
    render_detail_map,
    render_map,
)
from mapping.geometry import BBox, GeometryError, area_from_geojson, parse_point
from mapping.tiles import NoTileError, TileStore, TileUnavailableError
from participation import clock, search, text, web
from participation.actions import Action
from participation.contributions.comments.models import STANCE_LABELS
from participation.contributions.comments.operations import asks_for_stance
from participation.contributions.comments.queries import ORDER_LABELS, Order, stance_counts, thread_page
from participation.contributions.models import SHUFFLE_RANGE, STATE_LABELS, AnswerStatus, ContributionState, Revision
from participation.contributions.operations import mark_own
from participation.contributions.proposals import export, jobs, operations  # noqa: F401 - jobs register themselves
from participation.contributions.proposals.edge import LARGEST_ID, load_proposal, load_standing, require_storable
from participation.contributions.proposals.forms import AnswerForm
from participation.contributions.proposals.models import ANSWER_LABELS, WITHDRAWAL_REASONS
from participation.contributions.proposals.operations import ANSWER_MAX, EDITABLE, answer_proposal
from participation.contributions.proposals.queries import (
    MATCHES_MAX,
    SEARCH_MAX,
    SORT_LABELS,
    Listing,
    Page,
    Sort,
    count_answered,
    count_answers,
    list_page,
    read_cursor,
    similar_cards,
)
from participation.contributions.queries import co_authors_of, pictures_of, seen_revisions, stored_picture
from participation.db import Database
from participation.errors import InvalidInput, NotFound
from participation.i18n import N_
from participation.municipalities.models import District, Municipality
from participation.own_fields import OwnField, as_text, load_answers, public_answers
from participation.page_cache import cached
from participation.processes.edge import load_process, shown_name
from participation.processes.models import Process, Theme
from participation.static_files import static_url
from participation.uploads import SIZES, picture_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue
    from werkzeug.wrappers import Response

    from mapping.basemap import Basemap
    from participation.contributions.proposals.models import Proposal

blueprint = Blueprint("proposals", __name__)
operations.connect()

PICTURE_SECONDS = 7 * 24 * 3600
GROUND_SECONDS = 3600.0
# The whole of Germany, for a municipality whose boundary is not known yet.
EVERYWHERE = BBox(5.87, 47.27, 15.04, 55.06)
TONES = 8
FAR_AWAY = 11
RELATED = 10
# A thousandth of a degree is 110 m to the north and 70 m to the east.
NEAR_DECIMALS = 3
NEAR_LEAST = 50
KILOMETRE = 1000
# Of each database its own: ids say nothing about whose they are.
_documents: WeakKeyDictionary[Database, export.Documents] = WeakKeyDictionary()
# How the list is narrowed by official answers; the keys stand in the address.
ANSWER_FILTERS: dict[str, tuple[AnswerStatus, ...]] = {
    "ja": tuple(AnswerStatus),
    "wird-geprueft": (AnswerStatus.IN_REVIEW,),
    "angenommen": (AnswerStatus.ACCEPTED, AnswerStatus.PARTLY),
    "abgelehnt": (AnswerStatus.DECLINED,),
    "umgesetzt": (AnswerStatus.DONE,),
}
ANSWER_FILTER_LABELS = {
    "ja": N_("Alle mit Antwort"), "wird-geprueft": N_("Wird fachlich geprüft"),
    "angenommen": N_("Wird umgesetzt, auch teilweise"), "abgelehnt": N_("Wird nicht umgesetzt"),
    "umgesetzt": N_("Ist umgesetzt"),
}
_ID = re.compile(r"\d{1,10}")


@dataclass(frozen=True, slots=True)
class Near:
    """From where distances are measured: a district, or a point that is as coarse as an address may be."""

    values: dict[str, str]
    point: tuple[float, float] | None = None
    label: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address of a list asks for, after everything that makes no sense has fallen back to its default."""

    process: Process
    theme: Theme | None
    query: str
    sort: Sort
    default_sort: Sort
    cursor: str
    start: int | None
    answer: str = ""
    near: Near | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether less than everything is shown."""
        return self.theme is not None or bool(self.query) or bool(self.answer)

    def listing(self, *, with_point: bool = False) -> Listing:
        """The same for the query."""
        return Listing(
            process_id=self.process.id, theme_id=self.theme.id if self.theme else None, query=self.query,
            sort=self.sort, after=read_cursor(self.sort, self.cursor), start=self.start or 0, with_point=with_point,
            answers=ANSWER_FILTERS.get(self.answer, ()), near=self.near.point if self.near else None,
        )

    def address(self, endpoint: str = "proposals.index", **changes: str | bool | None) -> str:
        """The address with some values changed; defaults are left out, and any change leads to the first page."""
        values: dict[str, Any] = {
            "q": self.query or None, "thema": self.theme.slug if self.theme else None,
            "sort": self.sort.value if self.sort is not self.default_sort else None,
            "antwort": self.answer or None,
            "ab": self.start if self.sort is Sort.FAIR else None,
        }
        if self.sort is Sort.NEAR and self.near and endpoint == "proposals.index":
            values |= self.near.values
        return url_for(endpoint, slug=self.process.slug, **(values | changes))


def _asked(process: Process) -> Asked:
    """Read the address. Nothing in it is an error: a link that somebody shortened still shows the list."""
    wanted, start = request.args.get("thema", ""), request.args.get("ab", "")
    phase = process.phase_opening(Action.SUBMIT_PROPOSAL, web.current_now())
    is_fair = phase is not None and getattr(phase.settings, "fair_order", False)
    default = Sort.FAIR if is_fair else Sort.NEWEST
    sort = next((one for one in sorts_of(process) if one.value == request.args.get("sort")), default)
    return Asked(
        process=process, theme=next((one for one in process.themes if one.slug == wanted), None),
        query=text.clean_line(request.args.get("q", "")[:1000])[:SEARCH_MAX].strip(), sort=sort,
        answer=request.args.get("antwort", "") if request.args.get("antwort") in ANSWER_FILTERS else "",
        default_sort=default, cursor=request.args.get("nach", ""),
        start=int(start) % SHUFFLE_RANGE if _ID.fullmatch(start) and start.isascii() else None,
    )


def sorts_of(process: Process) -> list[Sort]:
    """The orders on offer; none that would tell what is secret until a phase ends."""
    is_secret = process.hides_supports(web.current_now())
    return [sort for sort in Sort if not (is_secret and sort is Sort.SUPPORTED)]


def _near(municipality: Municipality) -> Near:
    """Where the reader is, by what the address says: a district or coordinates, rounded to about 100 m."""
    wanted, lon, lat = (text.clean_line(request.args.get(name, "")[:40]) for name in ("ortsteil", "lon", "lat"))
    session = web.current_session()
    if _ID.fullmatch(wanted) and wanted.isascii() and not (lon or lat):
        district = session.scalar(
            select(District).where(District.id == min(int(wanted), LARGEST_ID),
                                   District.municipality_id == municipality.id).options(undefer(District.boundary)))
        if district is not None:
            return Near({"ortsteil": wanted}, area_from_geojson(json.dumps(district.boundary)).bbox.centre, district.name)
    # Whoever reads this page again from a cache learns where somebody was.
    web.do_not_cache()
    boundary = session.scalar(select(Municipality.boundary).where(Municipality.id == municipality.id))
    try:
        point = parse_point(lon, lat, area_from_geojson(json.dumps(boundary)) if boundary else None,
                            place=municipality.name)
    except GeometryError as error:
        return Near({"lat": lat, "lon": lon}, problem=_(error.message, **error.params))
    if point is None:
        return Near({})
    coarse = round(point[0], NEAR_DECIMALS), round(point[1], NEAR_DECIMALS)
    return Near({"lat": str(coarse[1]), "lon": str(coarse[0])}, coarse, _("Ihrem Standort"))


def _distance_text(metres: int | None) -> str:
    """A distance as people say it; finer than the place it is measured from it need not be."""
    if metres is None:
        return ""
    if metres < NEAR_LEAST:
        return str(_("unter %(number)s m", number=NEAR_LEAST))
    if metres < KILOMETRE:
        return f"{round(metres, -1)} m"
    return f"{format_decimal(metres / KILOMETRE, format='0.0')} km"


def _own_start(process: Process) -> int:
    """Where a shuffled list begins for this reader today: the same when they come back, another for others.

    Made of what the request says anyway, by a keyed hash; nothing is stored.
    """
    day = clock.to_berlin(web.current_now()).date().isoformat()
    reader = web.current_actor().identity or f"{request.remote_addr} {request.user_agent.string}"
    return int(web.current_keyring().person_hash(process.id, f"shuffle:{day}:{reader}")[:8], 16) % SHUFFLE_RANGE


def _theme_chips(asked: Asked, endpoint: str) -> list[tuple[str, str, bool, int | None]]:
    every = (_("Alle"), asked.address(endpoint, thema=None), asked.theme is None,
             None if asked.query or asked.answer else asked.process.proposal_count)
    return [every, *(
        (web.in_language(theme.name), asked.address(endpoint, thema=theme.slug),
         asked.theme is not None and theme.id == asked.theme.id,
         None if asked.query or asked.answer else theme.proposal_count)
        for theme in shown_name(asked.process).themes
    )]


def _total(asked: Asked, page: Page) -> tuple[int, bool]:
    """How many there are, and whether there are more than that. Without search the counters know it already."""
    if page.matches is not None:
        return min(page.matches, MATCHES_MAX), page.matches > MATCHES_MAX
    if asked.answer:
        number = count_answered(web.current_session(), asked.listing())
        return min(number, MATCHES_MAX), number > MATCHES_MAX
    return (asked.theme.proposal_count if asked.theme else asked.process.proposal_count), False


@blueprint.get("/verfahren/<slug>/vorschlaege")
@web.public
@cached
def index(slug: str) -> ResponseReturnValue:
    """The list: search, one theme, five orders, pages by cursor.

    A shuffled list begins elsewhere for every reader; where, is then part of its address, so that it can be kept.
    """
    asked = _asked(load_process(slug))
    if asked.sort is Sort.FAIR and asked.start is None:
        web.do_not_cache()
        return redirect(asked.address(ab=str(_own_start(asked.process))))
    is_near, status = asked.sort is Sort.NEAR, 200
    if is_near:
        near = _near(asked.process.municipality)
        asked = replace(asked, near=near, cursor=asked.cursor if near.point else "")
        if near.point and any(near.values[name] != request.args.get(name) for name in near.values):
            # What is finer than need be does not stay in the address, nor in any link on the page.
            return redirect(asked.address(nach=asked.cursor or None))
        status = 400 if near.problem else 200
    shown = asked if asked.near is None or asked.near.point else replace(asked, sort=Sort.NEWEST)
    page = list_page(web.current_session(), shown.listing())
    instead_of = ""
    if asked.query and not page.cards and not asked.cursor:
        guess = search.spelt_right(web.current_session(), asked.process.id, asked.query)
        if guess:
            instead_of, asked = asked.query, replace(asked, query=guess)
            page = list_page(web.current_session(), replace(shown, query=guess).listing())
    total, is_more = _total(asked, page)
    return render_template(
        "contributions/proposals/index.html", process=shown_name(asked.process), asked=asked, page=page, total=total,
        instead_of=instead_of, is_more=is_more, chips=_theme_chips(asked, "proposals.index"),
        sorts=[(sort.value, SORT_LABELS[sort], sort is asked.sort) for sort in sorts_of(asked.process)],
        hides_supports=asked.process.hides_supports(web.current_now()),
        themes={theme.id: theme for theme in shown_name(asked.process).themes}, answer_labels=ANSWER_LABELS,
        is_first_page=asked.listing().after is None,
        answer_filters=[(key, label, key == asked.answer) for key, label in ANSWER_FILTER_LABELS.items()],
        may_submit=asked.process.phase_opening(Action.SUBMIT_PROPOSAL, web.current_now()) is not None,
        is_near=is_near, districts=web.current_session().execute(
            select(District.id, District.name).where(District.municipality_id == asked.process.municipality_id)
            .order_by(District.name)).all() if is_near else [], distance_text=_distance_text,
    ), status


@blueprint.get("/verfahren/<slug>/vorschlaege.atom")
@web.public
@cached
def feed(slug: str) -> ResponseReturnValue:
    """The newest proposals as an Atom feed (RFC 4287), narrowed by search and theme like the list."""
    asked = _asked(load_process(slug))
    newest = replace(asked, sort=Sort.NEWEST, cursor="")
    page = list_page(web.current_session(), newest.listing())
    process = asked.process
    title = f"{process.title}: {_('Vorschläge')}"
    if asked.theme:
        title += f", {asked.theme.name}"
    if asked.query:
        title += f", „{asked.query}“"
    updated = page.cards[0].published_at if page.cards else process.published_at or process.created_at
    body = render_template(
        "contributions/proposals/feed.xml", process=process, cards=page.cards, title=title, updated=updated,
        address=asked.address("proposals.feed", sort=None, ab=None, _external=True),
        page_address=asked.address("proposals.index", ab=None, _external=True),
        themes={theme.id: theme for theme in process.themes}, get_locale=get_locale,
    )
    return make_response(body, 200, {"Content-Type": "application/atom+xml; charset=utf-8"})


@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>")
@web.public
@cached
def show(slug: str, proposal_id: int) -> ResponseReturnValue:
    """One proposal with its way, its comments and what can be done with it."""
    proposal = load_proposal(slug, proposal_id)
    if proposal.state is ContributionState.WITHDRAWN and proposal.withdrawal_reason:
        return _gone(proposal)
    session = web.current_session()
    after = request.args.get("kommentare_nach", "")[:30]
    process, now = proposal.process, web.current_now()
    hides_supports = process.hides_supports(now)
    orders = [one for one in Order if not (hides_supports and one is Order.SUPPORTED)]
    order = next((one for one in orders if one.value == request.args.get("kommentare")), Order.OLDEST)
    threads = thread_page(session, proposal.id, after, order)
    phase = process.phase_opening(Action.COMMENT, now)
    parts = _detail_map(proposal) if proposal.lon is not None else None
    measures = web.part("proposal_measures", proposal=proposal)
    return render_template(
        "contributions/proposals/show.html", process=process, proposal=proposal,
        pictures=session.scalars(pictures_of(proposal.id)).all(),
        co_authors=[one.participant.pseudonym for one in session.scalars(co_authors_of(proposal.id))]
        if proposal.co_author_count else [], threads=threads, after=after, map=parts,
        state_label=STATE_LABELS[proposal.state], answer_labels=ANSWER_LABELS, measures=measures,
        steps=_steps(proposal, bool(measures)),
        orders=[(one, ORDER_LABELS[one], one is order) for one in orders], order=order, hides_supports=hides_supports,
        comments_open=phase is not None, supports_open=process.phase_opening(Action.SUPPORT, now) is not None,
        ballots_open=process.phase_opening(Action.CAST_BALLOT, now) is not None,
        stances=stance_counts(session, proposal.id) if asks_for_stance(phase) else {}, stance_labels=STANCE_LABELS,
        share_url=url_for("proposals.show", slug=slug, proposal_id=proposal.id, _external=True),
    )


@blueprint.route("/verfahren/<slug>/vorschlaege/<int:proposal_id>/antwort", methods=["GET", "POST"])
@web.allows(Action.ANSWER_PROPOSAL)
def answer(slug: str, proposal_id: int) -> ResponseReturnValue:
    """The administration's answer, for everybody to read."""
    proposal = load_proposal(slug, proposal_id)
    web.require(Action.ANSWER_PROPOSAL, proposal)
    status = proposal.answer_status
    form = AnswerForm(formdata=request.form or None, status=status.value if status else None,
                      body=proposal.answer_body, cost="" if proposal.answer_cost is None else str(proposal.answer_cost))
    form.offer_choices()
    code = 200
    if request.method == "POST":
        wanted = next((one for one in AnswerStatus if one.value == form.status.data), None)
        try:
            answer_proposal(web.current_session(), web.current_actor(), proposal, status=wanted,
                            body=form.body.data or "", cost=form.cost.data or "", now=web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
            code = 422
        else:
            flash(_("Die Antwort ist veröffentlicht."), "success")
            return web.go("proposals.show", slug=slug, proposal_id=proposal_id, _anchor="antwort")
    return render_template("contributions/proposals/answer.html", form=form, proposal=proposal,
                           process=proposal.process, limit=ANSWER_MAX), code


@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>/qr.svg")
@web.public
def qr_code(slug: str, proposal_id: int) -> ResponseReturnValue:
    """The address of a public proposal as a QR code, to be printed and put up."""
    import segno  # noqa: PLC0415 - for this picture only

    proposal = load_proposal(slug, proposal_id)
    if not proposal.is_published:
        raise NotFound
    address = web.current_settings().base_url + url_for("proposals.show", slug=slug, proposal_id=proposal.id)
    buffer = io.BytesIO()
    segno.make(address, error="m", micro=False).save(buffer, kind="svg", scale=6, border=3, light="#fff", xmldecl=False)
    response = make_response(buffer.getvalue(), 200, {"Content-Type": "image/svg+xml"})
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response


@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>/aehnliche")
@web.public
@cached
def related(slug: str, proposal_id: int) -> ResponseReturnValue:
    """What says much the same as a proposal."""
    proposal = load_proposal(slug, proposal_id)
    if not proposal.is_published:
        raise NotFound
    cards = similar_cards(web.current_session(), proposal.process_id, proposal.title, proposal.body, limit=RELATED,
                          but=proposal.id)
    return render_template(
        "contributions/proposals/related.html", process=proposal.process, proposal=proposal,
        cards=cards, hides_supports=proposal.process.hides_supports(web.current_now()),
        themes={theme.id: theme for theme in proposal.process.themes}, answer_labels=ANSWER_LABELS,
    )


def _gone(proposal: Proposal) -> ResponseReturnValue:
    """What stands where a proposal was whose author said why it went."""
    page = render_template(
        "contributions/proposals/gone.html", proposal=proposal, process=proposal.process,
        reason=WITHDRAWAL_REASONS[proposal.withdrawal_reason or ""],
    )
    return page, 410


@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>/verlauf")
@web.public
def history(slug: str, proposal_id: int) -> ResponseReturnValue:
    """How a proposal changed after others had supported or commented it: each text, and what differs word by word."""
    proposal = load_proposal(slug, proposal_id)
    if proposal.edited_at is None or not proposal.is_published:
        return redirect(url_for("proposals.show", slug=slug, proposal_id=proposal_id))
    texts = list(web.current_session().scalars(seen_revisions(proposal)))
    themes = {theme.id: web.in_language(theme.name) for theme in shown_name(proposal.process).themes}
    changes = [_change(before, after, themes, proposal.own_fields) for before, after in pairwise(texts)]
    return render_template(
        "contributions/proposals/history.html", process=proposal.process, proposal=proposal, first=texts[0],
        changes=list(reversed(changes)),
    )


def _change(
    before: Revision, after: Revision, themes: dict[int, str], asked: tuple[OwnField, ...]
) -> dict[str, Any]:
    """One step of the history, ready to be shown."""
    old, new = before.changes or {}, after.changes or {}
    theme = themes.get(new.get("theme_id", 0)) if old and old.get("theme_id") != new.get("theme_id") else None
    place = new.get("place") if old and old.get("place") != new.get("place") else None
    said = [as_text(public_answers(load_answers((one.changes or {}).get("answers")), asked)) for one in (before, after)]
    return {
        "answers": text.difference(*said) if said[0] != said[1] else [],
        "at": after.applied_at or after.created_at, "number": after.number, "theme": theme, "place": place,
        "title": text.difference(before.title, after.title) if before.title != after.title else [],
        "body": text.difference(before.body, after.body) if before.body != after.body else [],
    }


# ------------------------------------------------------------------------------------------------------------ holes


def own_actions(slug: str, proposal_id: int) -> str:
    """What the author can do with an own proposal, and why it is not public when it is not."""
    actor = web.current_actor()
    if actor.identity is None:
        return ""
    proposal = load_standing(slug, proposal_id)
    if not mark_own(web.current_keyring(), actor, proposal) and not proposal.is_shared:
        return ""
    state = proposal.state
    return web.render_part(
        "contributions/proposals/_own.html", proposal=proposal, slug=slug, state=state,
        may_edit=state in EDITABLE and web.can(Action.EDIT_PROPOSAL, proposal),
        may_withdraw=proposal.is_own
        and state in {ContributionState.SUBMITTED, ContributionState.RETURNED, ContributionState.PUBLISHED},
        may_invite=actor.is_signed_in and state in EDITABLE,
    )


@web.for_staff
def hide_comment(slug: str, proposal_id: int, comment_id: int) -> str:
    """For moderators: the way to take one comment off the page. Asks the rights of the proposal, without a query."""
    if not web.can(Action.MODERATE, load_standing(slug, proposal_id)):
        return ""
    return web.render_part("contributions/comments/_moderate.html", comment_id=comment_id)


@web.for_staff
def answer_link(slug: str, proposal_id: int) -> str:
    """For those who answer: the way to the form."""
    if not web.can(Action.ANSWER_PROPOSAL, load_standing(slug, proposal_id)):
        return ""
    return web.render_part("contributions/proposals/_answer_link.html", slug=slug, proposal_id=proposal_id)


def field_answers(phase_id: int, key: str) -> str:
    """For editors who are about to delete a field: how many answered it."""
    number = count_answers(web.current_session(), phase_id, key)
    said = ngettext("%(num)s Vorschlag enthält eine Antwort darauf.", "%(num)s Vorschläge enthalten eine Antwort darauf.", number)
    return f"<p><strong>{escape(said)}</strong></p>" if number else ""


PARTS: dict[str, Callable[..., str]] = {"field_answers": field_answers}
HOLES: dict[str, Callable[..., str]] = {
    "answer_link": answer_link, "own_actions": own_actions, "hide_comment": hide_comment,
}


def _steps(proposal: Any, is_taken_up: bool) -> list[dict[str, Any]]:  # noqa: ANN401, FBT001 - a Contribution
    """Submitted, checked, published, taken up: each done, current or open."""
    state = proposal.state
    waiting = state in {ContributionState.SUBMITTED, ContributionState.RETURNED, ContributionState.DRAFT}
    steps: list[dict[str, Any]] = [
        {"label": _("Eingereicht"), "date": proposal.submitted_at or proposal.created_at, "state": "done"},
        {"label": _("Geprüft"), "date": None if waiting else proposal.decided_at or proposal.published_at,
         "state": "current" if waiting else "done",
         "text": _("Die Verwaltung prüft den Vorschlag.") if state is ContributionState.SUBMITTED else None},
    ]
    if state in {ContributionState.REJECTED, ContributionState.HIDDEN, ContributionState.WITHDRAWN}:
        steps.append({"label": _(STATE_LABELS[state]), "date": proposal.decided_at, "state": "current"})
        return steps
    steps.append({"label": _("Veröffentlicht"), "date": None if waiting else proposal.published_at,
                  "state": "open" if waiting else "done"})
    if proposal.answer_status and not waiting:
        steps.append({"label": _("Antwort der Verwaltung"), "date": proposal.answered_at, "state": "done",
                      "text": _(ANSWER_LABELS[proposal.answer_status])})
    steps.append({
        "label": _("In eine Maßnahme aufgenommen") if is_taken_up else _("Auswertung für den Maßnahmenkatalog"),
        "date": None, "state": "done" if is_taken_up else "open" if waiting else "current",
        "text": None if is_taken_up or waiting else _("Noch ist daraus keine Maßnahme geworden."),
    })
    return steps


# ------------------------------------------------------------------------------------------------------------- map


def basemap() -> Basemap:
    """The basemap of this installation."""
    settings = web.current_settings()
    return basemap_from_settings(settings.basemap, settings.basemap_url, settings.basemap_attribution)


def bounds(municipality: Municipality) -> BBox:
    """The municipality's box, (west, south, east, north) in EPSG:4326."""
    return BBox(*municipality.bounds) if municipality.bounds else EVERYWHERE


def map_themes(process: Process) -> tuple[MapTheme, ...]:
    """The themes in an order that gives each pin the tone of its theme; empty places where a tone is not used.

    The place in this list decides a pin's colour, the theme's own `tone` its colour everywhere else.
    """
    placed: dict[int, MapTheme] = {}
    for theme in process.themes:
        place = theme.tone % TONES
        while place in placed:
            place += TONES
        placed[place] = MapTheme(theme.slug, theme.name)
    return tuple(placed.get(number, MapTheme("", "")) for number in range(max(placed, default=-1) + 1))


def _overview(asked: Asked) -> MapParts:
    process = asked.process
    number = asked.theme.proposal_count if asked.theme else process.proposal_count
    detail = url_for("proposals.show", slug=process.slug, proposal_id=0)
    return render_map(MapOptions(
        bbox=bounds(web.the_municipality()), data_url=asked.address("proposals.geojson", q=None, sort=None, antwort=None),
        detail_url=detail.removesuffix("0") + "{id}", themes=map_themes(process), translate=_, asset_url=static_url,
        clustered_by_server=number > CLUSTER_FROM, layers_url=url_for("proposals.layers"), basemap=basemap(),
    ))


def _detail_map(proposal: Proposal) -> MapParts:
    return render_detail_map(DetailOptions(
        bbox=bounds(web.the_municipality()), lon=proposal.lon or 0.0, lat=proposal.lat or 0.0, translate=_,
        asset_url=static_url, layers_url=url_for("proposals.layers"), basemap=basemap(),
    ))


@blueprint.get("/verfahren/<slug>/karte")
@web.public
@cached
def map_page(slug: str) -> ResponseReturnValue:
    """All proposals with a place, on a map and in the list beside it."""
    asked = _asked(load_process(slug))
    page = list_page(web.current_session(), asked.listing(with_point=True))
    parts = _overview(asked)
    return render_template(
        "contributions/proposals/map.html", process=asked.process, asked=asked, page=page, map=parts,
        hides_supports=asked.process.hides_supports(web.current_now()),
        map_script=asked.address("proposals.map_script", q=None, sort=None, antwort=None, v=_fingerprint(parts)),
        chips=_theme_chips(asked, "proposals.map_page"), themes={theme.id: theme for theme in asked.process.themes},
        may_submit=asked.process.phase_opening(Action.SUBMIT_PROPOSAL, web.current_now()) is not None,
    )


def _fingerprint(parts: MapParts) -> str:
    return hashlib.sha256(str(parts.script).encode()).hexdigest()[:12]


@blueprint.get("/verfahren/<slug>/karte.js")
@web.public
def map_script(slug: str) -> ResponseReturnValue:
    """The script of the map page, as a file: so the page needs no nonce and stays in the cache."""
    return _script(_overview(_asked(load_process(slug))))


@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>/lage.js")
@web.public
def place_script(slug: str, proposal_id: int) -> ResponseReturnValue:
    """The script of the small map on a proposal's page."""
    proposal = load_proposal(slug, proposal_id)
    if proposal.lon is None:
        raise NotFound
    return _script(_detail_map(proposal))


def _script(parts: MapParts) -> Response:
    response = make_response(str(parts.script), 200, {"Content-Type": "text/javascript; charset=utf-8"})
    response.set_etag(_fingerprint(parts))
    response.headers["Cache-Control"] = "private, no-cache"
    return response.make_conditional(request)


@blueprint.get("/verfahren/<slug>/karte.geojson")
@web.public
def geojson(slug: str) -> ResponseReturnValue:
    """The points of the map, or groups of them when ?zoom= is given.

    ?bbox=west,south,east,north (EPSG:4326) and ?thema= (as often as wanted) narrow it. Values that make no sense are
    left out of account.
    """
    process = load_process(slug)
    session = web.current_session()
    wanted = set(request.args.getlist("thema"))
    chosen = [theme for theme in process.themes if theme.slug in wanted]
    theme_ids = tuple(theme.id for theme in chosen)
    number = sum(theme.proposal_count for theme in chosen) if chosen else process.proposal_count
    zoom = _zoom(request.args.get("zoom", ""))
    if zoom is None and number > CLUSTER_FROM:
        # Nobody needs every point of a big town at once.
        zoom = FAR_AWAY
    is_secret = process.hides_supports(web.current_now())
    key: tuple[object, ...] = (process.id, web.the_municipality().content_version, theme_ids, is_secret)
    if zoom is None:
        document = _kept_documents().get(
            (*key, "points"), lambda: export.points_document(session, process, theme_ids, hides_supports=is_secret)
        )
    else:
        raw = _box(request.args.get("bbox", ""))
        box = export.grown_to_tiles(raw, min(zoom, 16)) if raw else None
        document = _kept_documents().get(
            (*key, zoom, box), lambda: export.clusters_document(session, process, theme_ids, zoom, box, hides_supports=is_secret)
        )
    return _document_response(document)


@blueprint.get("/karte/ebenen.geojson")
@web.public
def layers() -> ResponseReturnValue:
    """The ground of all maps: boundary, districts, sketch."""
    municipality = web.the_municipality()
    session = web.current_session()
    document = _kept_documents().get(
        ("ground", municipality.id, municipality.content_version),
        lambda: export.ground_document(session, municipality.id), max_age=GROUND_SECONDS,
    )
    return _document_response(document)


def _kept_documents() -> export.Documents:
    return _documents.setdefault(web.current_database(), export.Documents())


def _document_response(document: export.Document) -> Response:
    headers = {"Content-Type": MIME_TYPE, "Cache-Control": "private, no-cache"}
    compressed = "gzip" in request.headers.get("Accept-Encoding", "")
    if compressed:
        headers["Content-Encoding"] = "gzip"
    response = make_response(document.compressed if compressed else document.body, 200, headers)
    response.vary.add("Accept-Encoding")
    response.set_etag(document.etag, weak=True)
    return response.make_conditional(request)


def _zoom(raw: str) -> int | None:
    return min(int(raw), export.ZOOM_MAX) if re.fullmatch(r"[0-9]{1,2}", raw) else None


def _box(raw: str) -> tuple[float, float, float, float] | None:
    parts = raw.split(",")
    if len(parts) != 4 or len(raw) > 120:  # noqa: PLR2004 - four edges
        return None
    try:
        west, south, east, north = (float(part) for part in parts)
    except ValueError:
        return None
    if not all(math.isfinite(value) and abs(value) <= 360 for value in (west, south, east, north)):  # noqa: PLR2004
        return None
    return (west, south, east, north) if west <= east and south <= north else None


@blueprint.get(TILE_PATH.replace("{z}", "<int:z>").replace("{x}", "<int:x>").replace("{y}", "<int:y>"))
@web.public
def tiles(z: int, x: int, y: int) -> ResponseReturnValue:
    """A tile of the basemap, fetched by us and kept on disk; the visitor's browser asks nobody else."""
    municipality, settings = web.the_municipality(), web.current_settings()
    store = TileStore(basemap(), settings.data_dir / "tiles" / str(municipality.id), bounds(municipality))
    try:
        tile = store.tile(z, x, y)
    except NoTileError as error:
        raise NotFound from error
    except TileUnavailableError:
        return make_response("", 503, {"Content-Type": "text/plain", "Retry-After": "60"})
    return make_response(
        tile.body, 200, {"Content-Type": tile.mimetype, "Cache-Control": "public, max-age=604800"}
    )


@blueprint.get(PMTILES_PATH)
@web.public
def tile_file() -> ResponseReturnValue:
    """The vector tiles of the basemap, by range requests."""
    ground = basemap()
    if ground.kind != "pmtiles" or not Path(ground.source).is_file():
        raise NotFound
    return send_file(Path(ground.source).absolute(), mimetype="application/octet-stream", conditional=True,
                     max_age=PICTURE_SECONDS)


# --------------------------------------------------------------------------------------------------------- pictures

_SIZE = f"any({','.join(SIZES)})"


@blueprint.get(f"/verfahren/<slug>/vorschlaege/<int:proposal_id>/bilder/<int:picture_id>/<{_SIZE}:size>")
@web.public
def picture(slug: str, proposal_id: int, picture_id: int, size: str) -> ResponseReturnValue:
    """One picture of a proposal; for others than its author and staff only while the proposal is public."""
    require_storable(slug, proposal_id, picture_id)
    found = stored_picture(web.current_session(), web.the_municipality().id, slug, proposal_id, picture_id)
    if found is None:
        raise NotFound
    name, state, revision_number, process = found
    is_public = state is ContributionState.PUBLISHED and process.is_visible and revision_number is None
    if not is_public:
        contribution = load_standing(slug, proposal_id)
        # The picture of a change that awaits its decision, on a page that everybody sees.
        if revision_number is not None and not (
            web.can(Action.MODERATE, contribution)
            or mark_own(web.current_keyring(), web.current_actor(), contribution)
        ):
            raise NotFound
    path = picture_path(web.current_settings().upload_dir, name, size)
    if not path.is_file():
        raise NotFound
    response = make_response(path.read_bytes(), 200, {"Content-Type": "image/webp"})
    response.set_etag(f"{name}-{size}")
    response.headers["Cache-Control"] = f"private, max-age={PICTURE_SECONDS}" if is_public else "private, no-store"
    return response.make_conditional(request)
