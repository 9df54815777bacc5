"""The command line `beteiligung`: setting up, running, bringing in, keeping safe."""

from __future__ import annotations

import click

from participation.commands import accounts, backup, database, jobs, serve, setup, transfer


@click.group(help="Beteiligungsplattform: einrichten, betreiben, Daten übernehmen, sichern.")
def cli() -> None:
    """Collect the commands below. `obj` is create_app, so that no command imports the application."""


for _module in (serve, setup, accounts, database, transfer, backup, jobs):
    for _command in _module.COMMANDS:
        cli.add_command(_command)
