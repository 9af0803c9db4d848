"""A whole snapshot of 100 000 registered lines against a bare COPY of the same rows to Parquet.

The lines are registered with real REGISTERs at a real Kamailio that keeps its bindings in PostgreSQL. Bare is
what anyone would write: `COPY location TO STDOUT`, read as CSV, written as Parquet; without an inventory, a
past, states or a manifest. Both run in a process of their own, so that its peak memory is theirs.
"""

import asyncio
import io
import multiprocessing
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
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
from devlib.model import EVERYTHING, LineState, load_catalogue
from devlib.network import Phone, PhoneFleet, open_network
from devlib.storage import Lake, open_inventory
from tests.postgresql_fixture import PostgresqlServer, _programs, _running

_ROUNDS = 3
_OK = 200
_FIRST_MAC = 0x805EC0 << 24
_LINES_PER_DEVICE = 4  # its lines share its `+sip.instance` (RFC 5626 §4.1)
_COPY = "COPY location TO STDOUT (FORMAT csv, HEADER)"


def run(lines: int = 100_000) -> dict[str, object]:
    """Return the rounds' ratios of a first and a later snapshot to a bare COPY, and peak memory in MB."""
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
        "goal": "ratios <= 2, peak_mb < 500",
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
            copied = bare.apply(bare_copy, (database, folder))
            rounds.append((copied, *ours.apply(snapshots, (rpc_url, database, folder, number, lines))))
    copied, first, later, peaks = zip(*rounds, strict=True)
    return {
        "bare_copy_s": round(statistics.median(copied), 2),
        "first_s": round(statistics.median(first), 2),
        "later_s": round(statistics.median(later), 2),
        "ratio_first": round(statistics.median(a / b for a, b in zip(first, copied, strict=True)), 2),
        "ratio_later": round(statistics.median(a / b for a, b in zip(later, copied, strict=True)), 2),
        "peak_mb": max(peaks),
        "peak_first_mb": peaks[0],
    }


def snapshots(rpc_url: str, database: str, folder: str, number: int, lines: int) -> tuple[float, float, int]:
    """Return seconds of a first snapshot into a new lake and of one after it, and the peak memory in MB.

    Args:
        rpc_url: of the registrar.
        database: URL of its PostgreSQL.
        folder: where the inventory lies.
        number: of the round.
        lines: how many must be registered.
    """
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
    return first, later, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def bare_copy(database: str, folder: str) -> float:
    """Return seconds of a bare copy.

    Args:
        database: URL of the PostgreSQL.
        folder: where the Parquet file goes.
    """
    return _seconds(lambda: _bare(database, Path(folder)))


def _bare(database: str, home: Path) -> None:
    gathered = io.BytesIO()
    with psycopg.connect(database) as connection, connection.cursor().copy(_COPY) as copy:
        for block in copy:
            gathered.write(block)
    gathered.seek(0)
    pq.write_table(csv.read_csv(gathered), home / "bare.parquet", compression="zstd")


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
