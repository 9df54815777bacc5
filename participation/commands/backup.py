"""Backup and restore: database and uploads in one consistent state, while everything goes on."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click
import psycopg
from psycopg import sql
from sqlalchemy import text

from participation import clock
from participation.commands.database import WRONG_KEY, current_revision, is_known_revision, key_fits, migrate, step_back
from participation.db import Base, Database
from participation.settings import Settings
from participation.uploads import SIZES

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

SNAPSHOT, MANIFEST = "database", "manifest.json"
CHUNK = 1 << 20


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(CHUNK):
            digest.update(part)
    return digest.hexdigest()


def _tables() -> list[str]:
    """Parents before children, so that they can be filled in this order."""
    return [table.name for table in Base.metadata.sorted_tables]


def _dsn(settings: Settings) -> str:
    return settings.database_url.replace("postgresql+psycopg://", "postgresql://")


def _snapshot_sqlite(settings: Settings, target: Path) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """SQLite's own online copy: complete at one instant, writers go on."""
    source_path = settings.database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(source_path, timeout=30)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
        counts = {name: copy.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in _tables()}  # noqa: S608
        uploads = [{"name": name, "picture": width is not None}
                   for name, width in copy.execute("SELECT name, width FROM upload")]
    return counts, uploads


def _snapshot_postgresql(settings: Settings, target: Path) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """All tables as PostgreSQL's own text format, read in one REPEATABLE READ transaction."""
    counts: dict[str, int] = {}
    with psycopg.connect(_dsn(settings)) as connection, gzip.open(target, "wb", compresslevel=5) as file:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        cursor = connection.cursor()
        for name in _tables():
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name)))
            row = cursor.fetchone()
            counts[name] = int(row[0]) if row else 0
            cursor.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() "
                "AND table_name = %s ORDER BY ordinal_position", (name,))
            columns = [str(one[0]) for one in cursor.fetchall()]
            file.write(json.dumps({"table": name, "columns": columns}).encode() + b"\n")
            # Votes by their key: the order in which they came is nobody's business.
            order = sql.SQL("ORDER BY 1, 2" if name in {"voter", "vote", "ballot", "ballot_mark"} else "")
            statement = sql.SQL("COPY (SELECT {} FROM {} {}) TO STDOUT").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(name), order)
            with cursor.copy(statement) as copy:
                for part in copy:
                    file.write(part)
            file.write(b"\\.\n")
        cursor.execute("SELECT name, width FROM upload")
        uploads = [{"name": str(name), "picture": width is not None} for name, width in cursor.fetchall()]
    return counts, uploads


def _files_of(entry: dict[str, Any]) -> list[str]:
    name = str(entry["name"])
    return [f"{name[:2]}/{name}-{size}.webp" for size in SIZES] if entry["picture"] else [f"{name[:2]}/{name}"]


def write_backup(settings: Settings, path: Path) -> dict[str, Any]:
    """Write the archive beside its place and move it there when complete. Returns the manifest."""
    is_sqlite = settings.database_url.startswith("sqlite")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".sicherung-") as folder:
        snapshot = Path(folder) / SNAPSHOT
        counts, uploads = (_snapshot_sqlite if is_sqlite else _snapshot_postgresql)(settings, snapshot)
        # Files never change once written, and a row names only complete ones: copying after the snapshot is enough.
        files = {name: _hash(settings.upload_dir / name) for entry in uploads for name in _files_of(entry)
                 if (settings.upload_dir / name).exists()}
        manifest = {
            "made_at": clock.now().isoformat(), "kind": "sqlite" if is_sqlite else "postgresql",
            "revision": current_revision(settings.database_url), "counts": counts, "database": _hash(snapshot),
            "files": files,
        }
        archive = Path(folder) / "archive"
        with tarfile.open(archive, "w:gz", compresslevel=5) as tar:
            body = json.dumps(manifest, indent=1).encode()
            info = tarfile.TarInfo(MANIFEST)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
            tar.add(snapshot, SNAPSHOT)
            for name in files:
                tar.add(settings.upload_dir / name, f"uploads/{name}")
        archive.replace(path)
    return manifest


