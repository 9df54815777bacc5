"""Folium, made fit for a public page: safe parts instead of a whole document.

What Folium does by itself is not acceptable here: it calls foreign hosts, forbids zooming by a viewport line,
writes style blocks, and puts texts of popups into JavaScript template literals, where `${…}` runs. So

* `default_js` and `default_css` name our own files, under a prefix the caller knows,
* only the `html` and the `script` of the figure are used, never its header,
* no text that a person wrote passes through Python into the script: the browser fetches GeoJSON and builds pins,
  popups and tooltips by `textContent` (static/js/map_*.js),
* what is passed is our own configuration, by a JSON dump that escapes <, >, & and '.

Folium is imported on first use: it brings numpy, some 40 MB, which workers and commands need not carry.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from markupsafe import Markup

from mapping import texts
from mapping.basemap import PMTILES_SCRIPT, WITHOUT_TILES, Basemap
from mapping.geometry import BBox

LEAFLET = "vendor/leaflet-1.9.4"
MARKERCLUSTER = "vendor/leaflet.markercluster-1.5.3"
FULLSCREEN = "vendor/leaflet.fullscreen-3.0.0"

_ELEMENT_ID = re.compile(r"[a-z][a-z0-9_]{0,40}")
_OWN_URL = re.compile(r"/(?![/\\])[^\s\\\"'<>`]*")


def default_asset_url(path: str) -> str:
    """Where static files lie if the caller has no better idea (such as one with a content hash)."""
    return f"/static/{path}"


def unchanged(text: str) -> str:
    """Leave German texts as they are."""
    return text


@dataclass(frozen=True, slots=True)
class Theme:
    """A theme that pins can have; its place in the list decides the colour of its pins."""

    key: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonOptions:
    """What every map needs. `bbox` is the municipality in degrees; all addresses are on our own host."""

    bbox: BBox
    element_id: str = "karte"
    """Unique on the page; the element is then named map_<element_id>."""
    name: str = ""
    """Accessible name of the map; "" takes the German default. Never a text that a visitor wrote."""
    layers_url: str = ""
    """Where `features.layers_document` is served."""
    layers: str = ""
    """The same document embedded instead; for small ones only."""
    basemap: Basemap = WITHOUT_TILES
    asset_url: Callable[[str], str] = default_asset_url
    translate: Callable[[str], str] = unchanged


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOptions(CommonOptions):
    """The overview of all contributions."""

    data_url: str
    """Where `features.point_collection` or, with `clustered_by_server`, `cluster_collection` is served."""
    detail_url: str = ""
    """Address of a contribution with {id} in it; "" if each point brings its own url."""
    themes: tuple[Theme, ...] = ()
    clustered_by_server: bool = False
    """The browser then asks again after each move, with ?zoom= and ?bbox=west,south,east,north added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PickerOptions(CommonOptions):
    """Choosing a place in a form; the two inputs and the text field of the place stand in the form itself."""

    element_id: str = "ortswahl"
    lon_input_id: str = "lon"
    lat_input_id: str = "lat"


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailOptions(CommonOptions):
    """One point on a small map, (lon, lat)."""

    element_id: str = "lage"
    lon: float
    lat: float


@dataclass(frozen=True, slots=True)
class MapParts:
    """The parts of a map for a page with a strict Content-Security-Policy.

    `script` belongs into <script type="module" nonce="…">, or into a file of its own; it is the same for the same
    options, so a page with it can be cached. `scripts` are classic scripts, to be loaded with defer.
    """

    html: Markup
    script: Markup
    stylesheets: tuple[str, ...]
    scripts: tuple[str, ...]
    modules: tuple[str, ...]

    def head_tags(self) -> Markup:
        """The links for the head of the page."""
        return Markup("\n").join(
            [
                *(Markup('<link rel="stylesheet" href="{}">').format(url) for url in self.stylesheets),
                *(Markup('<link rel="modulepreload" href="{}">').format(url) for url in self.modules),
            ]
        )

    def script_tags(self, nonce: str) -> Markup:
        """All scripts in their order, for the end of the page; `nonce` is that of the page's policy."""
        own = Markup('<script type="module" nonce="{}">\n{}</script>').format(nonce, self.script)
        return self._library_tags() + own

    def script_file_tags(self, address: str) -> Markup:
        """The same for a page that must stay in a cache: `script` is served at `address` as a file of its own."""
        return self._library_tags() + Markup('<script type="module" src="{}"></script>').format(address)

    def _library_tags(self) -> Markup:
        return Markup("").join(Markup('<script defer src="{}"></script>\n').format(url) for url in self.scripts)


