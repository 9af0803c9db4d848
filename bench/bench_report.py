"""The line-state report of 1 000 000 lines against DuckDB's bare COPY of the same rows, and pandas."""

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from devlib.clock import SystemClock
from devlib.config import QueryLimits
from devlib.export import ReportRequest, write_report
from devlib.model import LINE_STATES, Scope
from devlib.storage import Collected, Lake, Snapshot, open_inventory

_ROUNDS = 5
_ROWS = """
SELECT 'P' AS provider, 'C' AS customer, printf('site %05d', i // 125) AS site,
    printf('00:15:65:%02X:%02X:%02X', (i >> 16) & 255, (i >> 8) & 255, i & 255) AS mac,
    'phone ' || i AS device_name, 'Yealink T46S' AS device_type, 1 AS port,
    printf('%d@site-%d.example', i, i // 125) AS line_port, 'Primary' AS line_type, 'user' || i AS user_id,
    'First' || (i % 1000) AS first_name, 'Last' || (i % 5000) AS last_name,
    '+3314' || (1000000 + i) AS phone_number, (i % 10000)::VARCHAR AS extension,
    CASE WHEN i % 10 = 0 THEN 'aged' ELSE 'registered' END AS state,
    TIMESTAMP '2026-11-01' + to_seconds(i % 3600) AS expires_at,
    TIMESTAMP '2026-11-01' + to_seconds(i % 1800) AS last_registered_at,
    printf('sip:%d@10.0.%d.1:5060', i, i % 255) AS contact,
    CASE WHEN i % 200 = 0 THEN '=cmd|calc' ELSE 'Yealink SIP-T46S 66.85.0.' || (i % 5) END AS user_agent,
    '192.0.2.' || (i % 255) AS public_address, '10.0.0.' || (i % 255) AS private_address,
    '' AS base_station_id, TIMESTAMP '2026-11-01' AS observed_at, 1 AS bindings, 'registered' AS state_before,
    TIMESTAMP '2026-11-01' AS state_known_at, 'live' AS evidence, 'n' AS network, i AS line_key,
    'Yealink' AS vendor, 'desk' AS kind, '' AS chain_id, '' AS instance, 'c' || i AS call_id,
    'Yealink' AS said_vendor, 'T46S' AS said_model, '66.85.0.5' AS firmware, '' AS said_mac,
    '' AS said_mac_from, 0 AS ghosts, '' AS current_base, '' AS reason, 'live' AS evidence_before
FROM range({rows}) AS t(i) ORDER BY i
"""


def big_snapshot(lake: Lake, rows: int) -> Snapshot:
    """Write a snapshot of `rows` made-up lines of one customer."""
    collected = Collected(None, None, None, datetime(2026, 11, 1, tzinfo=UTC))
    return lake.write(_ROWS.format(rows=rows), {}, {}, collected)


def run(rows: int = 1_000_000) -> dict[str, object]:
    """Return medians in seconds of the report, of the bare COPY and of pandas, and their ratios."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with open_inventory(f"sqlite:///{home / 'inventory.db'}", SystemClock()) as inventory:
            lake = Lake(home / "lake", inventory, SystemClock())
            try:
                return _compare(lake, big_snapshot(lake, rows), home, rows)
            finally:
                lake.close()


def _compare(lake: Lake, snapshot: Snapshot, home: Path, rows: int) -> dict[str, object]:
    names = ", ".join(LINE_STATES.names)
    source = f"SELECT {names} FROM {lake.relation([snapshot])}"

    def report() -> None:
        written = write_report(
            lake, [snapshot], Scope("P", "C"), ReportRequest("C"), home / "out", QueryLimits.model_construct()
        )
        assert written.rows == rows  # noqa: S101 - a benchmark of the wrong thing is none

    def bare() -> None:
        with lake.connection() as cursor:
            cursor.execute(f"COPY ({source}) TO '{home / 'bare.csv'}' (FORMAT csv, HEADER)")

    def pandas() -> None:
        with lake.connection() as cursor:
            cursor.execute(source).df().to_csv(home / "pandas.csv", index=False, date_format="%FT%TZ")

    bare(), report()  # both warm
    pairs = [(_timed(report), _timed(bare)) for _ in range(_ROUNDS)]
    ours, peer = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    by_pandas = _timed(pandas)
    return {
        "what": f"CSV of {rows} lines",
        "devlib_s": round(ours, 2),
        "duckdb_copy_s": round(peer, 2),
        "pandas_s": round(by_pandas, 2),
        "ratio_to_copy": round(ratio, 2),
        "goal": "<= 1.3",
        "faster_than_pandas": round(by_pandas / ours, 1),
    }


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
