"""A lake as it looks after 30 days of 15-minute snapshots of 100 000 lines, made within half an hour.

The states follow one SQL rule: steady lines, flapping ones, long silences, sites that fall, a network that
cannot be asked. Today's snapshots and yesterday's are written one file each by `Lake.write`, and yesterday is
compacted by the real compactor. The file of each earlier day is made from the same rule, in the compactor's
order and with its settings, without the 96 files that a compactor would read: what stays all day is given to
the writer once for each line. Its state periods are made by the real compactor. What yesterday's file takes
for each line-state, and what those of the other days take, is told side by side: they must be alike.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from devlib.clock import FakeClock
from devlib.model import EVERYTHING, OBSERVATIONS, OBSERVATIONS_LAYOUT, Column
from devlib.storage import (
    Collected,
    Compactor,
    DayFile,
    DayFileKind,
    Inventory,
    Lake,
    Snapshot,
    naive,
    open_inventory,
)
from devlib.storage.compaction import DAY, midnight
from devlib.storage.day_sorting import ROW_GROUP
from devlib.storage.snapshot_sql import SNAPSHOT_ID

NOW = datetime(2026, 11, 26, 18, 50, tzinfo=UTC)  # four snapshots since the last full hour
EVERY = timedelta(minutes=15)
PROVIDER = "Bench Telecom"
_OF_DAY = DAY // EVERY
_LINES_OF_GROUP = ROW_GROUP // _OF_DAY

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
    'sip:' || (2000000 + n) || '@10.' || hash(n, 2) % 200 || '.' || hash(n, 3) % 250 || '.'
        || hash(n, 4) % 250 || ':' || 5060 + hash(n, 5) % 1000 || ';transport=tcp' AS contact,
    ['Yealink SIP-T46S 66.86.0.', 'Cisco-CP-8851-3PCC/11.3.', 'snomD785/10.1.', 'PolycomVVX-VVX_450/6.4.']
        [1 + n // 2 % 4] || hash(n // 40) % 9 AS user_agent,
    ['Yealink', 'Cisco', 'Snom', 'Poly'][1 + n // 2 % 4] AS vendor, 'desk' AS kind,
    ['T46S', '8851', 'D785', 'VVX450'][1 + n // 2 % 4] AS said_model,
    '66.86.0.' || hash(n // 40) % 9 AS firmware,
    '<urn:uuid:' || md5('i' || n // 2) || '>' AS instance, md5('c' || n) AS call_id,
    '203.0.113.' || n // 20 % 250 || ':5060' AS public_address,
    regexp_extract(contact, '@([^;]+)', 1) AS private_address,
    'registrar-' || n % 10 AS network, vendor AS said_vendor, mac AS said_mac,
    'instance' AS said_mac_from, (hash(n, 6) % 3600)::BIGINT AS phase
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

# What a collection adds. A phone registers every half hour; until then its binding stays what it is.
_SEEN = {
    "expires_at": "observed_at + to_seconds(3600 - (t * 900 + phase) % 1800)",
    "last_registered_at": "observed_at - to_seconds((t * 900 + phase) % 1800)",
    "evidence": """CASE state WHEN 'registered' THEN 'live' WHEN 'aged' THEN 'expired'
        WHEN 'unknown' THEN 'not asked' ELSE 'retention over' END""",
    "state_before": "state",
    "state_known_at": "observed_at",
    "bindings": "if(state = 'registered', 1, 0)",
    "state": "state",
    "observed_at": "observed_at",
    "ghosts": "0",
}


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes for each line-state.

    Args:
        compacted: yesterday's file, by the compactor.
        made: the files of the days before it, made here.
        periods: state periods, which lie beside them.
        one_file_each: one file for each snapshot, as a collection leaves it.
        unsorted: the same in no order.
        csv: the same as CSV.
    """

    compacted: float
    made: float
    periods: float
    one_file_each: float
    unsorted: float
    csv: float


