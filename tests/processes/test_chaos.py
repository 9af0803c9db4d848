"""Three workers, two collectors, PostgreSQL and a bucket under load, killed and started again at random."""

import os
import random
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from itertools import pairwise

import httpx
import pytest
from bucket_fixture import bucket_server
from chaos_clients import Client
from machines_stage import CUSTOMERS, Machine, Stage, all_killed, opened
from postgresql_fixture import killable

from devlib.clock import SystemClock
from devlib.config import ExportPolicy
from devlib.errors import DevlibError
from devlib.export import open_coordinator
from devlib.model import EVERYTHING, Mac
from devlib.network.loopback import free_ports

__all__ = ["bucket_server"]

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.bucket,
    pytest.mark.long,
    pytest.mark.torture,
    pytest.mark.timeout(1800),
]

SECONDS = float(os.environ.get("DEVLIB_CHAOS_SECONDS", "20"))
CLIENTS = 50
DEVICES = 60  # of each customer
EVERY = 3.0
RUNNING, WAITING = 2, 6
LIMITS = {
    "max_running": RUNNING,
    "max_waiting": WAITING,
    "period": 1.0,
    "cache_ttl": 1.0,
    "queue_timeout": 15.0,
}


class Judge(threading.Thread):
    """Looks at the queue as anybody can, and keeps what it saw.

    Attributes:
        running: most exports that ran at the same time.
        waiting: most that waited.
        looks: how often it could look.
    """

    def __init__(self, url, folder):
        super().__init__(daemon=True)
        self.running = self.waiting = self.looks = 0
        self.stopping = threading.Event()
        self._url, self._folder = url, folder

    def run(self):
        """Look ten times a second."""
        coordinator = None
        while not self.stopping.wait(0.1):
            with suppress(DevlibError):
                coordinator = coordinator or open_coordinator(
                    self._url,
                    self._folder,
                    ExportPolicy(max_running=RUNNING, max_waiting=WAITING),
                    SystemClock(),
                )
                seen = coordinator.overview(0)
                self.running = max(self.running, len(seen.running))
                self.waiting = max(self.waiting, len(seen.waiting))
                self.looks += 1
        if coordinator is not None:
            coordinator.close()


@pytest.fixture
def database():
    with killable() as server:
        yield server


@pytest.fixture
def stage(tmp_path, database, bucket_server, monkeypatch):
    for name, value in bucket_server.environment.items():
        monkeypatch.setenv(name, value)
    limits = "\n".join(["[export]", *(f"{name} = {value}" for name, value in LIMITS.items())])
    made = Stage(
        tmp_path, database.new_database(), bucket_server.new_address(), bucket_server.environment, limits
    )
    made.seed(DEVICES)
    return made


