"""Every question over 30 days of 15-minute snapshots of 100 000 lines (288 million line-states).

What is made how: the states follow one SQL rule (steady lines, flapping ones, long silences, sites that
fall, a network that cannot be asked). Today's snapshots and yesterday's are written whole, one file each, by
`Lake.write`; yesterday is then compacted by the real compactor, which is timed. The days before exist only
with the columns that state periods are made of, one file a day; their state periods are made by the real
compactor too, and the narrow files are removed. So the questions read what they would read in a lake that
grew for 30 days; bytes for each line-state are those of yesterday's whole rows.

Run with other sizes: `python -m bench.bench_analytics LINES DAYS`.
"""

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from devlib import analytics
from devlib.clock import FakeClock
from devlib.model import EVERYTHING, OBSERVATIONS, OBSERVATIONS_LAYOUT, Scope
from devlib.storage import Collected, Compactor, DayFile, DayFileKind, Inventory, Lake, naive, open_inventory
from devlib.storage.compaction import DAY, midnight
from devlib.storage.period_rule import READ

_NOW = datetime(2026, 11, 26, 18, 0, tzinfo=UTC)
_EVERY = timedelta(minutes=15)
_PROVIDER = "Bench Telecom"

# One row for each line: where it is and what it says, with texts as real phones have them.
_FLEET = """
SELECT n AS line_key, 'Bench Telecom' AS provider,
    'Customer ' || lpad((n // 200)::VARCHAR, 4, '0') AS customer,
    'Site ' || lpad((n // 20)::VARCHAR, 5, '0') AS site,
    upper(regexp_replace(printf('805ec0%06x', n // 2), '(..)(..)(..)(..)(..)(..)', '\\1:\\2:\\3:\\4:\\5:\\6'))
        AS mac,
    'Desk ' || (n // 2) AS device_name,
    ['Yealink T46S', 'Cisco 8851', 'Snom D785', 'Poly VVX450'][1 + n // 2 % 4] AS device_type,
    1 + n % 2 AS port, (2000000 + n) || '@site' || (n // 20) || '.example' AS line_port,
    'Primary' AS line_type, 'user' || n AS user_id, 'Ann' || hash(n) % 500 AS first_name,
    'O''Hara' || hash(n, 1) % 5000 AS last_name,
    '+3340' || lpad(n::VARCHAR, 7, '0') AS phone_number, (1000 + n % 9000)::VARCHAR AS extension,
    'sip:' || (2000000 + n) || '@10.' || hash(n, 2) % 200 || '.' || hash(n, 3) % 250
        || '.' || hash(n, 4) % 250 || ':' || 5060 + hash(n, 5) % 1000 || ';transport=tcp' AS contact,
    ['Yealink SIP-T46S 66.86.0.', 'Cisco-CP-8851-3PCC/11.3.', 'snomD785/10.1.', 'PolycomVVX-VVX_450/6.4.']
        [1 + n // 2 % 4] || hash(n // 40) % 9 AS user_agent,
    ['Yealink', 'Cisco', 'Snom', 'Poly'][1 + n // 2 % 4] AS vendor, 'desk' AS kind,
    ['T46S', '8851', 'D785', 'VVX450'][1 + n // 2 % 4] AS said_model,
    '66.86.0.' || hash(n // 40) % 9 AS firmware,
    '<urn:uuid:' || md5('i' || n // 2) || '>' AS instance, md5('c' || n) AS call_id,
    hash(n, 6) % 3600 AS phase
FROM range(1, $lines + 1) AS numbers(n)
"""

# The state of line n in snapshot t (0 for the first): 2 in 100 lines flap, 4 in 100 are silent for days, one
# site in 500 falls for some hours each day, and for half an hour a day a tenth of the lines cannot be asked.
_STATE = """CASE
    WHEN t % 96 IN (40, 41) AND line_key % 10 = (t // 96) % 10 THEN 'unknown'
    WHEN hash(line_key, 7) % 100 < 2 THEN if((t + hash(line_key, 8)) // 8 % 2 = 0, 'registered', 'aged')
    WHEN hash(line_key, 7) % 100 < 6 AND (t // 96 + hash(line_key, 9)) % 9 < 3
        THEN if((t // 96 + hash(line_key, 9)) % 9 = 0, 'aged', 'unregistered')
    WHEN hash(site, t // 96) % 500 = 0 AND t % 96 BETWEEN 30 + hash(site) % 20 AND 55 THEN 'aged'
    ELSE 'registered' END"""
_EVIDENCE = """CASE state WHEN 'registered' THEN 'live' WHEN 'aged' THEN 'expired'
    WHEN 'unknown' THEN 'not asked' ELSE 'retention over' END"""


