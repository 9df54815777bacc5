"""Smaller answers. Static files are compressed once; pages get a random length against guessing (BREACH)."""

from __future__ import annotations

import gzip
import io
import secrets
from typing import TYPE_CHECKING

from flask import request

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

SMALLEST = 800
PAGE_LEVEL = 1
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
        body = _with_random_length(data)
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
