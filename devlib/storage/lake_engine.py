"""DuckDB for the lake: one engine for all questions, and a small one for each writing of many rows.

An engine takes the memory that it may have before it gives any back. Sorting 100 000 rows for a file needs a
fifth of what questions over a month may take; with a limit of its own it leaves the rest to the machine.
"""

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

EngineError = duckdb.Error
"""What a question raises that DuckDB cannot answer."""

LARGE = 20_000  # rows; fewer are written with the engine of the questions, which is there already
_MEGABYTES = {"K": 1 / 1024, "M": 1.0, "G": 1024.0}
_LEAST, _PER_ROW = 120, 0.0009  # MB; measured for rows as wide as a snapshot's
_MEMORY = re.compile(r"(\d+) ?([KMG])B")


class LakeEngine:
    """Opens DuckDB for each process once, and for each large writing.

    Args:
        spill: folder beside the lake for what does not fit into memory.
        memory: limit of the questions, such as `1GB`.
        threads: threads of one question.
    """

    def __init__(self, spill: Path, memory: str, threads: int) -> None:
        self._spill = spill
        self._memory = memory
        self._threads = threads
        # One connection per process, a cursor per call: opening one costs more than most questions do.
        self._connections: dict[int, duckdb.DuckDBPyConnection] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connection of this process."""
        with self._lock:
            for connection in self._connections.values():
                connection.close()
            self._connections.clear()

    @contextmanager
    def cursor(
        self, inputs: Mapping[str, Any] | None = None, *, sparing: bool = False
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor in which `inputs` can be read.

        Args:
            inputs: relations by name, for the time of the call: Arrow tables, or texts of SQL that give one.
            sparing: whether it gets an engine of its own with no more memory than writing these rows needs.
        """
        cursor = self._open(self._sparing(_rows(inputs))) if sparing else self._shared().cursor()
        try:
            cursor.execute("SET enable_progress_bar = false")  # it would write into what a program prints
            for name, relation in (inputs or {}).items():
                if isinstance(relation, str):  # a view of this cursor only
                    cursor.execute(f"CREATE TEMP VIEW {name} AS {relation}")
                else:
                    cursor.register(name, relation)
            yield cursor
        finally:
            cursor.close()

    def _sparing(self, rows: int) -> str:
        found = _MEMORY.fullmatch(self._memory)
        most = float(found[1]) * _MEGABYTES[found[2]] if found else float("inf")
        return f"{min(most, _LEAST + rows * _PER_ROW):.0f}MB"

    def _shared(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            # After a fork the parent's connection must not be touched: its threads are not in the child.
            if (shared := self._connections.get(os.getpid())) is None:
                shared = self._connections[os.getpid()] = self._open(self._memory)
            return shared

    def _open(self, memory: str) -> duckdb.DuckDBPyConnection:
        # DuckDB makes the last folder when it needs it, but not the one above.
        with suppress(OSError):
            self._spill.mkdir(parents=True, exist_ok=True)
        return duckdb.connect(
            config={
                "memory_limit": memory,
                "threads": self._threads,
                "temp_directory": str(self._spill / str(os.getpid())),
            }
        )


def is_large(inputs: Mapping[str, Any]) -> bool:
    """Return whether writing what these relations give deserves an engine of its own."""
    return _rows(inputs) >= LARGE


def _rows(inputs: Mapping[str, Any] | None) -> int:
    tables = [each for each in (inputs or {}).values() if not isinstance(each, str)]
    return max((len(each) for each in tables if hasattr(each, "__len__")), default=0)


def spare_memory() -> None:
    """Let Arrow take its memory from the system's allocator, from now on and in the whole process.

    Its own keeps what it has for the next table; a collection of 100 000 lines then holds 50 MB more.
    """
    pa.set_memory_pool(pa.system_memory_pool())
