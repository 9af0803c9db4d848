"""A day's snapshots sorted by customer, line and time, slice by slice: a whole day is larger than the memory.

Each slice holds the rows of some customers, or of some lines of a large one; the snapshots' own files are
sorted by customer, so that reading a slice skips most of each.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from devlib.errors import StorageUnavailable
from devlib.language import message
from devlib.model import OBSERVATIONS
from devlib.storage.arrow_types import arrow_schema
from devlib.storage.lake import Lake
from devlib.storage.manifest import Snapshot, literal
from devlib.storage.publishing import TEMPORARY, discard
from devlib.storage.snapshot_sql import SNAPSHOT_ID, quoted

SLICE = 400_000  # rows that are sorted at once
ROW_GROUP = 122_880

_BOUNDS = """
SELECT provider, customer, line_key FROM (
    SELECT *, (sum(rows) OVER (ORDER BY provider, customer, line_key) - rows) // {slice} AS slice
    FROM (SELECT provider, customer, line_key, count(*) AS rows FROM {rows} GROUP BY ALL)
) QUALIFY row_number() OVER (PARTITION BY slice ORDER BY provider, customer, line_key) = 1
ORDER BY provider, customer, line_key
"""

Bound = tuple[str | None, str | None, int | None]


def write_sorted(lake: Lake, target: Path, snapshots: Sequence[Snapshot]) -> int:
    """Write the rows of snapshots into one file, each with the number of its snapshot.

    Args:
        lake: holds them, in files of their own.
        target: the file, which appears whole or not at all.
        snapshots: of one scope and day.

    Returns:
        The number of rows.

    Raises:
        StorageUnavailable: the folder cannot be written.
    """
    temporary = target.with_name(f".{target.name}{TEMPORARY}")
    schema = arrow_schema(OBSERVATIONS).append(pa.field(SNAPSHOT_ID, pa.int64()))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        rows = 0
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for table in _slices(lake, snapshots, schema):
                writer.write_table(table, row_group_size=ROW_GROUP)
                rows += table.num_rows
        lake.files.publish(temporary, target)
    except OSError as error:
        discard(temporary)
        raise StorageUnavailable(
            message("The file could not be written: {error}", error=error),
            where=str(target),
            remedy=message("Choose a folder in which this account may write and which has room."),
        ) from error
    except (duckdb.Error, StorageUnavailable):
        discard(temporary)
        raise
    return rows


def _slices(lake: Lake, snapshots: Sequence[Snapshot], schema: pa.Schema) -> Iterator[pa.Table]:
    columns = ", ".join(f"{column.name}::{column.type} AS {column.name}" for column in OBSERVATIONS)
    order = f"provider, customer, line_key, observed_at, {SNAPSHOT_ID}"
    files = ", ".join(f"'{quoted(path)}'" for path in lake.local(each.path for each in snapshots))
    # By name: files of older layouts lack the columns that came later.
    options = "filename = true, union_by_name = true, hive_partitioning = false"
    rows = f"read_parquet([{files}], {options})"
    numbers = {"path": [str(lake.path(each)) for each in snapshots], SNAPSHOT_ID: [s.id for s in snapshots]}
    for condition in _conditions(lake, rows):
        sql = (
            f"SELECT {columns}, {SNAPSHOT_ID} FROM {rows} JOIN numbers ON filename = path "  # noqa: S608
            f"WHERE {condition} ORDER BY {order}"
        )
        with lake.connection({"numbers": pa.table(numbers)}) as cursor:
            table: pa.Table = cursor.sql(sql).to_arrow_table()
        yield table.cast(schema)


def _conditions(lake: Lake, rows: str) -> list[str]:
    """Return an SQL condition for each slice; each row fulfils exactly one."""
    with lake.connection() as cursor:
        bounds: list[Bound] = cursor.sql(_BOUNDS.format(rows=rows, slice=SLICE)).fetchall()
    if len(bounds) <= 1 or any(part is None for bound in bounds for part in bound):
        return ["true"]
    middle = [_between(first, last) for first, last in pairwise(bounds[1:])]
    return [f"NOT {_from(bounds[1])}", *middle, _from(bounds[-1])]


def _between(first: Bound, last: Bound) -> str:
    condition = f"{_from(first)} AND NOT {_from(last)}"
    if first[0] != last[0]:
        return condition
    # Which the condition itself implies, but only this can be held against the statistics of a file.
    low, high = literal(first[1] or ""), literal(last[1] or "")
    return f"customer >= {low} AND customer <= {high} AND {condition}"


def _from(bound: Bound) -> str:
    provider, customer, line_key = literal(bound[0] or ""), literal(bound[1] or ""), bound[2]
    return (
        f"(provider > {provider} OR provider = {provider} AND "
        f"(customer > {customer} OR customer = {customer} AND line_key >= {line_key}))"
    )
