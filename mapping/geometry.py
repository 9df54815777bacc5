"""Points, boundaries and districts: read what people and offices hand in, and say in German what is wrong with it.

Everything here takes and gives (lon, lat) in degrees, EPSG:4326. Point-in-polygon is plain ray casting with a
bounding-box test before it: it runs at each form post, where importing shapely would cost more than it saves.
shapely and pyproj are loaded only when an office uploads a boundary.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from mapping.texts import N_

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Position: TypeAlias = tuple[float, float]
Ring: TypeAlias = tuple[Position, ...]
Polygon: TypeAlias = tuple[Ring, ...]

K = TypeVar("K", bound=Hashable)

MAX_GEOJSON_BYTES = 5_000_000
MAX_POSITIONS = 200_000
MAX_DISTRICTS = 500
DECIMALS = 6
"""Six decimals are 11 cm north to south: finer than any phone knows its place."""

TOLERANCE_METRES = 500.0
"""Boundaries are often generalised by some 200 m; a house beside the line must not be refused."""

_EARTH_RADIUS_METRES = 6_371_008.8
METRES_PER_DEGREE = math.pi * _EARTH_RADIUS_METRES / 180
_DIMENSIONS = 2
_SMALLEST_RING = 4
_LARGEST_NUMBER = 1e9
_ZONE_PREFIX = 32_000_000.0
"""EPSG:4647 is EPSG:25832 with the zone number before the easting, common in survey offices."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,3}(?:[.,][0-9]{1,20})?")
_NAME_KEYS = ("name", "Name", "NAME", "GEN", "gen", "ortsteil", "Ortsteil", "ORTSTEIL", "bezeichnung", "title")


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


@dataclass(frozen=True, slots=True)
class Shape:
    """A checked boundary as it is stored: compact GeoJSON geometry in EPSG:4326, and its bounding box."""

    geojson: str
    bbox: BBox
    name: str | None = None

    @property
    def area(self) -> Area:
        """The same shape for questions about points."""
        return area_from_geojson(self.geojson)


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


@lru_cache(maxsize=256)
def area_from_geojson(text: str) -> Area:
    """Prepare a stored GeoJSON geometry (as `load_boundary` gives it) for questions about points.

    Cached by its text, since the same few boundaries are asked at each form post. Raises GeometryError.
    """
    return _area(_polygons_in(_parse(text)))


def bbox_of(points: Iterable[Position]) -> BBox | None:
    """Return the box around (lon, lat) points, or None if there is none."""
    listed = list(points)
    if not listed:
        return None
    lons, lats = [p[0] for p in listed], [p[1] for p in listed]
    return BBox(min(lons), min(lats), max(lons), max(lats))


def load_boundary(source: str | bytes) -> Shape:
    """Read the outline of a municipality from GeoJSON that an office uploaded.

    Takes a Feature, a FeatureCollection (its polygons become one) or a bare geometry of Polygon or
    MultiPolygon; WGS 84 (RFC 7946), or ETRS89/UTM 32N in metres, which is converted. Raises GeometryError.
    """
    document = _parse(source)
    polygons = _polygons_in(document)
    return _checked(_to_wgs84(polygons, _declared_crs(document)))


def load_districts(source: str | bytes) -> list[Shape]:
    """Read named districts from a GeoJSON FeatureCollection, in its order; CRS as in `load_boundary`.

    The name is taken from the property name, GEN, Ortsteil or bezeichnung. Raises GeometryError if one has no
    name, two share one, or a shape is broken.
    """
    document = _parse(source)
    features = document.get("features") if document.get("type") == "FeatureCollection" else None
    if not isinstance(features, list) or not features:
        raise GeometryError(
            N_("Die Datei enthält keine Ortsteile. Erwartet wird eine GeoJSON-FeatureCollection mit Flächen.")
        )
    if len(features) > MAX_DISTRICTS:
        raise GeometryError(N_("Mehr als %(limit)s Ortsteile sind nicht möglich."), limit=MAX_DISTRICTS)
    crs = _declared_crs(document)
    shapes: list[Shape] = []
    for number, feature in enumerate(features, start=1):
        name = _name_of(feature)
        if not name:
            raise GeometryError(
                N_("Ortsteil Nummer %(number)s hat keinen Namen. Bitte ergänzen Sie die Eigenschaft „name“."),
                number=number,
            )
        if any(shape.name == name for shape in shapes):
            raise GeometryError(
                N_("Der Ortsteil „%(name)s“ kommt zweimal vor. Bitte fassen Sie ihn zu einer Fläche zusammen."),
                name=name,
            )
        shape = _checked(_to_wgs84(_polygons_in(feature), crs))
        shapes.append(Shape(shape.geojson, shape.bbox, name))
    return shapes


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


