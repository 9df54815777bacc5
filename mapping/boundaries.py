"""Outlines of municipalities and districts: read what offices upload, and say in German what is wrong with it.

Everything here takes and gives (lon, lat) in degrees, EPSG:4326. shapely and pyproj are loaded only when an office
uploads a boundary.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mapping.geometry import (
    DECIMALS,
    GERMANY,
    UTM_32,
    WORLD,
    Area,
    BBox,
    GeometryError,
    Polygon,
    Position,
    Ring,
    bbox_of,
)
from mapping.texts import N_

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

MAX_GEOJSON_BYTES = 5_000_000
MAX_POSITIONS = 200_000
MAX_DISTRICTS = 500
_DIMENSIONS = 2
_SMALLEST_RING = 4
_LARGEST_NUMBER = 1e9
_ZONE_PREFIX = 32_000_000.0
"""EPSG:4647 is EPSG:25832 with the zone number before the easting, common in survey offices."""
_NAME_KEYS = ("name", "Name", "NAME", "GEN", "gen", "ortsteil", "Ortsteil", "ORTSTEIL", "bezeichnung", "title")


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


@lru_cache(maxsize=256)
def area_from_geojson(text: str) -> Area:
    """Prepare a stored GeoJSON geometry (as `load_boundary` gives it) for questions about points.

    Cached by its text, since the same few boundaries are asked at each form post. Raises GeometryError.
    """
    return _area(_polygons_in(_parse(text)))


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
