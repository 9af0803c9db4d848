"""An analyst's SQL: read-only, over the rows of one scope, with no way to a file or a network.

DuckDB runs with every door to the outside shut and its settings locked. The rows come in as Arrow datasets
that are already cut to the scope, so there is no base table behind them and no path that SQL could name
(measured on DuckDB 2.0.0: `read_parquet`, `COPY`, `ATTACH` of a file and `INSTALL` are all refused).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from devlib.config import QueryLimits
from devlib.errors import DevlibError, QueryRefused, QueryTimeout
from devlib.language import message
from devlib.model import OBSERVATIONS, Scope
from devlib.storage.arrow_types import arrow_schema
from devlib.storage.lake import Lake
from devlib.storage.manifest import Snapshot, newest_rows, scope_conditions
from devlib.storage.snapshot_files import require_readable

# Errors that say nothing about the files.
_OF_THE_QUERY = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.PermissionException,
    duckdb.InterruptException,
    duckdb.OutOfMemoryException,
)
Relation: TypeAlias = Any  # an Arrow table or dataset; Arrow publishes no types
_SHUT = (
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET python_enable_replacements = false",
    "SET temp_directory = ''",
    "SET TimeZone = 'UTC'",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


@dataclass(frozen=True, slots=True)
class Newest:
    """Rows of which only the newest one of each line is shown; see `newest_rows`.

    Args:
        rows: of the snapshots, in the scope.
        snapshots: whose rows they are.
    """

    rows: Relation
    snapshots: Sequence[Snapshot]


@dataclass(frozen=True, slots=True)
class Source:
    """A table that an analyst can name; `open` is called only when a query mentions it.

    Args:
        name: of the table.
        open: gives its rows.
    """

    name: str
    open: Callable[[], Relation | Newest]


def observations(files: Iterable[Path], scope: Scope) -> ds.Dataset:
    """Return the rows of these snapshot files that lie in the scope.

    Args:
        files: snapshot files; one that is named several times is read once.
        scope: what the asker may see.

    Raises:
        StorageUnavailable: one of them is missing.
    """
    return limited(_whole(files, arrow_schema(OBSERVATIONS)), scope)


def newest_observations(lake: Lake, snapshots: Sequence[Snapshot], scope: Scope) -> Newest:
    """Return the rows of these snapshots that lie in the scope, to be shown newest first of each line.

    Those of snapshots in a day file are read now: others' rows are in that file too.

    Args:
        lake: holds the files.
        snapshots: of `Lake.current`.
        scope: what the asker may see.

    Raises:
        StorageUnavailable: a file is missing.
    """
    own = lake.local(each.path for each in snapshots if not each.in_day_file)
    schema = arrow_schema(OBSERVATIONS)
    rows = _whole(own, schema)
    if moved := [each for each in snapshots if each.in_day_file]:
        where = " AND ".join(scope_conditions(scope)) or "true"
        with lake.connection() as cursor:
            found = cursor.sql(f"SELECT * FROM {lake.relation(moved)} WHERE {where}")  # noqa: S608 - own texts
            table = found.to_arrow_table().select(schema.names).cast(schema)
        rows = ds.dataset([rows, ds.dataset(table)]) if own else ds.dataset(table)
    return Newest(limited(rows, scope), snapshots)


def dataset_of(files: Iterable[Path], table: pa.Table, scope: Scope) -> ds.Dataset:
    """Return the rows of files and of an Arrow table, of the same columns, that lie in the scope.

    Args:
        files: Parquet files.
        table: more rows.
        scope: what the asker may see.
    """
    return limited(ds.dataset([_whole(files, table.schema), ds.dataset(table)]), scope)


def _whole(files: Iterable[Path], schema: pa.Schema) -> ds.Dataset:
    paths = sorted({str(path) for path in files})
    if not paths:
        return ds.dataset(schema.empty_table())
    try:
        # No partitioning: a folder called `customer=X` on the way is no column.
        return ds.dataset(paths, schema=schema, format="parquet", partitioning=None)
    except OSError:
        require_readable(paths)
        raise


def limited(whole: ds.Dataset, scope: Scope) -> ds.Dataset:
    """Return those rows of a dataset with places that lie in the scope."""
    limits = [
        ds.field(name) == value
        for name, value in (("provider", scope.provider), ("customer", scope.customer))
        if value is not None
    ]
    if scope.sites is not None:
        limits.append(ds.field("site").isin(pa.array(sorted(scope.sites), pa.string())))
    for limit in limits:
        whole = whole.filter(limit)
    return whole


def run(sql: str, sources: Iterable[Source], limits: QueryLimits) -> pa.Table:
    """Return the answer to one statement of an analyst.

    Args:
        sql: one SELECT (or DESCRIBE, SUMMARIZE, EXPLAIN …) in DuckDB's dialect.
        sources: the tables it may name.
        limits: seconds, memory, threads and rows.

    Returns:
        An Arrow table, at most `limits.rows` long; `to_frame` makes a frame of it.

    Raises:
        QueryRefused: the SQL is wrong, holds several statements, or reaches for something it may not.
        QueryTimeout: it ran too long or needed too much memory.
        StorageUnavailable: a snapshot file is missing or broken.
    """
    files: list[str] = []
    with duckdb.connect(config={"memory_limit": limits.memory, "threads": limits.threads}) as connection:
        try:
            _prepare(connection, sql, sources, limits, files)
            return _fetch(connection.sql(sql), limits)
        except (duckdb.Error, pa.ArrowException) as error:
            if not isinstance(error, _OF_THE_QUERY):
                require_readable(files)
            raise explain(error, limits) from None


def _prepare(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    sources: Iterable[Source],
    limits: QueryLimits,
    files: list[str],
) -> None:
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise QueryRefused(
            message("One statement is needed, {count} were given.", count=len(statements)),
            remedy=message("Run the statements one after the other."),
        )
    mentioned = sql.casefold()
    for source in sources:
        if source.name in mentioned:
            files += _show(connection, source)
        elif "show" in mentioned or "information_schema" in mentioned:
            connection.register(source.name, _columns(source.open()))
    connection.execute(f"SET max_execution_time = {int(limits.seconds * 1000)}")
    shut(connection)


def shut(connection: duckdb.DuckDBPyConnection) -> None:
    """Shut every door of a connection to files, networks and its own settings."""
    for setting in _SHUT:
        connection.execute(setting)


def _show(connection: duckdb.DuckDBPyConnection, source: Source) -> list[str]:
    """Let a table be named; return the snapshot files behind it."""
    given = source.open()
    if isinstance(given, Newest):
        connection.register(f"{source.name}_rows", given.rows)
        shown = newest_rows(f"{source.name}_rows", given.snapshots)
        connection.execute(f"CREATE TEMP VIEW {source.name} AS SELECT * FROM {shown}")  # noqa: S608 - own names
        given = given.rows
    else:
        connection.register(source.name, given)
    return list(getattr(given, "files", ()))


def _columns(given: Relation | Newest) -> pa.Table:
    """Return a table without rows, to be listed: its rows would need a second table behind it."""
    whole: pa.Table = (given.rows if isinstance(given, Newest) else given).schema.empty_table()
    return whole


def _fetch(relation: duckdb.DuckDBPyRelation | None, limits: QueryLimits) -> pa.Table:
    if relation is None:  # a statement without an answer
        return pa.table({})
    reader: Any = relation.to_arrow_reader(100_000)
    batches: list[pa.RecordBatch] = []
    rows = 0
    for batch in reader:
        rows += batch.num_rows
        if rows > limits.rows:
            raise QueryRefused(
                message("The answer has more than {rows} rows.", rows=limits.rows),
                remedy=message("Group, filter or add LIMIT; for whole tables use `devlib export`."),
            )
        batches.append(batch)
    return pa.Table.from_batches(batches, reader.schema)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return a frame in which integers stay integers where some are missing."""
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return frame


def explain(error: Exception, limits: QueryLimits) -> DevlibError:
    """Return what an error of DuckDB means for the analyst."""
    text = str(error).strip()
    if isinstance(error, duckdb.InterruptException):
        return QueryTimeout(
            message("The query ran for more than {seconds} s and was stopped.", seconds=limits.seconds),
            remedy=message("Ask for fewer days or lines, or raise [query] seconds in devlib.toml."),
        )
    if isinstance(error, (duckdb.OutOfMemoryException, MemoryError)):
        return QueryTimeout(
            message("The query needed more than {memory} of memory.", memory=limits.memory),
            remedy=message("Ask for fewer rows, or raise [query] memory in devlib.toml."),
        )
    if isinstance(error, duckdb.PermissionException):
        return QueryRefused(
            message("The query reaches outside of its tables: {error}", error=text),
            remedy=message("Use the tables that `SHOW TABLES` names; files and networks are out of reach."),
        )
    return QueryRefused(
        message("{error}", error=text),
        remedy=message("Correct the SQL; `SHOW TABLES` and `DESCRIBE line_states` tell what there is."),
    )
