"""Pages of a long list: sorted and searched in DuckDB, so that only the visible rows ever leave it.

Sorting and searching touch the key and the columns they need, once for each change; a page then fetches its
wide rows by their keys (late materialisation). Names of columns are checked against the schema, values are
bound, so that nothing a browser says becomes SQL.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from devlib.errors import UsageError
from devlib.language import message, visible
from devlib.model import ColumnType, Table
from devlib.storage.query import shut

MOST_ROWS = 500
TEXT_LIMIT = 500
_KEY = "row_number_of_devlib"
_NUMBER_TYPES = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)


class Kind(StrEnum):
    """How a column is shown and sorted."""

    TEXT = "text"
    NUMBER = "number"
    MOMENT = "moment"


@dataclass(frozen=True, slots=True)
class Order:
    """What to sort by; equal values keep the order of the list.

    Args:
        column: its name.
        descending: whether the largest come first. Missing values always come last.
    """

    column: str
    descending: bool = False


class Paged(Protocol):
    """What a table in a browser reads from, whatever holds the rows."""

    kinds: dict[str, Kind]

    def choose(self, order: Order | None = None, search: str = "") -> int:
        """Sort the list anew and keep the rows that hold `search`; return the number of rows kept."""
        ...

    def rows(self, first: int, count: int) -> list[list[Any]]:
        """Return rows of the chosen order, as values that JSON can carry."""
        ...


Keys: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Opened = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]


class Pages:
    """A list that is read page by page.

    Args:
        kinds: columns by name, in order, with their kind.
        rows: SQL for a FROM clause: the rows to choose from, in the order of the list.
        key: integer column that tells the rows apart.
        opened: gives a cursor in which `rows` can be read.
        wide: SQL for a FROM clause of at least the same rows, for fetching by key; by default `rows`.
        listed: the keys of `rows` in their order, where they are known already.
    """

    def __init__(
        self,
        kinds: dict[str, Kind],
        rows: str,
        key: str,
        opened: Opened,
        *,
        wide: str | None = None,
        listed: Keys | None = None,
    ) -> None:
        self.kinds = kinds
        self._rows = rows
        self._wide = wide or rows
        self._key = key
        self._opened = opened
        self._listed = listed
        self._keys: Keys | None = None

    def choose(self, order: Order | None = None, search: str = "") -> int:
        """Sort the list anew and keep the rows that hold `search` in any text.

        Args:
            order: what to sort by; `None` for the order of the list.
            search: text, in either case; empty keeps all rows.

        Returns:
            The number of rows kept.

        Raises:
            UsageError: there is no such column.
        """
        where, values = self._found(search)
        if self._listed is not None and order is None and not where:
            self._keys = self._listed
            return len(self._keys)
        by = "" if order is None else self._ordered(order)
        sql = f"SELECT {self._key} AS key FROM {self._rows} AS listed{where}{by}"  # noqa: S608 - own names
        with self._opened() as cursor:
            self._keys = np.asarray(cursor.execute(sql, values).fetchnumpy()["key"], dtype=np.int64)
        return len(self._keys)

    def rows(self, first: int, count: int) -> list[list[Any]]:
        """Return rows of the chosen order, as values that JSON can carry.

        Args:
            first: place of the first one, from 0.
            count: how many at most; never more than `MOST_ROWS`.

        Returns:
            For each row its values in the order of the columns; moments as ISO 8601 in UTC.
        """
        keys = self._chosen()[first : first + min(count, MOST_ROWS)].tolist()
        if not keys:
            return []
        names = ", ".join(_shown(name, kind) for name, kind in self.kinds.items())
        places = ", ".join("?" * len(keys))
        sql = f"SELECT {self._key}, {names} FROM {self._wide} AS listed WHERE {self._key} IN ({places})"  # noqa: S608
        with self._opened() as cursor:
            found = {row[0]: list(row[1:]) for row in cursor.execute(sql, keys).fetchall()}
        return [found[key] for key in keys if key in found]

    def keys(self, first: int, count: int) -> list[int]:
        """Return the keys of rows of the chosen order."""
        return [int(key) for key in self._chosen()[first : first + min(count, MOST_ROWS)]]

    def _chosen(self) -> Keys:
        if self._keys is None:
            self.choose()
        assert self._keys is not None  # noqa: S101 - `choose` has just set it
        return self._keys

    def _found(self, search: str) -> tuple[str, list[str]]:
        wanted = search.strip().lower()[:TEXT_LIMIT]
        texts = [name for name, kind in self.kinds.items() if kind is Kind.TEXT]
        if not wanted or not texts:
            return "", []
        found = " OR ".join(f"contains(lower({_quoted(name)}::VARCHAR), ?)" for name in texts)
        return f" WHERE ({found})", [wanted] * len(texts)

    def _ordered(self, order: Order) -> str:
        if order.column not in self.kinds:
            raise no_column(order.column, self.kinds)
        way = "DESC" if order.descending else "ASC"
        return f" ORDER BY {_quoted(order.column)} {way} NULLS LAST, {self._key}"


def no_column(name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a column that a list does not have."""
    return UsageError(
        message("There is no column {name}.", name=visible(name)),
        remedy=message("Choose from: {names}", names=", ".join(known)),
    )


