"""What is said of snapshot files that are missing or broken."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from devlib.errors import StorageUnavailable
from devlib.language import message


def is_parquet(path: Path) -> bool:
    """Return whether the file is there and whole."""
    try:
        pq.read_metadata(path)
    except (OSError, pa.ArrowException):
        return False
    return True


def missing_file(where: str) -> StorageUnavailable:
    """Return the error for a file that the manifest names and that is not there."""
    return StorageUnavailable(
        message("The file of the snapshot is missing."),
        where=where,
        remedy=message("Bring the file back from a backup, or collect again."),
    )


def unreadable_file(where: str) -> StorageUnavailable:
    """Return the error for a file that is there and cannot be read."""
    return StorageUnavailable(
        message("The file of the snapshot cannot be read."),
        where=where,
        remedy=message("Bring the file back from a backup, or move it away and collect again."),
    )


def require_readable(files: Iterable[str | Path]) -> None:
    """Make sure that snapshot files can be read.

    Raises:
        StorageUnavailable: the first one that cannot.
    """
    for path in map(Path, files):
        if not is_parquet(path):
            raise unreadable_file(str(path)) if path.exists() else missing_file(str(path))