def _unpack(tar: tarfile.TarFile, folder: Path) -> None:
    """Plain files only, and none outside the folder. Debian's Python 3.11 has no filter for `extractall` yet.

    Raises tarfile.TarError for anything else.
    """
    for member in tar:
        name = PurePosixPath(member.name)
        if member.isdir():
            continue
        source = tar.extractfile(member) if member.isfile() else None
        if source is None or name.is_absolute() or ".." in name.parts:
            raise tarfile.TarError(member.name)
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with source, target.open("wb") as file:
            shutil.copyfileobj(source, file)


def read_backup(settings: Settings, path: Path, *, force: bool) -> dict[str, int]:
    """Bring a backup onto a blank host and compare counts and hashes. Returns the counts.

    Raises click.ClickException with a German sentence when anything does not fit; an existing town is kept then.
    """
    with tempfile.TemporaryDirectory(prefix="sicherung-") as name:
        folder = Path(name)
        try:
            with tarfile.open(path) as tar:
                _unpack(tar, folder)
            manifest = json.loads((folder / MANIFEST).read_text())
        except (OSError, tarfile.TarError, ValueError) as error:
            message = f"{path} ist keine lesbare Sicherung ({type(error).__name__})."
            raise click.ClickException(message) from error
        broken = [one for one, digest in manifest["files"].items() if _hash(folder / "uploads" / one) != digest]
        if _hash(folder / SNAPSHOT) != manifest["database"] or broken:
            message = "Die Sicherung ist beschädigt: Eine Prüfsumme stimmt nicht. Nehmen Sie eine ältere."
            raise click.ClickException(message)
        kind = "sqlite" if settings.database_url.startswith("sqlite") else "postgresql"
        if manifest["kind"] != kind:
            message = f"Diese Sicherung ist von {manifest['kind']}, eingestellt ist {kind}. Passen Sie DATABASE_URL an."
            raise click.ClickException(message)
        if not force and _has_rows(settings):
            message = "Hier gibt es schon Daten. Mit --force werden sie durch die Sicherung ersetzt."
            raise click.ClickException(message)
        if not is_known_revision(manifest["revision"]):
            message = "Diese Sicherung ist von einer neueren Version. Aktualisieren Sie zuerst die Plattform."
            raise click.ClickException(message)
        if kind == "sqlite":
            _restore_sqlite(settings, folder / SNAPSHOT)
        else:
            _restore_postgresql(settings, folder / SNAPSHOT, manifest["revision"], list(manifest["counts"]))
        shutil.rmtree(settings.upload_dir, ignore_errors=True)
        if (folder / "uploads").exists():
            shutil.copytree(folder / "uploads", settings.upload_dir)
        # Compared as they were saved: an older version is brought up to date after that, which may change numbers.
        counts = _counts(settings, list(manifest["counts"]))
    wrong = {one: (expected, counts.get(one)) for one, expected in manifest["counts"].items()
             if counts.get(one) != expected}
    lost = [one for one, digest in manifest["files"].items() if _hash(settings.upload_dir / one) != digest]
    if wrong or lost:
        message = f"Nach dem Einspielen weichen Zahlen oder Dateien ab: {wrong} {lost[:3]}"
        raise click.ClickException(message)
    # The next step may hash by the key; and with another one everybody could vote again.
    if not key_fits(settings.database_url, settings.secret_key):
        raise click.ClickException(WRONG_KEY)
    migrate(settings.database_url, settings.secret_key)
    return counts


def _has_rows(settings: Settings) -> bool:
    try:
        return any(_counts(settings, _tables()).values())
    except Exception:  # noqa: BLE001 - no table yet, or no file: a blank host
        return False


