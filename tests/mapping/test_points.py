"""Groups, GeoJSON and basemaps."""

from __future__ import annotations

import gzip
import json
import random

import pytest

from mapping.basemap import Basemap, basemap_from_settings, tile_meets
from mapping.clustering import SINGLE_FROM_ZOOM, cluster_points
from mapping.features import MapPoint, cluster_collection, layers_document, point_collection
from mapping.geometry import BBox


def scattered(count: int) -> list[tuple[int, float, float]]:
    chance = random.Random(count)  # noqa: S311 - places of a test
    return [(i, chance.uniform(7.2, 7.4), chance.uniform(51.9, 52.0)) for i in range(count)]


@pytest.mark.parametrize("zoom", range(8, 20))
def test_no_point_is_lost_at_any_zoom(zoom):
    clusters = cluster_points(scattered(2_000), zoom)
    assert sum(cluster.count for cluster in clusters) == 2_000
    keys = [cluster.key for cluster in clusters if cluster.key is not None]
    assert len(keys) == len(set(keys))


def test_a_far_view_is_small_and_a_near_one_shows_each_point():
    points = scattered(20_000)
    assert len(cluster_points(points, 12)) < 60
    assert len(cluster_points(points, SINGLE_FROM_ZOOM)) == 20_000


def test_a_group_lies_in_the_middle_of_its_points_and_knows_their_box():
    (group,) = cluster_points([(1, 7.30, 51.95), (2, 7.3002, 51.9502)], 10)
    assert (group.lon, group.lat) == pytest.approx((7.3001, 51.9501))
    assert group.count == 2
    assert group.key is None
    assert group.bbox == BBox(7.30, 51.95, 7.3002, 51.9502)


def test_the_order_of_the_points_does_not_matter():
    points = scattered(500)

    def places(some: list[tuple[int, float, float]]) -> set[tuple[float, float, int]]:
        return {(round(one.lon, 9), round(one.lat, 9), one.count) for one in cluster_points(some, 12)}

    assert places(points) == places(points[::-1])


def test_broken_points_are_left_out_of_groups_and_features():
    broken = [(1, float("nan"), 51.9), (2, 7.3, float("inf")), (3, 7.3, 51.95)]
    assert [cluster.key for cluster in cluster_points(broken, 12)] == [3]
    document = json.loads(b"".join(point_collection(MapPoint(i, lon, lat, "x") for i, lon, lat in broken)))
    assert [feature["id"] for feature in document["features"]] == [3]


HOSTILE = ["</script><b>", "\ud800", "a\u2028b", '"\\', "${alert(1)}", "Größe", "\x00"]


def test_titles_arrive_unchanged_in_plain_ascii():
    points = [MapPoint(i, 7.3, 51.95, title, "klima", 3, 0) for i, title in enumerate(HOSTILE)]
    body = b"".join(point_collection(points))
    assert body.isascii()
    features = json.loads(body)["features"]
    assert [feature["properties"]["title"] for feature in features] == HOSTILE
    assert features[0]["properties"] == {"title": "</script><b>", "theme": "klima", "supports": 3, "comments": 0}
    assert features[0]["geometry"] == {"type": "Point", "coordinates": [7.3, 51.95]}


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 400])
def test_pieces_make_one_whole_document(count):
    document = json.loads(b"".join(point_collection(MapPoint(*p, "x") for p in scattered(count))))
    assert len(document["features"]) == count


def test_5000_points_are_small_on_the_wire():
    points = [MapPoint(i, lon, lat, f"Sichere Radwege zur Schule Nummer {i}", "mobilitaet", i % 60, i % 9)
              for i, lon, lat in scattered(5_000)]
    assert len(gzip.compress(b"".join(point_collection(points)), 6)) < 200_000


def test_groups_and_single_points_in_one_collection():
    points = {1: MapPoint(1, 7.30, 51.95, "Eins"), 2: MapPoint(2, 7.3001, 51.9501, "Zwei"),
              3: MapPoint(3, 7.39, 51.99, "Drei")}
    clusters = cluster_points(((p.id, p.lon, p.lat) for p in points.values()), 12)
    group, single = json.loads(b"".join(cluster_collection(clusters, points)))["features"]
    assert group["properties"] == {"count": 2}
    assert group["bbox"] == [7.3, 51.95, 7.3001, 51.9501]
    assert single["properties"] == {"title": "Drei"}


def test_the_ground_is_one_document():
    square = '{"type":"Polygon","coordinates":[[[7,51],[8,51],[8,52],[7,51]]]}'
    document = json.loads(layers_document(boundary=square, districts=[("Süd", square)]))
    assert document["boundary"]["type"] == "Polygon"
    assert document["districts"]["features"][0]["properties"]["name"] == "Süd"
    assert "sketch" not in document
    assert json.loads(layers_document()) == {}


# ---- basemap


def test_without_settings_nothing_is_fetched():
    ground = basemap_from_settings("none")
    assert (ground.url, ground.shown_attribution) == ("", "Schematische Karte")


def test_tiles_are_asked_from_our_own_host_and_their_source_stays_inside():
    ground = basemap_from_settings("xyz_proxy", "https://tiles.example/{z}/{x}/{y}.png?key=s", "© Beispiel")
    assert ground.url.startswith("/")
    assert ground.upstream_url(12, 2131, 1358) == "https://tiles.example/12/2131/1358.png?key=s"


@pytest.mark.parametrize("tile", [(-1, 0, 0), (2, 4, 0), (2, 0, -1), (30, 0, 0)])
def test_no_other_address_can_be_asked_through_the_proxy(tile):
    ground = Basemap("xyz_proxy", "https://tiles.example/{z}/{x}/{y}", "©")
    with pytest.raises(ValueError, match="no tile"):
        ground.upstream_url(*tile)


@pytest.mark.parametrize(("settings", "says"), [
    (("google",), "unbekannt"), (("xyz_proxy", "http://tiles.example/{z}/{x}/{y}", "©"), "https"),
    (("xyz_proxy", "https://tiles.example/{z}/{x}", "©"), "{y}"), (("pmtiles", "", "©"), "PMTiles"),
    (("xyz_proxy", "https://tiles.example/{z}/{x}/{y}", " "), "BASEMAP_ATTRIBUTION"),
])
def test_settings_that_do_not_fit_are_named(settings, says):
    with pytest.raises(ValueError, match=says):
        basemap_from_settings(*settings)


def test_the_proxy_answers_for_the_own_surroundings_only():
    town = BBox(7.21, 51.93, 7.44, 52.05)
    assert tile_meets(town, 12, 2131, 1353)
    assert not tile_meets(town, 12, 2200, 1353)
    assert tile_meets(town, 0, 0, 0)
