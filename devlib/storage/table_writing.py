"""Tables of rows into one Parquet file: the next is made while one is written."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# What each line or device has of its own: a dictionary of it would only make the file larger, by a third.
_OWN = frozenset(
    {"line_key", "line_port", "user_id", "phone_number", "mac", "device_name", "said_mac"}
    | {"contact", "private_address", "instance", "call_id"}
)


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
    alike = [name for name in schema.names if name not in _OWN]
    with (
        pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=alike) as writer,
        ThreadPoolExecutor(1) as maker,
    ):
        made = maker.submit(next, each, None)
        while (table := made.result()) is not None:
            made = maker.submit(next, each, None)
            writer.write_table(table.cast(schema), row_group_size=row_group)
            rows += table.num_rows
            del table
    return rows
