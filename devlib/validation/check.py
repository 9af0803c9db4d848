"""Every row of a bulk file, or one device, against every rule."""

from collections.abc import Iterator

from devlib.model import Catalogue
from devlib.validation.chunks import ChunkCheck, WrittenDevice
from devlib.validation.formulas import neutralise_text
from devlib.validation.header import Header
from devlib.validation.known import KnownFleet
from devlib.validation.problems import CheckedRow, Problem
from devlib.validation.reading import BulkTable, Chunk
from devlib.validation.seen import SPILL_AFTER, SeenMacs


def check_rows(
    table: BulkTable, known: KnownFleet, catalogue: Catalogue, *, spill_after: int = SPILL_AFTER
) -> Iterator[CheckedRow]:
    """Check all rows of a bulk file; every problem of every row is found.

    Args:
        table: the open file.
        known: the fleet; asked once for each chunk of rows.
        catalogue: the device types.
        spill_after: addresses that are kept in memory to find duplicates; more go to a temporary file.

    Yields:
        The rows in file order; empty rows are left out.

    Raises:
        FileUnreadable: the file cannot be read any further; the rows before it have been yielded.
        StorageUnavailable: the temporary folder is full.
    """
    with SeenMacs(spill_after) as seen:
        check = ChunkCheck(table.header, known, catalogue, seen)
        chunks = table.chunks()
        while (gathered := check.gather(chunks)).rows or gathered.failure:
            yield from check.checked(gathered)
            if gathered.failure is not None:
                raise gathered.failure


def check_device(written: WrittenDevice, known: KnownFleet, catalogue: Catalogue) -> tuple[Problem, ...]:
    """Return everything that is wrong with one device that is to be added; rows are 0.

    Args:
        written: the device, as a person wrote it.
        known: the fleet.
        catalogue: the device types.
    """
    return check_one(written, known, catalogue).problems


def check_one(written: WrittenDevice, known: KnownFleet, catalogue: Catalogue) -> CheckedRow:
    """Return one device that is to be added, checked by the rules of the bulk file; its row is 0.

    Args:
        written: the device, as a person wrote it.
        known: the fleet.
        catalogue: the device types.
    """
    header = Header({name: place for place, name in enumerate(WrittenDevice._fields)}, len(written), ())
    # The rules undo what an export did to formulas; what a person typed never was in an export.
    cells = [written.mac, written.device_type, *map(neutralise_text, written[2:])]
    with SeenMacs() as seen:
        check = ChunkCheck(header, known, catalogue, seen)
        (row,) = check.checked(check.gather(iter([Chunk([0], [0], [cells])])))
    return row._replace(site=written.site)
