"""GeoJSON for the maps: contributions as points, clusters, and the ground under them.

Written piece by piece, so that an answer can be streamed, and in ASCII: a lone surrogate or a line separator in
a title arrives as an escape and breaks nothing. Serve it as application/geo+json.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mapping.geometry import round_point

if TYPE_CHECKING:
    from mapping.clustering import Cluster

MIME_TYPE = "application/geo+json"
_CHUNK = 200

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class MapPoint:
    """What the map shows of one contribution; (lon, lat) in EPSG:4326, `theme` the key of a map theme."""

    id: int | str
    lon: float
    lat: float
    title: str
    theme: str | None = None
    supports: int | None = None
    comments: int | None = None
    url: str | None = None
    """Only needed if the map has no `detail_url` pattern."""


def point_collection(points: Iterable[MapPoint]) -> Iterator[bytes]:
    """Write a FeatureCollection of contributions in pieces of some 30 kB.

    A point that is not finite is left out: one broken row must not take the map from everybody.
    """
    return _collection(_point(point) for point in points if _is_finite(point.lon, point.lat))


def cluster_collection(
    clusters: Iterable[Cluster[K]], points: Mapping[K, MapPoint]
) -> Iterator[bytes]:
    """Write clusters of `cluster_points`; single ones as the full point of that key, groups with count and bbox."""
    return _collection(
        _point(points[cluster.key]) if cluster.key is not None else _cluster(cluster) for cluster in clusters
    )


def layers_document(
    *,
    boundary: str | None = None,
    districts: Iterable[tuple[str, str]] = (),
    sketch: str | None = None,
) -> bytes:
    """Write the ground of a map as one JSON document for `layers_url`.

    `boundary` is a GeoJSON geometry, `districts` are (name, GeoJSON geometry), `sketch` is a GeoJSON
    FeatureCollection with the property kind (see basemap.SKETCH_KINDS). All of them are text as stored.
    """
    document: dict[str, Any] = {}
    if boundary:
        document["boundary"] = json.loads(boundary)
    listed = [
        {"type": "Feature", "geometry": json.loads(geometry), "properties": {"name": name}}
        for name, geometry in districts
    ]
    if listed:
        document["districts"] = {"type": "FeatureCollection", "features": listed}
    if sketch:
        document["sketch"] = json.loads(sketch)
    return _dumps(document).encode("ascii")


def _collection(features: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    yield b'{"type":"FeatureCollection","features":['
    pending: list[str] = []
    first = True
    for feature in features:
        pending.append(_dumps(feature))
        if len(pending) == _CHUNK:
            yield _joined(pending, first=first)
            first = False
            pending.clear()
    if pending:
        yield _joined(pending, first=first)
    yield b"]}"


def _joined(parts: list[str], *, first: bool) -> bytes:
    return (("" if first else ",") + ",".join(parts)).encode("ascii")


def _point(point: MapPoint) -> dict[str, Any]:
    properties: dict[str, Any] = {"title": point.title}
    for name in ("theme", "supports", "comments", "url"):
        value = getattr(point, name)
        if value is not None:
            properties[name] = value
    return {
        "type": "Feature",
        "id": point.id,
        "geometry": {"type": "Point", "coordinates": round_point(point.lon, point.lat)},
        "properties": properties,
    }


def _cluster(cluster: Cluster[K]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "bbox": [round(value, 6) for value in cluster.bbox],
        "geometry": {"type": "Point", "coordinates": round_point(cluster.lon, cluster.lat)},
        "properties": {"count": cluster.count},
    }


def _is_finite(lon: float, lat: float) -> bool:
    return math.isfinite(lon) and math.isfinite(lat)


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
