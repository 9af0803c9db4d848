"""How the lake holds what the declarations of tables say: Arrow types, and moments without their zone."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pyarrow as pa

from devlib.model import ColumnType, Table

_ARROW_TYPES: Mapping[ColumnType, pa.DataType] = {
    ColumnType.TEXT: pa.string(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.REAL: pa.float64(),
    ColumnType.MOMENT: pa.timestamp("us"),
}


def arrow_schema(table: Table) -> pa.Schema:
    """Return the Arrow schema that the declaration of `table` gives."""
    return pa.schema([(column.name, _ARROW_TYPES[column.type]) for column in table])


def naive(moment: datetime) -> datetime:
    """Return a UTC moment without its zone, as the columns of the lake hold it."""
    return moment.replace(tzinfo=None)


def utc(moment: datetime | None) -> datetime | None:
    """Return a moment of the lake with its zone."""
    return None if moment is None else moment.replace(tzinfo=UTC)
