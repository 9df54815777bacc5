"""The database: engine, sessions, the unit of work, and the column types that every table uses."""

from __future__ import annotations

import enum
import sqlite3
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from sqlalchemy import BigInteger, DateTime, Enum, Integer, MetaData, String, create_engine, event, func, select, text
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column
from sqlalchemy.types import TypeDecorator

from participation import clock
from participation.prepared import prepared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Dialect, Engine, Executable, Row
    from sqlalchemy.pool import ConnectionPoolEntry

SQLITE_BUSY_TIMEOUT_MS = 15_000
SQLITE_RETRY_SECONDS = 0.001
_BEGIN_WRITING = "BEGIN IMMEDIATE"
# A server that goes away is away for longer than that.
RESTED_SECONDS = 1.0
_USED_AT = "used_at"
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UTCDateTime(TypeDecorator[datetime]):
    """An instant. Refuses naive values, so that no server's time zone can move a deadline."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC; SQLite knows no zones, so there it is stored without."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = "a naive datetime can't be stored"
            raise ValueError(message)
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return an aware UTC value on both databases."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The base of all tables."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {datetime: UTCDateTime}  # noqa: RUF012 - read by SQLAlchemy, never changed


def enum_type(members: type[enum.Enum]) -> Enum:
    """An enum stored by its value, readable in the database, extensible without a migration."""
    return Enum(
        members,
        native_enum=False,
        create_constraint=False,
        length=40,
        validate_strings=True,
        values_callable=lambda kinds: [kind.value for kind in kinds],
    )


Key = Annotated[int, mapped_column(Integer, primary_key=True)]
# A number of 64 bits. INTEGER on SQLite, where a key of that type is the row's own place: no order of coming is kept.
WideNumber = BigInteger().with_variant(Integer, "sqlite")
Line = Annotated[str, mapped_column(String(300))]
Instant = Annotated[datetime, mapped_column(UTCDateTime)]
Created = Annotated[datetime, mapped_column(UTCDateTime, default=clock.now)]


class Database:
    """One database and its sessions. Tests bind it to one connection whose transaction they roll back."""

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        """Create the engine; nothing is connected yet."""
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": 8}
        if self.is_sqlite:
            options["connect_args"] = {"timeout": SQLITE_BUSY_TIMEOUT_MS / 1000}
        else:
            options["connect_args"] = {"connect_timeout": 5}
        self.engine: Engine = create_engine(url, **options)
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            event.listen(self.engine, "checkout", _ask_if_alive)
            event.listen(self.engine, "checkin", _note_use)
        self._single_read: dict[str, Any] = {"no_begin": True} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._write_engine = self.engine.execution_options(immediate=True)
        self._connection: Connection | None = None
        self._glances = threading.local()

    @classmethod
    def joined_to(cls, connection: Connection, url: str) -> Database:
        """A database whose sessions all join one outer transaction (for tests)."""
        database = cls(url)
        database._connection = connection
        return database

    def new_session(self, *, write: bool) -> Session:
        """A session. On SQLite a writing one takes the write lock at its first statement.

        A reading transaction that later wants to write would fail at once when another process wrote in between.
        """
        if self._connection is not None:
            return Session(self._connection, expire_on_commit=False, join_transaction_mode="create_savepoint")
        return Session(self._write_engine if write else self.engine, expire_on_commit=False)

    @contextmanager
    def unit_of_work(self) -> Iterator[Session]:
        """A writing session that commits at the end, or rolls back on any error. For jobs and commands."""
        session = self.new_session(write=True)
        try:
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            session.close()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A short reading session."""
        session = self.new_session(write=False)
        try:
            yield session
        finally:
            session.rollback()
            session.close()

    def glance(self, statement: Executable, values: dict[str, Any]) -> Sequence[Row[Any]]:
        """The rows of one small read that runs in nearly every request, such as who is signed in.

        On a connection that each thread keeps, outside any transaction: opening a session would cost more than the
        read. A connection that the database has closed meanwhile is replaced once. Raises SQLAlchemyError.
        """
        if self._connection is not None:
            return self._connection.execute(statement, values).all()
        kept: Connection | None = getattr(self._glances, "connection", None)
        if kept is not None:
            quick = prepared(kept, statement)
            if quick is not None:
                try:
                    return quick.run(self._glances.cursor, values)
                except kept.dialect.loaded_dbapi.Error:
                    # What it was, SQLAlchemy finds out: it knows which errors mean that the connection is gone.
                    pass
            try:
                return self._read(kept, statement, values)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
        kept = self._glances.connection = self.engine.connect().execution_options(**self._single_read)
        self._glances.cursor = kept.connection.cursor()
        return self._read(kept, statement, values)

    def _read(
        self, connection: Connection, statement: Executable, values: dict[str, Any]
    ) -> Sequence[Row[Any]]:
        try:
            rows = connection.execute(statement, values).all()
            connection.rollback()
        except BaseException:
            self._glances.connection = None
            connection.close()
            raise
        return rows

    def dispose(self) -> None:
        """Close all pooled connections (before a fork, at the end of a test)."""
        self._glances = threading.local()
        self.engine.dispose()


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own type
    """WAL lets readers go on while one writes; NORMAL survives a killed process (power loss may cost the last)."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA cache_size=-3000")
    cursor.execute("PRAGMA temp_store=MEMORY")
    cursor.close()


def _note_use(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info[_USED_AT] = time.monotonic()


def _ask_if_alive(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:  # noqa: ANN401 - the driver's own type
    """A connection that rested may have been closed by the server meanwhile: then all are made anew.

    As SQLAlchemy's pre-ping, which asks before every use: under a rush of votes that would be one way in ten.
    """
    import psycopg  # noqa: PLC0415 - an installation on SQLite needs none of it

    used_at = record.info.get(_USED_AT)
    if used_at is None or time.monotonic() - used_at < RESTED_SECONDS:
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error as error:
        raise InvalidatePoolError from error


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("no_begin", False):
        return
    if not options.get("immediate", False):
        connection.exec_driver_sql("BEGIN")
        return
    # SQLite itself waits in steps that grow to 100 ms: under a rush of votes half the time would pass in sleeping.
    cursor = connection.connection.cursor()
    deadline = time.monotonic() + SQLITE_BUSY_TIMEOUT_MS / 1000
    try:
        cursor.execute("PRAGMA busy_timeout=0")
        while True:
            try:
                cursor.execute(_BEGIN_WRITING)
                break
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    # As SQLAlchemy tells whatever it runs itself: then it is a database that is away, no bug of ours.
                    raise OperationalError(_BEGIN_WRITING, None, error) from error
            time.sleep(SQLITE_RETRY_SECONDS)
    finally:
        cursor.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_TIMEOUT_MS}")
        cursor.close()


def is_sqlite(session: Session) -> bool:
    """Which of the two databases this session talks to."""
    return session.get_bind().dialect.name == "sqlite"


def bounded_count(session: Session, statement: Any, limit: int) -> int:  # noqa: ANN401 - any Select
    """How many rows a Select has, counted up to `limit` only, so that the cost does not grow with the town."""
    return session.scalar(select(func.count()).select_from(statement.order_by(None).limit(limit).subquery())) or 0


def ping(session: Session) -> None:
    """One cheap round trip. Raises SQLAlchemyError when the database is away."""
    session.execute(text("SELECT 1"))
