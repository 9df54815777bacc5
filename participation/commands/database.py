"""Migrations and counters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from participation.contributions.ballots.operations import recount as recount_ballots
from participation.contributions.proposals.operations.counting import recount
from participation.db import Database
from participation.settings import Settings
from participation.tokens import Keyring
from participation.web import current_database, current_keyring

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from sqlalchemy import Connection

ROOT = Path(__file__).parents[2]
WRONG_KEY = (
    "SECRET_KEY passt nicht zu dieser Datenbank. Setzen Sie den Schlüssel, mit dem sie geführt wurde: Sonst findet niemand "
    "die eigenen Stimmen und Beiträge, und alle könnten noch einmal abstimmen."
)
# What is sealed by the key in every version there was.
_SEALED = text(
    "SELECT sealed FROM (SELECT contact_sealed AS sealed FROM participant WHERE contact_sealed IS NOT NULL "
    "ORDER BY id DESC LIMIT 100) AS people "
    "UNION ALL SELECT totp_secret_sealed FROM account WHERE totp_secret_sealed IS NOT NULL"
)


def alembic_config(
    url: str | None = None, connection: Connection | None = None, secret_key: str | None = None
) -> Config:
    """Alembic's settings for one database. Migrations that need the installation's key take it from the settings else."""
    config = Config(toml_file=str(ROOT / "pyproject.toml"))
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["url"] = url
    config.attributes["connection"] = connection
    config.attributes["secret_key"] = secret_key
    return config


def migrate(url: str, secret_key: str | None = None) -> None:
    """Bring a database to the newest shape. The folder of an SQLite file is made if needed."""
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    command.upgrade(alembic_config(url, secret_key=secret_key), "head")


def step_back(url: str, revision: str) -> None:
    """The shape of an older version, of an empty database."""
    command.downgrade(alembic_config(url), revision)


def is_known_revision(revision: str) -> bool:
    """Whether a migration of this version is meant."""
    return revision in {script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()}


def current_revision(url: str) -> str:
    """The migration that a database stands at."""
    database = Database(url)
    try:
        with database.reading() as session:
            return str(session.execute(text("SELECT version_num FROM alembic_version")).scalar_one())
    finally:
        database.dispose()


def key_fits(url: str, secret_key: str) -> bool:
    """Whether anything that is sealed in a database opens with a key; true where nothing is."""
    database, keyring = Database(url), Keyring(secret_key)
    try:
        with database.reading() as session:
            sealed = session.scalars(_SEALED).all()
    finally:
        database.dispose()
    return not sealed or any(keyring.unseal(one) for one in sealed)


@click.command("migrate", help="Datenbank anlegen oder auf den neuesten Stand bringen.")
def migrate_command() -> None:
    """Migrate the configured database."""
    settings = Settings.from_environ()
    migrate(settings.database_url, settings.secret_key)
    if not key_fits(settings.database_url, settings.secret_key):
        click.echo(WRONG_KEY, err=True)


@click.command("recount", help="Alle Zähler aus den Zeilen neu berechnen; meldet, was abwich.")
@click.pass_obj
def recount_command(create_app: Callable[[], Flask]) -> None:
    """Counters change with their rows; this proves it."""
    with create_app().app_context(), current_database().unit_of_work() as session:
        wrong = recount(session, current_keyring()) | recount_ballots(session)
    for name, number in wrong.items():
        click.echo(f"{name:<40}{number}")
    click.echo(f"{sum(wrong.values())} Zähler berichtigt.")


COMMANDS = (migrate_command, recount_command)
