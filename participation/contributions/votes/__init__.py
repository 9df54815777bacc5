"""Support for a contribution."""
