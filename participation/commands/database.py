"""Migrations and counters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from alembic import command
from alembic.config import Config

from participation.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

ROOT = Path(__file__).parents[2]


def alembic_config(url: str | None = None, connection: Connection | None = None) -> Config:
    """Alembic's settings for one database."""
    config = Config(toml_file=str(ROOT / "pyproject.toml"))
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["url"] = url
    config.attributes["connection"] = connection
    return config


def migrate(url: str) -> None:
    """Bring a database to the newest shape. The folder of an SQLite file is made if needed."""
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    command.upgrade(alembic_config(url), "head")


@click.command("migrate", help="Datenbank anlegen oder auf den neuesten Stand bringen.")
def migrate_command() -> None:
    """Migrate the configured database."""
    migrate(Settings.from_environ().database_url)


COMMANDS = (migrate_command,)
