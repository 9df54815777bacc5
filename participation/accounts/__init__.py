"""Signing in: residents and staff."""
