"""Snapshots lie sorted in their files, however many lines they have: readers rely on it and do not sort."""

import random
from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pytest

from devlib.clock import FakeClock
from devlib.collect.alignment import Alignment
from devlib.collect.answers import ASKED, HELD
from devlib.collect.rule import states_sql
from devlib.model import OBSERVATIONS
from devlib.storage import Collected, Lake, open_inventory
from devlib.storage.arrow_types import arrow_schema
from devlib.storage.lake import ROW_GROUP
from devlib.storage.line_table import LINES

AT = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
MANY = 60_000  # bindings of the registrar; more than what the engine of the questions writes
PLACE = ("provider", "customer", "site", "mac", "port")


def line(key):
    """Return one line of an inventory whose keys say nothing of its places."""
    number = (key * 7919) % MANY
    texts = dict.fromkeys(LINES.names, "")
    place = {
        "provider": "P",
        "customer": f"C{number % 7}",
        "site": f"S{number % 11:02}",
        "mac": f"{number:012X}",
    }
    return (
        texts
        | place
        | {"line_key": key, "port": 1, "line_port": f"{key}@a.example", "vendor": "", "kind": ""}
    )


def relations(lines):
    """Return what a collection joins: of all bindings, and of these lines."""
    keys = list(range(MANY))
    random.Random(1).shuffle(keys)
    at = AT.replace(tzinfo=None)
    asked = {"part": 0, "answered": True, "asked_at": at}
    held = {"part": 0, "contact": "sip:a@192.0.2.1", "registered_at": at}
    return (
        pa.Table.from_pylist(lines),
        pa.Table.from_pylist(
            [asked | {"line_key": key, "line_port": f"{key}@a.example"} for key in keys], ASKED
        ),
        pa.Table.from_pylist([held | {"line_port": f"{key}@a.example"} for key in keys], HELD),
        arrow_schema(OBSERVATIONS).empty_table(),
    )


def judged(lake, part):
    """Return the rows of a part of the lines, as a collection has them written."""
    with lake.connection({"aligned": part}) as cursor:
        return cursor.sql(states_sql(AT, 60.0, 2.0, None)).to_arrow_table()


@pytest.mark.parametrize("count", [MANY, 3_000])
def test_rows_lie_sorted_in_the_file(tmp_path, count):
    """All lines of a registrar, or those of a few sites of it: each file is sorted from its first row on."""
    clock = FakeClock(AT)
    with open_inventory(f"sqlite:///{tmp_path / 'inventory.db'}", clock) as inventory:
        lake = Lake(tmp_path / "lake", inventory, clock)
        aligned = Alignment(lake, *relations([line(key) for key in range(count)]))
        rows = (judged(lake, part) for part in aligned.parts(2 * ROW_GROUP))
        written = lake.write_tables(rows, Collected(None, None, None, AT))
        file = str(lake.path(written))
        lake.close()
    columns = ", ".join(PLACE)
    rows = duckdb.execute(
        f"SELECT {columns} FROM read_parquet(?) ORDER BY file_row_number", [file]
    ).fetchall()
    assert len(rows) == count
    assert rows == sorted(rows)
    (largest,) = duckdb.execute("SELECT max(row_group_num_rows) FROM parquet_metadata(?)", [file]).fetchall()[
        0
    ]
    assert largest == min(count, ROW_GROUP)
