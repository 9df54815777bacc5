"""Participation processes, their phases, themes and documents."""
