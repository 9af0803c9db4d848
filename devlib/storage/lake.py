"""The lake: immutable Parquet files, one for each snapshot, listed in the manifest of the inventory.

A file is written under a temporary name, published (in a folder fsynced and renamed, to a bucket uploaded),
and only then entered in the manifest; readers take their files from the manifest, never from a listing. So a
killed writer leaves at most a file that nobody reads, which `sweep` removes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pyarrow as pa

from devlib.clock import Clock
from devlib.errors import LeadLost, StorageUnavailable
from devlib.model import OBSERVATIONS, Scope
from devlib.storage.arrow_types import arrow_schema
from devlib.storage.inventory import Inventory
from devlib.storage.lake_engine import LakeEngine, is_large
from devlib.storage.lake_files import FILE_NAME, FolderFiles, LakeFiles
from devlib.storage.manifest import (
    Collected,
    Snapshot,
    changes_since_whole,
    current,
    last_rows,
    newest_rows,
)
from devlib.storage.publishing import writing_snapshot
from devlib.storage.snapshot_files import is_parquet, missing_file, unreadable_file
from devlib.storage.snapshot_sql import quoted, rows_sql
from devlib.storage.table_writing import write_ahead

ORPHAN_AGE = timedelta(hours=1)
ROW_GROUP = 20_480  # rows that a reader of one customer can skip in a snapshot
_DAY_ROW_GROUP = 122_880
_MOST_CHANGES = 16  # entries of one feed since the last whole snapshot, before they are put together
_NAMED_FILE = re.compile(rf"\d{{4}}-\d{{2}}/{FILE_NAME}\b")


class Overtaken(Exception):
    """Somebody else put the same entries of the manifest together meanwhile; nothing is entered."""


class Lake:
    """Writes snapshots and gives them to DuckDB.

    Args:
        place: the folder in which the files lie, made when first written to; or files that lie elsewhere.
        inventory: holds the manifest.
        clock: for file names and for what is an orphan.
        memory: memory of one DuckDB connection, such as `1GB`.
        threads: its threads.
    """

    def __init__(
        self,
        place: Path | LakeFiles,
        inventory: Inventory,
        clock: Clock,
        *,
        memory: str = "1GB",
        threads: int = 2,
    ) -> None:
        self.files: LakeFiles = FolderFiles(place) if isinstance(place, Path) else place
        self.folder = self.files.folder
        self.inventory = inventory
        self._clock = clock
        self._engine = LakeEngine(self.folder.parent / "spill", memory, threads)

    def close(self) -> None:
        """Close the connection of this process."""
        self._engine.close()

    @contextmanager
    def connection(self, inputs: Mapping[str, Any] | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a DuckDB cursor in which `inputs` can be read.

        Args:
            inputs: relations by name, for the time of the call: Arrow tables, or texts of SQL that give one.

        Raises:
            StorageUnavailable: a snapshot file that was read is missing or broken.
        """
        with self._named(), self._engine.cursor(inputs) as cursor:
            yield cursor

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say which snapshot file it was that DuckDB could not read."""
        try:
            yield
        except duckdb.Error as error:
            named = _NAMED_FILE.findall(str(error))
            if (broken := next((n for n in named if not is_parquet(self.folder / n)), None)) is not None:
                raise self.broken(broken) from error
            raise

    def broken(self, name: str) -> StorageUnavailable:
        """Return the error for a file that cannot be read; what is kept of it here is brought anew next time.

        Args:
            name: relative to the folder.
        """
        there = (self.folder / name).exists()
        self.files.drop_copy(name)
        return unreadable_file(self.files.where(name)) if there else missing_file(self.files.where(name))

    def write(
        self,
        sql: str,
        inputs: Mapping[str, Any],
        values: Mapping[str, object],
        collected: Collected,
        fences: Mapping[str, int] | None = None,
    ) -> Snapshot:
        """Write one snapshot whole, or nothing.

        Args:
            sql: a query whose columns are those of `OBSERVATIONS`, in order and sorted.
            inputs: relations that it reads; see `connection`.
            values: its parameters.
            collected: the scope that was asked, and when.
            fences: of the leases under which it is written, by name.

        Returns:
            The snapshot as entered in the manifest.

        Raises:
            StorageUnavailable: the folder cannot be written.
            LeadLost: another process has one of the leases now; nothing was entered.
        """
        target = self.target(collected.observed_at)
        return self._enter(target, self._write_file(target, sql, inputs, values), collected, fences)

    def write_tables(
        self, tables: Iterable[pa.Table], collected: Collected, fences: Mapping[str, int] | None = None
    ) -> Snapshot:
        """Write one snapshot whole, or nothing; the next table is made while one is written.

        Args:
            tables: its rows, sorted, with the columns of `OBSERVATIONS`.
            collected: the scope that was asked, and when.
            fences: of the leases under which it is written, by name.

        Raises:
            StorageUnavailable: the folder cannot be written.
            LeadLost: another process has one of the leases now; nothing was entered.
        """
        target = self.target(collected.observed_at)
        with self._writing(target) as temporary:
            rows = write_ahead(temporary, tables, arrow_schema(OBSERVATIONS), ROW_GROUP)
        return self._enter(target, rows, collected, fences)

    def _enter(
        self, target: Path, rows: int, collected: Collected, fences: Mapping[str, int] | None
    ) -> Snapshot:
        with self.inventory.write() as writer:
            writer.require_fences(fences or {})
            return writer.add_snapshot(
                collected,
                path=str(target.relative_to(self.folder)),
                rows=rows,
                bytes=target.stat().st_size,
                finished_at=self._clock.now(),
            )

    def append(
        self,
        sql: str,
        inputs: Mapping[str, Any],
        values: Mapping[str, object],
        collected: Collected,
        fences: Mapping[str, int] | None = None,
    ) -> Snapshot:
        """Write rows of single lines that changed, beside the snapshots; readers see them at once.

        After some of them on one day (UTC) since the last whole snapshot they are put together into one file,
        so that a busy event feed does not leave thousands.

        Args:
            sql: a query whose columns are those of `OBSERVATIONS`, in order.
            inputs: relations that it reads; see `connection`.
            values: its parameters.
            collected: the scope of the feed; `changes` is set here.
            fences: of the leases under which it is written, by name.

        Returns:
            The entry in the manifest; the one put together, where that was done.

        Raises:
            StorageUnavailable: the folder cannot be written.
            LeadLost: another process has one of the leases now; nothing was entered.
        """
        entry = self.write(sql, inputs, values, replace(collected, changes=True), fences)
        with self.inventory.read() as reader:
            small = self.present(changes_since_whole(reader, collected))
        if len(small) <= _MOST_CHANGES:
            return entry
        together = self._put_together(small, replace(collected, changes=True))
        try:
            with self.inventory.write() as writer:
                writer.require_fences(fences or {})
                merged = writer.add_snapshot(
                    together.collected,
                    path=together.path,
                    rows=together.rows,
                    bytes=together.bytes,
                    finished_at=together.finished_at,
                )
                if writer.retire_snapshots([each.id for each in small], self._clock.now()) < len(small):
                    raise Overtaken
        except (Overtaken, LeadLost):  # the entry is there; putting together is now somebody else's
            self.files.remove([together.path])
            return entry
        return merged

    def _put_together(self, entries: Sequence[Snapshot], collected: Collected) -> Snapshot:
        newest = max(entries, key=lambda each: each.observed_at)
        target = self.target(newest.observed_at)
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

    def target(self, moment: datetime, kind: str = "") -> Path:
        """Return a new name for a file.

        Args:
            moment: what it tells of, UTC.
            kind: `day` or `periods` for a file of a whole day; empty for one of a moment.
        """
        name = f"{moment:%Y%m%d}-{kind}" if kind else f"{moment:%Y%m%dT%H%M%S}"
        return self.folder / f"{moment:%Y-%m}" / f"{name}-{uuid4().hex[:12]}.parquet"

    def _write_file(
        self, target: Path, sql: str, inputs: Mapping[str, Any], values: Mapping[str, object]
    ) -> int:
        columns = ", ".join(f"{column.name}::{column.type} AS {column.name}" for column in OBSERVATIONS)
        rows = f"SELECT {columns} FROM ({sql})"  # noqa: S608 - own texts
        return self.copy(target, rows, inputs, values, row_group=ROW_GROUP)

    def copy(
        self,
        target: Path,
        sql: str,
        inputs: Mapping[str, Any],
        values: Mapping[str, object] | None = None,
        row_group: int = _DAY_ROW_GROUP,
    ) -> int:
        """Write the rows of a query into a file that appears whole or not at all.

        Args:
            target: the name of the file, from `target`.
            sql: the query.
            inputs: relations that it reads.
            values: its parameters.
            row_group: rows in each of its groups, that a reader can skip.

        Returns:
            The number of rows.

        Raises:
            StorageUnavailable: the folder cannot be written.
        """
        with self._writing(target) as temporary:
            copy = (
                f"COPY ({sql}) TO '{quoted(temporary)}' "
                f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {row_group})"
            )
            return self._copied(copy, inputs, dict(values or {}))

    def _writing(self, target: Path) -> AbstractContextManager[Path]:
        return writing_snapshot(target, self.files.publish, self.folder)

    def _copied(self, copy: str, inputs: Mapping[str, Any], values: dict[str, object]) -> int:
        if is_large(inputs):
            # Rows may be larger than they look: then with all the memory that is allowed.
            small = self._engine.cursor(inputs, sparing=True)
            with self._named(), suppress(duckdb.OutOfMemoryException), small as cursor:
                return _count(cursor.execute(copy, values).fetchone())
        with self.connection(inputs) as cursor:
            return _count(cursor.execute(copy, values).fetchone())

    def path(self, snapshot: Snapshot) -> Path:
        """Return where the snapshot's file lies, or comes to lie when it is read; see `local`."""
        return self.folder / snapshot.path

    def local(self, names: Iterable[str]) -> list[Path]:
        """Return where files lie on this machine, in the order given; they are brought there first.

        Args:
            names: relative to the folder.

        Raises:
            StorageUnavailable: the bucket cannot be read.
        """
        wanted = list(names)
        self.files.bring(wanted)
        return [self.folder / name for name in wanted]

    def relation(self, snapshots: Sequence[Snapshot]) -> str:
        """Return SQL, for a FROM clause, of all rows of these snapshots; an empty relation for none."""
        self.files.bring(each.path for each in snapshots)
        return rows_sql(self.folder, snapshots)

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
            raise missing_file(self.files.where(missing[0].path))
        return chosen

    def last_relation(self, scope: Scope) -> str:
        """Return SQL of the last row of each line of the scope's customers, for what happens next to them.

        The whole customer is looked at: a device may have moved here from another site.
        """
        snapshots = self.last(scope)
        return last_rows(self.relation(snapshots), snapshots)

    def last(self, scope: Scope) -> list[Snapshot]:
        """Return the snapshots that hold the rows of `last_relation`, newest first."""
        return self._current(Scope(scope.provider, scope.customer), None, [])

    def present(self, snapshots: Iterable[Snapshot]) -> list[Snapshot]:
        """Return those of these snapshots whose file is there."""
        given = list(snapshots)
        there = self.files.present(each.path for each in given)
        return [each for each in given if each.path in there]

    def _current(self, scope: Scope, until: datetime | None, missing: list[Snapshot]) -> list[Snapshot]:
        def readable(snapshot: Snapshot) -> bool:
            if self.present([snapshot]):
                return True
            missing.append(snapshot)
            return False

        with self.inventory.read() as reader:
            return current(reader, scope, until, readable)

    def sweep(self, *, keep_retired: timedelta = ORPHAN_AGE) -> list[Path]:
        """Remove files that no manifest row names and that are older than `ORPHAN_AGE`, and retired ones.

        The own files of snapshots whose rows moved to a day file are among them. Only files with names that
        `write` gives are touched.

        Args:
            keep_retired: how long a retired file stays for the readers that still hold it.

        Returns:
            The files removed, as they would lie in the folder.
        """
        now = self._clock.now()
        old = list(self.files.older_than(now - ORPHAN_AGE))
        with self.inventory.read() as reader:
            known = reader.snapshot_paths(moved_since=now - keep_retired)
            over = reader.retired_snapshots(before=now - keep_retired)
            days_over = reader.retired_day_files(before=now - keep_retired)
        # A day file is that of many snapshots: it goes when it is retired itself.
        own = [each.path for each in over if not each.in_day_file]
        removed = [name for name in old if name not in known] + own + [each.path for each in days_over]
        if over or days_over:
            with self.inventory.write() as writer:
                writer.forget_snapshots([each.id for each in over])
                writer.forget_day_files([each.id for each in days_over])
        self.files.remove(removed)
        return [self.folder / name for name in removed]


def _count(row: tuple[int, ...] | None) -> int:
    return int(row[0]) if row else 0