def _area(polygons: tuple[Polygon, ...]) -> Area:
    box = bbox_of(position for polygon in polygons for position in polygon[0])
    if box is None:
        raise GeometryError(N_("Die Datei enthält keine Fläche. Erwartet wird ein Polygon oder MultiPolygon."))
    return Area(polygons, box)


def _parse(source: str | bytes) -> Mapping[str, Any]:
    if len(source) > MAX_GEOJSON_BYTES:
        raise GeometryError(
            N_("Die Datei ist zu groß. Erlaubt sind %(limit)s MB. Bitte vereinfachen Sie die Grenze."),
            limit=MAX_GEOJSON_BYTES // 1_000_000,
        )
    try:
        text = source.decode("utf-8-sig") if isinstance(source, bytes) else source.removeprefix("\ufeff")
        document = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise GeometryError(
            N_("Die Datei ist kein gültiges GeoJSON. Bitte exportieren Sie sie noch einmal als GeoJSON (UTF-8).")
        ) from None
    if not isinstance(document, dict):
        raise GeometryError(N_("Die Datei ist kein GeoJSON. Bitte exportieren Sie sie noch einmal als GeoJSON."))
    return document


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _polygons_in(node: object) -> tuple[Polygon, ...]:
    """Gather the polygons of any GeoJSON object; the number of positions is bounded for all of them together."""
    polygons: list[Polygon] = []
    positions = 0
    for rings in _coordinates_in(node):
        polygon = _polygon(rings)
        positions += sum(len(ring) for ring in polygon)
        if positions > MAX_POSITIONS:
            raise GeometryError(
                N_("Die Grenze hat mehr als %(limit)s Punkte. Bitte vereinfachen Sie sie."), limit=MAX_POSITIONS
            )
        polygons.append(polygon)
    if not polygons:
        raise GeometryError(N_("Die Datei enthält keine Fläche. Erwartet wird ein Polygon oder MultiPolygon."))
    return tuple(polygons)


def _coordinates_in(node: object) -> Iterator[Sequence[Any]]:
    pending: list[object] = [node]
    while pending:
        current = pending.pop(0)
        if not isinstance(current, dict):
            continue
        kind = current.get("type")
        coordinates = current.get("coordinates")
        if kind == "FeatureCollection" and isinstance(current.get("features"), list):
            pending.extend(current["features"])
        elif kind == "Feature":
            pending.append(current.get("geometry"))
        elif kind == "Polygon" and isinstance(coordinates, list):
            yield coordinates
        elif kind == "MultiPolygon" and isinstance(coordinates, list):
            yield from (rings for rings in coordinates if isinstance(rings, list))


def _polygon(rings: Sequence[Any]) -> Polygon:
    polygon = tuple(_ring(ring) for ring in rings)
    if not polygon:
        raise GeometryError(N_("Eine Fläche der Datei ist leer. Bitte entfernen oder ergänzen Sie sie."))
    return polygon


def _ring(ring: object) -> Ring:
    positions: list[Position] = []
    for position in ring if isinstance(ring, list) else ():
        if not isinstance(position, list) or not _are_numbers(position[:2]):
            raise GeometryError(N_("Eine Koordinate der Datei ist keine Zahl. Bitte exportieren Sie sie noch einmal."))
        positions.append((float(position[0]), float(position[1])))
    if positions and positions[0] != positions[-1]:
        positions.append(positions[0])
    if len(positions) < _SMALLEST_RING:
        raise GeometryError(N_("Eine Fläche braucht mindestens drei Ecken. Bitte prüfen Sie die Datei."))
    return tuple(positions)


def _are_numbers(pair: list[object]) -> bool:
    """Whether these are two finite numbers of a size that any coordinate system knows; true is no number."""
    numbers = [value for value in pair if isinstance(value, int | float) and not isinstance(value, bool)]
    return len(numbers) == _DIMENSIONS and all(abs(value) < _LARGEST_NUMBER for value in numbers)


