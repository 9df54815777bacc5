"""WGS 84 (EPSG:4326) to and from ETRS89/UTM 32N (EPSG:25832), the system of German survey offices."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyproj import Transformer


def to_utm(lon: float, lat: float) -> tuple[float, float]:
    """Turn (lon, lat) in degrees into (easting, northing) in metres, EPSG:25832.

    Raises ValueError for a point that the projection can't hold.
    """
    return _transform(4326, 25832, lon, lat)


def to_wgs84(easting: float, northing: float) -> tuple[float, float]:
    """Turn (easting, northing) in metres, EPSG:25832, into (lon, lat) in degrees.

    Raises ValueError for a point that the projection can't hold.
    """
    return _transform(25832, 4326, easting, northing)


def _transform(source: int, target: int, x: float, y: float) -> tuple[float, float]:
    if not (math.isfinite(x) and math.isfinite(y)):
        message = "coordinates must be finite"
        raise ValueError(message)
    first, second = _transformer(source, target).transform(x, y)
    if not (math.isfinite(first) and math.isfinite(second)):
        message = f"no place for {x}, {y} in EPSG:{target}"
        raise ValueError(message)
    return float(first), float(second)


@lru_cache(maxsize=2)
def _transformer(source: int, target: int) -> Transformer:
    from pyproj import Transformer  # noqa: PLC0415 - opens its database on import; few need it

    # always_xy: EPSG:4326 itself names latitude first.
    return Transformer.from_crs(source, target, always_xy=True)