def render_map(options: MapOptions) -> MapParts:
    """Render the overview map: clustered pins with popups, fetched from `data_url`.

    Raises ValueError if an address is not on our own host or the element id is not a plain name.
    """
    _require_own_urls(options.data_url, options.detail_url)
    config = {
        "dataUrl": options.data_url,
        "detailUrl": options.detail_url,
        "themes": [{"key": theme.key, "label": theme.label} for theme in options.themes],
        "clustered": options.clustered_by_server,
        "name": options.translate(options.name or texts.OVERVIEW_NAME),
    }
    return _parts("overview", options, config, texts.OVERVIEW_LABELS, texts.OVERVIEW_HELP, texts.NO_SCRIPT)


def render_picker(options: PickerOptions) -> MapParts:
    """Render the map that fills two inputs of a form; without JavaScript it is not there.

    Raises ValueError as `render_map`.
    """
    config = {
        "lonInput": options.lon_input_id,
        "latInput": options.lat_input_id,
        "name": options.translate(options.name or texts.PICKER_NAME),
    }
    return _parts("picker", options, config, texts.PICKER_LABELS, texts.PICKER_HELP)


def render_detail_map(options: DetailOptions) -> MapParts:
    """Render a small map with one point.

    Raises ValueError as `render_map`, and for a point that is not finite.
    """
    config = {
        "point": [options.lat, options.lon],
        "name": options.translate(options.name or texts.DETAIL_NAME),
    }
    return _parts("detail", options, config, {})


def _parts(
    kind: Literal["overview", "picker", "detail"],
    options: CommonOptions,
    config: dict[str, Any],
    labels: dict[str, str],
    help_text: str = "",
    without_script: str = "",
) -> MapParts:
    if _ELEMENT_ID.fullmatch(options.element_id) is None:
        message = f"not a plain element id: {options.element_id!r}"
        raise ValueError(message)
    _require_own_urls(options.layers_url, options.basemap.url)
    west, south, east, north = options.bbox
    config |= {
        "bounds": [[south, west], [north, east]],
        "layersUrl": options.layers_url,
        "layers": json.loads(options.layers) if options.layers else None,
        "labels": {key: options.translate(text) for key, text in (texts.SHARED_LABELS | labels).items()},
        "attribution": options.translate(options.basemap.shown_attribution),
        "basemap": options.basemap.kind,
        "maxZoom": options.basemap.max_zoom,
        "pmtilesUrl": options.basemap.url if options.basemap.kind == "pmtiles" else "",
    }
    modules = ["js/map_base.js"]
    if kind != "detail":
        modules.append(f"js/map_{kind}.js")
    libraries = [f"{LEAFLET}/leaflet.js"]
    if kind == "overview":
        libraries += [
            f"{MARKERCLUSTER}/leaflet.markercluster.js",
            f"{FULLSCREEN}/Control.FullScreen.js",
        ]
    if options.basemap.kind == "pmtiles":
        libraries.append(PMTILES_SCRIPT)
    module_urls = tuple(map(options.asset_url, modules))
    body, script, scripts, stylesheets = _rendered(
        kind,
        options.element_id,
        options.bbox,
        json.dumps(config, allow_nan=False, sort_keys=True),
        tuple(map(options.asset_url, libraries)),
        (options.asset_url(f"{LEAFLET}/leaflet.css"), options.asset_url("map.css")),
        module_urls,
        options.basemap,
    )
    frame = Markup('<div class="map-frame map-frame--{}" id="map_{}-frame">{}</div>').format(
        kind, options.element_id, Markup(body)  # noqa: S704 - Folium's own div, no foreign text in it
    )
    if help_text:
        frame += Markup('<p class="map-help" id="map_{}-help">{}</p>').format(
            options.element_id, options.translate(help_text)
        )
    if without_script:
        frame += Markup('<noscript><p class="map-noscript">{}</p></noscript>').format(
            options.translate(without_script)
        )
    return MapParts(
        html=frame,
        script=Markup(script),  # noqa: S704 - our own configuration only, dumped with <, >, & and ' escaped
        stylesheets=stylesheets,
        scripts=scripts,
        modules=module_urls,
    )


