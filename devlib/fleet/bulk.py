"""Bulk import: a whole file, checked outside the write transaction and imported inside one."""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from devlib.errors import Conflict, StorageUnavailable, UsageError
from devlib.fleet.known import ScopedFleet
from devlib.fleet.report import ImportMode, ImportReport, Outcome, Tally, write_results
from devlib.fleet.spool import Spool
from devlib.language import Language, Message, message
from devlib.model import Catalogue, Scope
from devlib.storage import Inventory, Writer, write_whole
from devlib.validation import CheckedRow, WrittenDevice, check_one, check_rows, open_table

Progress = Callable[[int, int | None], None]
_PROGRESS_EVERY = 1_000
# On PostgreSQL somebody may add one of the MACs between our look and our insert; then we look again.
_ATTEMPTS = 5


def import_devices(  # noqa: PLR0913 - what, whose, from where, how, and what to tell
    inventory: Inventory,
    catalogue: Catalogue,
    scope: Scope,
    customer: str,
    source: Path | BinaryIO,
    *,
    mode: ImportMode = ImportMode.ALL_OR_NOTHING,
    result: Path | None = None,
    language: Language = "en",
    progress: Progress | None = None,
) -> ImportReport:
    """Import the devices of a bulk file in one transaction; importing it again changes nothing.

    Args:
        inventory: where to.
        catalogue: the device types.
        scope: what the asker may change.
        customer: name of the customer.
        source: path of a CSV file, or a binary stream at its beginning.
        mode: check only, all rows or none, or the rows that are right.
        result: a file that gets one row for each row of the input; it appears whole, after the import.
        language: of that file.
        progress: called with the rows checked so far, and with how many there are once that is known.

    Returns:
        Counts by outcome and code, and the first problems.

    Raises:
        FileUnreadable: the file is no such table; nothing was imported.
        NotFound: the scope has no such customer.
        UsageError: the result file cannot be written; nothing was imported.
    """
    job = _Import(inventory, catalogue, scope, customer, mode)
    with job.spool:
        if result is None:
            job.run(source, progress)
            return job.report()

        def write(temporary: Path) -> None:
            # Opened before anything is imported: a folder that cannot be written to is found out in time.
            with temporary.open("w", encoding="utf-8", newline="") as file:
                job.run(source, progress)
                write_results(file, job.final_rows(), job.accepted, language)

        try:
            write_whole(result, write)
        except StorageUnavailable as error:
            # The inventory can be unavailable too; only the result file fails with an error of the system.
            if not isinstance(error.__cause__, OSError):
                raise
            raise _no_result(result, error.__cause__, imported=job.accepted is Outcome.ADDED) from error
        return job.report(result)


def _no_result(path: Path, error: OSError, *, imported: bool) -> UsageError:
    reason = error.strerror or error
    if imported:
        what = message(
            "The devices were imported, but the result file cannot be written: {error}", error=reason
        )
        remedy = message("Import the file again with another result file: nothing is added twice.")
    else:
        what = message("The result file cannot be written: {error}", error=reason)
        remedy = message("Choose a folder that this account may write to.")
    return UsageError(what, where=str(path), remedy=remedy)


class _Import:
    """One import on its way; rows that a second look changed are kept by their number."""

    def __init__(
        self, inventory: Inventory, catalogue: Catalogue, scope: Scope, customer: str, mode: ImportMode
    ) -> None:
        self._inventory = inventory
        self._catalogue = catalogue
        self._scope = scope
        self._customer = customer
        self._mode = mode
        self._notices: tuple[Message, ...] = ()
        self._changed: dict[int, CheckedRow] = {}
        self.accepted = Outcome.VALID if mode is ImportMode.CHECK else Outcome.NOT_IMPORTED
        self.spool = Spool()

    def run(self, source: Path | BinaryIO, progress: Progress | None) -> None:
        """Check the file, then import what the mode allows."""
        refused, new = self._check(source, progress)
        if self._mode is ImportMode.CHECK or (refused and self._mode is ImportMode.ALL_OR_NOTHING):
            return
        if new:
            self._import()

    def _import(self) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._inventory.write() as writer:
                    writer.take_turns()
                    self._insert(writer)
            except _Withdrawn:
                return
            except Conflict:
                if attempt == _ATTEMPTS:
                    raise
            else:
                self.accepted = Outcome.ADDED
                return

    def final_rows(self) -> Iterator[CheckedRow]:
        """Yield the rows as they were last seen, in file order."""
        for row in chain.from_iterable(self.spool.batches()):
            yield self._changed.get(row.row, row)

    def report(self, result: Path | None = None) -> ImportReport:
        """Return what was done, or would be."""
        tally = Tally(self.accepted)
        for row in self.final_rows():
            tally.add(row)
        return tally.report(self._mode, self._notices, result)

    def _check(self, source: Path | BinaryIO, progress: Progress | None) -> tuple[int, int]:
        """Keep all rows, checked; return how many are refused, and how many are right and new."""
        refused = new = rows = 0
        with self._inventory.read() as reader, open_table(source) as table:
            known = ScopedFleet(reader, self._scope, self._customer)
            for row in self.spool.fill(check_rows(table, known, self._catalogue)):
                refused += row.refused
                new += row.target is not None
                rows += 1
                if progress is not None and rows % _PROGRESS_EVERY == 0:
                    progress(rows, None)
            self._notices = table.notices
        if progress is not None:
            progress(rows, rows)
        return refused, new

    def _insert(self, writer: Writer) -> None:
        known = ScopedFleet(writer, self._scope, self._customer)
        self._changed.clear()
        for batch in self.spool.batches():
            located = known.locate([row.number for row in batch if row.target and row.number is not None])
            new = []
            for row in batch:
                target = row.target
                if target is None:
                    continue
                if row.number in located or not known.approves(target.site, target.device_type):
                    row = self._look_again(row, target.site, known)  # noqa: PLW2901 - what is inserted
                if row.device is not None:
                    new.append(row.device)
            writer.add_devices(known.target, self._customer, new)

    def _look_again(self, row: CheckedRow, site: str, known: ScopedFleet) -> CheckedRow:
        """Check a row again, for which the inventory has changed since the first check."""
        written = WrittenDevice(row.mac, row.device_type, site, row.name, row.description)
        again = check_one(written, known, self._catalogue)
        problems = tuple(each._replace(row=row.row) for each in again.problems)
        again = again._replace(row=row.row, line=row.line, site=row.site, problems=problems)
        self._changed[row.row] = again
        if again.refused and self._mode is ImportMode.ALL_OR_NOTHING:
            raise _Withdrawn
        return again


class _Withdrawn(Exception):
    """Ends the transaction of an import that may not be done in part."""
