"""One writer at a time on one machine: a lock file beside the SQLite database.

SQLite's own lock makes writers poll, and under load some poll in vain until they fail. `flock` queues them in
the kernel, and the kernel frees it when its holder is killed.
"""

import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import URL

from devlib.errors import StorageUnavailable
from devlib.language import message
from devlib.storage.engine import sqlite_file


class WriteLock:
    """A lock between threads first and between processes then; a context manager, not re-entrant.

    Args:
        path: the lock file; made when first needed, and never removed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process = os.getpid()
        self._threads = threading.Lock()
        self._holder: int | None = None
        self._file: int | None = None

    @classmethod
    def beside(cls, url: URL) -> Self | None:
        """Return the lock of a SQLite database; `None` for PostgreSQL, which needs none."""
        path = sqlite_file(url)
        return None if path is None else cls(path.with_name(path.name + ".lock"))

    def __enter__(self) -> Self:
        if self._process != os.getpid():
            # The parent's threads are not in the child of a fork, so none would ever free their lock.
            self._process, self._threads, self._holder = os.getpid(), threading.Lock(), None
        if self._holder == threading.get_ident():
            raise RuntimeError("this thread writes already; use the writer that it has")
        self._threads.acquire()
        try:
            self._file = self._open()
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except BaseException:
            self._release()
            raise
        self._holder = threading.get_ident()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise StorageUnavailable(
                message("The lock file cannot be opened: {error}", error=error.strerror),
                where=str(self._path),
                remedy=message("Let this account write there, or set DEVLIB_HOME to another folder."),
            ) from None

    def _release(self) -> None:
        self._holder = None
        if self._file is not None:
            # Unlocked, not only closed: a child of a fork may still have the file open.
            fcntl.flock(self._file, fcntl.LOCK_UN)
            os.close(self._file)
            self._file = None
        self._threads.release()
