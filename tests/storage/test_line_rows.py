"""The rows that a reader takes: in the order of the report, also where the engine works in parallel."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from devlib.clock import FakeClock
from devlib.config import QueryLimits
from devlib.model import LINE_STATES, OBSERVATIONS, LineState, Scope
from devlib.storage import Collected, Lake, LineFilter, choose_lines, open_inventory, write_csv, write_parquet

START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
# More than two row groups of DuckDB: below that one thread reads all, and the order cannot get lost.
LINES = 300_000
TYPES = [f"Type {number}" for number in range(8)]
NOTHING = ", ".join(f"NULL::{column.type} AS {column.name}" for column in OBSERVATIONS)
ROWS = f"""
SELECT * REPLACE (i AS line_key, 'P' AS provider, 'A' AS customer, printf('site %02d', i // 30000) AS site,
    printf('00:15:65:%02X:%02X:%02X', i >> 16, (i >> 8) & 255, i & 255) AS mac, 1 AS port,
    'Type ' || (i % 8) AS device_type, 'registered' AS state, 'agent ' || i AS user_agent,
    TIMESTAMP '2026-11-02 08:00:00' AS observed_at)
FROM (SELECT {NOTHING}), range({LINES}) AS t(i) ORDER BY i
"""
SITES = frozenset(f"site {number:02}" for number in range(6))
FILTERS = {
    "all": (LineFilter(), None, LINES),
    "one type": (LineFilter(device_types=("Type 3",)), None, LINES // 8),
    "many types": (LineFilter(device_types=(*TYPES[:6], "None such")), None, LINES * 6 // 8),
    "all states": (LineFilter(states=tuple(LineState)), None, LINES),
    "condition": (LineFilter(condition="port = 1"), None, LINES),
    "many sites": (LineFilter(), SITES, LINES * 6 // 10),
}


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A lake with one snapshot of many lines."""
    folder = tmp_path_factory.mktemp("large")
    clock = FakeClock(START)
    with open_inventory(f"sqlite:///{folder / 'inventory.db'}", clock) as inventory:
        lake = Lake(folder / "lake", inventory, clock)
        yield lake, lake.write(ROWS, {}, {}, Collected(None, None, None, START))
        lake.close()


@pytest.mark.parametrize("name", FILTERS)
def test_rows_come_in_the_order_of_the_report(large, tmp_path, name):
    """Whatever is filtered, files are sorted by site, MAC and port: two exports are the same bytes."""
    lake, snapshot = large
    wanted, sites, count = FILTERS[name]
    limits = QueryLimits.model_construct()
    rows = choose_lines(lake, [snapshot], Scope("P", "A", sites), wanted, limits)
    columns = [LINE_STATES.column(each) for each in ("site", "mac", "user_agent")]
    assert write_csv(lake, rows.sql, columns, "en", tmp_path / "a.csv", rows.inputs) == count
    assert write_parquet(lake, rows.sql, columns, tmp_path / "a.parquet", rows.inputs) == count
    assert pd.read_csv(tmp_path / "a.csv", usecols=[1]).iloc[:, 0].is_monotonic_increasing
    assert pd.read_parquet(tmp_path / "a.parquet", columns=["mac"])["mac"].is_monotonic_increasing


def test_moments_are_cut_to_whole_seconds(large, tmp_path):
    """A moment is written as ISO 8601 with `Z`, and never later than it was."""
    lake, _ = large
    rows = "(SELECT TIMESTAMP '2026-11-02 08:00:00.9' AS observed_at)"
    write_csv(lake, rows, [LINE_STATES.column("observed_at")], "en", tmp_path / "moment.csv")
    assert (tmp_path / "moment.csv").read_text(encoding="utf-8").split("\n")[1] == "2026-11-02T08:00:00Z"