def _counts(settings: Settings, names: list[str]) -> dict[str, int]:
    database = Database(settings.database_url)
    try:
        with database.reading() as session:
            return {name: session.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one() for name in names if name.isidentifier()}  # noqa: S608
    finally:
        database.dispose()


def _restore_sqlite(settings: Settings, snapshot: Path) -> None:
    target = Path(settings.database_url.removeprefix("sqlite:///"))
    target.parent.mkdir(parents=True, exist_ok=True)
    for ending in ("", "-wal", "-shm"):
        target.with_name(target.name + ending).unlink(missing_ok=True)
    shutil.copyfile(snapshot, target)
    with closing(sqlite3.connect(target)) as connection:
        state = connection.execute("PRAGMA integrity_check").fetchone()[0]
    if state != "ok":
        message = f"Die Datenbank der Sicherung ist beschädigt: {state}"
        raise click.ClickException(message)


def _restore_postgresql(settings: Settings, snapshot: Path, revision: str, tables: list[str]) -> None:
    """Into tables of the shape that the backup was made of."""
    migrate(settings.database_url, settings.secret_key)
    with psycopg.connect(_dsn(settings)) as connection:
        names = sql.SQL(", ").join(map(sql.Identifier, [*_tables(), "proposal_search"]))
        connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(names))
    step_back(settings.database_url, revision)
    with psycopg.connect(_dsn(settings)) as connection, gzip.open(snapshot, "rb") as file:
        cursor = connection.cursor()
        # Keys between towns and within threads point both ways; they are checked again from here on.
        cursor.execute("SET session_replication_role = replica")
        while line := file.readline():
            head = json.loads(line)
            statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
                sql.Identifier(head["table"]), sql.SQL(", ").join(map(sql.Identifier, head["columns"])))
            with cursor.copy(statement) as copy:
                while (row := file.readline()) not in {b"\\.\n", b""}:
                    copy.write(row)
        cursor.execute("SET session_replication_role = DEFAULT")
        for name in tables:
            cursor.execute("SELECT pg_get_serial_sequence(%s, 'id') FROM information_schema.columns WHERE table_name = %s "
                           "AND table_schema = current_schema() AND column_name = 'id'", (name, name))
            found = cursor.fetchone()
            if found and found[0]:
                cursor.execute(sql.SQL("SELECT setval({}, coalesce((SELECT max(id) FROM {}), 0) + 1, false)").format(
                    sql.Literal(found[0]), sql.Identifier(name)))
        cursor.execute(
            "INSERT INTO proposal_search (proposal_id, process_id, document) SELECT p.id, c.process_id, "
            "setweight(to_tsvector('german', replace(lower(p.title), 'ß', 'ss')), 'A') || "
            "to_tsvector('german', replace(lower(c.body || ' ' || p.place), 'ß', 'ss')) "
            "FROM proposal p JOIN contribution c ON c.id = p.id WHERE c.state = 'published'")
        connection.commit()


@click.command("backup", help="Datenbank, Bilder und Dokumente in eine Datei sichern; der Betrieb läuft weiter.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def backup_command(create_app: Callable[[], Flask], file: Path) -> None:
    """Needs no application, only its models."""
    del create_app
    manifest = write_backup(Settings.from_environ(), file.absolute())
    click.echo(f"Gesichert nach {file}: {sum(manifest['counts'].values())} Zeilen, {len(manifest['files'])} Dateien.")
    click.echo("SECRET_KEY ist nicht enthalten. Bewahren Sie ihn getrennt auf.")


@click.command("restore", help="Eine Sicherung auf einem leeren Rechner einspielen und prüfen.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Vorhandene Daten ersetzen")
@click.pass_obj
def restore_command(create_app: Callable[[], Flask], file: Path, *, force: bool) -> None:
    """Everything is compared with the manifest at the end."""
    del create_app
    counts = read_backup(Settings.from_environ(), file, force=force)
    click.echo(f"Eingespielt und geprüft: {sum(counts.values())} Zeilen in {len(counts)} Tabellen.")


COMMANDS = (backup_command, restore_command)
