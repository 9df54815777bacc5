"""Small reads: the same values as SQLAlchemy gives, and the same behaviour when something is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import (
    Boolean,
    Engine,
    Integer,
    bindparam,
    column,
    event,
    exists,
    literal,
    null,
    select,
    table,
    type_coerce,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from participation.db import UTCDateTime, enum_type
from participation.permissions import Role
from participation.prepared import run

if TYPE_CHECKING:
    from participation.db import Database

AT = datetime(2026, 11, 20, 12, 30, 15, 250_000, tzinfo=UTC)
_ROLE = enum_type(Role)
_MANY_KINDS = select(
    bindparam("at", type_=UTCDateTime).label("at"),
    bindparam("role", type_=_ROLE).label("role"),
    bindparam("number", type_=Integer).label("number"),
    literal(Role.EDITOR, _ROLE).label("always"),
    literal("100 % Öffentlichkeit: ja?").label("words"),
    exists(select(1)).label("is_there"),
    type_coerce(null(), Boolean).label("missing"),
)
_VALUES = {"at": AT, "role": Role.PLANNER, "number": 7}


def test_values_are_the_same_at_the_first_and_at_every_later_time(engine: Database) -> None:
    first, second, third = (engine.glance(_MANY_KINDS, _VALUES)[0] for _ in range(3))
    expected = {"at": AT, "role": Role.PLANNER, "number": 7, "always": Role.EDITOR,
                "words": "100 % Öffentlichkeit: ja?", "is_there": True, "missing": None}
    assert first._asdict() == second._asdict() == third._asdict() == expected
    other = engine.glance(_MANY_KINDS, _VALUES | {"at": None, "role": Role.ADMIN})[0]
    assert (other.at, other.role, other.is_there) == (None, Role.ADMIN, True)


def test_nothing_found_is_no_row(engine: Database) -> None:
    nothing = _MANY_KINDS.where(literal(1) == literal(2))
    assert [list(engine.glance(nothing, _VALUES)) for _ in range(2)] == [[], []]


def test_a_list_of_any_length_can_be_asked_for(engine: Database) -> None:
    statement = select(literal(5).label("five")).where(literal(3).in_(bindparam("some", expanding=True)))
    assert [len(engine.glance(statement, {"some": some})) for some in ([3], [1, 2], [1, 2, 3], [])] == [1, 0, 1, 0]


def test_a_connection_that_was_closed_meanwhile_is_replaced(engine: Database) -> None:
    for _ in range(2):
        engine.glance(_MANY_KINDS, _VALUES)
    engine._glances.cursor.connection.close()
    assert engine.glance(_MANY_KINDS, _VALUES)[0].number == 7
    assert engine.glance(_MANY_KINDS, _VALUES)[0].role is Role.PLANNER


def test_what_the_database_refuses_is_an_error_of_sqlalchemy_and_the_next_read_works(engine: Database) -> None:
    refused = select(column("anything")).select_from(table("no_such_table"))
    for _ in range(2):
        engine.glance(_MANY_KINDS, _VALUES)
        with pytest.raises(SQLAlchemyError):
            engine.glance(refused, {})
    assert engine.glance(_MANY_KINDS, _VALUES)[0].number == 7


def test_whoever_listens_to_statements_hears_these_too(engine: Database) -> None:
    heard: list[str] = []

    def note(*args: object) -> None:
        heard.append(str(args[2]))

    for _ in range(2):
        engine.glance(_MANY_KINDS, _VALUES)
    event.listen(Engine, "before_cursor_execute", note)
    try:
        engine.glance(_MANY_KINDS, _VALUES)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert len(heard) == 1


def test_in_a_transaction_it_is_the_same_and_errors_are_those_of_sqlalchemy(engine: Database) -> None:
    refused = select(column("anything")).select_from(table("no_such_table"))
    session = engine.new_session(write=False)
    try:
        for _ in range(2):
            assert run(session.connection(), _MANY_KINDS, _VALUES)[0].at == AT
        with pytest.raises(DBAPIError) as error:
            run(session.connection(), refused, {})
        assert not error.value.connection_invalidated
        assert "no_such_table" in str(error.value.orig)
    finally:
        session.rollback()
        session.close()


def test_a_connection_that_dies_in_a_transaction_is_thrown_away(engine: Database) -> None:
    session = engine.new_session(write=False)
    try:
        run(session.connection(), _MANY_KINDS, _VALUES)
        session.connection().connection.dbapi_connection.close()
        with pytest.raises(DBAPIError) as error:
            run(session.connection(), _MANY_KINDS, _VALUES)
        assert error.value.connection_invalidated
    finally:
        session.rollback()
        session.close()
    with engine.reading() as fresh:
        assert run(fresh.connection(), _MANY_KINDS, _VALUES)[0].number == 7
