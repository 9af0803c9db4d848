"""Files that appear whole or not at all: a temporary name, fsync, rename, fsync of the folder."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import duckdb

from devlib.errors import StorageUnavailable
from devlib.language import message

TEMPORARY = ".writing"
"""End of the names under which files are written."""


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

    Raises:
        StorageUnavailable: the folder cannot be made or written; nothing appeared.
    """

    def fault(error: Exception) -> StorageUnavailable:
        return StorageUnavailable(
            message("The file could not be written: {error}", error=error),
            where=str(target),
            remedy=message("Choose a folder in which this account may write and which has room."),
        )

    temporary = target.with_name(f".{target.name}.{uuid4().hex[:8]}{TEMPORARY}")
    with _appearing(temporary, target, publish, fault):
        write(temporary)


@contextmanager
def writing_snapshot(target: Path, publish: Callable[[Path, Path], None], where: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; publish what was written there, or leave nothing.

    Args:
        target: the final name; its folder is made.
        publish: lets the finished file appear.
        where: what an error names.

    Raises:
        StorageUnavailable: the folder cannot be made or written; nothing appeared.
    """

    def fault(error: Exception) -> StorageUnavailable:
        return StorageUnavailable(
            message("The snapshot could not be written: {error}", error=error),
            where=str(where),
            remedy=message("Make room or give this account the right to write there, then collect again."),
        )

    temporary = target.with_name(f".{target.name}{TEMPORARY}")
    with _appearing(temporary, target, publish, fault):
        yield temporary


@contextmanager
def _appearing(
    temporary: Path,
    target: Path,
    publish: Callable[[Path, Path], None],
    fault: Callable[[Exception], StorageUnavailable],
) -> Iterator[None]:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
        publish(temporary, target)
    except (OSError, duckdb.IOException) as error:
        discard(temporary)
        raise fault(error) from error
    except BaseException:
        discard(temporary)
        raise


def discard(path: Path) -> None:
    """Remove a temporary file, if it is there and can be removed."""
    with suppress(OSError):  # the error that brought us here matters more
        path.unlink(missing_ok=True)
