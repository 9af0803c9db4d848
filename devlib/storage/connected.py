"""What readers and writers share: a connection, a clock, and answers that are too long for memory."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Select

from devlib.clock import Clock

_T = TypeVar("_T")


class Connected:
    """A connection of the inventory, for a short time.

    Args:
        connection: open; begun where it is for writing; or what opens it when it is first needed.
        clock: dates what is written.
    """

    def __init__(self, connection: Connection | Callable[[], Connection], clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._spools = 0

    @property
    def connection(self) -> Connection:
        """The connection, opened."""
        if not isinstance(self._connection, Connection):
            self._connection = self._connection()
        return self._connection

    def close(self) -> None:
        """Close the connection, if it was ever opened."""
        if isinstance(self._connection, Connection):
            self._connection.close()

    def _kept_question(self, statement: Select[Any], values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """Return all rows of the answer to a statement that is kept, and not made for this one question."""
        return self.connection.execute(statement, values).all()

    def _stream(self, statement: Select[Any], size: int) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Yield the rows of one moment, up to `size` at a time, without shutting writers out meanwhile.

        Only numbers and texts: on SQLite the types of the columns are lost on the way.
        """
        if self.connection.dialect.name == "sqlite":
            yield from self._spooled(statement, size)
            return
        options = {"stream_results": True, "yield_per": size}
        with self.connection.execute(statement, execution_options=options) as result:
            yield from map(_plain, result.partitions(size))

    def _spooled(self, statement: Select[Any], size: int) -> Iterator[Sequence[tuple[Any, ...]]]:
        # An open SELECT would keep a writer from committing for as long as the caller works on its rows.
        # A temporary table is a private file: SQLite holds no lock of the database while it is read.
        self._spools += 1
        name = f"spool_{self._spools}"
        compiled = statement.compile(self.connection, compile_kwargs={"render_postcompile": True})
        values = tuple(compiled.params[key] for key in compiled.positiontup or ())
        self.connection.exec_driver_sql(f"CREATE TEMP TABLE {name} AS {compiled}", values)
        # The driver's own cursor: its rows are plain tuples, at twice the speed of SQLAlchemy's.
        cursor = self.connection.connection.cursor()
        try:
            cursor.execute(f"SELECT * FROM temp.{name} ORDER BY rowid")  # noqa: S608 - a number of our own
            while rows := cursor.fetchmany(size):
                yield rows
        finally:
            cursor.close()
            if not self.connection.closed:
                self.connection.exec_driver_sql(f"DROP TABLE temp.{name}")


def _plain(rows: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
    # A row of SQLAlchemy is a tuple in all but its type.
    return cast("Sequence[tuple[Any, ...]]", rows)


def in_batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield `items` in lists of `size`, the last one shorter."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
