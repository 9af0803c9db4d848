"""The device list as a CSV file: the article's four columns, more on request."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from devlib.errors import UsageError
from devlib.export.files import file_name, short_hash
from devlib.language import Language, message
from devlib.model import ARTICLE_COLUMNS, DEVICE_LIST, Column
from devlib.storage import Lake, write_csv


@dataclass(frozen=True, slots=True)
class DeviceListFile:
    """A device list that was written: the file and its number of devices."""

    path: Path
    rows: int


def device_columns(names: Sequence[str] | None) -> tuple[Column, ...]:
    """Return the columns of the device list called `names`; the article's four for none.

    Raises:
        UsageError: there is no such column.
    """
    chosen = names or ARTICLE_COLUMNS
    unknown = [name for name in chosen if name not in DEVICE_LIST.names]
    if unknown:
        raise UsageError(
            message("There is no column {name}.", name=unknown[0]),
            remedy=message("Choose from: {names}", names=", ".join(DEVICE_LIST.names)),
        )
    return tuple(DEVICE_LIST.column(name) for name in chosen)


def write_device_list(
    lake: Lake,
    devices: pa.Table,
    folder: Path,
    *,
    customer: str,
    site: str | None,
    columns: Sequence[str],
    language: Language,
    now: datetime,
) -> DeviceListFile:
    """Write devices into a CSV file that `devlib import` reads again.

    Args:
        lake: lends its CSV writer.
        devices: rows with the columns of `DEVICE_LIST`, in the order wanted.
        folder: where the file goes.
        customer: whose, for the name.
        site: one site, for the name; `None` for all.
        columns: names of the columns wanted; empty for the article's four.
        language: of the headers.
        now: time of the data, for the name.
    """
    chosen = device_columns(columns)
    mark = short_hash(repr(tuple(columns))) if columns else ""
    target = folder / file_name("devices", customer, site, now, mark=mark, language=language)
    rows = write_csv(lake, "devices_listed", chosen, language, target, {"devices_listed": devices})
    return DeviceListFile(target, rows)
