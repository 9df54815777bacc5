"""Addresses of static files with their content's hash, so that browsers may keep them for a year."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from flask import current_app, url_for


@lru_cache(maxsize=512)
def _version(path: Path, _changed_at: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def static_url(name: str) -> str:
    """The address of a file below static/. Raises FileNotFoundError for one that is not there: a broken page."""
    path = Path(current_app.static_folder or "static") / name
    return url_for("static", filename=name, v=_version(path, path.stat().st_mtime_ns))
