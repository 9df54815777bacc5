"""What maps fetch: the public proposals as GeoJSON, and the ground under them. Built once, then kept as bytes.

The bytes of a version of the town's content are the same for everybody. A change of what is visible raises the
version and with it the key; supports do not, so counts in a popup may be MAX_AGE_SECONDS old.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from mapping.clustering import cluster_points
from mapping.features import MapPoint, cluster_collection, layers_document, point_collection
from participation.contributions.proposals import queries
from participation.municipalities.models import District, Municipality

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.processes.models import Process

MAX_AGE_SECONDS = 30.0
MAX_DOCUMENTS = 200
MAX_BYTES = 32 * 1024 * 1024
ZOOM_MAX = 19


@dataclass(frozen=True, slots=True)
class Document:
    """A finished answer, also compressed, with its ETag."""

    body: bytes
    compressed: bytes
    etag: str
    made_at: float


class Documents:
    """Finished answers of one process. One thread builds at a time: a crowd that comes at once waits for one answer."""

    def __init__(self) -> None:
        """Start empty."""
        self._kept: OrderedDict[Hashable, Document] = OrderedDict()
        self._bytes = 0
        self._building = threading.Lock()

    def get(self, key: Hashable, build: Callable[[], bytes], max_age: float = MAX_AGE_SECONDS) -> Document:
        """The document of a key, built when there is none or it is older than `max_age` seconds."""
        found = self._young(key, max_age)
        if found is not None:
            return found
        with self._building:
            found = self._young(key, max_age)
            if found is not None:
                return found
            body = build()
            made = Document(body, gzip.compress(body, 6, mtime=0), hashlib.sha256(body).hexdigest()[:24],
                            time.monotonic())
            old = self._kept.pop(key, None)
            self._bytes += _weight(made) - (_weight(old) if old else 0)
            self._kept[key] = made
            while len(self._kept) > MAX_DOCUMENTS or (self._bytes > MAX_BYTES and len(self._kept) > 1):
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= _weight(dropped)
            return made

    def _young(self, key: Hashable, max_age: float) -> Document | None:
        found = self._kept.get(key)
        return found if found is not None and time.monotonic() - found.made_at <= max_age else None


def _weight(document: Document) -> int:
    return len(document.body) + len(document.compressed)


def points_document(
    session: Session, process: Process, theme_ids: Sequence[int], *, hides_supports: bool
) -> bytes:
    """Every public proposal with a place, as a FeatureCollection."""
    keys = _theme_keys(process)
    rows = session.execute(queries.described_points(process.id, theme_ids))
    return b"".join(point_collection(
        MapPoint(row.id, row.lon, row.lat, row.title, keys.get(row.theme_id),
                 None if hides_supports else row.support_count, row.comment_count)
        for row in rows
    ))


def clusters_document(
    session: Session, process: Process, theme_ids: Sequence[int], zoom: int,
    bbox: tuple[float, float, float, float] | None, *, hides_supports: bool,
) -> bytes:
    """Groups of the proposals within (west, south, east, north), EPSG:4326; those that stand alone with their title."""
    rows = session.execute(queries.points(process.id, theme_ids, bbox)).all()
    clusters = cluster_points(((row.id, row.lon, row.lat) for row in rows), zoom)
    alone = {cluster.key for cluster in clusters if cluster.key is not None}
    keys = _theme_keys(process)
    described: dict[int, MapPoint] = {}
    wanted = sorted(alone)
    for start in range(0, len(wanted), 500):
        part = wanted[start:start + 500]
        for row in session.execute(queries.described_points(process.id, theme_ids, part)):
            described[row.id] = MapPoint(row.id, row.lon, row.lat, row.title, keys.get(row.theme_id),
                                         None if hides_supports else row.support_count, row.comment_count)
    return b"".join(cluster_collection(
        [cluster for cluster in clusters if cluster.key is None or cluster.key in described], described
    ))


def _theme_keys(process: Process) -> dict[int | None, str]:
    return {theme.id: theme.slug for theme in process.themes}


def grown_to_tiles(
    bbox: tuple[float, float, float, float], zoom: int
) -> tuple[float, float, float, float]:
    """The box grown outwards to whole tiles of the zoom, so that screens of all sizes share answers.

    (west, south, east, north) in degrees, EPSG:4326; the result may be a little larger, never smaller.
    """
    step = 360.0 / 2**zoom
    west, south, east, north = bbox
    return (
        math.floor(west / step) * step, max(-90.0, math.floor(south / step) * step),
        math.ceil(east / step) * step, min(90.0, math.ceil(north / step) * step),
    )


def ground_document(session: Session, municipality_id: int) -> bytes:
    """Boundary, districts and sketch of a municipality."""
    boundary, sketch = session.execute(
        select(Municipality.boundary, Municipality.sketch).where(Municipality.id == municipality_id)
    ).one()
    districts = session.execute(
        select(District.name, District.boundary).where(District.municipality_id == municipality_id)
        .order_by(District.name)
    )
    return layers_document(
        boundary=json.dumps(boundary) if boundary else None,
        districts=[(name, json.dumps(geometry)) for name, geometry in districts],
        sketch=json.dumps(sketch) if sketch else None,
    )
