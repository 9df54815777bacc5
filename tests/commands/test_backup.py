"""A backup made while people write comes back complete, or not at all."""

from __future__ import annotations

import io
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import click
import pytest
from alembic import command
from sqlalchemy import create_engine, func, select, text

from participation.commands import backup
from participation.commands.backup import read_backup, write_backup
from participation.commands.database import alembic_config, current_revision, migrate
from participation.contributions.models import Contribution, Voter
from participation.contributions.proposals.models import Proposal
from participation.contributions.votes.models import Vote
from participation.db import Database
from participation.settings import Settings
from participation.tokens import Keyring
from participation.uploads import store_document
from tests import factories
from tests.conftest import SECRET
from tests.test_migrations import BEFORE_VOTERS, town_with_votes


def _fresh(request: pytest.FixtureRequest, kind: str, name: str, folder: Path) -> Settings:
    if kind == "sqlite":
        url = f"sqlite:///{folder / name / 'town.sqlite3'}"
    else:
        server: str = request.getfixturevalue("postgresql_server")
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        head, _, tail = server.partition("?")
        url = f"{head.rsplit('/', 1)[0]}/{name}?{tail}"
    (folder / name).mkdir(parents=True, exist_ok=True)
    return Settings(environment="test", data_dir=folder / name, database_url=url, secret_key=SECRET)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_backup_while_writing_comes_back_on_a_blank_host(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> None:
    source = _fresh(request, kind, "hier", tmp_path)
    migrate(source.database_url)
    database = Database(source.database_url)
    with database.unit_of_work() as session:
        process = factories.process(session)
        factories.proposal(session, process, title="Mit Ümlaut\\ und\tTab")
        store_document(session, source.upload_dir, process.municipality_id, io.BytesIO(b"Ein Text"), "text.txt", 10**6)
        process_id = process.id
    stop = threading.Event()

    def write_on() -> None:
        while not stop.is_set():
            with database.unit_of_work() as session:
                row = factories.proposal(session, session.get_one(type(process), process_id))
                factories.comment(session, row)

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        manifest = write_backup(source, tmp_path / "sicherung.tar.gz")
    finally:
        stop.set()
        writer.join()
        database.dispose()
    target = _fresh(request, kind, "dort", tmp_path)
    counts = read_backup(target, tmp_path / "sicherung.tar.gz", force=False)
    assert counts == manifest["counts"]
    assert counts["proposal"] >= 1
    assert counts["upload"] == 1
    restored = Database(target.database_url)
    with restored.unit_of_work() as session:
        assert session.scalar(select(func.count()).select_from(Proposal).where(Proposal.title == "Mit Ümlaut\\ und\tTab"))
        # The host goes on: new rows get new ids.
        added = factories.proposal(session, session.get_one(type(process), process_id))
        assert added.id > (session.scalar(select(func.max(Contribution.id)).where(Contribution.id != added.id)) or 0)
    restored.dispose()
    with pytest.raises(click.ClickException, match="schon Daten"):
        read_backup(target, tmp_path / "sicherung.tar.gz", force=False)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_of_an_older_version_is_brought_up_to_date(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _fresh(request, kind, "frueher", tmp_path)
    keyring, file = Keyring(SECRET), tmp_path / "alt.tar.gz"
    command.upgrade(alembic_config(source.database_url), BEFORE_VOTERS)
    database = Database(source.database_url)
    with database.unit_of_work() as session:
        town_with_votes(session.connection(), keyring)
    database.dispose()
    with monkeypatch.context() as patch:
        old = [name for name in backup._tables() if name not in {"voter", "sent_form"}]
        patch.setattr(backup, "_tables", lambda: old)
        counts = write_backup(source, file)["counts"]
    target = _fresh(request, kind, "heute", tmp_path)
    for force in (False, True):
        assert read_backup(target, file, force=force) == counts
        restored = Database(target.database_url)
        with restored.reading() as session:
            assert session.get(Voter, keyring.voter_of(1, "account:2")) is not None
            assert session.scalar(select(func.count()).select_from(Vote)) == 4
        restored.dispose()
    assert current_revision(target.database_url) != BEFORE_VOTERS


def test_a_backup_with_another_key_is_not_taken_for_the_town(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Nobody would find their votes again, and everybody could vote anew, without a word."""
    source, file = _fresh(request, "sqlite", "eigen", tmp_path), tmp_path / "eigen.tar.gz"
    migrate(source.database_url)
    database = Database(source.database_url)
    with database.unit_of_work() as session:
        factories.account(session).totp_secret_sealed = Keyring(SECRET).seal("x")
    database.dispose()
    write_backup(source, file)
    target = _fresh(request, "sqlite", "fremd", tmp_path)
    with pytest.raises(click.ClickException, match="SECRET_KEY passt nicht"):
        read_backup(replace(target, secret_key="another one" * 4), file, force=False)
    assert read_backup(target, file, force=True)["account"] == 1


def test_a_damaged_backup_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "kaputt.tar.gz").write_bytes(b"keine Sicherung")
    settings = Settings(environment="test", data_dir=tmp_path, database_url=f"sqlite:///{tmp_path}/x.sqlite3")
    with pytest.raises(click.ClickException, match="keine lesbare Sicherung"):
        read_backup(replace(settings), tmp_path / "kaputt.tar.gz", force=True)
    assert not (tmp_path / "x.sqlite3").exists()


@pytest.mark.parametrize("name", ["../ausserhalb.txt", "/ausserhalb.txt", "uploads/../../ausserhalb.txt"])
def test_a_forged_backup_writes_nothing_outside(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "gefaelscht.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"text"))
    settings = Settings(environment="test", data_dir=tmp_path / "hier", secret_key=SECRET,
                        database_url=f"sqlite:///{tmp_path / 'hier' / 'town.sqlite3'}")
    with pytest.raises(click.ClickException, match="keine lesbare Sicherung"):
        read_backup(settings, archive, force=False)
    assert not list(tmp_path.rglob("ausserhalb.txt"))
    assert not Path("/ausserhalb.txt").exists()
