"""The folder of one export: what is written down of it, where it stands, and which process runs it.

Workers of one home share the folder of all exports, so that whichever is asked can tell of an export, hand
its file out or give it up. Who runs one holds a lock on its folder for as long as that lasts: the kernel
frees it when the process dies, and the next worker that sees it goes on with the export.
"""

import fcntl
import json
import os
import secrets
import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from devlib.api.export_record import ExportRecord, load, save
from devlib.errors import StorageUnavailable
from devlib.language import message

_OWNER, _STANDING, _GIVEN_UP = "owner.lock", "standing.json", "given-up"
_NEW, _GONE = ".new-", ".gone-"

EXPORTS = "service-exports"
"""The folder of all exports, in the home."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an export has come.

    Args:
        place: place in the queue, from 1; 0 where it runs or shares a running one.
        seconds_to_go: estimate of the seconds until the rows are there.
        delayed: whether only the spacing of the own session holds it back.
        running: whether networks are being asked.
        done: lines asked so far.
        total: lines in all; `None` where that is not known yet.
        queued: seconds that it waited.
        exported: seconds that it took.
    """

    place: int = 0
    seconds_to_go: float = 0.0
    delayed: bool = False
    running: bool = False
    done: int = 0
    total: int | None = None
    queued: float = 0.0
    exported: float = 0.0


class ExportFolder:
    """One export as it lies on the disk.

    Args:
        path: its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._owned: int | None = None

    @classmethod
    def make(cls, among: Path, record: ExportRecord) -> "ExportFolder":
        """Make the folder of a new export; it appears with its record in it, and is owned.

        Args:
            among: the folder of all exports.
            record: what is written down.

        Raises:
            StorageUnavailable: it cannot be written.
        """
        made = cls(among / f"{_NEW}{record.id}")
        try:
            made.path.mkdir(mode=0o700, parents=True)
            made.take()
            save(record, made.path)
            made.path = made.path.rename(among / record.id)
        except BaseException as error:
            made.remove()
            if isinstance(error, OSError):
                raise _unwritable(among, error) from error
            raise
        return made

    @classmethod
    def prepare(cls, among: Path) -> None:
        """Make the folder of all exports, or see that exports can be kept in it.

        Args:
            among: the folder of all exports.

        Raises:
            StorageUnavailable: they cannot.
        """
        try:
            among.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=among):
                pass
        except OSError as error:
            raise _unwritable(among, error) from error

    @classmethod
    def every(cls, among: Path) -> "list[ExportFolder]":
        """Return the folders of all exports, by name; of a folder that is not there, none."""
        with suppress(OSError):
            found = [each for each in among.iterdir() if not each.name.startswith(".") and each.is_dir()]
            return [cls(each) for each in sorted(found)]
        return []

    @classmethod
    def sweep(cls, among: Path) -> None:
        """Remove what killed processes left half made or removed; only while nobody else makes one."""
        for path in (*among.glob(f"{_NEW}*"), *among.glob(f"{_GONE}*")):
            shutil.rmtree(path, ignore_errors=True)

    def record(self) -> ExportRecord | None:
        """Return what is written down; `None` where nothing is, or nothing that this version can read."""
        return load(self.path)

    def write(self, record: ExportRecord) -> None:
        """Write the record anew.

        Raises:
            StorageUnavailable: it cannot be written.
        """
        save(record, self.path)

    def standing(self) -> Standing | None:
        """Return how far it has come; `None` where that was not told yet."""
        try:
            return Standing(**json.loads((self.path / _STANDING).read_text(encoding="ascii")))
        except (OSError, ValueError, TypeError):
            return None

    def tell(self, standing: Standing) -> None:
        """Let other processes know how far it has come; that it is lost in a crash does not matter."""
        temporary = self.path / f".{_STANDING}"
        with suppress(OSError):
            temporary.write_text(json.dumps(asdict(standing)), encoding="ascii")
            temporary.replace(self.path / _STANDING)

    @property
    def given_up(self) -> bool:
        """Whether somebody cancelled it."""
        return (self.path / _GIVEN_UP).exists()

    def give_up(self) -> None:
        """Let whoever runs it know that it is cancelled.

        Raises:
            StorageUnavailable: nothing can be written.
        """
        try:
            with suppress(FileNotFoundError):
                (self.path / _GIVEN_UP).touch(mode=0o600)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def take(self) -> bool:
        """Become the one who runs it; `False` where somebody else does, or the folder is gone."""
        try:
            file = os.open(self.path / _OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.fstat(file).st_ino == (self.path / _OWNER).stat().st_ino
        except OSError:  # held by another process, or removed while it was opened
            same = False
        if not same:
            os.close(file)
            return False
        self._owned = file
        return True

    def free(self) -> None:
        """Let somebody else run it; harmless when repeated."""
        owned, self._owned = self._owned, None
        if owned is not None:
            fcntl.flock(owned, fcntl.LOCK_UN)  # a child of a fork may have it open too
            os.close(owned)

    def remove(self) -> None:
        """Remove it with everything in it; it is gone at once, and never seen without a part of it."""
        gone = self.path.with_name(f"{_GONE}{secrets.token_hex(8)}")
        with suppress(OSError):
            self.path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        self.free()


def _unwritable(where: Path, error: OSError) -> StorageUnavailable:
    return StorageUnavailable(
        message("The file could not be written: {error}", error=error),
        where=str(where),
        remedy=message("Choose a folder in which this account may write and which has room."),
    )
