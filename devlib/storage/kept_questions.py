"""Questions that programs ask again and again, answered by SQLite's driver over a connection that stays open.

For a row that is found by its key SQLite needs a fiftieth of a millisecond; taking a connection out of the
pool, making a statement of SQLAlchemy ready and giving both back needs ten times as much. Such a statement is
therefore compiled once, by SQLAlchemy too, and its columns are read as SQLAlchemy reads them.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pysqlite3 import dbapi2 as sqlite3
from sqlalchemy import Dialect, Engine, Select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection

from devlib.clock import Clock
from devlib.storage.engine import file_of
from devlib.storage.reader import Reader

_KEPT_STATEMENTS = 1024


@dataclass(frozen=True, slots=True)
class Question:
    """A statement as SQLite's driver takes it.

    Args:
        text: SQL.
        names: of its parameters, in their order.
        given: the values of those that belong to the statement itself.
        readers: places of the columns that are no values yet, each with what makes one.
    """

    text: str
    names: tuple[str, ...]
    given: Mapping[str, object]
    readers: tuple[tuple[int, Callable[[Any], Any]], ...]

    def ask(self, connection: Any, values: Mapping[str, object]) -> list[tuple[Any, ...]]:  # noqa: ANN401
        """Return all rows of the answer.

        Args:
            connection: of SQLite's driver.
            values: of the statement's own parameters, which are not `required`; numbers and texts only.

        Raises:
            DBAPIError: what SQLite says, as SQLAlchemy would tell it.
        """
        given = tuple(values[name] if name in values else self.given[name] for name in self.names)
        try:
            rows: list[tuple[Any, ...]] = connection.execute(self.text, given).fetchall()
        except sqlite3.Error as error:
            raise DBAPIError.instance(self.text, None, error, sqlite3.Error) from error
        return rows if not self.readers else [self._read(row) for row in rows]

    def _read(self, row: Sequence[Any]) -> tuple[Any, ...]:
        values = list(row)
        for place, read in self.readers:
            values[place] = read(values[place])
        return tuple(values)


@lru_cache(maxsize=_KEPT_STATEMENTS)
def question(statement: Select[Any], dialect: Dialect) -> Question:
    """Return a statement as SQLite's driver takes it; made once for each statement."""
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    readers = [
        (place, read)
        for place, column in enumerate(statement.selected_columns)
        if (read := column.type.dialect_impl(dialect).result_processor(dialect, None)) is not None
    ]
    names = tuple(compiled.positiontup or ())
    return Question(str(compiled), names, dict(compiled.params), tuple(readers))


class KeptConnections:
    """One connection of SQLite's driver for each thread that asks, open until the end.

    Args:
        file: of the database.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._all: list[PoolProxiedConnection] = []
        self._process = os.getpid()
        # Of the parent of a fork: kept, for closing them is the parent's.
        self._inherited: list[PoolProxiedConnection] = []

    def of_this_thread(self, engine: Engine) -> DBAPIConnection:
        """Return the connection of this thread, a new one where the file is another one than before.

        Args:
            engine: out of whose pool it comes.
        """
        if self._process != os.getpid():
            self._inherited, self._all = [*self._inherited, *self._all], []
            self._process, self._mine, self._lock = os.getpid(), threading.local(), threading.Lock()
        kept = getattr(self._mine, "kept", None)
        if kept is not None and kept[0] is engine and kept[1] == file_of(self._file):
            found: DBAPIConnection = kept[2].dbapi_connection
            return found
        self.drop()
        taken = engine.raw_connection()
        with self._lock:
            self._all.append(taken)
        self._mine.kept = engine, file_of(self._file), taken
        assert taken.dbapi_connection is not None  # noqa: S101 - it was opened a moment ago
        return taken.dbapi_connection

    def drop(self) -> None:
        """Give the connection of this thread up, if it has one."""
        kept, self._mine.kept = getattr(self._mine, "kept", None), None
        if kept is not None:
            with self._lock:
                self._all.remove(kept[2])
            kept[2].invalidate()

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            for each in self._all:
                each.invalidate()
            self._all.clear()
            self._mine = threading.local()


class GlanceReader(Reader):
    """A `Reader` that asks kept questions over a kept connection, and others as ever.

    Args:
        engine: for the others.
        kept: the connections of kept questions.
        clock: of the inventory.
    """

    def __init__(self, engine: Engine, kept: KeptConnections, clock: Clock) -> None:
        super().__init__(engine.connect, clock)
        self._dialect = engine.dialect
        self._kept = kept
        self._driver = kept.of_this_thread(engine)

    def _kept_question(self, statement: Select[Any], values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        try:
            return question(statement, self._dialect).ask(self._driver, values)
        except DBAPIError:
            self._kept.drop()
            raise