@lru_cache(maxsize=64)
def _rendered(
    kind: Literal["overview", "picker", "detail"],
    element_id: str,
    bbox: BBox,
    config: str,
    libraries: tuple[str, ...],
    stylesheets: tuple[str, ...],
    modules: tuple[str, ...],
    basemap: Basemap,
) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    """Let Folium render; cached, since building its figure takes some milliseconds and depends on these alone."""
    import folium  # noqa: PLC0415 - brings numpy; see above
    from branca.element import CssLink, JavascriptLink  # noqa: PLC0415 - part of Folium
    from folium.utilities import JsCode  # noqa: PLC0415 - part of Folium

    from mapping.folium_elements import Behaviour, OwnFullscreen, OwnMap, OwnTiles  # noqa: PLC0415 - imports Folium

    settings: dict[str, Any] = json.loads(config)
    # Folium hands these to L.map as they are; the code is ours and constant.
    animated: Any = JsCode("!matchMedia('(prefers-reduced-motion: reduce)').matches")
    lon, lat = bbox.centre
    map_ = OwnMap(
        scripts=libraries[:1],
        stylesheets=stylesheets,
        location=(lat, lon),
        zoom_start=12,
        tiles=None,
        zoom_control=True,
        scroll_wheel_zoom=False,
        zoom_animation=animated,
        fade_animation=animated,
        marker_zoom_animation=animated,
        inertia=animated,
        zoom_snap=0.5,
        zoom_delta=1,
    )
    map_._id = element_id  # noqa: SLF001 - Folium's random id would make every page differ
    if basemap.kind == "xyz_proxy":
        # Leaflet sets the attribution as HTML; ours is text.
        OwnTiles(
            tiles=basemap.url, attr=html.escape(basemap.attribution), max_zoom=basemap.max_zoom
        ).add_to(map_)
    if kind == "overview":
        OwnFullscreen(
            script=libraries[2],
            title=settings["labels"]["fullscreen"],
            title_cancel=settings["labels"]["exitFullscreen"],
        ).add_to(map_)
    Behaviour(kind, settings, scripts=libraries[1:]).add_to(map_)
    figure = map_.get_root()
    if not isinstance(figure, folium.Figure):
        message = "Folium did not give a figure"
        raise TypeError(message)
    figure.render()
    links = list(figure.header._children.values())  # noqa: SLF001 - the links are what Folium collected for us
    own = {"detail": ("showPlace", 0), "overview": ("showContributions", 1), "picker": ("pickPlace", 1)}
    function, index = own[kind]
    imports = [f"import * as base from {_js(modules[0])};"]
    if index:
        imports.append(f"import {{ {function} }} from {_js(modules[index])};")
    else:
        imports.append("const { showPlace } = base;")
    script = "\n".join(
        [*imports, f"base.reveal({_js('map_' + element_id)});", _squeezed(figure.script.render()), ""]
    )
    return (
        _squeezed(figure.html.render()),
        script,
        tuple(dict.fromkeys(link.url for link in links if isinstance(link, JavascriptLink))),
        tuple(dict.fromkeys(link.url for link in links if isinstance(link, CssLink))),
    )


def _require_own_urls(*urls: str) -> None:
    for url in urls:
        if url and _OWN_URL.fullmatch(url) is None:
            message = f"not an address on our own host: {url!r}"
            raise ValueError(message)


def _js(text: str) -> str:
    return json.dumps(text).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _squeezed(text: str) -> str:
    """Drop the blank lines and indentation that templates leave."""
    return "\n".join(line for line in (raw.strip() for raw in text.splitlines()) if line)
