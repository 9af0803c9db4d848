"""Makes the tables of one inventory equal to those of another, in steps that may be interrupted anywhere.

Both sides are read in the order of their keys, a few thousand rows at a time. Rows that are equal stay; what
is missing is added, what differs is changed, what is too much is removed. So beginning again costs reading
only, and it does not matter how far an earlier attempt came.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    Text,
    and_,
    delete,
    func,
    insert,
    select,
    text,
    tuple_,
)
from sqlalchemy import update as change

from devlib.errors import Conflict
from devlib.language import message
from devlib.storage.connected import in_batches
from devlib.storage.filters import ByCodePoint
from devlib.storage.inventory import Inventory
from devlib.storage.schema import audit, copies, leases, metadata

BATCH = 5_000
TABLES: tuple[Table, ...] = tuple(each for each in metadata.sorted_tables if each not in (copies, leases))
"""What is copied, parents before children. Leases are of living processes."""

Row: TypeAlias = tuple[Any, ...]
Key: TypeAlias = tuple[Any, ...]


def remove_surplus(source: Connection, target: Inventory) -> None:
    """Remove from the target what the source does not have (any more), children before parents.

    Args:
        source: a connection in which nothing changes.
        target: the other inventory.
    """
    for table in reversed(TABLES):
        for span in _spans(target, table):
            here, there = _rows(source, table, *span), _in(target, table, *span)
            gone = [key for key in there if key not in here]
            if not _is_parent(table):
                gone += [key for key, row in there.items() if key in here and here[key] != row]
            _remove(target, table, gone)


def add_missing(source: Connection, target: Inventory, table: Table) -> int:
    """Add to a table of the target what it lacks, change what differs, and go on with its numbers.

    Args:
        source: a connection in which nothing changes.
        target: the other inventory.
        table: one of `TABLES`, after its parents.

    Returns:
        How many rows the table has.
    """
    count, after = 0, None
    while rows := _rows(source, table, after, None, BATCH):
        last = next(reversed(rows))
        there = _in(target, table, after, last)
        new = [row for key, row in rows.items() if key not in there]
        changed = {key: row for key, row in rows.items() if key in there and there[key] != row}
        if new or changed:
            with target.write() as writer:
                _change(writer.connection, table, changed)
                _add(writer.connection, table, new)
        count, after = count + len(rows), last
    _go_on_counting(source, target, table)
    return count


def checksum(connection: Connection, table: Table) -> tuple[int, str]:
    """Return the number of rows of a table, and a digest over all of them in the order of their keys."""
    digest, count, after = sha256(), 0, None
    while rows := _rows(connection, table, after, None, BATCH):
        for row in rows.values():
            digest.update(json.dumps([_plain(value) for value in row]).encode())
        count, after = count + len(rows), next(reversed(rows))
    return count, digest.hexdigest()


def is_empty(connection: Connection) -> bool:
    """Return whether an inventory holds nothing yet."""
    heads = {"audit_head"}  # one row from the beginning
    found = (
        connection.execute(select(1).select_from(t).limit(1)).first() for t in TABLES if t.name not in heads
    )
    return all(row is None for row in found)


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _key_columns(table: Table) -> list[ColumnElement[Any]]:
    # Texts sort alike on every database, whatever its locale.
    return [ByCodePoint(each) if isinstance(each.type, Text) else each for each in table.primary_key]


def _after(table: Table, key: Key) -> ColumnElement[bool]:
    columns = _key_columns(table)
    return columns[0] > key[0] if len(columns) == 1 else tuple_(*columns) > key


def _until(table: Table, key: Key) -> ColumnElement[bool]:
    columns = _key_columns(table)
    return columns[0] <= key[0] if len(columns) == 1 else tuple_(*columns) <= key


def _rows(
    connection: Connection, table: Table, after: Key | None, until: Key | None, limit: int | None = None
) -> dict[Key, Row]:
    """Return rows by key, in the order of keys, after one key and up to another."""
    found = select(table).order_by(*_key_columns(table)).limit(limit)
    if after is not None:
        found = found.where(_after(table, after))
    if until is not None:
        found = found.where(_until(table, until))
    places = [table.columns.keys().index(each.name) for each in table.primary_key]
    rows = map(tuple, connection.execute(found))
    return {tuple(row[place] for place in places): row for row in rows}


def _in(target: Inventory, table: Table, after: Key | None, until: Key | None) -> dict[Key, Row]:
    with target.read() as reader:
        return _rows(reader.connection, table, after, until)


def _spans(target: Inventory, table: Table) -> Iterator[tuple[Key | None, Key]]:
    after: Key | None = None
    while True:
        with target.read() as reader:
            rows = _rows(reader.connection, table, after, None, BATCH)
        if not rows:
            return
        last = next(reversed(rows))
        yield after, last
        after = last


def _is_parent(table: Table) -> bool:
    referred = {key.column.table for each in TABLES for key in each.foreign_keys}
    return table in referred or table.name == "audit_head"


def _matches(table: Table, key: Key) -> ColumnElement[bool]:
    return and_(*(column == value for column, value in zip(table.primary_key, key, strict=True)))


def _remove(target: Inventory, table: Table, keys: Sequence[Key]) -> None:
    if keys and table is audit:
        raise Conflict(
            message("The audit of the target is not a part of this one."),
            where=audit.name,
            remedy=message("Take an empty database."),
        )
    for batch in in_batches(keys, BATCH):
        with target.write() as writer:
            for key in batch:
                writer.connection.execute(delete(table).where(_matches(table, key)))


def _change(connection: Connection, table: Table, rows: dict[Key, Row]) -> None:
    names = table.columns.keys()
    for key, row in rows.items():
        values = dict(zip(names, row, strict=True))
        connection.execute(change(table).where(_matches(table, key)).values(values))


def _add(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    if not rows:
        return
    names = table.columns.keys()
    if connection.dialect.name != "postgresql":
        connection.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])
        return
    listed = ", ".join(f'"{name}"' for name in names)
    copy = f'COPY "{table.name}" ({listed}) FROM STDIN'
    driver: Any = connection.connection  # psycopg's own connection, which SQLAlchemy types as any driver's
    with driver.cursor() as cursor, cursor.copy(copy) as lines:
        for row in rows:
            lines.write_row(row)


def _go_on_counting(source: Connection, target: Inventory, table: Table) -> None:
    """Let the target give no number that the source ever gave: snapshots keep keys of lines for ever."""
    if not table.dialect_options["sqlite"]["autoincrement"]:
        return
    last = max(_last_number(source, table), source.scalar(select(func.max(table.c.id))) or 0)
    with target.write() as writer:
        connection = writer.connection
        if not last or _last_number(connection, table) >= last:
            return
        if connection.dialect.name == "postgresql":
            connection.execute(
                text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"),
                {"name": table.name, "last": last},
            )
            return
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
        connection.execute(
            text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"),
            {"name": table.name, "last": last},
        )


def _last_number(connection: Connection, table: Table) -> int:
    if connection.dialect.name == "postgresql":
        found = text("SELECT pg_sequence_last_value(pg_get_serial_sequence(:name, 'id')::regclass)")
    else:
        found = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
    return int(connection.scalar(found, {"name": table.name}) or 0)
