"""Migrations run up, down and up again, and say the same as the models."""

from __future__ import annotations

import json
from functools import partial
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


def add_row(connection: Connection, table: str, **values: Any) -> None:
    """A row of a table as an earlier version made it; what is not said gets something that its column can hold."""
    at, zone = "2026-10-05 14:23:17.123456", "" if connection.dialect.name == "sqlite" else "+00"
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


def town_with_votes(connection: Connection, keyring: Keyring) -> None:
    """Account 1 wrote and voted, account 2 only voted, account 3 only wrote, and an import brought a support along."""
    at = "2026-10-05 14:23:17.123456"
    zone = "" if connection.dialect.name == "sqlite" else "+00"
    add = partial(add_row, connection)
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


def town_with_limits(connection: Connection) -> None:
    """Two votes by supports that were counted out to each person, one over and one open, which all three voters saw."""
    zone = "" if connection.dialect.name == "sqlite" else "+00"
    add = partial(add_row, connection)
    limited = {"ballot": "support", "votes_per_person": 2}
    add("municipality", id=1, slug="stadt", kind="municipality", boundary="{}")
    add("process", id=1, municipality_id=1, slug="ideen", state="published")
    for number, start, end in ((1, "2026-01-01", "2026-02-01"), (2, "2026-03-01", "2999-01-01")):
        add("phase", id=number, process_id=1, format_key="vote", lineage=f"phase-{number}", starts_at=f"{start} 00:00:00.000000{zone}",
            ends_at=f"{end} 00:00:00.000000{zone}", vague_dates="", stored_settings=json.dumps(limited))
    content = {"phases": {f"phase-{number}": {"id": number, "format_key": "vote", "stored_settings": limited} for number in (1, 2)}}
    add("process_version", id=1, process_id=1, content=json.dumps(content))
    add("account", id=1, email="person@beispiel.example", display_name="Person", locale="de")
    add("participant", id=1, process_id=1, person_hash="a" * 64, pseudonym="P", kind="account", contact_sealed="x")
    add("annulment", id=1, process_id=1, votes=1, ballots=0)
    for number, supports in ((1, 3), (2, 2), (3, 1)):
        add("contribution", id=number, kind="proposal", process_id=1, participant_id=1, state="published",
            published_at=f"2026-01-01 00:00:00.000000{zone}", support_count=supports)
        add("proposal", id=number, title="Bank")
    for number, supports in ((11, 2), (12, 2), (13, 2)):
        add("voter", id=number, process_id=1, channel="account", supports=supports)
    # 11 voted in the first one and in the second, 12 in the second only and a part was annulled, 13 in the second only.
    for proposal, voter, day, annulled in (
            (1, 11, "2026-01-05", None), (2, 11, "2026-03-05", None), (1, 12, "2026-03-06", None), (2, 12, "2026-03-06", None),
            (3, 12, "2026-03-06", 1), (1, 13, "2026-03-07", None), (3, 13, "2026-03-07", None)):
        add("vote", contribution_id=proposal, voter_id=voter, given_at=f"{day} 00:00:00.000000{zone}", annulment_id=annulled)
    if zone:
        connection.execute(text("SELECT setval('participant_id_seq', 4)"))


def test_votes_that_are_counted_out_move_to_ballots_of_their_phase_and_back(empty_url: str) -> None:
    config = alembic_config(empty_url, secret_key=SECRET)
    command.upgrade(config, "0032_changed_answers")
    database = Database(empty_url)

    def rows(statement: str) -> set[tuple[Any, ...]]:
        with database.reading() as session:
            return {tuple(row) for row in session.execute(text(statement))}

    def settings() -> list[dict[str, Any]]:
        with database.reading() as session:
            found = session.scalars(text("SELECT stored_settings FROM phase ORDER BY id")).all()
            kept = session.scalars(text("SELECT content FROM process_version")).one()
        kept = json.loads(kept) if isinstance(kept, str) else kept
        own = [json.loads(one) if isinstance(one, str) else one for one in found]
        assert own == [kept["phases"][f"phase-{number}"]["stored_settings"] for number in (1, 2)], "its history says the same"
        return own

    with database.unit_of_work() as session:
        town_with_limits(session.connection())
    before = rows("SELECT contribution_id, voter_id FROM vote WHERE annulment_id IS NULL")
    command.upgrade(config, "head")
    assert settings() == [{"ballot": "support"}, {"ballot": "choice", "votes": 2}], "the published result stays"
    assert rows("SELECT contribution_id, voter_id FROM vote") == {(1, 11)}
    assert rows("SELECT phase_id, voter_id, contribution_id, size, annulment_id FROM ballot JOIN ballot_mark ON ballot_id = id") == {
        (2, 11, 2, 1, None), (2, 12, 1, 2, None), (2, 12, 2, 2, None), (2, 13, 1, 2, None), (2, 13, 3, 2, None)}
    assert rows("SELECT phase_id, contribution_id, people, against, total FROM ballot_tally") == {
        (2, 1, 2, 0, 2), (2, 2, 2, 0, 2), (2, 3, 1, 0, 1)}
    assert rows("SELECT phase_id, channel, people FROM ballot_turnout") == {(2, "account", 3)}
    assert rows("SELECT id, support_count FROM contribution") == {(1, 1), (2, 0), (3, 0)}
    assert rows("SELECT id, supports FROM voter") == {(11, 1), (12, 0), (13, 0)}
    assert rows("SELECT votes, ballots FROM annulment") == {(0, 0)}, "it was a part of a ballot that counts"
    database.dispose()
    command.downgrade(config, "0032_changed_answers")
    assert settings() == [{"ballot": "support"}, {"ballot": "support", "votes_per_person": 2}]
    assert rows("SELECT contribution_id, voter_id FROM vote") == before
    assert rows("SELECT id FROM ballot UNION ALL SELECT people FROM ballot_tally UNION ALL SELECT people FROM ballot_turnout") == set()
    assert rows("SELECT id, support_count FROM contribution") == {(1, 3), (2, 2), (3, 1)}
    assert rows("SELECT id, supports FROM voter") == {(11, 2), (12, 2), (13, 2)}
    database.dispose()


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory.from_config(alembic_config()).get_heads()) == 1
