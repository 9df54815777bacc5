"""Marks texts for translation where flask must not be imported; they are translated at the edge (web.py)."""

from __future__ import annotations


def N_(message: str) -> str:  # noqa: N802 - the name every gettext tool knows
    """Return the German source text unchanged; extraction finds it, the edge translates it."""
    return message
