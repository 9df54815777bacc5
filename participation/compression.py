"""Smaller answers. Static files are compressed once; pages get a random length against guessing (BREACH)."""

from __future__ import annotations

import gzip
import io
import secrets
import struct
import zlib
from typing import TYPE_CHECKING

from flask import g, request

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

SMALLEST = 800
PAGE_LEVEL = 1
# A piece of a page: as it is read, and compressed if somebody has done that already.
Piece = tuple[bytes, bytes]
_NAMED, _EMPTY_LAST_BLOCK = b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xff", b"\x03\x00"
_COMPRESSIBLE = frozenset(
    {
        "text/html",
        "text/css",
        "text/javascript",
        "application/javascript",
        "application/json",
        "application/geo+json",
        "image/svg+xml",
        "text/plain",
        "application/atom+xml",
    }
)
_static: dict[tuple[str, str], bytes] = {}


def compress(response: Response) -> Response:
    """Compress a text answer when the browser can read it."""
    if (
        response.mimetype not in _COMPRESSIBLE
        or response.status_code in {204, 206, 304}
        or "Content-Encoding" in response.headers
        or "gzip" not in request.headers.get("Accept-Encoding", "")
        or "Range" in request.headers
    ):
        return response
    if request.endpoint == "static":
        file = response.response
        response.direct_passthrough = False
        etag, _ = response.get_etag()
        key = (request.path, etag or "")
        body = _static.get(key)
        if body is None:
            body = _static[key] = gzip.compress(response.get_data(), 9)
        close = getattr(file, "close", None)
        if close is not None:
            close()
    else:
        if response.is_streamed or response.direct_passthrough:
            return response
        data = response.get_data()
        if len(data) < SMALLEST:
            return response
        pieces: list[Piece] = g.get("pieces", [])
        body = _put_together(pieces) if any(packed for _whole, packed in pieces) else _with_random_length(data)
    response.set_data(body)
    response.headers["Content-Encoding"] = "gzip"
    response.vary.add("Accept-Encoding")
    return response


def _with_random_length(data: bytes) -> bytes:
    """Gzip with a file name of random length in its header, which readers ignore."""
    buffer = io.BytesIO()
    name = "x" * secrets.randbelow(96)
    with gzip.GzipFile(filename=name, mode="wb", compresslevel=PAGE_LEVEL, fileobj=buffer, mtime=0) as file:
        file.write(data)
    return buffer.getvalue()


def pack(text: bytes) -> bytes:
    """Compressed on its own, ending on a whole byte, so that it fits between any other pieces (RFC 1951, 3.2.3)."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(text) + packer.flush(zlib.Z_FULL_FLUSH)


def _put_together(pieces: list[Piece]) -> bytes:
    """As `_with_random_length`, from pieces that are mostly compressed already.

    What is personal stands in blocks of its own: its length tells nothing of what the shared text has in common with it.
    """
    packer = zlib.compressobj(PAGE_LEVEL, zlib.DEFLATED, -12, 5)
    parts, checksum, length = [_NAMED, b"x" * secrets.randbelow(96), b"\0"], 0, 0
    for whole, packed in pieces:
        parts.append(packed or packer.compress(whole) + packer.flush(zlib.Z_FULL_FLUSH))
        checksum, length = zlib.crc32(whole, checksum), length + len(whole)
    parts += (_EMPTY_LAST_BLOCK, struct.pack("<II", checksum, length & 0xFFFFFFFF))
    return b"".join(parts)
