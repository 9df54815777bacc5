"""Migrations run up, down and up again, and say the same as the models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from participation.commands.database import alembic_config
from participation.db import Database
from participation.tokens import Keyring

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    server: str = request.getfixturevalue("postgresql_server")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS migrating"))
        connection.execute(text("CREATE DATABASE migrating"))
    engine.dispose()
    head, _, tail = server.partition("?")
    return f"{head.rsplit('/', 1)[0]}/migrating?{tail}"


def test_up_down_up(empty_url: str) -> None:
    config = alembic_config(empty_url)
    command.upgrade(config, "head")
    command.check(config)
    command.downgrade(config, "base")
    database = Database(empty_url)
    assert set(inspect(database.engine).get_table_names()) <= {"alembic_version"}
    database.dispose()
    command.upgrade(config, "head")
    command.check(config)


BEFORE_VOTERS = "0027_returned_mails"
SECRET = "the key that this town was run with"


def town_with_votes(connection: Connection, keyring: Keyring) -> None:
    """Account 1 wrote and voted, account 2 only voted, account 3 only wrote, and an import brought a support along."""
    at = "2026-10-05 14:23:17.123456"
    zone = "" if connection.dialect.name == "sqlite" else "+00"

    def add(table: str, **values: Any) -> None:
        known = {column["name"]: column for column in inspect(connection).get_columns(table)}
        for name, column in known.items():
            if name in values or column["nullable"] or column.get("default") is not None or name == "id":
                continue
            kind = str(column["type"]).upper()
            values[name] = (f"{at}{zone}" if "TIME" in kind else False if "BOOL" in kind else 0 if "INT" in kind
                            else 0.0 if "FLOAT" in kind or "DOUBLE" in kind else "[]" if "JSON" in kind else "x")
        names = ", ".join(values)
        places = ", ".join(f":{name}" for name in values)
        connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)  # noqa: S608 - of this test

    add("municipality", id=1, slug="stadt", kind="municipality", boundary="{}")
    add("process", id=1, municipality_id=1, slug="ideen", state="published", participant_count=4, support_count=4)
    add("phase", id=1, process_id=1, format_key="collect", starts_at=f"2026-10-01 08:00:00.000000{zone}")
    for number in (1, 2, 3):
        add("account", id=number, email=f"person{number}@beispiel.example", display_name=f"Person {number}", locale="de")
    for number, identity in enumerate(("account:1", "account:2", "account:3", "import:x"), start=1):
        add("participant", id=number, process_id=1, person_hash=keyring.person_hash(1, identity), pseudonym=f"P{number}",
            kind="imported" if identity == "import:x" else "account", contact_sealed=keyring.seal(identity),
            created_at=f"2026-10-02 09:00:00.000000{zone}")
    for number, author in ((1, 3), (2, 1)):
        add("contribution", id=number, kind="proposal", process_id=1, participant_id=author, state="published",
            published_at=f"{at}{zone}", created_at=f"2026-10-05 14:23:17.1{number}{zone}", support_count=2)
        add("proposal", id=number, title="Bank")
    for contribution, participant in ((1, 1), (1, 2), (2, 2), (2, 4)):
        add("vote", contribution_id=contribution, participant_id=participant, created_at=f"{at}{zone}",
            source_hash="feedfeedfeedfeed" if contribution == 1 else None)
    for number, participant in ((7, 2), (8, 1)):
        add("ballot", id=number, phase_id=1, participant_id=participant, channel="account", size=1)
        add("ballot_mark", ballot_id=number, contribution_id=1, value=number)
    if zone:
        connection.execute(text("SELECT setval('participant_id_seq', 4)"))


def test_votes_find_their_voters_up_and_down(empty_url: str) -> None:
    keyring = Keyring(SECRET)
    config = alembic_config(empty_url, secret_key=SECRET)
    command.upgrade(config, BEFORE_VOTERS)
    database = Database(empty_url)

    def rows(statement: str) -> list[tuple[Any, ...]]:
        with database.reading() as session:
            return [tuple(row) for row in session.execute(text(statement))]

    votes = ("SELECT vote.contribution_id, participant.person_hash FROM vote JOIN participant "
             "ON participant.id = vote.participant_id ORDER BY 1, 2")
    with database.unit_of_work() as session:
        town_with_votes(session.connection(), keyring)
    before = rows(votes)
    with pytest.raises(RuntimeError, match="SECRET_KEY"):
        command.upgrade(alembic_config(empty_url, secret_key="another one"), "head")
    command.upgrade(config, "head")
    voter = {identity: keyring.voter_of(1, identity) for identity in ("account:1", "account:2", "account:3", "import:x")}
    assert set(rows("SELECT id, channel, supports FROM voter")) == {
        (voter["account:1"], "account", 1), (voter["account:2"], "account", 2), (voter["import:x"], "imported", 1)}
    assert set(rows("SELECT contribution_id, voter_id, source_hash FROM vote")) == {
        (1, voter["account:1"], "feedfeedfeedfeed"), (1, voter["account:2"], "feedfeedfeedfeed"),
        (2, voter["account:2"], None), (2, voter["import:x"], None)}
    assert {str(row[0])[:19] for row in rows("SELECT given_at FROM vote UNION ALL SELECT changed_at FROM ballot")} <= {
        "2026-10-05 00:00:00", "2026-10-05 14:00:00"}
    assert set(rows("SELECT ballot.voter_id, ballot_mark.value FROM ballot JOIN ballot_mark ON ballot_id = ballot.id")) == {
        (voter["account:2"], 7), (voter["account:1"], 8)}
    # Who only voted is no participant any more; who wrote is one since then, not since the vote.
    assert [(row[0], str(row[1])[:19]) for row in rows("SELECT id, created_at FROM participant ORDER BY id")] == [
        (1, "2026-10-05 14:23:17"), (3, "2026-10-02 09:00:00")]
    assert rows("SELECT participant_count FROM process") == [(4,)]
    with database.unit_of_work() as session:
        session.execute(text("DELETE FROM voter WHERE id = :id"), {"id": voter["import:x"]})
    database.dispose()
    command.downgrade(config, BEFORE_VOTERS)
    again = [row for row in before if row[1] != keyring.person_hash(1, "import:x")]
    assert rows(votes) == again
    assert set(rows("SELECT participant.person_hash, ballot_mark.value FROM ballot JOIN ballot_mark ON ballot_id = ballot.id "
                    "JOIN participant ON participant.id = ballot.participant_id")) == {
        (keyring.person_hash(1, "account:2"), 7), (keyring.person_hash(1, "account:1"), 8)}
    database.dispose()
    command.upgrade(config, "head")
    assert {row[0] for row in rows("SELECT id FROM voter")} == {voter["account:1"], voter["account:2"]}
    database.dispose()


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory.from_config(alembic_config()).get_heads()) == 1