@dataclass(frozen=True, slots=True)
class Made:
    """What it took.

    Args:
        size: of line-states.
        days_s: seconds for the files of all earlier days, with their state periods.
        compaction_s: seconds of the real compactor for yesterday.
        hour_s: longest time for the state periods of an hour of today.
    """

    size: Bytes
    days_s: float
    compaction_s: float
    hour_s: float


def opened(folder: Path) -> tuple[Inventory, Lake]:
    """Return inventory and lake of a folder."""
    clock = FakeClock(NOW)
    inventory = open_inventory(f"sqlite:///{folder}/inventory.db", clock)
    return inventory, Lake(folder / "lake", inventory, clock)


def first_day(days: int) -> datetime:
    """Return the beginning of the first of so many days, today included."""
    return midnight(NOW) - (days - 1) * DAY


def make_lake(folder: Path, lines: int, days: int) -> Made:
    """Make a lake that looks as if it had grown for days; see the module.

    Args:
        folder: for inventory and lake; empty.
        lines: in each snapshot.
        days: today and those before it; at least three.
    """
    made = _Growing(folder, lines, days)
    try:
        return made.grow()
    finally:
        made.lake.close()
        made.inventory.close()


class _Growing:
    def __init__(self, folder: Path, lines: int, days: int) -> None:
        self.lines = lines
        self.first = first_day(days)
        self.inventory, self.lake = opened(folder)
        with self.inventory.write() as writer:
            writer.add_provider(PROVIDER)
            for number in range(lines // 200 + 1):
                writer.add_customer(PROVIDER, f"Customer {number:04}")
        with self.lake.connection() as cursor:
            self.fleet = cursor.sql(_FLEET, params={"lines": lines}).to_arrow_table()

    def grow(self) -> Made:
        start = time.perf_counter()
        yesterday = midnight(NOW) - DAY
        earlier = [self.first + n * DAY for n in range((yesterday - self.first) // DAY)]
        files = [self._whole_day(day) for day in earlier]
        days_s = time.perf_counter() - start
        own = [self._collect(yesterday + n * EVERY) for n in range(_OF_DAY)]
        start = time.perf_counter()
        done = Compactor(self.lake, FakeClock(midnight(NOW))).run()
        compaction_s = time.perf_counter() - start
        hour_s = self._today()
        rows = sum(each.rows for each in own)
        periods = sum(each.bytes for each in done.files if each.kind is DayFileKind.PERIODS)
        csv, unsorted = self._other_formats(NOW)
        made = sum(each.bytes for each in files) / sum(each.rows for each in files)
        size = Bytes(
            done.bytes_after / rows, made, periods / rows, done.bytes_before / rows, unsorted, csv
        )  # fmt: skip
        return Made(size, days_s, compaction_s, hour_s)

    def _today(self) -> float:
        """Write today's snapshots as a collector does; return the longest time for the periods of an hour."""
        longest = 0.0
        for number in range((NOW - midnight(NOW)) // EVERY + 1):
            moment = midnight(NOW) + number * EVERY
            self._collect(moment)
            start = time.perf_counter()
            Compactor(self.lake, FakeClock(moment)).advance()
            longest = max(longest, time.perf_counter() - start)
        return longest

    def _rows(self, first: int, last: int, wanted: Iterable[Column]) -> str:
        """Return SQL of every line in the snapshots from number `first` to before `last`."""
        states = (
            f"SELECT fleet.*, t, {_STATE} AS state, TIMESTAMP '{naive(self.first)}' + t * INTERVAL 15 MINUTE "
            f"AS observed_at FROM fleet CROSS JOIN (SELECT unnest(range({first}, {last})) AS t)"
        )
        columns = ", ".join(f"({self._source(each.name)})::{each.type} AS {each.name}" for each in wanted)
        return f"SELECT {columns}, t FROM ({states})"

    def _source(self, name: str) -> str:
        return _SEEN.get(name, name if name in self.fleet.column_names else "NULL")

    def _collect(self, moment: datetime) -> Snapshot:
        number = (moment - self.first) // EVERY
        rows = self._rows(number, number + 1, OBSERVATIONS)
        sql = f"SELECT * EXCLUDE (t) FROM ({rows}) ORDER BY provider, customer, site, mac, port"
        return self.lake.write(sql, {"fleet": self.fleet}, {}, Collected(None, None, None, moment))

    def _whole_day(self, day: datetime) -> DayFile:
        """Make and enter the file of a day, and let the compactor make its periods."""
        moments = [day + n * EVERY for n in range(_OF_DAY)]
        with self.inventory.write() as writer:
            entries = [
                writer.add_snapshot(
                    Collected(None, None, None, moment),
                    path=f"never/{moment:%Y%m%dT%H%M%S}",
                    rows=self.lines,
                    bytes=0,
                    finished_at=moment,
                )
                for moment in moments
            ]
        target = self.lake.target(day, "day")
        rows = self._write_day(target, day, entries[0].id)
        path = str(target.relative_to(self.lake.folder))
        file = DayFile(
            0, DayFileKind.OBSERVATIONS, path, day, day + DAY, day + DAY, rows, target.stat().st_size,
            OBSERVATIONS_LAYOUT, len(entries), entries[-1].id,
        )  # fmt: skip
        with self.inventory.write() as writer:
            writer.move_snapshots([each.id for each in entries], writer.add_day_file(file))
        Compactor(self.lake, FakeClock(day + DAY)).run()
        return file

    def _write_day(self, target: Path, day: datetime, first_entry: int) -> int:
        target.parent.mkdir(parents=True, exist_ok=True)
        writer, rows = None, 0
        for table in self._groups(day, first_entry):
            writer = writer or pq.ParquetWriter(target, table.schema, compression="zstd", store_schema=False)
            writer.write_table(table, row_group_size=ROW_GROUP)
            rows += table.num_rows
        if writer is not None:
            writer.close()
        return rows

    def _groups(self, day: datetime, first_entry: int) -> Iterator[pa.Table]:
        """Give a day's rows by customer, line and time; a line's number grows with its customer."""
        first = (day - self.first) // EVERY
        still = [each for each in OBSERVATIONS if each.name in self.fleet.column_names]
        moving = [each for each in OBSERVATIONS if each not in still]
        rows = self._rows(first, first + _OF_DAY, [*moving, OBSERVATIONS.column("line_key")])
        number = f"{first_entry} + t - {first} AS {SNAPSHOT_ID}"
        sql = f"SELECT * EXCLUDE (t, line_key), {number} FROM ({rows}) ORDER BY line_key, t"
        for place in range(0, self.lines, _LINES_OF_GROUP):
            lines = self.fleet.slice(place, _LINES_OF_GROUP)
            with self.lake.connection({"fleet": lines}) as cursor:
                found = cursor.sql(sql).to_arrow_table()
            each_line = pa.array(np.repeat(np.arange(lines.num_rows), _OF_DAY))
            columns = {each.name: _repeated(lines[each.name], each_line) for each in still}
            columns |= {name: found[name] for name in found.column_names}
            names = [*OBSERVATIONS.names, SNAPSHOT_ID]
            yield pa.table({name: columns[name] for name in names})

    def _other_formats(self, moment: datetime) -> tuple[float, float]:
        """Return bytes for each line-state as Parquet in no order, and as CSV."""
        rows = self.lake.relation(self.lake.current(EVERYTHING, moment))
        csv, parquet = self.lake.folder / "rows.csv", self.lake.folder / "rows.parquet"
        with self.lake.connection() as cursor:
            cursor.execute(f"COPY (SELECT * FROM {rows}) TO '{csv}' (FORMAT csv, HEADER)")
            shuffled = f"SELECT * FROM {rows} ORDER BY hash(line_key, 99)"
            cursor.execute(f"COPY ({shuffled}) TO '{parquet}' (FORMAT parquet, COMPRESSION zstd)")
        sizes = csv.stat().st_size / self.lines, parquet.stat().st_size / self.lines
        csv.unlink()
        parquet.unlink()
        return sizes


def _repeated(column: pa.ChunkedArray, places: pa.Array) -> pa.Array:
    """Return a column's values at these places; texts by their numbers, as a writer does."""
    values = column.combine_chunks()
    return (values.dictionary_encode() if pa.types.is_string(values.type) else values).take(places)
