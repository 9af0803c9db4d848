"""The lake: immutable Parquet files, one for each snapshot, listed in the manifest of the inventory.

A file is written under a temporary name, fsynced and renamed, and only then entered in the manifest; readers
take their files from the manifest, never from a directory listing. So a killed writer leaves at most a file
that nobody reads, which `sweep` removes.
"""

import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pyarrow as pa

from devlib.clock import Clock
from devlib.errors import StorageUnavailable
from devlib.language import message
from devlib.model import (
    FIRST_LAYOUT_COLUMNS,
    OBSERVATIONS,
    OBSERVATIONS_LAYOUT,
    ColumnType,
    Scope,
    Table,
)
from devlib.storage.inventory import Inventory
from devlib.storage.manifest import Collected, Snapshot, current, last_rows, newest_rows
from devlib.storage.publishing import TEMPORARY, discard, publish
from devlib.storage.snapshot_files import is_parquet, missing_file, unreadable_file

ORPHAN_AGE = timedelta(hours=1)
_ROW_GROUP = 122_880
_MOST_CHANGES = 16  # entries of one feed since the last whole snapshot, before they are put together
_OUR_FOLDER = re.compile(r"\d{4}-\d{2}")
_OUR_FILE = re.compile(rf"\.?\d{{8}}T\d{{6}}-[0-9a-f]{{12}}\.parquet({re.escape(TEMPORARY)})?")

_NAMED_FILE = re.compile(r"\d{4}-\d{2}/\d{8}T\d{6}-[0-9a-f]{12}\.parquet\b")

