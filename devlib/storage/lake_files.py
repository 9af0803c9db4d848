"""Where the files of the lake lie: in a folder of this machine, or in a bucket behind a folder.

DuckDB and Arrow read files of this machine only. So every file of the lake has a place in a folder: the lake
itself, or what this machine keeps of a bucket. Names are relative to it, such as
`2026-11/20261102T080000-0123456789ab.parquet`; a file never changes, and no name is given twice.
"""

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

from devlib.errors import StorageUnavailable
from devlib.language import Message, message
from devlib.storage.publishing import TEMPORARY, publish

FILE_NAME = r"\d{8}(?:T\d{6}|-day|-periods)-[0-9a-f]{12}\.parquet"
"""Names that files of the lake have, in a folder for each month."""

_OUR_FOLDER = re.compile(r"\d{4}-\d{2}")
_OUR_FILE = re.compile(rf"\.?{FILE_NAME}({re.escape(TEMPORARY)})?")
_GIGABYTE = 2**30


class LakeFiles(Protocol):
    """A store of files that never change.

    Attributes:
        folder: in which each file lies, or comes to lie when it is needed.
    """

    folder: Path

    @property
    def address(self) -> str:
        """The store as people write it."""
        ...

    def where(self, name: str) -> str:
        """Return the place of a file as people write it."""
        ...

    def present(self, names: Iterable[str]) -> set[str]:
        """Return those of these files that can be read.

        Raises:
            StorageUnavailable: the store cannot be asked.
        """
        ...

    def bring(self, names: Iterable[str]) -> None:
        """Let files lie in the folder, for an hour at least; those that the store lacks are left out.

        Raises:
            StorageUnavailable: the store cannot be asked, or there is no room.
        """
        ...

    def publish(self, temporary: Path, target: Path) -> None:
        """Let a finished file of the folder appear in the store under its name.

        Args:
            temporary: the file; it takes its name in the folder too.
            target: in the folder.

        Raises:
            OSError: the folder cannot be written.
            StorageUnavailable: the store cannot be written; the file is not there, or is an orphan.
        """
        ...

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, where they are.

        Raises:
            StorageUnavailable: the store cannot be asked.
        """
        ...

    def drop_copy(self, name: str) -> None:
        """Forget what this machine keeps of a file besides the store's own, so that it is brought anew."""
        ...

    def older_than(self, moment: datetime) -> Iterator[str]:
        """Yield the names of the files that the lake may have written and that are older than a moment, UTC.

        Raises:
            StorageUnavailable: the store cannot be asked.
        """
        ...

    def try_out(self) -> Message:
        """Write, read and remove a small file; return what there is to say of the store.

        Raises:
            StorageUnavailable: that cannot be done.
        """
        ...


class FolderFiles:
    """Files in a folder of this machine, which is also where they are read.

    Args:
        folder: made when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def address(self) -> str:
        """The path of the folder."""
        return str(self.folder)

    def where(self, name: str) -> str:
        """Return the path of a file."""
        return str(self.folder / name)

    def present(self, names: Iterable[str]) -> set[str]:
        """Return those of these files that are there."""
        return {name for name in names if (self.folder / name).is_file()}

    def bring(self, names: Iterable[str]) -> None:
        """Do nothing: they lie where they are read."""

    def publish(self, temporary: Path, target: Path) -> None:
        """Let a finished file appear under its name: fsync, rename, fsync of the folder."""
        publish(temporary, target)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, where they are."""
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def drop_copy(self, name: str) -> None:
        """Do nothing: there is no copy besides the file itself."""

    def older_than(self, moment: datetime) -> Iterator[str]:
        """Yield the names of the files that the lake may have written and that are older than a moment."""
        yield from old_files(self.folder, moment)

    def try_out(self) -> Message:
        """Write and remove a small file; return the path, and how much room there is.

        Raises:
            StorageUnavailable: the folder cannot be made or written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder) as file:
                file.write(b"trial")
            free = shutil.disk_usage(self.folder).free // _GIGABYTE
        except OSError as error:
            raise StorageUnavailable(message("{error}", error=error), where=self.address) from None
        return message("{path}, {free} GB free", path=self.folder, free=free)


def old_files(folder: Path, moment: datetime) -> Iterator[str]:
    """Yield the names of files in a folder that the lake may have written before a moment."""
    for path in folder.glob("*/*"):
        name = f"{path.parent.name}/{path.name}"
        if is_ours(name) and path.is_file() and path.stat().st_mtime < moment.timestamp():
            yield name


def is_ours(name: str) -> bool:
    """Return whether the lake gives such names; whatever else lies there belongs to somebody else."""
    folder, _, file = name.rpartition("/")
    return bool(_OUR_FOLDER.fullmatch(folder) and _OUR_FILE.fullmatch(file))
