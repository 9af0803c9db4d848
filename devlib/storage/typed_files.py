"""Rows of the lake as files that keep the types of their columns: Parquet, and a stream of Arrow."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from devlib.model import Column
from devlib.storage.csv_file import copied_whole
from devlib.storage.lake import Lake
from devlib.storage.publishing import write_whole

_BATCH = 50_000  # rows in memory at once


def write_parquet(
    lake: Lake, rows: str, columns: Sequence[Column], target: Path, inputs: Mapping[str, Any] | None = None
) -> int:
    """Write rows of the lake into a Parquet file that appears whole or not at all.

    Args:
        lake: runs the query.
        rows: SQL for a FROM clause, in the order wanted.
        columns: what to write, in order, under their own names.
        target: the file.
        inputs: Arrow tables that `rows` names.

    Returns:
        The number of rows written.
    """
    return copied_whole(lake, _selected(rows, columns), "FORMAT parquet, COMPRESSION zstd", target, inputs)


def write_arrow(
    lake: Lake, rows: str, columns: Sequence[Column], target: Path, inputs: Mapping[str, Any] | None = None
) -> int:
    """Write rows of the lake as an Arrow stream, some at a time; arguments as for `write_parquet`."""
    written = 0

    def write(temporary: Path) -> None:
        nonlocal written
        with lake.connection(inputs) as cursor:
            reader: Any = cursor.sql(_selected(rows, columns)).to_arrow_reader(_BATCH)
            with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_stream(file, reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)
                    written += batch.num_rows

    write_whole(target, write)
    return written


def _selected(rows: str, columns: Sequence[Column]) -> str:
    names = ", ".join(f'"{column.name}"' for column in columns)
    return f"SELECT {names} FROM {rows}"  # noqa: S608 - names of our own declaration
