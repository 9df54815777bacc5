"""Measurements, printed by `make bench`; no test depends on a clock."""
