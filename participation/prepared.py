"""Small reads that run in nearly every request, translated once to what the driver takes and gives.

SQLAlchemy looks a statement up, checks it, and wraps its rows each time that it is executed: for a read by key that is
several times what the database itself needs. Types are its own here as well, so values are the same either way.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy.sql.selectable import SelectBase

if TYPE_CHECKING:
    from sqlalchemy import Dialect, Executable
    from sqlalchemy.sql.compiler import SQLCompiler

Processor = Callable[[Any], Any]
# Of names that are known only when the program runs.
_record_of: Any = partial(namedtuple, "Record")  # noqa: PYI024


class Prepared:
    """A statement that a module keeps, for one kind of database."""

    __slots__ = ("_columns", "_convert", "_fixed", "_given", "_order", "_record", "_text", "_types")

    def __init__(self, compiled: SQLCompiler, types: Sequence[Any], dialect: Dialect) -> None:
        """Take apart what was compiled; what the rows look like is known after the first time."""
        self._text = str(compiled)
        self._order: tuple[str, ...] | None = tuple(compiled.positiontup) if compiled.positiontup is not None else None
        self._types = types
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

    def read(self, connection: Any, values: dict[str, Any], dialect: Dialect) -> list[Any]:  # noqa: ANN401 - the driver's own type
        """The rows, on a connection of the driver. Raises the driver's errors, and KeyError for a missing value."""
        sent = self._fixed.copy()
        for name, process in self._given:
            sent[name] = process(values[name]) if process else values[name]
        cursor = connection.cursor()
        try:
            cursor.execute(self._text, sent if self._order is None else [sent[name] for name in self._order])
            rows: list[Any] = cursor.fetchall()
            if self._record is None:
                self._learn(cursor.description, dialect)
        finally:
            cursor.close()
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

    def _learn(self, description: Sequence[Sequence[Any]], dialect: Dialect) -> None:
        processors = [
            kind.dialect_impl(dialect).result_processor(dialect, told[1])
            for kind, told in zip(self._types, description, strict=True)
        ]
        self._convert = [(place, process) for place, process in enumerate(processors) if process is not None]
        self._record = _record_of([told[0] for told in description], rename=True)


def prepare(statement: Executable, dialect: Dialect) -> Prepared | None:
    """None for what can't be written down once: no Select, or a list whose length changes the text."""
    if not isinstance(statement, SelectBase):
        return None
    compiled: Any = statement.compile(dialect=dialect)
    if compiled.post_compile_params or compiled.literal_execute_params:
        return None
    return Prepared(compiled, [column.type for column in statement.selected_columns], dialect)
