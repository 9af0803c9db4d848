"""The line index: the newest row of every line in one file, which kernels map into memory and share.

Filtering a million lines in Parquet takes a second, searching them several. In the index texts that repeat
are numbers, and what is searched lies in one column in lower case; a filter compares small integers.
The file is Arrow's, not packed: twenty kernels that map it hold it once (measured: 20 MB of their own each).
Whoever looks takes the rows of one scope out of it; sort and filter never leave them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from devlib.model import LineState, Scope
from devlib.storage.arrow_types import naive
from devlib.storage.lake import Lake
from devlib.storage.line_rows import LineFilter, mac_digits

PLACES = ("provider", "customer", "site")
CODED = frozenset(
    {*PLACES, "state", "state_before", "device_type", "first_name", "last_name", "firmware", "user_agent",
     "reason"}
)  # fmt: skip
"""Columns in which values repeat; they are kept as numbers of a dictionary."""

SEARCHED_APART = ("site", "device_type", "first_name", "last_name", "user_agent")
"""Columns that are searched in their dictionaries."""

SEARCHED_TOGETHER = ("mac", "device_name", "line_port", "user_id", "phone_number", "extension")
"""Columns that are searched in one column that holds them all, with `BETWEEN` between them."""

SEARCHED, DIGITS = "searched_of_devlib", "digits_of_devlib"
BETWEEN = "\x1f"
ABOUT = b"devlib"

Places: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


class LineIndex:
    """One file of the index, mapped into memory.

    Attributes:
        entries: numbers of the manifest's entries that it was made of.
        observed_at: when the networks were asked for the newest of them, UTC.
        written_at: when it was made, UTC.

    Args:
        path: the file, from `IndexShelf.write`.
    """

    def __init__(self, path: Path) -> None:
        # The mapping outlives the file's name: a newer index may replace it while somebody looks.
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            self._pieces = [reader.get_batch(place) for place in range(reader.num_record_batches)]
            self._schema = reader.schema
        about = json.loads(self._schema.metadata[ABOUT])
        self.entries = tuple(about["entries"])
        self.observed_at = datetime.fromisoformat(about["observed_at"])
        self.written_at = datetime.fromisoformat(about["written_at"])
        lengths = [piece.num_rows for piece in self._pieces]
        self._starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        self._numbers: dict[str, Places] = {}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def dictionary(self, name: str) -> pa.Array:
        """Return the values of a coded column, by their number."""
        kind = self._schema.field(name).type
        return self._pieces[0].column(name).dictionary if self._pieces else pa.array([], kind.value_type)

    def numbers(self, name: str) -> Places:
        """Return a column as integers: numbers of the dictionary, microseconds; -1 is missing."""
        if name not in self._numbers:
            found = [_integers(piece.column(name)) for piece in self._pieces]
            self._numbers[name] = np.concatenate(found) if found else np.empty(0, np.int64)
        return self._numbers[name]

    def texts(self, name: str, first: int, last: int) -> pa.ChunkedArray:
        """Return a column of the rows from `first` to before `last`, without copying."""
        kept = [
            piece.column(name).slice(max(first - start, 0), last - max(first, start))
            for piece, start, end in zip(self._pieces, self._starts[:-1], self._starts[1:], strict=True)
            if end > first and start < last
        ]
        return pa.chunked_array(kept, type=self._schema.field(name).type)

    def rows(self, places: Places, names: Sequence[str]) -> list[list[Any]]:
        """Return a few rows, in the order of `places`, as Python values."""
        if not len(places):
            return []
        piece_of = np.searchsorted(self._starts, places, side="right") - 1
        found: list[list[Any]] = [[] for _ in places]
        for piece in np.unique(piece_of):
            where = np.flatnonzero(piece_of == piece)
            local = pa.array(places[where] - self._starts[piece])
            columns = [self._pieces[piece].column(name).take(local).to_pylist() for name in names]
            for place, *values in zip(where, *columns, strict=True):
                found[int(place)] = values
        return found


@lru_cache(maxsize=1)
def open_index(path: Path) -> LineIndex:
    """Return the index in a file; opened once."""
    return LineIndex(path)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Lines that pass a filter: where they are in the index, how many in each state, and the oldest."""

    places: Places
    counts: dict[LineState, int]
    oldest: datetime | None


