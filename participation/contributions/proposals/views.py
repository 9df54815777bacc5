"""Pages."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("proposals", __name__)
