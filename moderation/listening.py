"""Connects participation's events to the queue of cases."""

from __future__ import annotations


def connect() -> None:
    """Listen."""
