"""Bringing contributions of other platforms in."""