def run(lines: int = 100_000, days: int = 30) -> dict[str, object]:
    """Return the seconds of each question, peak memory, and bytes for each line-state."""
    with tempfile.TemporaryDirectory() as folder:
        made = _Lake(Path(folder), lines, days)
        try:
            found = made.fill()
        finally:
            made.close()
        with multiprocessing.get_context("spawn").Pool(1) as process:
            found |= process.apply(ask, (folder, days))
    return {
        "what": f"{lines} lines, {days} days, every 15 minutes",
        **found,
        "goal": "each < 2 s, peak_mb < 2000",
    }


class _Lake:
    """A lake that looks as if it had grown for days."""

    def __init__(self, folder: Path, lines: int, days: int) -> None:
        self.lines = lines
        self.first = midnight(_NOW) - (days - 1) * DAY
        self.clock = FakeClock(_NOW)
        self.inventory, self.lake = opened(folder)
        with self.inventory.write() as writer:
            writer.add_provider(_PROVIDER)
            for number in range(lines // 200 + 1):
                writer.add_customer(_PROVIDER, f"Customer {number:04}")
        with self.lake.connection() as cursor:
            self.fleet = cursor.sql(_FLEET, params={"lines": lines}).to_arrow_table()

    def close(self) -> None:
        """Close lake and inventory."""
        self.lake.close()
        self.inventory.close()

    def fill(self) -> dict[str, object]:
        """Make everything; return what it took and the bytes."""
        yesterday = midnight(_NOW) - DAY
        start = time.perf_counter()
        self._narrow_days(yesterday)
        narrow = time.perf_counter() - start
        moments = [yesterday + n * _EVERY for n in range(int((_NOW - yesterday) / _EVERY) + 1)]
        snapshots = [self._write(moment) for moment in moments]
        of_yesterday = [each for each in snapshots if each.observed_at < yesterday + DAY]
        start = time.perf_counter()
        done = Compactor(self.lake, self.clock).run()
        compaction = time.perf_counter() - start
        rows = sum(each.rows for each in of_yesterday)
        csv, unsorted = self._other_formats(moments[-1])
        own = done.bytes_before / rows
        periods = sum(each.bytes for each in done.files if each.kind is DayFileKind.PERIODS) / rows
        return {
            "periods_of_older_days_s": round(narrow, 1),
            "compaction_of_one_day_s": round(compaction, 1),
            "bytes_per_line_state": round(done.bytes_after / rows, 2),
            "bytes_of_state_periods": round(periods, 2),
            "bytes_one_file_each": round(own, 2),
            "bytes_one_file_each_unsorted": round(unsorted, 2),
            "bytes_csv": round(csv, 1),
        }

    def _states(self, moment: datetime, until: datetime) -> str:
        """Return SQL of the states of every line at each snapshot from a moment to before another one."""
        first, last = (int((each - self.first) / _EVERY) for each in (moment, until))
        return (
            f"SELECT fleet.*, t, {_STATE} AS state, TIMESTAMP '{naive(self.first)}' + t * INTERVAL 15 MINUTE "
            f"AS observed_at FROM fleet CROSS JOIN (SELECT unnest(range({first}, {last})) AS t)"
        )

    def _write(self, moment: datetime) -> object:
        given = {
            "expires_at": "observed_at + to_seconds(3600 - (t * 900 + phase) % 1800)",
            "last_registered_at": "observed_at - to_seconds((t * 900 + phase) % 1800)",
            "evidence": _EVIDENCE,
            "state_before": "state",
            "state_known_at": "observed_at",
            "bindings": "if(state = 'registered', 1, 0)",
            "public_address": "'203.0.113.' || line_key // 20 % 250 || ':5060'",
            "private_address": "regexp_extract(contact, '@([^;]+)', 1)",
            "network": "'registrar-' || line_key % 10",
            "said_vendor": "vendor",
            "said_mac": "mac",
            "said_mac_from": "'instance'",
            "ghosts": "0",
        }
        known = {*self.fleet.column_names, "state", "observed_at"}
        columns = ", ".join(
            f"{given.get(c.name, c.name if c.name in known else 'NULL')} AS {c.name}" for c in OBSERVATIONS
        )
        sql = f"SELECT {columns} FROM ({self._states(moment, moment + _EVERY)})"
        order = "ORDER BY provider, customer, site, mac, port"
        collected = Collected(None, None, None, moment)
        return self.lake.write(f"SELECT * FROM ({sql}) {order}", {"fleet": self.fleet}, {}, collected)

    def _narrow_days(self, until: datetime) -> None:
        """Enter the days before a moment, with narrow files, and let the compactor make their periods."""
        files = []
        day = self.first
        while day < until:
            files.append(self._narrow_day(day))
            clock = FakeClock(day + DAY)
            Compactor(self.lake, clock).run()
            files[-1].unlink()
            day += DAY

    def _narrow_day(self, day: datetime) -> Path:
        target = self.lake.target(day, "day")
        moments = [day + n * _EVERY for n in range(96)]
        with self.inventory.write() as writer:
            entries = [
                writer.add_snapshot(
                    Collected(None, None, None, moment),
                    path=f"narrow/{moment:%Y%m%dT%H%M%S}",
                    rows=self.lines,
                    bytes=0,
                    finished_at=moment,
                )
                for moment in moments
            ]
        first = int((day - self.first) / _EVERY)
        columns = ", ".join(name for name in READ if name != "evidence")
        sql = (
            f"SELECT {columns}, {_EVIDENCE} AS evidence, {entries[0].id} + t - {first} AS snapshot_id "
            f"FROM ({self._states(day, day + DAY)})"
        )
        rows = self.lake.copy(target, sql, {"fleet": self.fleet})
        path = str(target.relative_to(self.lake.folder))
        file = DayFile(
            0, DayFileKind.OBSERVATIONS, path, day, day + DAY, day + DAY, rows, target.stat().st_size,
            OBSERVATIONS_LAYOUT, len(entries), entries[-1].id,
        )  # fmt: skip
        with self.inventory.write() as writer:
            writer.move_snapshots([each.id for each in entries], writer.add_day_file(file))
        return target

    def _other_formats(self, moment: datetime) -> tuple[float, float]:
        """Return bytes for each line-state as CSV, and as a Parquet file in no order."""
        rows = self.lake.relation(self.lake.current(EVERYTHING, moment))
        csv, parquet = self.lake.folder / "rows.csv", self.lake.folder / "rows.parquet"
        with self.lake.connection() as cursor:
            cursor.execute(f"COPY (SELECT * FROM {rows}) TO '{csv}' (FORMAT csv, HEADER)")
            shuffled = f"SELECT * FROM {rows} ORDER BY hash(line_key, 99)"
            cursor.execute(f"COPY ({shuffled}) TO '{parquet}' (FORMAT parquet, COMPRESSION zstd)")
        return csv.stat().st_size / self.lines, parquet.stat().st_size / self.lines


def opened(folder: Path | str) -> tuple[Inventory, Lake]:
    """Return inventory and lake of a folder."""
    clock = FakeClock(_NOW)
    inventory = open_inventory(f"sqlite:///{folder}/inventory.db", clock)
    return inventory, Lake(Path(folder) / "lake", inventory, clock)


def ask(folder: str, days: int) -> dict[str, object]:
    """Return the seconds of each question, asked in a process that asks nothing else, and its peak memory.

    Args:
        folder: with inventory and lake.
        days: how many they tell of.
    """
    inventory, lake = opened(folder)
    since = midnight(_NOW) - (days - 1) * DAY
    lately = _NOW - DAY
    one = Scope(_PROVIDER, "Customer 0042")
    questions: dict[str, Callable[[], object]] = {
        "state_counts": lambda: analytics.state_counts(lake, EVERYTHING),
        "state_counts_by_firmware": lambda: analytics.state_counts(
            lake, EVERYTHING, ("device_type", "firmware")
        ),
        "states_at": lambda: analytics.states_at(lake, EVERYTHING, _NOW - 10 * DAY),
        "states_now": lambda: analytics.states_at(lake, EVERYTHING, _NOW),
        "state_changes_24h": lambda: analytics.state_changes(lake, EVERYTHING, lately),
        "state_changes_week": lambda: analytics.state_changes(lake, EVERYTHING, _NOW - 7 * DAY),
        "time_in_state_site": lambda: analytics.time_in_state(lake, EVERYTHING, since),
        "time_in_state_line": lambda: analytics.time_in_state(lake, EVERYTHING, since, by="line"),
        "flapping_lines": lambda: analytics.flapping_lines(lake, EVERYTHING, since, changes=20),
        "aged_lines_24h": lambda: analytics.aged_lines(lake, EVERYTHING, lately),
        "outages": lambda: analytics.outages(lake, EVERYTHING, since),
        "compare": lambda: analytics.compare(lake, EVERYTHING, _NOW - 7 * DAY, _NOW),
        "comparison_summary": lambda: analytics.comparison_summary(lake, EVERYTHING, since + DAY, _NOW),
        "firmware_census": lambda: analytics.firmware_census(lake, EVERYTHING),
        "user_agent_census": lambda: analytics.user_agent_census(lake, EVERYTHING),
        "sunburst": lambda: analytics.sunburst(lake, EVERYTHING),
        "availability": lambda: analytics.availability(lake, EVERYTHING, since, by="all"),
        "heat_map_customer": lambda: analytics.heat_map(lake, one, since),
        "line_history": lambda: analytics.line_history(lake, EVERYTHING, "2000042@site2.example"),
    }
    seconds = {}
    for name, question in questions.items():
        start = time.perf_counter()
        question()
        seconds[name] = round(time.perf_counter() - start, 2)
    lake.close()
    inventory.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"seconds": seconds, "slowest_s": max(seconds.values()), "peak_mb": peak}


if __name__ == "__main__":
    for key, value in run(*map(int, sys.argv[1:3])).items():
        print(f"{key:30} {value}", flush=True)
