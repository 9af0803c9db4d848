"""A whole snapshot of 100 000 registered lines against a bare COPY of the same rows to Parquet.

The lines are registered with real REGISTERs at a real Kamailio that keeps its bindings in PostgreSQL. Bare is
what anyone would write: `COPY … TO STDOUT`, read as CSV, written as Parquet; without an inventory, a past,
states or a manifest. There are two of them: of the snapshot's own rows, all its columns, out of a PostgreSQL
table that already holds them (the same rows to the same Parquet: what a snapshot would cost if nothing had
to be found out), and of the location table alone, which has a quarter of the columns. Memory is that of the
command `devlib collect`, a process for each.
"""

import asyncio
import io
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
from pyarrow import csv

from bench.bench_collection import seed_lines
from devlib.clock import SystemClock
from devlib.collect import Collector, Networks, Served
from devlib.config import KamailioSettings
from devlib.demo.location_tables import make_location_tables
from devlib.demo.registrar import Options, running_registrar
from devlib.model import EVERYTHING, OBSERVATIONS, LineState, load_catalogue
from devlib.network import Phone, PhoneFleet, open_network
from devlib.storage import Lake, open_inventory
from devlib.storage.lake_engine import spare_memory
from tests.postgresql_fixture import PostgresqlServer, _programs, _running

_ROUNDS = 3
_OK = 200
_FIRST_MAC = 0x805EC0 << 24
_LINES_PER_DEVICE = 4  # its lines share its `+sip.instance` (RFC 5626 §4.1)
_COPY = "COPY {table} TO STDOUT (FORMAT csv, HEADER)"
_LOCATION, _ROWS = "location", "snapshot_rows"
_KINDS = {"BIGINT": "bigint", "DOUBLE": "double precision", "TIMESTAMP": "timestamp", "VARCHAR": "text"}


def run(lines: int = 100_000) -> dict[str, object]:
    """Return the rounds' ratios of a first and a later snapshot to the bare COPYs, and peak memory in MB."""
    line_ports = [f"{2_000_000 + number}@bench.example" for number in range(lines)]
    with tempfile.TemporaryDirectory() as folder, _postgresql() as server:
        database = server.new_database()
        make_location_tables(database)
        options = Options(database=database, db_mode=1)
        with running_registrar(Path(folder) / "kamailio", contacts=lines, options=options) as registrar:
            registered = _seconds(lambda: asyncio.run(_register(registrar.address, line_ports)))
            inventory = open_inventory(f"sqlite:///{folder}/inventory.db", SystemClock())
            seed_lines(inventory, line_ports)
            inventory.close()
            found = _rounds(registrar.rpc_url, database, folder, lines)
    return {
        "what": f"snapshot of {lines} lines registered in a Kamailio with PostgreSQL",
        "register_s": round(registered, 1),
        **found,
        "goal": "ratios to the same rows <= 2, peak_mb < 500",
    }


@contextmanager
def _postgresql() -> Iterator[PostgresqlServer]:
    programs = _programs()
    if programs is None:
        raise RuntimeError("PostgreSQL is not installed")
    with _running(programs) as server:
        yield server


async def _register(address: tuple[str, int], line_ports: list[str]) -> None:
    phones = (
        Phone(
            line_port,
            "Yealink SIP-T46S 66.85.0.5",
            f"urn:uuid:00000000-0000-1000-8000-{_FIRST_MAC + n // _LINES_PER_DEVICE:012x}",
        )
        for n, line_port in enumerate(line_ports)
    )
    async with PhoneFleet(address, SystemClock(), limit_seconds=32) as fleet:
        answers = await fleet.register(phones)
    if missing := sum(status != _OK for status in answers.values()):
        raise RuntimeError(f"{missing} phones could not register")