def table_kinds(table: Table, names: Sequence[str]) -> dict[str, Kind]:
    """Return the kinds of some columns of a declared table."""
    kinds = {
        ColumnType.TEXT: Kind.TEXT,
        ColumnType.INTEGER: Kind.NUMBER,
        ColumnType.REAL: Kind.NUMBER,
        ColumnType.MOMENT: Kind.MOMENT,
    }
    return {name: kinds[table.column(name).type] for name in names}


def empty_pages(table: Table) -> "Pages":
    """Return the pages of a list of a declared table that has no row yet."""
    dtypes = {
        ColumnType.TEXT: "str",
        ColumnType.INTEGER: "Int64",
        ColumnType.REAL: "Float64",
        ColumnType.MOMENT: "datetime64[us]",
    }
    return frame_pages(pd.DataFrame({c.name: pd.Series(dtype=dtypes[c.type]) for c in table}))


def frame_pages(frame: pd.DataFrame, *, memory: str = "500MB", threads: int = 2) -> Pages:
    """Return the pages of a frame, read by a DuckDB that is shut off from files and networks.

    Args:
        frame: any frame; named index levels become columns.
        memory: of its DuckDB.
        threads: of its DuckDB.
    """
    named = [name for name in frame.index.names if name is not None]
    table = _arrow(frame.reset_index() if named else frame)
    kinds = {field.name: _kind(field.type) for field in table.schema}
    table = table.append_column(_KEY, pa.array(range(table.num_rows), pa.int64()))
    connection = duckdb.connect(config={"memory_limit": memory, "threads": threads})
    shut(connection)
    connection.register("frame_of_devlib", table)

    @contextmanager
    def opened() -> Any:  # noqa: ANN401 - a context manager's generator
        yield connection

    return Pages(kinds, "frame_of_devlib", _KEY, opened)


def _arrow(frame: pd.DataFrame) -> pa.Table:
    columns, names = [], []
    for place, name in enumerate(frame.columns):
        try:
            columns.append(pa.array(frame.iloc[:, place], from_pandas=True))
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            # Several types in one column: shown as text.
            columns.append(pa.array(frame.iloc[:, place].astype(str), pa.string()))
        text = str(name)
        names.append(text if text not in names else f"{text} ({place + 1})")
    return pa.Table.from_arrays(columns, names=names)


def _kind(kind: Any) -> Kind:  # noqa: ANN401 - Arrow publishes no types
    if any(test(kind) for test in _NUMBER_TYPES):
        return Kind.NUMBER
    return Kind.MOMENT if pa.types.is_timestamp(kind) else Kind.TEXT


def _shown(name: str, kind: Kind) -> str:
    column = _quoted(name)
    if kind is Kind.MOMENT:
        return f"strftime({column}::TIMESTAMP, '%Y-%m-%dT%H:%M:%SZ')"
    if kind is Kind.NUMBER:
        # JSON has neither NaN nor integers beyond 2^53; both are rare enough to be shown as text or nothing.
        return f"CASE WHEN isfinite({column}::DOUBLE) THEN {column}::DOUBLE END"
    return f"left({column}::VARCHAR, {TEXT_LIMIT})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
