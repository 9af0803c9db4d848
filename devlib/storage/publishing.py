"""Files that appear whole or not at all: a temporary name, fsync, rename, fsync of the folder."""

import os
from collections.abc import Callable
from contextlib import suppress
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
    temporary = target.with_name(f".{target.name}.{uuid4().hex[:8]}{TEMPORARY}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        publish(temporary, target)
    except (OSError, duckdb.IOException) as error:
        discard(temporary)
        raise StorageUnavailable(
            message("The file could not be written: {error}", error=error),
            where=str(target),
            remedy=message("Choose a folder in which this account may write and which has room."),
        ) from error
    except BaseException:
        discard(temporary)
        raise


def discard(path: Path) -> None:
    """Remove a temporary file, if it is there and can be removed."""
    with suppress(OSError):  # the error that brought us here matters more
        path.unlink(missing_ok=True)
