"""Newsletters: what editors write to everybody who follows a process, and how it reaches them."""
