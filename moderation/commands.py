"""The demo's command: it stands here because it fills the moderators' queue too."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import click
from sqlalchemy import select, text

from participation import clock, outbox
from participation.db import Base, Database
from participation.demo.builder import build_town, town_exists
from participation.demo.people import DEMO_PASSWORD, sign_ins
from participation.web import current_database, current_keyring, current_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

# A mail about a decision of last week would be sent today; checks belong to the picture.
JOBS_OF_THE_DEMO = ("check_case",)


@click.command("demo", help="Die Demo-Kommune anlegen.")
@click.option("--if-empty", is_flag=True, help="Nur in eine leere Datenbank; sonst nichts tun.")
@click.option("--fresh", is_flag=True, help="Bisherige Daten der Demo löschen und neu anlegen.")
@click.option("--quiet", is_flag=True, help="Nur Fehler melden.")
@click.option("--show-sign-ins", is_flag=True, help="Nur die Anmeldungen der Demo zeigen.")
@click.pass_obj
def demo(
    create_app: Callable[[], Flask],
    *,
    if_empty: bool,
    fresh: bool,
    quiet: bool,
    show_sign_ins: bool,
) -> None:
    """Build the town, and let the checks run over what awaits moderation."""
    if show_sign_ins:
        _show_sign_ins()
        return
    app = create_app()
    with app.app_context():
        settings = current_settings()
        if not settings.is_demo:
            message = "Die Demo läuft nur mit BETEILIGUNG_ENV=demo, damit sie nie in echte Daten gerät."
            raise click.ClickException(message)
        database = current_database()
        with database.reading() as session:
            there = town_exists(session)
        if there and if_empty:
            return
        if there and not fresh:
            message = "Es gibt schon Daten. Mit --fresh werden sie gelöscht und neu angelegt."
            raise click.ClickException(message)
        if there:
            _empty(database)
            shutil.rmtree(settings.upload_dir, ignore_errors=True)
            shutil.rmtree(settings.mail_dir, ignore_errors=True)
        with database.unit_of_work() as session:
            build_town(session, current_keyring(), settings, clock.now())
        with database.reading() as session:
            rows = list(session.scalars(select(outbox.OutboxRow.id).where(outbox.OutboxRow.job.in_(JOBS_OF_THE_DEMO))))
        for row in rows:
            outbox.work_row(database, row)
    if not quiet:
        click.echo("Die Demo-Kommune ist angelegt.")
        _show_sign_ins()


def _show_sign_ins() -> None:
    for purpose, email in sign_ins():
        click.echo(f"  {email:<38} {purpose}")
    click.echo(f"  Kennwort für alle: {DEMO_PASSWORD}")


def _empty(database: Database) -> None:
    """Delete all rows, children first."""
    with database.unit_of_work() as session:
        if database.is_sqlite:
            session.execute(text("PRAGMA defer_foreign_keys=ON"))
        session.execute(text("DELETE FROM proposal_search"))
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())
