"""`beteiligung import`: contributions of other platforms."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import click
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from participation import clock, formats
from participation.municipalities.models import Municipality
from participation.processes.models import Phase, Process, ProcessState
from participation.transfer.mapping import SHIPPED, FieldMap, load_map
from participation.transfer.operations import CommentImport, Import, survey
from participation.transfer.readers import UnreadableFileError, read_rows
from participation.web import current_database, current_keyring

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from sqlalchemy.orm import Session

    from participation.transfer.mapping import RowError


@click.group("import", help="Beiträge anderer Plattformen übernehmen.")
def import_group() -> None:
    """Collect the subcommands."""


@import_group.command("proposals", help="Vorschläge mit Kommentaren und Unterstützungen aus einer Datei.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--map", "map_name", required=True,
              help=f"Zuordnung: {', '.join(sorted(path.stem for path in SHIPPED.glob('*.toml')))} oder eine TOML-Datei")
@click.option("--process", "slug", required=True, help="Kürzel des Verfahrens")
@click.option("--create-process", "title", help="Verfahren mit diesem Titel anlegen, wenn es das Kürzel nicht gibt")
@click.option("--municipality", "municipality_slug", help="Kürzel der Kommune, wenn es mehrere gibt")
@click.option("--report", type=click.Path(path_type=Path), default=Path("import-fehler.csv"), show_default=True,
              help="Wohin Fehler zeilenweise geschrieben werden")
@click.option("--skip-broken", is_flag=True, help="Fehlerhafte Zeilen auslassen statt abzubrechen")
@click.option("--dry-run", is_flag=True, help="Nur prüfen")
@click.pass_obj
def proposals_command(
    create_app: Callable[[], Flask], file: Path, map_name: str, slug: str, title: str | None,
    municipality_slug: str | None, report: Path, *, skip_broken: bool, dry_run: bool,
) -> None:
    """Two passes: look at every row, then store all of them in one transaction."""
    fields = _load_map(map_name)
    with create_app().app_context():
        try:
            found = survey(read_rows(file), fields)
            _report(found.errors, report)
            if found.errors and not skip_broken:
                message = (f"{len(found.errors)} von {found.rows} Zeilen sind fehlerhaft, nichts wurde übernommen. "
                           f"Die Gründe stehen in {report}. Mit --skip-broken werden sie ausgelassen.")
                raise click.ClickException(message)
            if dry_run:
                click.echo(f"{found.rows} Zeilen geprüft, {len(found.errors)} fehlerhaft. Nichts wurde übernommen.")
                return
            with current_database().unit_of_work() as session:
                process = _process(session, slug, title, municipality_slug, fields.attribution)
                work = Import(session, current_keyring(), process, fields, clock.now())
                with click.progressbar(length=found.rows - len(found.errors), label="Übernehmen") as bar:
                    outcome = work.run(read_rows(file), found, bar.update)
        except UnreadableFileError as error:
            raise click.ClickException(str(error)) from error
    left_out = f" {found.left_out} zurückgezogene sind ausgelassen." if found.left_out else ""
    click.echo(f"{outcome.proposals} Vorschläge, {outcome.comments} Kommentare und {outcome.supports} Unterstützungen "
               f"übernommen, {outcome.known} waren schon da.{left_out}")


@import_group.command("comments", help="Kommentare aus einer eigenen Datei, zu Vorschlägen derselben Plattform.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--map", "map_name", required=True, help="Zuordnung, wie bei `import proposals`")
@click.option("--process", "slug", required=True, help="Kürzel des Verfahrens")
@click.option("--municipality", "municipality_slug", help="Kürzel der Kommune, wenn es mehrere gibt")
@click.option("--report", type=click.Path(path_type=Path), default=Path("import-fehler.csv"), show_default=True,
              help="Wohin Fehler zeilenweise geschrieben werden")
@click.option("--skip-broken", is_flag=True, help="Fehlerhafte Zeilen auslassen statt abzubrechen")
@click.pass_obj
def comments_command(
    create_app: Callable[[], Flask], file: Path, map_name: str, slug: str, municipality_slug: str | None,
    report: Path, *, skip_broken: bool,
) -> None:
    """All or nothing: with an error the transaction is rolled back, unless broken rows may be left out."""
    fields = _load_map(map_name)
    if not fields.comment_rows:
        message = f"Die Zuordnung {map_name} hat keinen Abschnitt [comment_rows]."
        raise click.ClickException(message)
    with create_app().app_context():
        try:
            with current_database().unit_of_work() as session:
                process = _process(session, slug, None, municipality_slug, fields.attribution)
                work = CommentImport(session, current_keyring(), process, fields, clock.now())
                with click.progressbar(length=sum(1 for _row in read_rows(file)), label="Übernehmen") as bar:
                    errors = work.run_comments(read_rows(file), bar.update)
                _report(errors, report)
                if errors and not skip_broken:
                    message = (f"{len(errors)} Zeilen sind fehlerhaft, nichts wurde übernommen. "
                               f"Die Gründe stehen in {report}. Mit --skip-broken werden sie ausgelassen.")
                    raise click.ClickException(message)
        except UnreadableFileError as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"{work.outcome.comments} Kommentare übernommen, {work.outcome.known} waren schon da.")


def _load_map(name: str) -> FieldMap:
    try:
        return load_map(name)
    except (OSError, ValueError) as error:
        message = f"Die Zuordnung {name} ist nicht lesbar: {error}"
        raise click.ClickException(message) from error


def _report(errors: list[tuple[int, RowError]], path: Path) -> None:
    """Row by row, to open beside the file itself."""
    if not errors:
        return
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(("Zeile", "Feld", "Ursache", "Abhilfe"))
        for number, error in errors:
            # A value of the file must not become a formula in the report.
            writer.writerow((number, *("'" + cell if cell[:1] in "=+-@" else cell
                                       for cell in (error.name, error.cause, error.cure))))


def _process(session: Session, slug: str, title: str | None, municipality_slug: str | None, attribution: str) -> Process:
    statement = select(Municipality).order_by(Municipality.parent_id.is_(None), Municipality.id).limit(1)
    if municipality_slug:
        statement = statement.where(Municipality.slug == municipality_slug)
    municipality = session.scalar(statement)
    if municipality is None:
        message = "Diese Kommune gibt es nicht. Richten Sie sie zuerst mit `beteiligung init` ein."
        raise click.ClickException(message)
    process = session.scalar(
        select(Process).where(Process.municipality_id == municipality.id, Process.slug == slug)
        .options(selectinload(Process.themes))
    )
    if process is None:
        if not title:
            message = f"Das Verfahren {slug} gibt es nicht. Mit --create-process TITEL wird es angelegt."
            raise click.ClickException(message)
        now = clock.now()
        process = Process(municipality=municipality, slug=slug, title=title, state=ProcessState.PUBLISHED,
                          published_at=now, created_at=now, attribution=attribution,
                          summary="Übernommen aus einer anderen Plattform.")
        process.phases = [Phase(format_key="results", title="Ergebnisse", stored_settings=formats.store_settings(
            formats.FORMATS["results"].settings()))]
        session.add(process)
        session.flush()
    elif attribution and not process.attribution:
        process.attribution = attribution
    return process


COMMANDS = (import_group,)
