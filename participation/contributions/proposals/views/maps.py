"""The map of all proposals, the small one of a proposal, and what both fetch."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from flask import make_response, render_template, request, send_file, url_for
from flask_babel import gettext as _

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
from mapping.geometry import BBox
from mapping.tiles import NoTileError, TileStore, TileUnavailableError
from participation import web
from participation.actions import Action
from participation.contributions.proposals import export
from participation.contributions.proposals.edge import load_proposal
from participation.contributions.proposals.queries import Sort, list_page
from participation.contributions.proposals.views.lists import Asked, blueprint, read_address, theme_chips
from participation.db import Database
from participation.errors import NotFound
from participation.municipalities.models import Municipality
from participation.page_cache import cached
from participation.processes.edge import load_process
from participation.processes.models import Process
from participation.static_files import static_url

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from werkzeug.wrappers import Response

    from mapping.basemap import Basemap
    from participation.contributions.proposals.models import Proposal

GROUND_SECONDS = 3600.0
# The whole of Germany, for a municipality whose boundary is not known yet.
EVERYWHERE = BBox(5.87, 47.27, 15.04, 55.06)
TONES = 8
FAR_AWAY = 11
FILE_SECONDS = 7 * 24 * 3600
# Of each database its own: ids say nothing about whose they are.
_documents: WeakKeyDictionary[Database, export.Documents] = WeakKeyDictionary()


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


def detail_map(proposal: Proposal) -> MapParts:
    """The small map on the page of a proposal with a place."""
    return render_detail_map(DetailOptions(
        bbox=bounds(web.the_municipality()), lon=proposal.lon or 0.0, lat=proposal.lat or 0.0, translate=_,
        asset_url=static_url, layers_url=url_for("proposals.layers"), basemap=basemap(),
    ))


@blueprint.get("/verfahren/<slug>/karte")
@web.public
@cached
def map_page(slug: str) -> ResponseReturnValue:
    """All proposals with a place, on a map and in the list beside it."""
    asked = read_address(load_process(slug))
    # The map knows themes and nothing else, and the list beside it shows what the map does. What else the address asks
    # for only waits there for the way back to the list.
    beside = replace(asked, query="", answer="", sort=Sort.NEWEST, cursor="")
    page = list_page(web.current_session(), beside.listing(with_point=True))
    parts = _overview(asked)
    return render_template(
        "contributions/proposals/map.html", process=asked.process, asked=asked, page=page, map=parts,
        hides_supports=asked.process.hides_supports(web.current_now()),
        map_script=asked.address("proposals.map_script", q=None, sort=None, antwort=None, v=_fingerprint(parts)),
        chips=theme_chips(asked, "proposals.map_page"), themes={theme.id: theme for theme in asked.process.themes},
        may_submit=asked.process.phase_opening(Action.SUBMIT_PROPOSAL, web.current_now()) is not None,
    )


def _fingerprint(parts: MapParts) -> str:
    return hashlib.sha256(str(parts.script).encode()).hexdigest()[:12]


@blueprint.get("/verfahren/<slug>/karte.js")
@web.public
def map_script(slug: str) -> ResponseReturnValue:
    """The script of the map page, as a file: so the page needs no nonce and stays in the cache."""
    return _script(_overview(read_address(load_process(slug))))


@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>/lage.js")
@web.public
def place_script(slug: str, proposal_id: int) -> ResponseReturnValue:
    """The script of the small map on a proposal's page."""
    proposal = load_proposal(slug, proposal_id)
    if proposal.lon is None:
        raise NotFound
    return _script(detail_map(proposal))


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
                     max_age=FILE_SECONDS)
