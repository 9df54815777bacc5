"""The list of proposals and its feed: what the address asks for, and one page of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask_babel import get_locale, gettext as _
from sqlalchemy import select
from sqlalchemy.orm import undefer

from mapping.boundaries import area_from_geojson
from mapping.geometry import GeometryError, parse_point
from participation import clock, search, text, web
from participation.actions import Action
from participation.contributions.models import SHUFFLE_RANGE, AnswerStatus
from participation.contributions.proposals.edge import LARGEST_ID
from participation.contributions.proposals.models import ANSWER_LABELS
from participation.contributions.proposals.operations import searching
from participation.contributions.proposals.queries import (
    MATCHES_MAX,
    SEARCH_MAX,
    SORT_LABELS,
    Listing,
    Page,
    Sort,
    count_answered,
    list_page,
    read_cursor,
)
from participation.i18n import N_
from participation.municipalities.models import District, Municipality
from participation.page_cache import cached
from participation.processes.edge import load_process, shown_name
from participation.processes.models import Process, Theme
from participation.written import format_decimal

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("proposals", __name__)
searching.connect()

# A thousandth of a degree is 110 m to the north and 70 m to the east.
NEAR_DECIMALS = 3
NEAR_LEAST = 50
KILOMETRE = 1000
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


def read_address(process: Process) -> Asked:
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
    return f"{format_decimal(metres / KILOMETRE, '0.0')} km"


def _own_start(process: Process) -> int:
    """Where a shuffled list begins for this reader today: the same when they come back, another for others.

    Made of what the request says anyway, by a keyed hash; nothing is stored.
    """
    day = clock.to_berlin(web.current_now()).date().isoformat()
    reader = web.current_actor().identity or f"{request.remote_addr} {request.user_agent.string}"
    return int(web.current_keyring().person_hash(process.id, f"shuffle:{day}:{reader}")[:8], 16) % SHUFFLE_RANGE


def theme_chips(asked: Asked, endpoint: str) -> list[tuple[str, str, bool, int | None]]:
    """(name, address, is chosen, number) of all themes together and of each."""
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
    asked = read_address(load_process(slug))
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
        found = list_page(web.current_session(), replace(shown, query=guess).listing()) if guess else page
        if guess and found.cards:
            instead_of, asked, page = asked.query, replace(asked, query=guess), found
    total, is_more = _total(asked, page)
    return render_template(
        "contributions/proposals/index.html", process=shown_name(asked.process), asked=asked, page=page, total=total,
        instead_of=instead_of, is_more=is_more, chips=theme_chips(asked, "proposals.index"),
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
    asked = read_address(load_process(slug))
    newest = replace(asked, sort=Sort.NEWEST, cursor="")
    page = list_page(web.current_session(), newest.listing())
    process = asked.process
    title = f"{process.title}: {_('Vorschläge')}"
    if asked.theme:
        title += f", {asked.theme.name}"
    if asked.query:
        title += f", „{asked.query}“"
    updated = max((card.updated_at for card in page.cards), default=process.published_at or process.created_at)
    body = render_template(
        "contributions/proposals/feed.xml", process=process, cards=page.cards, title=title, updated=updated,
        address=asked.address("proposals.feed", sort=None, ab=None, _external=True),
        page_address=asked.address("proposals.index", ab=None, _external=True),
        themes={theme.id: theme for theme in process.themes}, get_locale=get_locale,
    )
    return make_response(body, 200, {"Content-Type": "application/atom+xml; charset=utf-8"})