def wait_until(true, what, seconds=400.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def macs_of(place):
    return [str(Mac(0x805EC0 << 24 | place * DEVICES + each)) for each in range(1, DEVICES + 1)]


def told(machines):
    return [each["snapshot"] for machine in machines for each in machine.records() if "snapshot" in each]


def make_trouble(database, workers, collectors, seconds):
    """Kill and start again, one after the other at random; return how often each was killed."""
    chance, kills = random.Random(11), Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(chance.uniform(1.0, 4.0))
        kind = chance.choices(("worker", "collector", "database"), (5, 3, 2))[0]
        victims = {"worker": workers, "collector": collectors, "database": [database]}[kind]
        victim = chance.choice(victims)
        victim.kill()
        kills[kind] += 1
        time.sleep(chance.uniform(0.1, 2.0))
        victim.start()
        supervise([*workers, *collectors])
    return kills


def supervise(machines):
    """Start again what has ended by itself, as systemd does: without a database nothing starts."""
    for each in machines:
        if not each.is_running:
            each.start()


def all_ready(workers, addresses):
    """Return whether every worker says that it is ready; what ended by itself is started again."""
    supervise(workers)
    try:
        return all(httpx.get(f"{each}/ready", trust_env=False, timeout=30).is_success for each in addresses)
    except httpx.TransportError:
        return False


def test_limits_hold_nothing_is_lost_and_everybody_is_answered(stage, database):
    """Whatever is killed: limits hold, no snapshot is lost or doubled, each client gets an answer."""
    ports = free_ports(3)
    workers = [Machine(stage, f"worker-{port}", ["--port", str(port)], module="devlib.api") for port in ports]
    command = ["collect", "--every", f"{EVERY:.0f}s", "--json"]
    collectors = [Machine(stage, f"collector-{number}", command) for number in range(2)]
    addresses = [f"http://127.0.0.1:{port}" for port in ports]
    clients = [
        Client(addresses, token, CUSTOMERS[number % 4], macs_of(number % 4), DEVICES, number)
        for number, token in enumerate(stage.tokens(CLIENTS))
    ]
    judge = Judge(stage.database, stage.folder / "judge-exports")
    with all_killed([*workers, *collectors]):
        supervise([*workers, *collectors])
        wait_until(lambda: all(_serves(each) for each in workers), "the workers serve")
        wait_until(lambda: told(collectors), "a collector collects")
        for each in (judge, *clients):
            each.start()
        kills = make_trouble(database, workers, collectors, SECONDS)
        before = len(told(collectors))
        wait_until(lambda: len(told(collectors)) > before, "a collector collects again")
        wait_until(lambda: all_ready(workers, addresses), "the workers serve again")
        for each in (*clients, judge):
            each.stopping.set()
        for each in (*clients, judge):
            each.join(300)
    _judge_clients(clients)
    _judge_queue(judge, kills)
    _judge_snapshots(stage, told(collectors), kills)


def _judge_clients(clients):
    """Nobody waits for ever, and nobody got anything but answers and errors that say: try again."""
    outcomes = sum((each.outcomes for each in clients), Counter())
    sys.stdout.write(f"\n{dict(sorted(outcomes.items()))}\n")
    assert not any(each.is_alive() for each in clients)
    wrong = [text for each in clients for text in each.wrong]
    assert not wrong, "\n".join(wrong[:20])
    assert all(sum(each.outcomes.values()) > 0 for each in clients)


def _judge_queue(judge, kills):
    sys.stdout.write(f"{SECONDS:.0f} s, killed: {dict(kills)}; queue seen {judge.looks} times, ")
    sys.stdout.write(f"at most {judge.running} running and {judge.waiting} waiting\n")
    assert judge.looks > SECONDS
    assert judge.running <= RUNNING
    assert judge.waiting <= WAITING


def _serves(worker):
    return any('"serving"' in line for line in worker.lines)


def _judge_snapshots(stage, numbers, kills):
    """Every snapshot that was told is there, whole; collections keep their distance, exports their limits."""
    with opened(stage.settings()) as services:
        with services.inventory.read() as reader:
            found = sorted(reader.manifest(EVERYTHING), key=lambda each: each.observed_at)
            assert reader.check_audit().whole
        assert services.lake.present(found) == found
        with services.lake.connection() as cursor:
            rows = cursor.execute(f"SELECT count(*) FROM {services.lake.relation(found)}").fetchall()
    assert rows[0][0] == sum(each.rows for each in found)
    whole = [each for each in found if each.collected.customer is None]
    exports = [each for each in found if each.collected.customer is not None]
    assert {each.rows for each in whole} == {4 * DEVICES}
    assert {each.rows for each in exports} == {DEVICES}
    assert len(set(numbers)) == len(numbers)
    assert set(numbers) <= {each.id for each in whole}
    assert len(whole) <= len(numbers) + kills["collector"] + kills["database"] + 1
    gaps = [(late.observed_at - early.observed_at).total_seconds() for early, late in pairwise(whole)]
    assert min(gaps) > EVERY / 2
    most = _most_at_once(exports)
    sys.stdout.write(f"{len(whole)} snapshots, {len(exports)} real exports, at most {most} at once\n")
    assert most <= RUNNING


def _most_at_once(exports):
    """Return how many real exports asked the network at the same time, by what they wrote themselves."""
    edges = [(each.observed_at, 1) for each in exports] + [(each.finished_at, -1) for each in exports]
    most = now = 0
    for _, step in sorted(edges):
        now += step
        most = max(most, now)
    return most
