"""Admission: how long a step takes, beside a bare SQLite transaction of the same size in the same run.

Fifty paced processes, the waking of a waiting process, and the processor time of thirteen that wait. Run with
`python bench/bench_admission.py`, or call `run()`.
"""

import itertools
import json
import os
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from devlib.clock import SystemClock
from devlib.config import ExportPolicy
from devlib.export.admission import ExportKey, TicketState
from devlib.export.coordinator import Coordinator, open_coordinator
from devlib.export.coordinator_values import ExportRequest

PROCESSES = 50
SECONDS = 5.0
PACE = 0.5
WAITERS = 13
POLICY = ExportPolicy(period=0.01, cache_ttl=0.01)
# Nothing may time out while thirteen processes are watched waiting.
PATIENT = ExportPolicy(max_waiting=WAITERS)


def run() -> dict[str, float]:
    """Return all figures: milliseconds, and shares of one core in percent."""
    with tempfile.TemporaryDirectory() as folder:
        return paced(Path(folder) / "paced") | waking(Path(folder) / "waking") | idle(Path(folder) / "idle")


def _open(folder: Path, policy: ExportPolicy) -> Coordinator:
    return open_coordinator("sqlite:///inventory.db", folder, policy, SystemClock())


def _submit(coordinator: Coordinator, name: str, bell: str = "") -> TicketState:
    request = ExportRequest(name, name, ExportKey("Opale", name))
    return coordinator.submit(request, ticket=name, bell=bell).state


def _fork(count: int, work: Callable[[int], object]) -> list[list[float]]:
    """Run `work(number)` in so many processes at once; return what each gave back."""
    readers = []
    for number in range(count):
        reader, writer = os.pipe()
        if os.fork() == 0:
            try:
                with os.fdopen(writer, "w") as told:
                    json.dump(work(number), told)
            finally:
                os._exit(0)
        os.close(writer)
        readers.append(reader)
    results = [json.load(os.fdopen(reader)) for reader in readers]
    for _ in readers:
        os.wait()
    return results


def paced(folder: Path) -> dict[str, float]:
    """Time each submit and cancel, and each bare transaction, of fifty processes that ask twice a second."""
    bare = folder / "bare.db"
    folder.mkdir(parents=True)
    _make_bare(bare)
    results = _fork(PROCESSES, lambda number: _ask(folder, bare, number))
    steps = [value for each in results for value in each if value > 0]
    bares = [-value for each in results for value in each if value < 0]
    return _spread("admission", steps) | _spread("bare", bares)


def _make_bare(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(
        "PRAGMA journal_mode = PERSIST; CREATE TABLE t (name TEXT PRIMARY KEY, doc TEXT)"
    )
    connection.close()


def _ask(folder: Path, bare: Path, number: int) -> list[float]:
    """Return milliseconds of steps, and of bare transactions with the sign changed."""
    coordinator = _open(folder / "queue", POLICY)
    connection = sqlite3.connect(bare, isolation_level=None, timeout=30)
    connection.execute("PRAGMA synchronous = OFF")
    document = "x" * 2500  # thirteen tickets
    times = []
    time.sleep(1.0 + number * PACE / PROCESSES)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for act in (lambda: _submit(coordinator, f"p{number}"), lambda: coordinator.cancel(f"p{number}")):
            began = time.perf_counter()
            act()
            times.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("SELECT doc FROM t").fetchone()
        connection.execute("INSERT OR REPLACE INTO t VALUES ('export', ?)", (document,))
        connection.execute("COMMIT")
        times.append((began - time.perf_counter()) * 1000)
        time.sleep(PACE)
    coordinator.close()
    return times


def _spread(name: str, times: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(times, n=100)
    return {f"{name}_p50_ms": round(cuts[49], 2), f"{name}_p99_ms": round(cuts[98], 2)}


def waking(folder: Path) -> dict[str, float]:
    """Time from the end of one process's export to the moment at which the next process is awake."""
    rounds = 40
    policy = ExportPolicy(max_running=1, period=0.001, cache_ttl=0.001)
    results = _fork(2, lambda number: _take_turns(_open(folder, policy), number, rounds))
    ends, starts = results[0], results[1]
    merged = sorted([(at, "end") for each in (ends, starts) for at in each[1::2]]
                    + [(at, "start") for each in (ends, starts) for at in each[0::2]])  # fmt: skip
    pairs = itertools.pairwise(merged)
    gaps = [(b[0] - a[0]) * 1000 for a, b in pairs if a[1] == "end" and b[1] == "start"]
    return {"wake_p50_ms": round(statistics.median(gaps), 2), "wake_p99_ms": round(max(gaps), 2)}


def _take_turns(coordinator: Coordinator, number: int, rounds: int) -> list[float]:
    """Export again and again, 20 ms each; return the moments start, end, start, end, and so on."""
    moments = []
    with coordinator.bell() as bell:
        for turn in range(rounds):
            name = f"{number}-{turn}"
            answer = coordinator.submit(
                ExportRequest(name, name, ExportKey("Opale", name)), ticket=name, bell=bell.address
            )
            while answer.state is not TicketState.RUNNING:
                bell.wait(answer.wake_in, answer.watch)
                answer = coordinator.poll(name)
            moments.append(time.monotonic())
            time.sleep(0.02)
            moments.append(time.monotonic())
            coordinator.finish(name, answer.epoch, "r")
    return moments


def idle(folder: Path) -> dict[str, float]:
    """Share of one core that thirteen waiting processes use together while three exports run."""
    holder = _open(folder, PATIENT)
    for number in range(PATIENT.max_running):
        _submit(holder, f"holder {number}")
    used = _fork(WAITERS, lambda number: _wait(_open(folder, PATIENT), number))
    holder.close()
    return {"waiting_cpu_percent": round(100 * sum(each[0] for each in used) / SECONDS, 1)}


def _wait(coordinator: Coordinator, number: int) -> list[float]:
    """Wait for some seconds as `acquire` does; return the processor seconds used."""
    with coordinator.bell() as bell:
        name = f"w{number}"
        answer = coordinator.submit(
            ExportRequest(name, name, ExportKey("Opale", name)), ticket=name, bell=bell.address
        )
        before = resource.getrusage(resource.RUSAGE_SELF)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            bell.wait(answer.wake_in, answer.watch)
            answer = coordinator.poll(name)
        after = resource.getrusage(resource.RUSAGE_SELF)
        coordinator.cancel(name)
    return [after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime]


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