def _declared_crs(document: Mapping[str, Any]) -> str:
    """Return the EPSG number of the old "crs" member ("" if none), as QGIS and GDAL still write it."""
    crs = document.get("crs")
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = str(properties.get("name", "")) if isinstance(properties, dict) else ""
    if not name:
        return ""
    if name.upper().endswith("CRS84"):
        return "4326"
    return name.rsplit(":", 1)[-1]


def _to_wgs84(polygons: tuple[Polygon, ...], crs: str) -> tuple[Polygon, ...]:
    box = _area(polygons).bbox
    offset = _ZONE_PREFIX if box.west > _ZONE_PREFIX else 0.0
    in_metres = UTM_32.contains(box.west - offset, box.south) and UTM_32.contains(box.east - offset, box.north)
    if crs in {"25832", "4647", "32632", "3044"} or (not crs and in_metres):
        if not in_metres:
            raise GeometryError(
                N_("Die Zahlen passen nicht zum Koordinatensystem EPSG:%(crs)s. Bitte exportieren Sie in WGS 84."),
                crs=crs,
            )
        return _reprojected(polygons, offset)
    if crs not in {"", "4326", "4258"}:
        raise GeometryError(
            N_("Das Koordinatensystem EPSG:%(crs)s wird nicht gelesen. Bitte exportieren Sie in WGS 84 (EPSG:4326)."),
            crs=crs[:20],
        )
    if not (WORLD.contains(box.west, box.south) and WORLD.contains(box.east, box.north)):
        raise GeometryError(
            N_("Die Koordinaten sind weder WGS 84 noch UTM 32. Bitte exportieren Sie in WGS 84 (EPSG:4326).")
        )
    lon, lat = box.centre
    if GERMANY.contains(lat, lon) and not GERMANY.contains(lon, lat):
        raise GeometryError(
            N_("In der Datei sind Breite und Länge vertauscht. GeoJSON nennt zuerst die Länge, zum Beispiel 7,29.")
        )
    return polygons


def _reprojected(polygons: tuple[Polygon, ...], offset: float) -> tuple[Polygon, ...]:
    from mapping.projection import to_wgs84  # noqa: PLC0415 - for uploads in metres alone

    return tuple(
        tuple(tuple(to_wgs84(x - offset, y) for x, y in ring) for ring in polygon) for polygon in polygons
    )


def _checked(polygons: tuple[Polygon, ...]) -> Shape:
    """Unite, validate and round the polygons with shapely; tiny slips are mended, real ones reported."""
    import shapely  # noqa: PLC0415 - for uploads alone; see above

    parts = [shapely.Polygon(polygon[0], polygon[1:]) for polygon in polygons]
    rough_area = sum(part.area for part in parts)
    broken = next((part for part in parts if not part.is_valid), None)
    merged: BaseGeometry = shapely.unary_union([shapely.make_valid(part) for part in parts])
    merged = shapely.set_precision(_only_areas(merged), 10**-DECIMALS)
    if merged.is_empty or merged.area == 0:
        raise GeometryError(N_("Die Fläche ist leer: Alle ihre Punkte liegen auf einer Linie."))
    if broken is not None and abs(merged.area - rough_area) > 0.001 * merged.area:
        raise GeometryError(
            N_("Die Grenze schneidet sich selbst (%(where)s). Bitte reparieren Sie die Fläche in Ihrem GIS."),
            where=shapely.is_valid_reason(broken)[:80],
        )
    merged = shapely.orient_polygons(merged)
    geometry = json.loads(shapely.to_geojson(merged))
    box = BBox(*(round(value, DECIMALS) for value in merged.bounds))
    rounded = _rounded(geometry["coordinates"])
    return Shape(
        json.dumps({"type": geometry["type"], "coordinates": rounded}, separators=(",", ":")),
        box,
    )


def _only_areas(geometry: BaseGeometry) -> BaseGeometry:
    """Drop the points and lines that mending may leave beside the areas."""
    import shapely  # noqa: PLC0415 - for uploads alone; see above

    parts = [part for part in shapely.get_parts(geometry) if part.geom_type in {"Polygon", "MultiPolygon"}]
    return shapely.unary_union(parts)


def _rounded(node: object) -> object:
    """Round the numbers of nested lists."""
    if isinstance(node, list):
        return [_rounded(child) for child in node]
    return round(float(str(node)), DECIMALS)


def _name_of(feature: object) -> str:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(properties, dict):
        return ""
    found = next((properties[key] for key in _NAME_KEYS if properties.get(key)), "")
    return " ".join(str(found).split())[:120]
