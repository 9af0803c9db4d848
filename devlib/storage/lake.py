"""The lake: immutable Parquet files, one for each snapshot, listed in the manifest of the inventory.

A file is written under a temporary name, fsynced and renamed, and only then entered in the manifest; readers
take their files from the manifest, never from a directory listing. So a killed writer leaves at most a file
that nobody reads, which `sweep` removes.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pyarrow as pa

from devlib.clock import Clock
from devlib.errors import StorageUnavailable
from devlib.language import message
from devlib.model import OBSERVATIONS, ColumnType, Scope, Table
from devlib.storage.inventory import Inventory
from devlib.storage.manifest import Collected, Snapshot, current

ORPHAN_AGE = timedelta(hours=1)
_TEMPORARY = ".writing"
_ROW_GROUP = 122_880

_ARROW_TYPES: Mapping[ColumnType, pa.DataType] = {
    ColumnType.TEXT: pa.string(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.MOMENT: pa.timestamp("us"),
}


def arrow_schema(table: Table) -> pa.Schema:
    """Return the Arrow schema that the declaration of `table` gives."""
    return pa.schema([(column.name, _ARROW_TYPES[column.type]) for column in table])


def naive(moment: datetime) -> datetime:
    """Return a UTC moment without its zone, as the columns of the lake hold it."""
    return moment.replace(tzinfo=None)


def utc(moment: datetime | None) -> datetime | None:
    """Return a moment of the lake with its zone."""
    return None if moment is None else moment.replace(tzinfo=UTC)


class Lake:
    """Writes snapshots and gives them to DuckDB.

    Args:
        folder: where the files lie; made when first written to.
        inventory: holds the manifest.
        clock: for file names and for what is an orphan.
        memory: memory of one DuckDB connection, such as `1GB`.
        threads: its threads.
    """

    def __init__(
        self, folder: Path, inventory: Inventory, clock: Clock, *, memory: str = "1GB", threads: int = 2
    ) -> None:
        self.folder = folder
        self._inventory = inventory
        self._clock = clock
        self._settings: dict[str, str | int | float | list[str]] = {
            "memory_limit": memory,
            "threads": threads,
        }
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
    def connection(self, inputs: Mapping[str, Any] | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a DuckDB cursor in which `inputs` (Arrow tables by name) can be read.

        Args:
            inputs: relations to register for the time of the call.
        """
        cursor = self._base().cursor()
        try:
            for name, relation in (inputs or {}).items():
                cursor.register(name, relation)
            yield cursor
        finally:
            cursor.close()

    def _base(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            # After a fork the parent's connection must not be touched: its threads are not in the child.
            if (base := self._connections.get(os.getpid())) is None:
                spill = self.folder.parent / "spill" / str(os.getpid())
                base = duckdb.connect(config={**self._settings, "temp_directory": str(spill)})
                self._connections[os.getpid()] = base
            return base

    def write(
        self, sql: str, inputs: Mapping[str, Any], values: Mapping[str, object], collected: Collected
    ) -> Snapshot:
        """Write one snapshot whole, or nothing.

        Args:
            sql: a query whose columns are those of `OBSERVATIONS`, in order and sorted.
            inputs: relations that it reads.
            values: its parameters.
            collected: the scope that was asked, and when.

        Returns:
            The snapshot as entered in the manifest.

        Raises:
            StorageUnavailable: the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{collected.observed_at:%Y%m%dT%H%M%S}-{uuid4().hex[:12]}.parquet"
        target = self.folder / f"{collected.observed_at:%Y-%m}" / name
        rows = self._write_file(target, sql, inputs, values)
        with self._inventory.write() as writer:
            return writer.add_snapshot(
                collected,
                path=str(target.relative_to(self.folder)),
                rows=rows,
                bytes=target.stat().st_size,
                finished_at=self._clock.now(),
            )

    def _write_file(
        self, target: Path, sql: str, inputs: Mapping[str, Any], values: Mapping[str, object]
    ) -> int:
        temporary = target.with_name(f".{target.name}{_TEMPORARY}")
        columns = ", ".join(f"{column.name}::{column.type} AS {column.name}" for column in OBSERVATIONS)
        copy = (
            f"COPY (SELECT {columns} FROM ({sql})) TO '{_quoted(temporary)}' "  # noqa: S608 - own texts
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})"
        )
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with self.connection(inputs) as cursor:
                counted = cursor.execute(copy, dict(values)).fetchone()
            publish(temporary, target)
        except (OSError, duckdb.IOException) as error:
            _discard(temporary)
            raise StorageUnavailable(
                message("The snapshot could not be written: {error}", error=error),
                where=str(self.folder),
                remedy=message(
                    "Make room or give this account the right to write there, then collect again."
                ),
            ) from error
        except duckdb.Error:
            _discard(temporary)
            raise
        return int(counted[0]) if counted else 0

    def path(self, snapshot: Snapshot) -> Path:
        """Return where the snapshot's file lies."""
        return self.folder / snapshot.path

    def relation(self, snapshots: Sequence[Snapshot]) -> str:
        """Return SQL, for a FROM clause, of all rows of these snapshots; an empty relation for none."""
        if not snapshots:
            nothing = ", ".join(f"NULL::{column.type} AS {column.name}" for column in OBSERVATIONS)
            return f"(SELECT {nothing} WHERE false)"
        files = ", ".join(f"'{_quoted(self.path(each))}'" for each in snapshots)
        return f"read_parquet([{files}])"

    def current_relation(self, snapshots: Sequence[Snapshot]) -> str:
        """Return SQL of each site's rows in the newest of these snapshots that has any of them."""
        rows = self.relation(snapshots)
        if len(snapshots) <= 1:
            return rows
        newest = "max(observed_at) OVER (PARTITION BY provider, customer, site)"
        return f"(SELECT * FROM {rows} QUALIFY observed_at = {newest})"  # noqa: S608 - own texts

    def current(self, scope: Scope, until: datetime | None = None) -> list[Snapshot]:
        """Return the fewest snapshots that hold the newest row of every line of the scope, newest first."""
        with self._inventory.read() as reader:
            return current(reader, scope, until)

    def sweep(self, *, keep_retired: timedelta = ORPHAN_AGE) -> list[Path]:
        """Remove files that no manifest row names and that are older than `ORPHAN_AGE`, and retired ones.

        Args:
            keep_retired: how long a retired file stays for the readers that still hold it.

        Returns:
            The files removed.
        """
        now = self._clock.now()
        with self._inventory.read() as reader:
            known = reader.snapshot_paths()
            over = reader.retired_snapshots(before=now - keep_retired)
        orphans = [path for path in self._old_files(now) if str(path.relative_to(self.folder)) not in known]
        removed = orphans + [self.path(each) for each in over]
        if over:
            with self._inventory.write() as writer:
                writer.forget_snapshots([each.id for each in over])
        for path in removed:
            path.unlink(missing_ok=True)
        return removed

    def _old_files(self, now: datetime) -> Iterator[Path]:
        oldest = (now - ORPHAN_AGE).timestamp()
        for path in self.folder.rglob("*"):
            if path.is_file() and path.stat().st_mtime < oldest:
                yield path


def publish(temporary: Path, target: Path) -> None:
    """Let a finished file appear under its name: fsync, rename, fsync of the folder."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_whole(target: Path, write: Callable[[Path], None]) -> None:
    """Call `write` with a temporary path beside `target`, then publish what it wrote.

    Args:
        target: the final name; its folder is made.
        write: writes the temporary file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid4().hex[:8]}{_TEMPORARY}")
    try:
        write(temporary)
        publish(temporary, target)
    except BaseException:
        _discard(temporary)
        raise


def _discard(path: Path) -> None:
    with suppress(OSError):  # the error that brought us here matters more
        path.unlink(missing_ok=True)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
