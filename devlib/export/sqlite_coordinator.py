"""The coordinator of one machine: a SQLite file behind a lock file, nothing to start.

Journal PERSIST, since SQLite before 3.51.3 may corrupt a WAL journal; no syncing, since the state is worth
nothing after a crash of the machine and the death of a process loses no page. A blocking `flock` in front
queues the processes in the kernel: SQLite's own waiting let one of fifty processes starve for 8 seconds
(admission study §3.2).

A process that is stopped in the middle of a step (below a millisecond) holds up all others until it goes on
or is killed; no time limit could tell it from a slow one.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devlib.clock import Clock
from devlib.config import ExportPolicy
from devlib.errors import StorageUnavailable
from devlib.export.coordinator_base import SteppingCoordinator
from devlib.export.coordinator_values import Locked
from devlib.export.doorbell import Doorbell, ring
from devlib.export.ownership import OwnerLock, boot_id, sweep
from devlib.export.sqlite_store import SqliteStore, identity_of
from devlib.language import message
from devlib.storage.file_systems import network_file_system
from devlib.storage.write_lock import WriteLock


class SqliteCoordinator(SteppingCoordinator):
    """Coordinates the processes of one machine.

    Args:
        folder: of the coordinator alone; made for this account only.
        policy: the limits.
        clock: of this machine; its monotonic clock is one for all processes.

    Raises:
        StorageUnavailable: the folder is on a network file system or cannot be used, or the machine does
            not tell its boot.
    """

    def __init__(self, folder: Path, policy: ExportPolicy, clock: Clock) -> None:
        super().__init__(policy)
        _refuse_network(folder)
        self._clock = clock
        self._path = folder / f"admission-{_boot()}.db"
        self._owners = folder / "owners"
        with _explained(folder):
            self._owners.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        self._turnstile = WriteLock(folder / "admission.turn")
        self._store: SqliteStore | None = None
        self._inherited: list[SqliteStore] = []
        with self._turnstile, _explained(folder):
            self._own = self._enter()
            _remove_other_boots(self._path)

    @property
    def owner(self) -> str:
        """The name of the file that shows that this process lives."""
        return self._own.name

    def bell(self) -> Doorbell:
        """Return a new bell for one waiting request."""
        return Doorbell()

    def close(self) -> None:
        """Leave; live requests of this process end as if it had died."""
        self._own.close()
        with self._turnstile:
            self._drop()

    def _enter(self) -> OwnerLock:
        self._process = os.getpid()
        sweep(self._owners)
        return OwnerLock(self._owners)

    def _drop(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _ring(self, bells: tuple[str, ...]) -> None:
        if bells:
            ring(bells)

    @contextmanager
    def _locked(self) -> Iterator[Locked]:
        # Every write, and every opening and closing of the file, happens inside the turnstile.
        with self._turnstile, _explained(self._path):
            if self._process != os.getpid():
                self._after_fork()
            try:
                store = self._current()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                store = self._start_anew()
            except ValueError:
                store = self._start_anew()
            try:
                yield store
                store.commit()
            except BaseException:
                store.rollback()
                raise

    def _after_fork(self) -> None:
        # A SQLite connection must not be used, nor closed, in the child of a fork.
        if self._store is not None:
            self._inherited.append(self._store)
            self._store = None
        self._own = self._enter()

    def _current(self) -> SqliteStore:
        """Return the open file with its state read, opening it again if another process replaced it."""
        if self._store is not None and self._store.identity != identity_of(self._path):
            self._drop()
        if self._store is None:
            self._store = SqliteStore(self._path, self._owners, self._clock)
        self._store.begin()
        return self._store

    def _start_anew(self) -> SqliteStore:
        """Put a file that is broken, or of another version, aside, and begin with an empty one."""
        self._drop()
        self._path.replace(self._path.with_suffix(".aside"))
        self._path.with_name(self._path.name + "-journal").unlink(missing_ok=True)
        return self._current()


def _remove_other_boots(path: Path) -> None:
    """Remove what earlier boots of the machine left; their clock began elsewhere."""
    for other in path.parent.glob("admission-*"):
        if not other.name.startswith(path.stem):
            other.unlink(missing_ok=True)


def _boot() -> str:
    boot = boot_id()
    if not boot:
        raise StorageUnavailable(
            message("This machine does not tell when it was started, which the export queue must know."),
            remedy=message("Set DEVLIB_DATABASE to a PostgreSQL database, which then keeps the queue too."),
        )
    return boot


def _refuse_network(folder: Path) -> None:
    kind = network_file_system(folder)
    if kind:
        raise StorageUnavailable(
            message("The export queue cannot be kept on a network file system ({kind}).", kind=kind),
            where=str(folder),
            remedy=message(
                "Set DEVLIB_HOME to a folder on a local disk, or DEVLIB_DATABASE to a PostgreSQL database."
            ),
        )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StorageUnavailable(
            message("The export queue cannot be opened: {error}", error=error),
            where=str(path),
            remedy=message("Let this account write there, or set DEVLIB_HOME to another folder."),
            retry_after=5.0,
        ) from error
