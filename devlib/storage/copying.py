"""Copies a whole fleet, inventory and lake, to another place: to move there, as a backup, or back from one.

The source is only read, as it is at one moment. The target must be empty, or hold what an earlier attempt of
the same copy left; what is there already is not copied again. At the end every table is compared by count and
digest, and every file by its digest, read back from where it came to lie.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from hashlib import file_digest
from pathlib import Path
from shutil import copyfile
from uuid import uuid4

from sqlalchemy import Connection, Row, insert, select, update

from devlib.clock import Clock
from devlib.errors import Conflict, StorageUnavailable
from devlib.language import message
from devlib.storage.copy_tables import TABLES, add_missing, checksum, is_empty, remove_surplus
from devlib.storage.inventory import Inventory
from devlib.storage.lake_files import LakeFiles
from devlib.storage.publishing import TEMPORARY, discard
from devlib.storage.schema import copies, day_files, snapshots


class CopyKind(StrEnum):
    """What a copy is for; of a backup there may be many into one place, of the others one."""

    MIGRATION = "migration"
    BACKUP = "backup"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class CopyStep:
    """How far a copy is.

    Args:
        part: name of a table; `files` or `files compared` for the lake.
        done: rows or files.
        total: of them; `None` where that is not known.
    """

    part: str
    done: int
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy holds.

    Args:
        rows: of all tables.
        files: of the lake.
        bytes: of these.
        missing: files that the source lacks although its manifest names them.
    """

    rows: int
    files: int
    bytes: int
    missing: int


Tell = Callable[[CopyStep], None]


@dataclass(frozen=True, slots=True)
class Store:
    """An inventory and the files of its lake."""

    inventory: Inventory
    files: LakeFiles

    @property
    def address(self) -> str:
        """Both as people write them, without a password."""
        return f"{self.inventory.address}, {self.files.address}"


class Copier:
    """Makes one store equal to another.

    Args:
        source: is only read.
        target: empty, or what an earlier attempt left.
        kind: what for.
        clock: dates the copy.
        tell: is told how far it is.
    """

    def __init__(self, source: Store, target: Store, kind: CopyKind, clock: Clock, tell: Tell) -> None:
        self._source, self._target = source, target
        self._kind = kind
        self._clock = clock
        self._tell = tell

    def run(self) -> Copied:
        """Copy, compare, and note that it is finished.

        Raises:
            Conflict: the target holds something else.
            StorageUnavailable: a side cannot be reached, or is not equal in the end; run it again.
        """
        self._begin()
        with self._source.inventory.frozen() as frozen:
            remove_surplus(frozen, self._target.inventory)
            for table in TABLES:
                self._tell(CopyStep(table.name, add_missing(frozen, self._target.inventory, table)))
            names = living_files(frozen)
            there = self._source.files.present(names)
            fresh = self._copy_files(sorted(there))
            rows = self._compare_tables(frozen)
        compared = sorted(fresh if self._kind is CopyKind.BACKUP else there)
        self._compare_files(compared)
        self._finish()
        size = sum(self._size(name) for name in there)
        return Copied(rows, len(there), size, len(names) - len(there))

    def _begin(self) -> None:
        with self._target.inventory.write() as writer:
            row = writer.connection.execute(select(copies)).one_or_none()
            if row is None and is_empty(writer.connection):
                values = {"id": 1, "kind": self._kind.value, "source": self._source.address}
                writer.connection.execute(insert(copies).values(**values, begun_at=self._clock.now()))
                return
            if row is None or not self._may_go_on(row):
                raise Conflict(
                    message("The target is in use: it holds something else than a part of this copy."),
                    where=self._target.address,
                    remedy=message("Take an empty database and an empty folder or prefix."),
                )

    def _may_go_on(self, row: Row[tuple[object, ...]]) -> bool:
        same = (row.kind, row.source) == (self._kind.value, self._source.address)
        return same and (row.finished_at is None or self._kind is CopyKind.BACKUP)

    def _finish(self) -> None:
        with self._target.inventory.write() as writer:
            writer.connection.execute(update(copies).values(finished_at=self._clock.now()))

    def _copy_files(self, names: list[str]) -> list[str]:
        there = self._target.files.present(names)
        missing = [name for name in names if name not in there]
        for number, name in enumerate(missing, 1):
            self._copy_file(name)
            self._tell(CopyStep("files", number, len(missing)))
        return missing

    def _copy_file(self, name: str) -> None:
        target = self._target.files.folder / name
        temporary = target.with_name(f".{target.name}.{uuid4().hex[:8]}{TEMPORARY}")
        try:
            with self._local(self._source.files, name) as path:
                target.parent.mkdir(parents=True, exist_ok=True)
                copyfile(path, temporary)
            self._target.files.publish(temporary, target)
        except OSError as error:
            raise StorageUnavailable(
                message("The file could not be written: {error}", error=error),
                where=self._target.files.where(name),
                remedy=message("Make room, then run the same again: what is done stays done."),
            ) from error
        finally:
            discard(temporary)
        self._target.files.drop_copy(name)

    def _compare_tables(self, frozen: Connection) -> int:
        rows = 0
        for table in TABLES:
            expected = checksum(frozen, table)
            with self._target.inventory.read() as reader:
                if checksum(reader.connection, table) != expected:
                    raise self._different(table.name)
            rows += expected[0]
        return rows

    def _compare_files(self, names: list[str]) -> None:
        for number, name in enumerate(names, 1):
            if self._digest(self._source.files, name) != self._digest(self._target.files, name):
                self._target.files.remove([name])  # so that the next attempt copies it again
                raise self._different(self._target.files.where(name))
            self._tell(CopyStep("files compared", number, len(names)))

    def _different(self, where: str) -> StorageUnavailable:
        return StorageUnavailable(
            message("The copy is not equal to its source."),
            where=where,
            remedy=message("See that nothing else writes to the target, then run the same again."),
        )

    def _digest(self, files: LakeFiles, name: str) -> str:
        with self._local(files, name) as path, path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()

    def _size(self, name: str) -> int:
        path = self._source.files.folder / name
        return path.stat().st_size if path.exists() else 0

    @staticmethod
    @contextmanager
    def _local(files: LakeFiles, name: str) -> Iterator[Path]:
        """Give a file on this machine; what was brought from a bucket for this does not fill the cache."""
        kept = (files.folder / name).exists()
        files.bring([name])
        try:
            yield files.folder / name
        finally:
            if not kept:
                files.drop_copy(name)


def living_files(connection: Connection) -> set[str]:
    """Return the names of the files from which rows are read."""
    own = select(snapshots.c.path).where(snapshots.c.retired_at.is_(None), snapshots.c.day_file_id.is_(None))
    days = select(day_files.c.path).where(day_files.c.retired_at.is_(None))
    return set(connection.scalars(own)) | set(connection.scalars(days))
