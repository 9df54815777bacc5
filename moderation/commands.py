"""The demo's command."""

from __future__ import annotations

import click


@click.command("demo")
def demo() -> None:
    """Fill the demo town."""
