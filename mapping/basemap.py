"""What lies under the points, as data: no tile ever comes from a third party into the browser.

kind "none"       boundary, districts and a sketch (roads, water, woods, places) as vectors; nothing else needed
kind "xyz_proxy"  tiles of any XYZ service, but fetched by our own server: the page asks `TILE_PATH` on our host,
                  the view behind it asks `Basemap.upstream_url` and keeps the answer on disk
kind "pmtiles"    one vector tile file on our own disk, asked by range requests and drawn by protomaps-leaflet,
                  which then must lie in static/vendor (see PMTILES_SCRIPT)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from mapping.texts import SKETCH_ATTRIBUTION

if TYPE_CHECKING:
    from mapping.geometry import BBox

Kind = Literal["none", "xyz_proxy", "pmtiles"]
KINDS: tuple[Kind, ...] = ("none", "xyz_proxy", "pmtiles")

TILE_PATH = "/karte/kacheln/{z}/{x}/{y}"
PMTILES_PATH = "/karte/grundkarte.pmtiles"
PMTILES_SCRIPT = "vendor/protomaps-leaflet-5.1.0/protomaps-leaflet.js"
MAX_ZOOM = 19

SKETCH_KINDS = (
    "built",
    "wood",
    "water",
    "stream",
    "railway",
    "road",
    "street",
    "place",
    "landmark",
    "direction",
)
"""Values of the property `kind` in a sketch that static/map.css knows; others are drawn as plain lines."""


@dataclass(frozen=True, slots=True)
class Basemap:
    """The ground of all maps of an installation."""

    kind: Kind = "none"
    source: str = ""
    """Address of the upstream tiles ({z}, {x}, {y}) for xyz_proxy, path of the file for pmtiles; never sent out."""
    attribution: str = ""
    """Plain text beside the map, as the licence of the source asks for it."""
    max_zoom: int = MAX_ZOOM

    @property
    def url(self) -> str:
        """The address on our own host that the browser asks; "" without a basemap."""
        return {"none": "", "xyz_proxy": TILE_PATH, "pmtiles": PMTILES_PATH}[self.kind]

    @property
    def shown_attribution(self) -> str:
        """The attribution as plain German text."""
        return self.attribution or (SKETCH_ATTRIBUTION if self.kind == "none" else "")

    def upstream_url(self, z: int, x: int, y: int) -> str:
        """Return the address from which the server fetches a tile.

        Raises ValueError if there is no such tile, so that a visitor can't make the server ask for anything else.
        """
        if self.kind != "xyz_proxy" or not 0 <= z <= self.max_zoom or not 0 <= x < 2**z or not 0 <= y < 2**z:
            message = f"no tile {z}/{x}/{y}"
            raise ValueError(message)
        return self.source.replace("{z}", str(z)).replace("{x}", str(x)).replace("{y}", str(y))


WITHOUT_TILES = Basemap()
"""The default: vectors only."""


def basemap_from_settings(kind: str, source: str = "", attribution: str = "", max_zoom: int = MAX_ZOOM) -> Basemap:
    """Build the basemap from the settings BASEMAP, BASEMAP_URL, BASEMAP_ATTRIBUTION.

    Raises ValueError with a sentence for the operator if they don't fit together.
    """
    if kind not in KINDS:
        message = f"BASEMAP={kind!r} ist unbekannt. Möglich sind: {', '.join(KINDS)}."
        raise ValueError(message)
    if kind == "xyz_proxy":
        parts = urlsplit(source)
        if parts.scheme != "https" or not parts.hostname or any(f"{{{c}}}" not in parts.path for c in "zxy"):
            message = "BASEMAP_URL muss mit https:// beginnen und im Pfad {z}, {x} und {y} enthalten."
            raise ValueError(message)
    if kind == "pmtiles" and not source:
        message = "BASEMAP_URL muss den Pfad der PMTiles-Datei nennen."
        raise ValueError(message)
    if kind != "none" and not attribution.strip():
        message = "BASEMAP_ATTRIBUTION fehlt. Die Lizenz der Karte verlangt die Nennung der Quelle."
        raise ValueError(message)
    return Basemap(kind, source, " ".join(attribution.split()), max_zoom)


def tile_meets(bbox: BBox, z: int, x: int, y: int) -> bool:
    """Whether a Web Mercator tile touches the box: the proxy answers for the own surroundings only."""
    n = 2**z
    west, east = x / n * 360 - 180, (x + 1) / n * 360 - 180
    north, south = _latitude(y / n), _latitude((y + 1) / n)
    return west <= bbox.east and east >= bbox.west and south <= bbox.north and north >= bbox.south


def _latitude(fraction: float) -> float:
    return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * fraction))))
