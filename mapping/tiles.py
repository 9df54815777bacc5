"""Tiles of another service, handed on by our own server and kept on disk.

The visitor's browser never talks to that service: it sees our address alone. Asked are only tiles that exist and touch
the surroundings of the municipality, so that nobody can use us as a proxy for the rest of the world.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from mapping.basemap import Basemap, tile_meets

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.client import HTTPMessage
    from pathlib import Path
    from typing import IO

    from mapping.geometry import BBox

MAX_TILE_BYTES = 1_000_000
FRESH_SECONDS = 30 * 24 * 3600
TIMEOUT_SECONDS = 5.0
SURROUNDINGS_METRES = 15_000.0
MIN_FREE_BYTES = 1_000_000_000
"""Below this much free disk tiles are still shown, but no longer kept."""

_SIGNATURES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"RIFF", "image/webp"))


class NoTileError(LookupError):
    """There is no such tile here: wrong numbers, or far from the municipality. Answer 404."""


class TileUnavailableError(OSError):
    """The service does not answer with a picture and none is kept. Answer 503; the map stays usable without it."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture and its media type."""

    body: bytes
    mimetype: str


class TileStore:
    """The tiles of one basemap around one municipality."""

    def __init__(
        self, basemap: Basemap, folder: Path, bbox: BBox, *, fetch: Callable[[str], bytes] | None = None
    ) -> None:
        """`folder` is ours alone and may be emptied at any time; `bbox` of the municipality in degrees."""
        self.basemap = basemap
        self.folder = folder
        self.surroundings = bbox.grown(SURROUNDINGS_METRES)
        self.fetch = fetch or fetch_tile

    def tile(self, z: int, x: int, y: int) -> Tile:
        """Return a tile from disk if it is fresh, else from the service, else an old one from disk.

        Raises NoTileError and TileUnavailableError.
        """
        try:
            url = self.basemap.upstream_url(z, x, y)
        except ValueError as error:
            raise NoTileError(str(error)) from None
        if not tile_meets(self.surroundings, z, x, y):
            message = f"tile {z}/{x}/{y} is elsewhere"
            raise NoTileError(message)
        path = self.folder / str(z) / str(x) / str(y)
        kept = _read(path)
        if kept is not None and time.time() - kept[1] < FRESH_SECONDS:
            return _tile(kept[0])
        try:
            body = self.fetch(url)
            tile = _tile(body)
        except OSError:
            if kept is None:
                raise
            return _tile(kept[0])
        self._keep(path, body)
        return tile

    def _keep(self, path: Path, body: bytes) -> None:
        """Write in one step, since several workers may fetch the same tile; a full disk is no reason to fail."""
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(path.parent).free < MIN_FREE_BYTES:
                return
            handle, name = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(body)
            os.replace(name, path)  # noqa: PTH105 - the name comes from mkstemp


class _NoRedirect(HTTPRedirectHandler):
    """A redirect could lead the server anywhere, also to itself."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Follow none."""


def fetch_tile(url: str) -> bytes:
    """Get one tile; https only, no redirects, bounded in time and size. Raises TileUnavailableError."""
    if not url.startswith("https://"):
        message = "only https"
        raise TileUnavailableError(message)
    request = Request(url, headers={"User-Agent": "Beteiligungsplattform"})  # noqa: S310 - https, see above
    try:
        with build_opener(_NoRedirect).open(request, timeout=TIMEOUT_SECONDS) as answer:
            body: bytes = answer.read(MAX_TILE_BYTES + 1)
    except (URLError, OSError, ValueError) as error:
        raise TileUnavailableError(str(error)) from None
    if len(body) > MAX_TILE_BYTES:
        message = "tile too big"
        raise TileUnavailableError(message)
    return body


def _tile(body: bytes) -> Tile:
    """Trust the first bytes, not what the service says of them."""
    found = next((mimetype for signature, mimetype in _SIGNATURES if body.startswith(signature)), None)
    if found is None:
        message = "not a picture"
        raise TileUnavailableError(message)
    return Tile(body, found)


def _read(path: Path) -> tuple[bytes, float] | None:
    try:
        return path.read_bytes(), path.stat().st_mtime
    except OSError:
        return None
