"""Tables of rows into one Parquet file: the next is made while one is written."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_ahead(path: Path, tables: Iterable[pa.Table], schema: pa.Schema, row_group: int) -> int:
    """Write tables one after another into a new file, and make each while the one before is written.

    Arrow and DuckDB let go of Python's lock, so that both go on at the same time; no more than two tables are
    held.

    Args:
        path: of the file.
        tables: in the order of the file; what making one raises ends the writing.
        schema: of the file.
        row_group: most rows of one of its groups.

    Returns:
        The number of rows.

    Raises:
        OSError: the file cannot be written.
    """
    rows, each = 0, iter(tables)
    with (
        pq.ParquetWriter(path, schema, compression="zstd") as writer,
        ThreadPoolExecutor(1) as maker,
    ):
        made = maker.submit(next, each, None)
        while (table := made.result()) is not None:
            made = maker.submit(next, each, None)
            writer.write_table(table.cast(schema), row_group_size=row_group)
            rows += table.num_rows
            del table
    return rows