def _rounds(rpc_url: str, database: str, folder: str, lines: int) -> dict[str, object]:
    """Run all rounds: the bare copies in one process of their own, the snapshots in another."""
    spawn = multiprocessing.get_context("spawn")
    rounds = []
    with spawn.Pool(1) as bare, spawn.Pool(1) as ours:
        for number in range(_ROUNDS):
            first, later = ours.apply(snapshots, (rpc_url, database, folder, number, lines))
            if number == 0:
                _keep_rows(database, next((Path(folder) / "round0" / "lake").glob("*/*.parquet")))
            same = bare.apply(bare_copy, (database, folder, _ROWS))
            rounds.append((bare.apply(bare_copy, (database, folder, _LOCATION)), same, first, later))
    location, same_rows, firsts, laters = zip(*rounds, strict=True)
    peaks = _collected(rpc_url, database, Path(folder))
    return {
        "bare_location_s": round(statistics.median(location), 2),
        "bare_same_rows_s": round(statistics.median(same_rows), 2),
        "first_s": round(statistics.median(firsts), 2),
        "later_s": round(statistics.median(laters), 2),
        "first_to_same_rows": _ratio(firsts, same_rows),
        "later_to_same_rows": _ratio(laters, same_rows),
        "later_to_location": _ratio(laters, location),
        "peak_mb": max(peaks),
        "peak_first_mb": peaks[0],
    }


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 2)


def _collected(rpc_url: str, database: str, folder: Path) -> list[int]:
    """Let the command collect three times; return the most memory of each process in MB."""
    home = folder / "home"
    home.mkdir()
    shutil.copy(folder / "inventory.db", home / "inventory.db")
    network = f'kind = "kamailio"\nname = "bench"\nrpc_url = "{rpc_url}"\ndatabase = "{database}"\n'
    (home / "devlib.toml").write_text(f"[[networks]]\n{network}")
    command = "import sys; from devlib.cli import main; sys.exit(main(['collect']))"
    peaks = []
    for _ in range(_ROUNDS):
        process = subprocess.Popen(
            [sys.executable, "-c", command],
            env=os.environ | {"DEVLIB_HOME": str(home)},
            stdout=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError("the command did not collect")
        peaks.append(used.ru_maxrss // 1024)
    return peaks


def _keep_rows(database: str, file: Path) -> None:
    """Put the rows of a snapshot into a table of PostgreSQL, as they are."""
    columns = ", ".join(f"{each.name} {_KINDS[each.type]}" for each in OBSERVATIONS)
    text = io.BytesIO()
    csv.write_csv(pq.read_table(file), text)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {_ROWS} ({columns})")
        with connection.cursor().copy(f"COPY {_ROWS} FROM STDIN (FORMAT csv, HEADER)") as copy:
            copy.write(text.getvalue())
        connection.execute(f"VACUUM ANALYZE {_ROWS}")


def snapshots(rpc_url: str, database: str, folder: str, number: int, lines: int) -> tuple[float, float]:
    """Return seconds of a first snapshot into a new lake and of one after it.

    Args:
        rpc_url: of the registrar.
        database: URL of its PostgreSQL.
        folder: where the inventory lies.
        number: of the round.
        lines: how many must be registered.
    """
    spare_memory()  # as `devlib collect` does
    settings = KamailioSettings.model_validate(
        {"kind": "kamailio", "name": "bench", "rpc_url": rpc_url, "database": database}
    )
    home = Path(folder) / f"round{number}"
    home.mkdir()
    shutil.copy(Path(folder) / "inventory.db", home / "inventory.db")
    clock = SystemClock()
    inventory = open_inventory(f"sqlite:///{home / 'inventory.db'}", clock)
    lake = Lake(home / "lake", inventory, clock)
    served = Served("bench", frozenset(), lambda: open_network(settings, clock))
    collector = Collector(
        inventory, lake, Networks([served]), catalogue=load_catalogue(), clock=clock, aged_retention=86_400
    )

    def collect() -> None:
        states = collector.collect(EVERYTHING).states
        if states[LineState.REGISTERED] != lines:
            raise RuntimeError(f"not all lines are registered: {states}")

    try:
        first, later = _seconds(collect), _seconds(collect)
    finally:
        lake.close()
        inventory.close()
    return first, later


def bare_copy(database: str, folder: str, table: str) -> float:
    """Return seconds of a bare copy.

    Args:
        database: URL of the PostgreSQL.
        folder: where the Parquet file goes.
        table: what is copied, whole.
    """
    return _seconds(lambda: _bare(database, Path(folder), table))


def _bare(database: str, home: Path, table: str) -> None:
    gathered = io.BytesIO()
    with (
        psycopg.connect(database) as connection,
        connection.cursor().copy(_COPY.format(table=table)) as copy,
    ):
        for block in copy:
            gathered.write(block)
    gathered.seek(0)
    pq.write_table(csv.read_csv(gathered), home / f"{table}.parquet", compression="zstd")


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
