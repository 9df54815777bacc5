"""Short statements that run in nearly every request, translated once to what the driver takes and gives.

SQLAlchemy looks a statement up, checks it, and wraps its rows each time that it is executed: for a row by its key that
is several times what the database itself needs. Types are its own here as well, so values are the same either way.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import SelectBase

if TYPE_CHECKING:
    from sqlalchemy import Connection, Dialect, Executable
    from sqlalchemy.sql.compiler import SQLCompiler

Processor = Callable[[Any], Any]
# Of names that are known only when the program runs.
_record_of: Any = partial(namedtuple, "Record")  # noqa: PYI024
# Far more than there are: only statements that a module keeps are worth it.
KEPT = 200


class Prepared:
    """A statement for one kind of database."""

    __slots__ = ("_columns", "_convert", "_dialect", "_fixed", "_given", "_order", "_record", "text")

    def __init__(self, compiled: SQLCompiler, columns: Sequence[Any], dialect: Dialect) -> None:
        """Take apart what was compiled; what the rows look like is known after the first time."""
        self.text = str(compiled)
        self._order: tuple[str, ...] | None = tuple(compiled.positiontup) if compiled.positiontup is not None else None
        self._columns, self._dialect = columns, dialect
        self._fixed: dict[str, Any] = {}
        self._given: list[tuple[str, Processor | None]] = []
        for name, bind in compiled.binds.items():
            process = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if bind.required:
                self._given.append((name, process))
            else:
                value = bind.effective_value
                self._fixed[name] = process(value) if process else value
        self._record: Any = None
        self._convert: list[tuple[int, Processor]] = []

    def run(self, cursor: Any, values: dict[str, Any]) -> list[Any]:  # noqa: ANN401 - the driver's own type
        """The rows, by a cursor of the driver. Raises the driver's errors, and KeyError for a missing value."""
        sent = self._fixed.copy()
        for name, process in self._given:
            sent[name] = process(values[name]) if process else values[name]
        cursor.execute(self.text, sent if self._order is None else [sent[name] for name in self._order])
        if not self._columns:
            return []
        rows: list[Any] = cursor.fetchall()
        if self._record is None:
            self._learn(cursor.description)
        make = self._record._make
        if not self._convert:
            return [make(row) for row in rows]
        found = []
        for row in rows:
            cells = list(row)
            for place, process in self._convert:
                cells[place] = process(cells[place])
            found.append(make(cells))
        return found

    def _learn(self, description: Sequence[Sequence[Any]]) -> None:
        processors = [
            column.type.dialect_impl(self._dialect).result_processor(self._dialect, told[1])
            for column, told in zip(self._columns, description, strict=True)
        ]
        self._convert = [(place, process) for place, process in enumerate(processors) if process is not None]
        self._record = _record_of([told[0] for told in description], rename=True)


def prepared(connection: Connection, statement: Executable) -> Prepared | None:
    """None where SQLAlchemy has to do it: what can't be written down once, or somebody listens to what it sends."""
    if connection.dispatch.before_cursor_execute:
        return None
    # They live as long as the engine they were made for.
    kept: dict[Executable, Prepared | None] = vars(connection.dialect).setdefault("prepared_statements", {})
    try:
        return kept[statement]
    except KeyError:
        if len(kept) >= KEPT:
            kept.clear()
        found = kept[statement] = _prepare(statement, connection.dialect)
        return found


def run(connection: Connection, statement: Executable, values: dict[str, Any]) -> Sequence[Any]:
    """The rows of a statement in the transaction of a connection. Raises SQLAlchemyError."""
    quick = prepared(connection, statement)
    if quick is None:
        result = connection.execute(statement, values)
        return result.all() if result.returns_rows else ()
    driver, dialect = connection.connection, connection.dialect
    try:
        cursor = driver.cursor()
        try:
            return quick.run(cursor, values)
        finally:
            cursor.close()
    except dialect.loaded_dbapi.Error as error:
        is_gone = dialect.is_disconnect(error, driver.dbapi_connection, None)
        if is_gone:
            connection.invalidate(error)
        # As SQLAlchemy would raise it, without the values: they are nobody's business in a log.
        raise DBAPIError.instance(
            quick.text, None, error, dialect.loaded_dbapi.Error, connection_invalidated=is_gone, dialect=dialect
        ) from error


def _prepare(statement: Executable, dialect: Dialect) -> Prepared | None:
    if not isinstance(statement, SelectBase | UpdateBase) or (isinstance(statement, Insert) and statement.select is None):
        return None
    compiled: Any = statement.compile(dialect=dialect)
    # A list changes the text with its length; a default is a call of Python's each time.
    if compiled.post_compile_params or compiled.literal_execute_params or compiled.prefetch:
        return None
    return Prepared(compiled, list(statement.exported_columns), dialect)