_ARROW_TYPES: Mapping[ColumnType, pa.DataType] = {
    ColumnType.TEXT: pa.string(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.REAL: pa.float64(),
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
        self.inventory = inventory
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

        Raises:
            StorageUnavailable: a snapshot file that was read is missing or broken.
        """
        cursor = self._base().cursor()
        try:
            for name, relation in (inputs or {}).items():
                cursor.register(name, relation)
            yield cursor
        except duckdb.Error as error:
            if (broken := self._unreadable_file(error)) is not None:
                raise unreadable_file(broken) from error
            raise
        finally:
            cursor.close()

    def _unreadable_file(self, error: Exception) -> Path | None:
        """Return the snapshot file that an error of DuckDB names, where there is one."""
        named = (self.folder / each for each in _NAMED_FILE.findall(str(error)))
        return next((path for path in named if not is_parquet(path)), None)

    def _base(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            # After a fork the parent's connection must not be touched: its threads are not in the child.
            if (base := self._connections.get(os.getpid())) is None:
                spill = self.folder.parent / "spill" / str(os.getpid())
                # DuckDB makes the last folder of the path when it first spills, and only that one.
                with suppress(OSError):  # a home that may only be read can be read all the same
                    spill.parent.mkdir(parents=True, exist_ok=True)
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
        target = self._target(collected.observed_at)
        rows = self._write_file(target, sql, inputs, values)
        with self.inventory.write() as writer:
            return writer.add_snapshot(
                collected,
                path=str(target.relative_to(self.folder)),
                rows=rows,
                bytes=target.stat().st_size,
                finished_at=self._clock.now(),
            )

    def append(
        self, sql: str, inputs: Mapping[str, Any], values: Mapping[str, object], collected: Collected
    ) -> Snapshot:
        """Write rows of single lines that changed, beside the snapshots; readers see them at once.

        After some of them since the last whole snapshot they are put together into one file, so that a busy
        event feed does not leave thousands.

        Args:
            sql: a query whose columns are those of `OBSERVATIONS`, in order.
            inputs: relations that it reads.
            values: its parameters.
            collected: the scope of the feed; `changes` is set here.

        Returns:
            The entry in the manifest; the one put together, where that was done.

        Raises:
            StorageUnavailable: the folder cannot be written.
        """
        entry = self.write(sql, inputs, values, replace(collected, changes=True))
        place = Scope(collected.provider, collected.customer, _sites(collected))
        small = self._changes_since_whole(place, collected)
        if len(small) <= _MOST_CHANGES:
            return entry
        together = self._put_together(small, replace(collected, changes=True))
        with self.inventory.write() as writer:
            merged = writer.add_snapshot(
                together.collected,
                path=together.path,
                rows=together.rows,
                bytes=together.bytes,
                finished_at=together.finished_at,
            )
            writer.retire_snapshots([each.id for each in small], self._clock.now())
        return merged

    def _changes_since_whole(self, place: Scope, collected: Collected) -> list[Snapshot]:
        """Return the entries of the same feed since the last whole snapshot, newest first."""
        found: list[Snapshot] = []
        with self.inventory.read() as reader:
            for each in reader.manifest(place):
                theirs = each.collected
                if not theirs.changes:
                    break
                if (theirs.provider, theirs.customer, theirs.site) == (
                    collected.provider,
                    collected.customer,
                    collected.site,
                ) and self.path(each).is_file():
                    found.append(each)
        return found

    def _put_together(self, entries: Sequence[Snapshot], collected: Collected) -> Snapshot:
        newest = max(entries, key=lambda each: each.observed_at)
        target = self._target(newest.observed_at)
        sql = f"SELECT * FROM {self.relation(entries)} ORDER BY line_key, observed_at"  # noqa: S608 - own texts
        rows = self._write_file(target, sql, {}, {})
        return replace(
            newest,
            path=str(target.relative_to(self.folder)),
            collected=replace(collected, observed_at=newest.observed_at),
            rows=rows,
            bytes=target.stat().st_size,
            finished_at=self._clock.now(),
        )

    def _target(self, moment: datetime) -> Path:
        return self.folder / f"{moment:%Y-%m}" / f"{moment:%Y%m%dT%H%M%S}-{uuid4().hex[:12]}.parquet"

    def _write_file(
        self, target: Path, sql: str, inputs: Mapping[str, Any], values: Mapping[str, object]
    ) -> int:
        temporary = target.with_name(f".{target.name}{TEMPORARY}")
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
            discard(temporary)
            raise StorageUnavailable(
                message("The snapshot could not be written: {error}", error=error),
                where=str(self.folder),
                remedy=message(
                    "Make room or give this account the right to write there, then collect again."
                ),
            ) from error
        except (duckdb.Error, StorageUnavailable):
            discard(temporary)
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
        parts = []
        for layout in sorted({each.layout for each in snapshots}, reverse=True):
            paths = [self.path(each) for each in snapshots if each.layout == layout]
            files = ", ".join(f"'{_quoted(path)}'" for path in paths)
            # Without the last setting a folder called `customer=X` on the way would be a column.
            parts.append((layout, f"read_parquet([{files}], hive_partitioning = false)"))
        if len(parts) == 1 and parts[0][0] == OBSERVATIONS_LAYOUT:
            return parts[0][1]
        return f"({' UNION ALL BY NAME '.join(_filled_up(*each) for each in parts)})"

    def current_relation(self, snapshots: Sequence[Snapshot]) -> str:
        """Return SQL of the newest row of each line in these snapshots; see `newest_rows`."""
        return newest_rows(self.relation(snapshots), snapshots)

    def current(self, scope: Scope, until: datetime | None = None) -> list[Snapshot]:
        """Return the fewest snapshots that hold the newest row of every line of the scope, newest first.

        Snapshots whose file is missing are left out.

        Raises:
            StorageUnavailable: there are snapshots, but none of their files is left.
        """
        missing: list[Snapshot] = []
        chosen = self._current(scope, until, missing)
        if missing and not chosen:
            raise missing_file(self.path(missing[0]))
        return chosen

    def last_relation(self, scope: Scope) -> str:
        """Return SQL of the last row of each line of the scope's customers, for what happens next to them.

        The whole customer is looked at: a device may have moved here from another site.
        """
        return last_rows(self.relation(self._current(Scope(scope.provider, scope.customer), None, [])))

    def present(self, snapshots: Iterable[Snapshot]) -> list[Snapshot]:
        """Return those of these snapshots whose file is there."""
        return [each for each in snapshots if self.path(each).is_file()]

    def _current(self, scope: Scope, until: datetime | None, missing: list[Snapshot]) -> list[Snapshot]:
        def readable(snapshot: Snapshot) -> bool:
            if self.path(snapshot).is_file():
                return True
            missing.append(snapshot)
            return False

        with self.inventory.read() as reader:
            return current(reader, scope, until, readable)

    def sweep(self, *, keep_retired: timedelta = ORPHAN_AGE) -> list[Path]:
        """Remove files that no manifest row names and that are older than `ORPHAN_AGE`, and retired ones.

        Only files with names that `write` gives are touched.

        Args:
            keep_retired: how long a retired file stays for the readers that still hold it.

        Returns:
            The files removed.
        """
        now = self._clock.now()
        with self.inventory.read() as reader:
            known = reader.snapshot_paths()
            over = reader.retired_snapshots(before=now - keep_retired)
        orphans = [path for path in self._old_files(now) if str(path.relative_to(self.folder)) not in known]
        removed = orphans + [self.path(each) for each in over]
        if over:
            with self.inventory.write() as writer:
                writer.forget_snapshots([each.id for each in over])
        for path in removed:
            path.unlink(missing_ok=True)
        return removed

    def _old_files(self, now: datetime) -> Iterator[Path]:
        oldest = (now - ORPHAN_AGE).timestamp()
        for path in self.folder.glob("*/*"):
            # Whatever else lies in the folder belongs to somebody else.
            ours = _OUR_FOLDER.fullmatch(path.parent.name) and _OUR_FILE.fullmatch(path.name)
            if ours and path.is_file() and path.stat().st_mtime < oldest:
                yield path


def _filled_up(layout: int, rows: str) -> str:
    """Return SQL of rows of an older layout with the columns that came later, empty."""
    later = OBSERVATIONS.columns[FIRST_LAYOUT_COLUMNS:] if layout < OBSERVATIONS_LAYOUT else ()
    nothing = "".join(f", NULL::{column.type} AS {column.name}" for column in later)
    return f"SELECT *{nothing} FROM {rows}"  # noqa: S608 - own texts


def _sites(collected: Collected) -> frozenset[str] | None:
    return None if collected.site is None else frozenset({collected.site})


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
