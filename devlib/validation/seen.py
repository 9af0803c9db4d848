"""Which MAC addresses a file has named before, and in which row, in bounded memory.

The newest addresses are kept in a dictionary. When it is full it becomes a sorted run in a temporary file,
and a Bloom filter (Bloom 1970; three hashes, 64 MiB) remembers what all runs hold. So a file of a million
rows never touches the disk, one of forty million searches the runs for few rows besides the real duplicates,
and memory stays the same however long the file is: the dictionary, the filter and one sort.
"""

import errno
import os
import tempfile
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from devlib.errors import StorageUnavailable
from devlib.language import message

_Words = npt.NDArray[np.uint64]

SPILL_AFTER = 1_000_000
_SPILL_AGAIN_AFTER = 400_000
_FILTER_BITS = 29
# Odd multipliers of Knuth's multiplicative hashing; any three with well spread bits do.
_MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)


class SeenMacs:
    """The first row of every MAC address so far; a context manager, for the temporary file.

    Args:
        spill_after: addresses kept in memory before they go to disk.
        filter_bits: size of the Bloom filter, as a power of two.
    """

    def __init__(self, spill_after: int = SPILL_AFTER, filter_bits: int = _FILTER_BITS) -> None:
        self._spill_after = spill_after
        self._filter_bits = filter_bits
        self._recent: dict[int, int] = {}
        self._runs: _Runs | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runs is not None:
            self._runs.close()

    def first_rows(self, numbers: Sequence[int], rows: Sequence[int]) -> list[int]:
        """Return the row in which each address stood first, and remember the new ones.

        Args:
            numbers: addresses of one chunk, in file order.
            rows: their row numbers.

        Returns:
            One row number for each address: its own where it is new.

        Raises:
            StorageUnavailable: the temporary folder is full.
        """
        firsts = list(map(self._recent.setdefault, numbers, rows))
        if self._runs is not None:
            self._look_back(self._runs, numbers, firsts)
        if len(self._recent) >= self._spill_after:
            self._spill()
        return firsts

    def _look_back(self, runs: "_Runs", numbers: Sequence[int], firsts: list[int]) -> None:
        older = runs.find(numbers)
        for number, row in older.items():
            self._recent[number] = row
        if older:
            for place, number in enumerate(numbers):
                firsts[place] = older.get(number, firsts[place])

    def _spill(self) -> None:
        if self._runs is None:
            self._runs = _Runs(self._filter_bits)
        numbers = np.fromiter(self._recent.keys(), np.uint64, len(self._recent))
        rows = np.fromiter(self._recent.values(), np.uint64, len(self._recent))
        # The filter takes the place of the larger half of the dictionary, so that memory does not grow.
        self._recent.clear()
        self._spill_after = min(self._spill_after, _SPILL_AGAIN_AFTER)
        self._runs.add(numbers, rows)


class _Run(NamedTuple):
    """One sorted run: `length` addresses from byte `offset`, then as many row numbers."""

    offset: int
    length: int


class _Runs:
    """Sorted runs in one unnamed temporary file, behind a Bloom filter."""

    def __init__(self, filter_bits: int) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile(prefix="devlib-macs-")  # noqa: SIM115 - closed by close()
        self._runs: list[_Run] = []
        self._shift = np.uint64(64 - filter_bits)
        self._filter = np.zeros(1 << (filter_bits - 3), np.uint8)

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()

    def add(self, numbers: _Words, rows: _Words) -> None:
        """Write one run: addresses with their first rows."""
        order = np.argsort(numbers)
        self._remember(numbers)
        offset = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write(numbers[order].data)
            self._file.write(rows[order].data)
            self._file.flush()
        except OSError as error:
            raise _no_room(error) from None
        self._runs.append(_Run(offset, len(numbers)))

    def find(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return the first rows of those addresses that a run holds."""
        wanted = np.array(numbers, np.uint64)
        wanted = np.unique(wanted[self._perhaps(wanted)])
        found: dict[int, int] = {}
        for run in self._runs:
            if len(wanted) == 0:
                break
            hit, rows = self._search(run, wanted)
            found.update(zip(wanted[hit].tolist(), rows.tolist(), strict=True))
            wanted = wanted[~hit]
        return found

    def _search(self, run: _Run, wanted: _Words) -> tuple[npt.NDArray[np.bool_], _Words]:
        # Mapped anew each time: pages that stay mapped would count as this process's memory.
        stored = np.memmap(self._file, np.uint64, "r", run.offset, (2 * run.length,))
        places = np.searchsorted(stored[: run.length], wanted)
        places[places == run.length] = 0
        hit = np.asarray(stored[places] == wanted)
        return hit, np.array(stored[run.length + places[hit]])

    def _remember(self, numbers: _Words) -> None:
        for byte, bit in self._places(numbers):
            np.bitwise_or.at(self._filter, byte, bit)

    def _perhaps(self, numbers: _Words) -> npt.NDArray[np.bool_]:
        held = np.ones(len(numbers), np.bool_)
        for byte, bit in self._places(numbers):
            held &= (self._filter[byte] & bit) != 0
        return held

    def _places(self, numbers: _Words) -> Iterator[tuple[_Words, npt.NDArray[np.uint8]]]:
        for factor in _MULTIPLIERS:
            hashed = (numbers * np.uint64(factor)) >> self._shift
            yield hashed >> np.uint64(3), np.uint8(1) << (hashed & np.uint64(7)).astype(np.uint8)


def _no_room(error: OSError) -> StorageUnavailable:
    full = error.errno == errno.ENOSPC
    return StorageUnavailable(
        message("The temporary folder is full.")
        if full
        else message("The temporary file cannot be written: {error}", error=error.strerror),
        where=tempfile.gettempdir(),
        remedy=message("Free some space there, or point TMPDIR at a larger folder."),
    )
