"""The command line `beteiligung`: setting up, running, bringing in, keeping safe."""

from __future__ import annotations

from importlib import import_module

import click

# In the order of `beteiligung --help`. Each command's module is loaded when it is called: the worker runs all day
# and needs neither migrations nor spreadsheets.
MODULES = {
    "serve": "participation.commands.serve",
    "init": "participation.commands.setup",
    "staff": "participation.commands.accounts",
    "migrate": "participation.commands.database",
    "recount": "participation.commands.database",
    "import": "participation.commands.transfer",
    "backup": "participation.commands.backup",
    "restore": "participation.commands.backup",
    "worker": "participation.commands.jobs",
    "cron": "participation.commands.jobs",
    "jobs": "participation.commands.jobs",
    "bounces": "participation.commands.mails",
}


class Commands(click.Group):
    """The commands above, and those that app.py adds from packages above this one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return [*MODULES, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them, or None."""
        if cmd_name not in MODULES:
            return super().get_command(ctx, cmd_name)
        commands: tuple[click.Command, ...] = import_module(MODULES[cmd_name]).COMMANDS
        return next(command for command in commands if command.name == cmd_name)


@click.group(cls=Commands, help="Beteiligungsplattform: einrichten, betreiben, Daten übernehmen, sichern.")
def cli() -> None:
    """`obj` is create_app, so that no command imports the application."""
