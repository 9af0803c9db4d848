"""Checked rows on disk, between the check of a file and the transaction that imports it."""

import pickle
import tempfile
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from devlib.errors import StorageUnavailable
from devlib.language import Message, message
from devlib.model import Mac
from devlib.storage import in_batches
from devlib.validation import CheckedRow

_BATCH = 4_096
# Frozen dataclasses with slots are pickled field by field in Python; their constructors take a third of that.
_QUICK = {
    Message: lambda each: (Message, (each.text, dict(each.values))),
    Mac: lambda each: (Mac, (each.value,)),
}


class Spool:
    """A file of checked rows in an unnamed temporary file; a context manager, read as often as needed.

    So the rules run while others may write, memory stays the same however long the file is, and the write
    transaction only has to insert.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="devlib-import-")  # noqa: SIM115 - closed on exit

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def fill(self, rows: Iterable[CheckedRow]) -> Iterator[CheckedRow]:
        """Keep the rows and pass them on.

        Raises:
            StorageUnavailable: the temporary folder is full.
        """
        for batch in in_batches(rows, _BATCH):
            try:
                pickler = pickle.Pickler(self._file, pickle.HIGHEST_PROTOCOL)
                pickler.dispatch_table = _QUICK
                pickler.dump(batch)
                self._file.flush()
            except OSError as error:
                raise StorageUnavailable(
                    message("The temporary file cannot be written: {error}", error=error.strerror),
                    where=tempfile.gettempdir(),
                    remedy=message("Free some space there, or point TMPDIR at a larger folder."),
                ) from None
            yield from batch

    def batches(self) -> Iterator[list[CheckedRow]]:
        """Yield the rows in the order in which they were kept."""
        self._file.seek(0)
        while True:
            try:
                yield pickle.load(self._file)  # noqa: S301 - the file has no name; only this process wrote it
            except EOFError:
                return
