"""Group points on the server, so that a map of a big town sends some dozens of circles, not every point.

A pure function: the same points and zoom give the same clusters, whatever their order of equal cells.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from mapping.geometry import BBox

K = TypeVar("K", bound=Hashable)

CLUSTER_FROM = 5_000
"""Up to this many points the browser groups them itself; above it the server should."""

SINGLE_FROM_ZOOM = 17
"""From this zoom on every point is shown by itself; the browser spreads those at the same place."""

CELL_PIXELS = 72
MIN_GAP_PIXELS = 58
_TILE_PIXELS = 256
_MAX_LATITUDE = 85.05112878
"""The end of the Web Mercator world."""


@dataclass(frozen=True, slots=True)
class Cluster(Generic[K]):
    """So many points around (lon, lat), their mean; `key` is the point's own if it is only one."""

    lon: float
    lat: float
    count: int
    bbox: BBox
    key: K | None = None


class _Cell(Generic[K]):
    """Sums of the points of one grid cell."""

    __slots__ = ("count", "east", "key", "lat", "lon", "north", "south", "west")

    def __init__(self, key: K, lon: float, lat: float) -> None:
        self.count = 1
        self.key = key
        self.lon, self.lat = lon, lat
        self.west = self.east = lon
        self.south = self.north = lat

    def add(self, other: _Cell[K]) -> None:
        self.count += other.count
        self.lon += other.lon
        self.lat += other.lat
        self.west, self.east = min(self.west, other.west), max(self.east, other.east)
        self.south, self.north = min(self.south, other.south), max(self.north, other.north)

    def pixel(self, world: float) -> tuple[float, float]:
        return _pixel(self.lon / self.count, self.lat / self.count, world)


def cluster_points(
    points: Iterable[tuple[K, float, float]], zoom: int, *, cell_pixels: int = CELL_PIXELS
) -> list[Cluster[K]]:
    """Group (key, lon, lat) points for a zoom level of a Web Mercator map; biggest groups first.

    Cells are squares of `cell_pixels` on the screen; neighbours whose circles would overlap become one. From
    SINGLE_FROM_ZOOM on nothing is grouped. Points that are not finite are left out.
    """
    world = float(_TILE_PIXELS * 2 ** max(0, min(zoom, 24)))
    single = zoom >= SINGLE_FROM_ZOOM
    cells: dict[tuple[int, int], _Cell[K]] = {}
    singles: list[Cluster[K]] = []
    for key, lon, lat in points:
        if not (math.isfinite(lon) and math.isfinite(lat)):
            continue
        if single:
            singles.append(Cluster(lon, lat, 1, BBox(lon, lat, lon, lat), key))
            continue
        x, y = _pixel(lon, lat, world)
        place = int(x // cell_pixels), int(y // cell_pixels)
        cell = cells.get(place)
        if cell is None:
            cells[place] = _Cell(key, lon, lat)
        else:
            cell.add(_Cell(key, lon, lat))
    if single:
        return singles
    return [_cluster(cell) for cell in _without_overlap(cells, world)]


def _without_overlap(cells: dict[tuple[int, int], _Cell[K]], world: float) -> list[_Cell[K]]:
    """Let big cells take in neighbours whose middle is nearer than a circle is wide."""
    kept: list[_Cell[K]] = []
    for place in sorted(cells, key=lambda place: (-cells[place].count, place)):
        cell = cells.pop(place, None)
        if cell is None:
            continue
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                near = (place[0] + dx, place[1] + dy)
                other = cells.get(near)
                if other is not None and math.dist(cell.pixel(world), other.pixel(world)) < MIN_GAP_PIXELS:
                    cell.add(cells.pop(near))
        kept.append(cell)
    return kept


def _cluster(cell: _Cell[K]) -> Cluster[K]:
    return Cluster(
        cell.lon / cell.count,
        cell.lat / cell.count,
        cell.count,
        BBox(cell.west, cell.south, cell.east, cell.north),
        cell.key if cell.count == 1 else None,
    )


def _pixel(lon: float, lat: float, world: float) -> tuple[float, float]:
    sine = math.sin(math.radians(max(-_MAX_LATITUDE, min(_MAX_LATITUDE, lat))))
    return (
        (lon + 180) / 360 * world,
        (0.5 - math.log((1 + sine) / (1 - sine)) / (4 * math.pi)) * world,
    )
