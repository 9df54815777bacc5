"""Places that people type and outlines that offices upload."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from shapely.geometry import Point, shape

from mapping import boundaries, geometry
from mapping.geometry import Area, BBox, GeometryError
from mapping.projection import to_utm, to_wgs84

DEMO = Path(geometry.__file__).parents[1] / "participation" / "demo"
SQUARE = [[7.2, 51.9], [7.4, 51.9], [7.4, 52.0], [7.2, 52.0], [7.2, 51.9]]
HOLE = [[7.29, 51.94], [7.31, 51.94], [7.31, 51.96], [7.29, 51.96], [7.29, 51.94]]


def geojson(*rings: list[list[float]]) -> str:
    return json.dumps({"type": "Polygon", "coordinates": rings})


@pytest.fixture(scope="module")
def square() -> Area:
    return boundaries.area_from_geojson(geojson(SQUARE, HOLE))


@pytest.mark.parametrize("text", ["51,98", "51.98", " 51,98 ", "51,98°", "+51.98"])
def test_comma_and_point_are_both_decimal_signs(text):
    assert geometry.parse_coordinate(text) == 51.98


@pytest.mark.parametrize("text", ["", "   ", None])
def test_a_missing_number_is_named(text):
    with pytest.raises(GeometryError, match="Hier fehlt eine Zahl"):
        geometry.parse_coordinate(text)


@pytest.mark.parametrize("text", ["NaN", "nan", "inf", "-Infinity", "1e5", "51° 58' N", "5198", "51,98,1", "0x1", "٥١"])
def test_what_is_no_plain_number_is_refused_with_cause_and_cure(text):
    with pytest.raises(GeometryError) as caught:
        geometry.parse_coordinate(text, field="lat")
    assert "ist keine Koordinate" in str(caught.value)
    assert "zum Beispiel 51,979" in str(caught.value)
    assert caught.value.field == "lat"


def test_a_place_is_voluntary_but_never_half(square):
    assert geometry.parse_point("", " ", square) is None
    with pytest.raises(GeometryError, match="beide") as caught:
        geometry.parse_point("7,25", "", square)
    assert caught.value.field == "lat"


def test_a_good_place_is_rounded_to_six_decimals(square):
    assert geometry.parse_point("7,25000049", "51,95", square) == (7.25, 51.95)


def test_swapped_numbers_are_recognised(square):
    with pytest.raises(GeometryError, match="Breite und Länge sind vertauscht"):
        geometry.parse_point("51,95", "7,25", square)
    with pytest.raises(GeometryError, match="vertauscht"):
        geometry.check_point(51.95, 7.25)


def test_a_place_outside_is_refused_by_name_but_the_house_beside_the_line_is_not(square):
    with pytest.raises(GeometryError, match="nicht in Billerbeck"):
        geometry.check_point(7.25, 52.02, square, place="Billerbeck")
    assert geometry.check_point(7.25, 52.003, square) == (7.25, 52.003)


@pytest.mark.parametrize(("lon", "lat", "says"), [
    (7.25, 91.0, "Die Breite muss"), (181.0, 51.95, "Die Länge muss"),
    (float("nan"), 51.95, "keine gültige Koordinate"), (7.25, float("inf"), "keine gültige Koordinate"),
    (0.0, 0.0, "außerhalb"),
])
def test_impossible_places_are_refused(square, lon, lat, says):
    with pytest.raises(GeometryError, match=says):
        geometry.check_point(lon, lat, square)


def test_a_box_alone_is_enough_to_judge():
    box = BBox(7.2, 51.9, 7.4, 52.0)
    assert geometry.check_point(7.3, 51.95, box) == (7.3, 51.95)
    with pytest.raises(GeometryError):
        geometry.check_point(7.3, 52.1, box)


@given(lon=st.floats(7.15, 7.45), lat=st.floats(51.88, 52.02))
def test_ray_casting_agrees_with_shapely(lon, lat):
    text = geojson(SQUARE, HOLE)
    outline = shape(json.loads(text))
    point = Point(lon, lat)
    if outline.boundary.distance(point) > 1e-9:
        assert boundaries.area_from_geojson(text).contains(lon, lat) == outline.contains(point)


def test_distances_are_metres():
    assert geometry.distance_metres((7.2935, 51.979), (7.2935, 51.979)) == 0
    north = geometry.distance_metres((7.2935, 51.979), (7.2935, 51.989))
    east = geometry.distance_metres((7.2935, 51.979), (7.3035, 51.979))
    assert north == pytest.approx(1112, abs=2)
    assert east == pytest.approx(685, abs=2)
    area = boundaries.area_from_geojson(geojson(SQUARE))
    assert area.distance(7.3, 52.01) == pytest.approx(1112, abs=2)


def test_the_district_of_a_place():
    west = boundaries.area_from_geojson(geojson([[7.2, 51.9], [7.3, 51.9], [7.3, 52.0], [7.2, 52.0]]))
    east = boundaries.area_from_geojson(geojson([[7.3, 51.9], [7.4, 51.9], [7.4, 52.0], [7.3, 52.0]]))
    districts = [("west", west), ("east", east)]
    assert geometry.district_of(7.25, 51.95, districts) == "west"
    assert geometry.district_of(7.35, 51.95, districts) == "east"
    assert geometry.district_of(8.0, 51.95, districts) is None


# ---- outlines


@pytest.mark.parametrize("wrap", [
    lambda g: g,
    lambda g: {"type": "Feature", "properties": None, "geometry": g},
    lambda g: {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}, "geometry": g}]},
    lambda g: {"type": "MultiPolygon", "coordinates": [g["coordinates"]]},
])
def test_an_outline_arrives_in_every_wrapping(wrap):
    document = wrap(json.loads(geojson(SQUARE, HOLE)))
    boundary = boundaries.load_boundary(json.dumps(document).encode())
    assert boundary.bbox == BBox(7.2, 51.9, 7.4, 52.0)
    assert boundary.area.contains(7.25, 51.95)
    assert not boundary.area.contains(7.3, 51.95)


@pytest.mark.parametrize("offset", [0, 32_000_000])
@pytest.mark.parametrize("crs", [None, "urn:ogc:def:crs:EPSG::25832"])
def test_an_outline_in_metres_is_converted(crs, offset):
    if crs and offset:
        crs = "EPSG:4647"
    ring = [(x + offset, y) for x, y in (to_utm(lon, lat) for lon, lat in SQUARE)]
    document = {"type": "Polygon", "coordinates": [ring]}
    if crs:
        document["crs"] = {"type": "name", "properties": {"name": crs}}
    boundary = boundaries.load_boundary(json.dumps(document))
    assert boundary.bbox == pytest.approx((7.2, 51.9, 7.4, 52.0), abs=2e-6)


def test_several_parts_become_one_outline():
    other = [[7.4, 51.9], [7.5, 51.9], [7.5, 52.0], [7.4, 52.0], [7.4, 51.9]]
    features = [{"type": "Feature", "properties": {}, "geometry": json.loads(geojson(r))} for r in (SQUARE, other)]
    boundary = boundaries.load_boundary(json.dumps({"type": "FeatureCollection", "features": features}))
    assert json.loads(boundary.geojson)["type"] == "Polygon"
    assert boundary.bbox.east == 7.5


def deep() -> str:
    return "[" * 100_000


def far() -> str:
    return json.dumps({"type": "Polygon", "coordinates": [[[1e308, 1], [2, 2], [3, 3], [1, 1]]]})


@pytest.mark.parametrize(("source", "says"), [
    (b"", "kein gültiges GeoJSON"), (b"\xff\xfe\x00", "kein gültiges GeoJSON"), (b"[1,2]", "kein GeoJSON"),
    (deep(), "kein gültiges GeoJSON"), ('{"type":"Polygon","coordinates":[[[NaN,1]]]}', "kein gültiges GeoJSON"),
    ('{"type":"Point","coordinates":[7,51]}', "keine Fläche"), ('{"type":"FeatureCollection","features":[]}', "keine"),
    ('{"type":"Polygon","coordinates":[]}', "leer"), ('{"type":"Polygon","coordinates":[[[7,51]]]}', "drei Ecken"),
    ('{"type":"Polygon","coordinates":[[["a",1],[2,2],[3,3]]]}', "keine Zahl"),
    ('{"type":"Polygon","coordinates":[[[true,1],[2,2],[3,3]]]}', "keine Zahl"),
    (far(), "keine Zahl"),
    (geojson([[51.9, 7.2], [51.9, 7.4], [52.0, 7.4], [51.9, 7.2]]), "vertauscht"),
    (geojson([[800, 51], [801, 51], [801, 52], [800, 51]]), "weder WGS 84 noch UTM"),
    (geojson([[7.2, 51.9], [7.4, 52.0], [7.4, 51.9], [7.2, 52.0], [7.2, 51.9]]), "schneidet sich selbst"),
    (geojson([[7.2, 51.9], [7.3, 51.9], [7.4, 51.9], [7.2, 51.9]]), "leer|schneidet"),
    (json.dumps({"type": "Polygon", "coordinates": [SQUARE], "crs": {"properties": {"name": "EPSG:31467"}}}), "31467"),
    (json.dumps({"type": "Polygon", "coordinates": [SQUARE], "crs": {"properties": {"name": "EPSG:25832"}}}), "25832"),
    (" " * (boundaries.MAX_GEOJSON_BYTES + 1), "zu groß"),
])
def test_a_bad_file_is_refused_with_a_german_sentence(source, says):
    with pytest.raises(GeometryError, match=says):
        boundaries.load_boundary(source)


def test_too_many_corners_are_refused(monkeypatch):
    monkeypatch.setattr(boundaries, "MAX_POSITIONS", 4)
    with pytest.raises(GeometryError, match="mehr als 4 Punkte"):
        boundaries.load_boundary(geojson(SQUARE))


def test_districts_need_one_name_each():
    def collection(*names: str | None) -> str:
        return json.dumps({"type": "FeatureCollection", "features": [
            {"type": "Feature", "properties": {"name": name}, "geometry": json.loads(geojson(SQUARE))} for name in names
        ]})
    assert [one.name for one in boundaries.load_districts(collection("Nord", "  Süd  "))] == ["Nord", "Süd"]
    with pytest.raises(GeometryError, match="Nummer 2 hat keinen Namen"):
        boundaries.load_districts(collection("Nord", None))
    with pytest.raises(GeometryError, match="„Nord“ kommt zweimal vor"):
        boundaries.load_districts(collection("Nord", "Nord"))
    with pytest.raises(GeometryError, match="keine Ortsteile"):
        boundaries.load_districts(geojson(SQUARE))


def test_the_districts_of_the_demo_town_cover_it_without_gap_or_overlap():
    boundary = shape(json.loads(boundaries.load_boundary((DEMO / "billerbeck_boundary.geojson").read_bytes()).geojson))
    districts = boundaries.load_districts((DEMO / "billerbeck_districts.geojson").read_bytes())
    parts = [shape(json.loads(one.geojson)) for one in districts]
    assert len(parts) >= 8
    assert sum(part.area for part in parts) == pytest.approx(boundary.area, rel=1e-4)
    assert boundary.symmetric_difference(_union(parts)).area < boundary.area * 1e-4
    market = geometry.district_of(7.2938, 51.979, [(one.name, one.area) for one in districts])
    assert market == "Kernstadt"


def _union(parts):
    united = parts[0]
    for part in parts[1:]:
        united = united.union(part)
    return united


# ---- projection


def test_utm_there_and_back_and_a_known_point():
    # Control point of EPSG:25832 computed by hand: the central meridian 9° E has the false easting 500,000 m.
    easting, northing = to_utm(9.0, 0.0)
    assert (easting, northing) == pytest.approx((500_000, 0), abs=0.01)
    assert to_wgs84(*to_utm(7.2935, 51.979)) == pytest.approx((7.2935, 51.979), abs=1e-8)


@pytest.mark.parametrize("pair", [(float("nan"), 1.0), (float("inf"), 1.0), (7.0, 1e300)])
def test_what_has_no_place_in_the_projection_is_an_error(pair):
    with pytest.raises(ValueError, match=r"finite|no place"):
        to_utm(*pair)
