"""How processes of one machine see that another one is gone: the kernel frees its lock.

Each process holds a lock on a file of its own for as long as it lives. Unlike a lease, this needs no time
limit: a killed process is seen at once, and a frozen one never looks dead (admission study §3.3).
"""

import contextlib
import fcntl
import os
import secrets
import weakref
from pathlib import Path


class OwnerLock:
    """The lock that shows that this process lives.

    Args:
        folder: where all processes of the machine keep theirs. Create one only while no other process
            sweeps the folder: between its making and its locking the file looks like a dead process's.
    """

    def __init__(self, folder: Path) -> None:
        # Random beside the pid: pids repeat, and one process may open several coordinators.
        self.name = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._path = folder / self.name
        self._file: int | None = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        # A forked child inherits the lock, and would keep its dead parent alive.
        itself = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forget(itself))

    def close(self) -> None:
        """Let the others see this process as gone."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            self.forget()

    def forget(self) -> None:
        """Close the file without freeing what another process holds through it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __del__(self) -> None:
        self.forget()


def _forget(owner: "weakref.ref[OwnerLock]") -> None:
    known = owner()
    if known is not None:
        known.forget()


def is_dead(folder: Path, name: str) -> bool:
    """Return whether the process that made the lock `name` is gone; its file goes with it."""
    path = folder / name
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(file)


def sweep(folder: Path) -> None:
    """Remove the files of dead processes; call it only under the lock under which owners are made."""
    for path in list(folder.iterdir()):
        is_dead(folder, path.name)


def boot_id(source: Path = Path("/proc/sys/kernel/random/boot_id")) -> str:
    """Return what names this run of the machine; empty where the kernel does not tell.

    The monotonic clock starts anew with the machine, so no state may outlive it.
    """
    with contextlib.suppress(OSError):
        return source.read_text(encoding="ascii").strip()
    return ""
