"""Points and areas: read what people type, and say in German what is wrong with it.

Everything here takes and gives (lon, lat) in degrees, EPSG:4326. Point-in-polygon is plain ray casting with a
bounding-box test before it: it runs at each form post, where importing shapely would cost more than it saves.
Outlines that offices upload are read in `boundaries`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from mapping.texts import N_

if TYPE_CHECKING:
    pass

Position: TypeAlias = tuple[float, float]
Ring: TypeAlias = tuple[Position, ...]
Polygon: TypeAlias = tuple[Ring, ...]

K = TypeVar("K", bound=Hashable)

DECIMALS = 6
"""Six decimals are 11 cm north to south: finer than any phone knows its place."""

TOLERANCE_METRES = 500.0
"""Boundaries are often generalised by some 200 m; a house beside the line must not be refused."""

_EARTH_RADIUS_METRES = 6_371_008.8
METRES_PER_DEGREE = math.pi * _EARTH_RADIUS_METRES / 180

_NUMBER = re.compile(r"[+-]?[0-9]{1,3}(?:[.,][0-9]{1,20})?")


class GeometryError(ValueError):
    """A place or a boundary can't be accepted.

    `message` is a German gettext source with %(name)s places that names cause and cure; `params` fills them;
    `field` is "lon" or "lat" where one of the two inputs is to blame.
    """

    def __init__(self, message: str, *, field: str | None = None, **params: object) -> None:
        """Keep the untranslated message apart from its parameters, so that the edge can translate it."""
        super().__init__(message)
        self.message = message
        self.field = field
        self.params = params

    def __str__(self) -> str:
        """Spell out the German message."""
        return self.message % self.params if self.params else self.message


class BBox(NamedTuple):
    """A bounding box in degrees: west, south, east, north (the order of RFC 7946)."""

    west: float
    south: float
    east: float
    north: float

    def contains(self, lon: float, lat: float) -> bool:
        """Whether the point lies inside or on the edge."""
        return self.west <= lon <= self.east and self.south <= lat <= self.north

    def grown(self, metres: float) -> BBox:
        """Return the box with a margin of so many metres on each side."""
        d_lat = metres / METRES_PER_DEGREE
        widest = min(89.0, max(abs(self.south), abs(self.north)) + d_lat)
        d_lon = d_lat / math.cos(math.radians(widest))
        return BBox(self.west - d_lon, self.south - d_lat, self.east + d_lon, self.north + d_lat)

    @property
    def centre(self) -> Position:
        """The middle as (lon, lat)."""
        return (self.west + self.east) / 2, (self.south + self.north) / 2


WORLD = BBox(-180.0, -90.0, 180.0, 90.0)
GERMANY = BBox(5.5, 47.0, 15.5, 55.2)
"""Where a point lies if no municipality is known; also how swapped coordinates are recognised."""

UTM_32 = BBox(200_000.0, 5_000_000.0, 1_000_000.0, 6_300_000.0)
"""Central Europe in metres, EPSG:25832."""


@dataclass(frozen=True, slots=True)
class Area:
    """A polygon or several, with holes, ready for quick questions about points."""

    polygons: tuple[Polygon, ...]
    bbox: BBox

    def contains(self, lon: float, lat: float) -> bool:
        """Whether the point lies inside one of the polygons and in none of its holes."""
        if not self.bbox.contains(lon, lat):
            return False
        return any(
            _ring_contains(polygon[0], lon, lat)
            and not any(_ring_contains(hole, lon, lat) for hole in polygon[1:])
            for polygon in self.polygons
        )

    def distance(self, lon: float, lat: float) -> float:
        """Metres from the point to the area; 0 inside."""
        if self.contains(lon, lat):
            return 0.0
        scale = math.cos(math.radians(lat))
        nearest = math.inf
        for polygon in self.polygons:
            for ring in polygon:
                for (x1, y1), (x2, y2) in itertools.pairwise(ring):
                    ax, ay = (x1 - lon) * scale, y1 - lat
                    dx, dy = (x2 - x1) * scale, y2 - y1
                    length = dx * dx + dy * dy
                    t = 0.0 if length == 0 else max(0.0, min(1.0, -(ax * dx + ay * dy) / length))
                    px, py = ax + t * dx, ay + t * dy
                    nearest = min(nearest, px * px + py * py)
        return math.sqrt(nearest) * METRES_PER_DEGREE


def parse_coordinate(text: str | None, *, field: str | None = None) -> float:
    """Read one coordinate in decimal degrees; comma and point are both decimal signs, a trailing ° is allowed.

    Raises GeometryError for an empty value and for anything that is not a plain number (NaN, infinity, 1e5,
    degrees and minutes).
    """
    cleaned = (text or "").strip().removesuffix("°").strip().replace("\u2212", "-")
    if not cleaned:
        raise GeometryError(
            N_("Hier fehlt eine Zahl. Bitte geben Sie Grad an, zum Beispiel 51,979."), field=field
        )
    if _NUMBER.fullmatch(cleaned) is None:
        raise GeometryError(
            N_("„%(value)s“ ist keine Koordinate. Bitte geben Sie Grad als Dezimalzahl an, zum Beispiel 51,979."),
            field=field,
            value=cleaned[:40],
        )
    return float(cleaned.replace(",", "."))


def parse_point(
    lon_text: str | None, lat_text: str | None, area: Area | BBox | None = None, *, place: str = ""
) -> Position | None:
    """Read the two inputs of a place; None if both are empty, since a place is often voluntary.

    Returns the checked (lon, lat), rounded. Raises GeometryError as `parse_coordinate` and `check_point` do.
    """
    no_lon, no_lat = not (lon_text or "").strip(), not (lat_text or "").strip()
    if no_lon and no_lat:
        return None
    if no_lon or no_lat:
        raise GeometryError(
            N_("Zu einem Ort gehören Breite und Länge. Bitte geben Sie beide an oder lassen Sie beide leer."),
            field="lon" if no_lon else "lat",
        )
    lon = parse_coordinate(lon_text, field="lon")
    lat = parse_coordinate(lat_text, field="lat")
    return check_point(lon, lat, area, place=place)


def check_point(
    lon: float,
    lat: float,
    area: Area | BBox | None = None,
    *,
    place: str = "",
    tolerance: float = TOLERANCE_METRES,
) -> Position:
    """Make sure that a point can be in the municipality; return it as (lon, lat) rounded to six decimals.

    `area` is its boundary or box (None: anywhere in Germany), `place` its name for the message, `tolerance` in
    metres. Raises GeometryError if a number is not finite, out of range, if the two are swapped, or if the
    point lies outside.
    """
    if not (math.isfinite(lon) and math.isfinite(lat)):
        raise GeometryError(N_("Der Ort ist keine gültige Koordinate. Bitte setzen Sie den Punkt auf der Karte neu."))
    limit = GERMANY if area is None else area
    if WORLD.contains(lon, lat) and _is_near(limit, lon, lat, tolerance):
        return round_point(lon, lat)
    if WORLD.contains(lat, lon) and _is_near(limit, lat, lon, tolerance):
        raise GeometryError(
            N_("Breite und Länge sind vertauscht. Bitte tauschen Sie die beiden Zahlen."), field="lat"
        )
    if not WORLD.south <= lat <= WORLD.north:
        raise GeometryError(N_("Die Breite muss zwischen −90 und 90 liegen, zum Beispiel 51,979."), field="lat")
    if not WORLD.west <= lon <= WORLD.east:
        raise GeometryError(N_("Die Länge muss zwischen −180 und 180 liegen, zum Beispiel 7,294."), field="lon")
    if place:
        raise GeometryError(
            N_("Dieser Ort liegt nicht in %(place)s. Bitte wählen Sie einen Ort innerhalb der Grenze."), place=place
        )
    raise GeometryError(N_("Dieser Ort liegt außerhalb. Bitte wählen Sie einen Ort innerhalb der Grenze."))


def round_point(lon: float, lat: float) -> Position:
    """Return the point with six decimals, without a negative zero."""
    return round(lon, DECIMALS) + 0.0, round(lat, DECIMALS) + 0.0


def distance_metres(a: Position, b: Position) -> float:
    """Great-circle distance between two (lon, lat) points in metres (haversine on the mean sphere)."""
    lon1, lat1, lon2, lat2 = (math.radians(value) for value in (*a, *b))
    h = (
        math.sin((lat2 - lat1) / 2) ** 2
        + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 2 * _EARTH_RADIUS_METRES * math.asin(min(1.0, math.sqrt(h)))


def district_of(lon: float, lat: float, districts: Iterable[tuple[K, Area]]) -> K | None:
    """Return the key of the first district that contains the point, or None."""
    return next((key for key, area in districts if area.contains(lon, lat)), None)


def bbox_of(points: Iterable[Position]) -> BBox | None:
    """Return the box around (lon, lat) points, or None if there is none."""
    listed = list(points)
    if not listed:
        return None
    lons, lats = [p[0] for p in listed], [p[1] for p in listed]
    return BBox(min(lons), min(lats), max(lons), max(lats))


def _is_near(limit: Area | BBox, lon: float, lat: float, tolerance: float) -> bool:
    box = limit.bbox if isinstance(limit, Area) else limit
    if not box.grown(tolerance).contains(lon, lat):
        return False
    return limit.distance(lon, lat) <= tolerance if isinstance(limit, Area) else True


def _ring_contains(ring: Ring, lon: float, lat: float) -> bool:
    inside = False
    x1, y1 = ring[-1]
    for x2, y2 in ring:
        if (y1 > lat) != (y2 > lat) and lon < (x2 - x1) * (lat - y1) / (y2 - y1) + x1:
            inside = not inside
        x1, y1 = x2, y2
    return inside