class ScopeIndex:
    """The lines of one scope in an index; nothing outside of it is compared, searched or counted.

    Args:
        index: of all lines.
        scope: what the reader may see.
        lake: gives the engine that searches.
    """

    def __init__(self, index: LineIndex, scope: Scope, lake: Lake) -> None:
        self._lake = lake
        self.index = index
        mask = np.ones(len(index), dtype=bool)
        wanted = (scope.provider, scope.customer, scope.sites)
        for name, value in zip(PLACES, wanted, strict=True):
            if value is not None:
                values = [value] if isinstance(value, str) else sorted(value)
                mask &= _among(index, name, values, 0, len(index))
        inside = np.flatnonzero(mask)
        # Rows are sorted by place: a scope is one stretch of them, of a site or a customer a short one.
        self.first, self.last = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
        self._mask = mask[self.first : self.last]

    def choose(self, line_filter: LineFilter, among: Places | None = None) -> Chosen:
        """Return the lines that pass a filter, which has no SQL condition.

        Args:
            line_filter: what to keep.
            among: places of this scope to keep at most; `None` for all.
        """
        mask = self._mask.copy()
        if among is not None:
            mask[:] = False
            mask[among - self.first] = True
        named = (
            ("state", [state.value for state in line_filter.states]),
            ("device_type", line_filter.device_types),
            ("firmware", line_filter.firmware),
        )
        for name, values in named:
            if values:
                mask &= _among(self.index, name, values, self.first, self.last)
        if line_filter.seen_before is not None:
            moment = np.datetime64(naive(line_filter.seen_before), "us").astype(np.int64)
            mask &= self._numbers("last_registered_at") < moment
        if text := line_filter.search.strip():
            mask &= self._found(text)
        return self._counted(np.flatnonzero(mask))

    def values(self, name: str, most: int) -> list[str]:
        """Return the most frequent values of a coded column, sorted; empty ones are left out."""
        dictionary = self.index.dictionary(name).to_pylist()
        codes = self._numbers(name)[self._mask]
        counts = np.bincount(codes[codes >= 0], minlength=len(dictionary))
        there = [(-int(count), value) for count, value in zip(counts, dictionary, strict=True) if count]
        return sorted(value for _, value in sorted(there)[:most] if value)

    def ordered(self, places: Places, column: str, *, descending: bool) -> Places:
        """Return places in the order of a column, missing values last, equal ones as they were."""
        kind = self.index.texts(column, 0, 0).type
        if pa.types.is_string(kind):
            texts = self.index.texts(column, self.first, self.last).combine_chunks()
            keys = texts.take(pa.array(places - self.first))
        else:
            found = self.index.numbers(column)[places]
            ranks = _ranks(self.index.dictionary(column)) if pa.types.is_dictionary(kind) else None
            keys = pa.array(found if ranks is None else ranks[found], mask=found < 0)
        way = "descending" if descending else "ascending"
        chosen: Places = places[pc.array_sort_indices(keys, order=way, null_placement="at_end").to_numpy()]
        return chosen

    def _numbers(self, name: str) -> Places:
        return self.index.numbers(name)[self.first : self.last]

    def _counted(self, inside: Places) -> Chosen:
        names = self.index.dictionary("state").to_pylist()
        counts = np.bincount(self._numbers("state")[inside], minlength=len(names))
        found = dict(zip(names, counts.tolist(), strict=True))
        oldest = self._numbers("observed_at")[inside].min() if len(inside) else None
        return Chosen(
            inside + self.first,
            {state: found.get(state.value, 0) for state in LineState},
            None if oldest is None else np.datetime64(int(oldest), "us").item(),
        )

    def _found(self, text: str) -> Mask:
        """Return which lines hold a text, as `choose_lines` finds it."""
        wanted = text.lower()
        found: Mask = np.zeros(self.last - self.first, dtype=bool)
        for name in SEARCHED_APART:
            values = pa.table({"searched": self.index.dictionary(name)})
            hits = self._matches("contains(lower(searched), $wanted)", values, wanted=wanted)
            if hits.any():
                found |= np.append(hits, False)[self._numbers(name)]  # the last one is for missing, -1
        columns = {"searched": self.index.texts(SEARCHED, self.first, self.last)}
        if BETWEEN in wanted:  # no value holds it, so none can match
            return found
        if (digits := mac_digits(text)) is None:
            return found | self._matches("contains(searched, $wanted)", pa.table(columns), wanted=wanted)
        columns["digits"] = self.index.texts(DIGITS, self.first, self.last)
        either = "contains(searched, $wanted) OR contains(digits, $digits)"
        return found | self._matches(either, pa.table(columns), wanted=wanted, digits=digits)

    def _matches(self, condition: str, table: pa.Table, **values: str) -> Mask:
        sql = f"SELECT coalesce({condition}, false) AS found FROM indexed"  # noqa: S608 - own texts
        with self._lake.connection({"indexed": table}) as cursor:
            return np.asarray(cursor.execute(sql, values).fetchnumpy()["found"], dtype=bool)


def _among(index: LineIndex, name: str, values: Sequence[str], first: int, last: int) -> Mask:
    """Return which rows have one of these values in a coded column."""
    wanted = set(values)
    known = [value in wanted for value in index.dictionary(name).to_pylist()]
    return np.array([*known, False])[index.numbers(name)[first:last]]  # the last one is for missing, -1


def _ranks(dictionary: pa.Array) -> Places:
    """Return the place of each value of a dictionary in their order; of a missing one, at -1, too."""
    order = pc.array_sort_indices(dictionary).to_numpy()
    ranks = np.zeros(len(dictionary) + 1, dtype=np.int64)
    ranks[order] = np.arange(len(dictionary))
    return ranks


def _integers(column: pa.Array) -> Places:
    """Return numbers of a dictionary, whole numbers or microseconds; -1 where the value is missing."""
    if pa.types.is_dictionary(column.type):
        column = column.indices
    elif pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    found: Places = column.fill_null(-1).to_numpy()
    return found
