"""Smaller answers. Static files are compressed once; pages get a random length against guessing (BREACH)."""

from __future__ import annotations

import gzip
import io
import secrets
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import g, request
from werkzeug.http import parse_accept_header

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

SMALLEST = 800
# Reading so many bytes once more costs less than reckoning with checksums.
SHORT = 8192
PAGE_LEVEL = 1
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
_STORED = struct.Struct("<BHH")
_static: dict[tuple[str, str], bytes] = {}


def compress(response: Response) -> Response:
    """Compress a text answer when the browser can read it; a page that is in pieces is put together here."""
    pieces: list[Piece] | None = g.get("pieces")
    if pieces is not None:
        return _one_page(response, pieces)
    if (
        response.mimetype not in _COMPRESSIBLE
        or response.status_code in {204, 206, 304}
        or "Content-Encoding" in response.headers
        or not takes_gzip(request.headers.get("Accept-Encoding", ""))
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
        body = _with_random_length(data)
    return _is_gzip(response, body)


def _one_page(response: Response, pieces: list[Piece]) -> Response:
    if not takes_gzip(request.headers.get("Accept-Encoding", "")) or response.mimetype not in _COMPRESSIBLE:
        response.set_data(b"".join([whole for whole, _packed in pieces]))
        return response
    if any(packed is not None for _whole, packed in pieces):
        return _is_gzip(response, put_together(pieces))
    return _is_gzip(response, _with_random_length(b"".join([whole for whole, _packed in pieces])))


def _is_gzip(response: Response, body: bytes) -> Response:
    response.set_data(body)
    response.headers["Content-Encoding"] = "gzip"
    response.vary.add("Accept-Encoding")
    return response


def takes_gzip(accepted: str) -> bool:
    """Whether a browser reads gzip, by its header Accept-Encoding; "gzip;q=0" says that it does not (RFC 9110, 12.5.3)."""
    return "gzip" in accepted and (";" not in accepted or parse_accept_header(accepted)["gzip"] > 0)


def _with_random_length(data: bytes) -> bytes:
    """Gzip with a file name of random length in its header, which readers ignore."""
    buffer = io.BytesIO()
    name = "x" * secrets.randbelow(96)
    with gzip.GzipFile(filename=name, mode="wb", compresslevel=PAGE_LEVEL, fileobj=buffer, mtime=0) as file:
        file.write(data)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class Packed:
    """A text compressed on its own, ending on a whole byte, so that it fits between any others (RFC 1951, 3.2.3)."""

    deflated: bytes
    length: int
    checksum: int
    shift: int

    @classmethod
    def of(cls, text: bytes) -> Packed:
        """Compress well: it will go out many times."""
        packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        deflated = packer.compress(text) + packer.flush(zlib.Z_FULL_FLUSH)
        return cls(deflated, len(text), zlib.crc32(text), _shift_by(len(text)))


# A piece of a page: as it is read, and compressed if somebody has done that already.
Piece = tuple[bytes, Packed | None]


def as_it_is(text: bytes) -> Piece:
    """A short piece that is not worth compressing: random characters, which nothing else may be matched with either.

    In a block of its own that holds it unchanged (RFC 1951, 3.2.4). Less than SHORT.
    """
    length = len(text)
    return text, Packed(_STORED.pack(0, length, length ^ 0xFFFF) + text, length, 0, 0)


def put_together(pieces: list[Piece]) -> bytes:
    """As `_with_random_length`, from pieces that are mostly compressed already.

    What is personal stands in blocks of its own: its length tells nothing of what the shared text has in common with it.
    """
    packer = zlib.compressobj(PAGE_LEVEL, zlib.DEFLATED, -12, 5)
    parts, checksum, length = [_NAMED, b"x" * secrets.randbelow(96), b"\0"], 0, 0
    for whole, packed in pieces:
        if not whole:
            continue
        parts.append(packer.compress(whole) + packer.flush(zlib.Z_FULL_FLUSH) if packed is None else packed.deflated)
        length += len(whole)
        if packed is None or packed.length < SHORT:
            checksum = zlib.crc32(whole, checksum)
        else:
            checksum = _times(packed.shift, checksum) ^ packed.checksum
    parts += (_EMPTY_LAST_BLOCK, struct.pack("<II", checksum, length & 0xFFFFFFFF))
    return b"".join(parts)


# The checksum of a text is a remainder in the field of polynomials over two elements (RFC 1952, 8). So that of two texts
# in a row follows from those of each: the first, times x to the number of bits of the second, plus the second. Reading
# 150 kB again for every reader would cost more than everything else that is sent.
_POLYNOMIAL, _ONE = 0xEDB88320, 0x80000000


def _times(left: int, right: int) -> int:
    product = 0
    while left:
        if left & _ONE:
            product ^= right
        left = (left << 1) & 0xFFFFFFFF
        right = (right >> 1) ^ _POLYNOMIAL if right & 1 else right >> 1
    return product


def _shift_by(length: int) -> int:
    """The factor by which so many bytes that follow move a checksum: x to the power of eight times `length`."""
    result, power = _ONE, _ONE >> 8
    while length:
        if length & 1:
            result = _times(power, result)
        power = _times(power, power)
        length >>= 1
    return result
