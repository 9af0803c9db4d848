"""Many processes at once, and processes that are killed."""

import multiprocessing
import os
import random
import signal
import time
from contextlib import suppress

import pytest

from devlib.clock import FakeClock, SystemClock
from devlib.errors import Conflict
from devlib.model import EVERYTHING, Catalogue, Mac, NewDevice, Scope, User
from devlib.storage import DeviceFilter, Inventory, NewLine, Page, open_inventory

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

_PROCESSES = multiprocessing.get_context("fork")
_SECONDS = float(os.environ.get("DEVLIB_TORTURE_SECONDS", "5"))
_TYPE = "Yealink T46S"
_CUSTOMER = Scope("Provider", "Customer")


def _fill(inventory: Inventory, devices: int = 0) -> None:
    with inventory.write() as writer:
        writer.add_provider("Provider")
        writer.add_customer("Provider", "Customer")
        writer.add_site(EVERYTHING, "Customer", "Site", [_TYPE])
        writer.add_devices(_CUSTOMER, "Customer", (_device(number) for number in range(1, devices + 1)))


def _device(number: int) -> NewDevice:
    return NewDevice(Mac(number), _TYPE, "Site", name=f"Phone {number}")


class _Worker:
    """One process that edits and asks without pause, and counts what was acknowledged."""

    def __init__(self, url: str, number: int, catalogue: Catalogue) -> None:
        self._url = url
        self._number = number
        self._catalogue = catalogue
        self._random = random.Random(number)
        self.edits = 0

    def run(self, results: object, seconds: float) -> None:
        end = time.monotonic() + seconds
        try:
            with open_inventory(self._url, SystemClock()) as inventory:
                while time.monotonic() < end:
                    self._act(inventory)
        except Exception as error:  # noqa: BLE001 - the parent shows it
            results.put((self.edits, repr(error)))
        else:
            results.put((self.edits, ""))

    def _act(self, inventory: Inventory) -> None:
        if self._random.random() < 0.3:
            with suppress(Conflict):
                self._edit(inventory)
        else:
            self._ask(inventory)

    def _edit(self, inventory: Inventory) -> None:
        mac = Mac(self._random.randrange(1, 2001))
        with inventory.write() as writer:
            line_port = f"{self._number}.{self.edits}@example.org"
            writer.assign_line(EVERYTHING, self._catalogue, mac, NewLine(line_port, User("someone")))
            writer.audit(principal=str(self._number), role="", session="", act="assign", outcome="done")
        self.edits += 1

    def _ask(self, inventory: Inventory) -> None:
        with inventory.read() as reader:
            kind = self._random.randrange(4)
            if kind == 0:
                list(
                    reader.devices(EVERYTHING, self._catalogue, DeviceFilter(search="phone"), Page(limit=20))
                )
            elif kind == 1:
                list(reader.line_batches(EVERYTHING))
            elif kind == 2:
                reader.device(EVERYTHING, Mac(self._random.randrange(1, 2001)))
            else:
                reader.audit_entries(10)


def test_sixteen_processes_read_and_write(url: str, clock: FakeClock, catalogue: Catalogue) -> None:
    """Sixteen processes that read and write all the time meet no error, and every edit stays."""
    with open_inventory(url, clock) as inventory:
        _fill(inventory, devices=2000)
    results = _PROCESSES.Queue()
    workers = [
        _PROCESSES.Process(target=_Worker(url, number, catalogue).run, args=(results, _SECONDS))
        for number in range(16)
    ]
    for each in workers:
        each.start()
    outcomes = [results.get() for _ in workers]
    for each in workers:
        each.join()
    results.close()
    results.join_thread()
    assert [error for _, error in outcomes if error] == []
    with open_inventory(url, clock) as inventory, inventory.read() as reader:
        edits = sum(edits for edits, _ in outcomes)
        assert edits > 0
        assert len(reader.audit_entries(limit=10**9)) == edits
        assert sum(map(len, reader.line_batches(EVERYTHING))) == edits


def _write_until_killed(url: str, told: object) -> None:
    # Each transaction adds a thousand devices and says so in the audit.
    with open_inventory(url, SystemClock()) as inventory:
        told.send(True)
        for each in range(1, 10**6):
            with inventory.write() as writer:
                numbers = range(each * 1000, each * 1000 + 1000)
                writer.add_devices(_CUSTOMER, "Customer", map(_device, numbers))
                writer.audit(principal="", role="", session="", act="add", outcome="done")


def test_killed_writers_leave_all_or_nothing(url: str, clock: FakeClock, catalogue: Catalogue) -> None:
    """Whenever a writer is killed, whole transactions are there, and the next writer goes on."""
    with open_inventory(url, clock) as inventory:
        _fill(inventory)
    chance = random.Random(7)
    told = 0  # the audit can only be appended to
    for _ in range(8):
        _kill_one(url, chance.uniform(0.0, 0.4))
        with open_inventory(url, clock) as inventory, inventory.write() as writer:
            added = writer.count(EVERYTHING, catalogue)
            entries = len(writer.audit_entries(limit=10**9))
            assert added == 1000 * (entries - told)
            told = entries
            writer.connection.exec_driver_sql("DELETE FROM devices")


def _kill_one(url: str, seconds: float) -> None:
    reading, writing = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=_write_until_killed, args=(url, writing))
    process.start()
    reading.recv()
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    reading.close()
    writing.close()
    process.close()
