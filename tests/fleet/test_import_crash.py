"""Imports that are killed, and imports that run at the same time."""

import io
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from devlib.clock import FakeClock, SystemClock
from devlib.fleet import ImportMode, import_devices
from devlib.model import Catalogue, Scope
from devlib.storage import open_inventory

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

_PROCESSES = multiprocessing.get_context("fork")
_ROWS = 3_000
_HEADER = "Site,Device Type,MAC Address\n"


def _file(numbers: list[int]) -> bytes:
    rows = (f"Lyon,Yealink T46S,001565{number:06X}\n" for number in numbers)
    return (_HEADER + "".join(rows)).encode()


def _import(
    url: str, catalogue: Catalogue, content: bytes, result: Path | None = None, told: object = None
) -> None:
    with open_inventory(url, SystemClock()) as inventory:
        if told is not None:
            told.send(True)
        scope, mode = Scope("Telecom", "Bakery"), ImportMode.VALID_ROWS
        import_devices(inventory, catalogue, scope, "Bakery", io.BytesIO(content), mode=mode, result=result)


def _count(url: str, catalogue: Catalogue) -> int:
    with open_inventory(url, FakeClock()) as inventory, inventory.read() as reader:
        return reader.count(Scope("Telecom", "Bakery"), catalogue)


def _empty(url: str) -> None:
    with open_inventory(url, FakeClock()) as inventory, inventory.write() as writer:
        writer.connection.exec_driver_sql("DELETE FROM devices")


def test_killed_import_is_never_partial(url: str, catalogue: Catalogue, tmp_path: Path) -> None:
    """An import that is killed at any of twenty moments leaves all or nothing; repeating it completes it."""
    content = _file(list(range(1, _ROWS + 1)))
    begun = time.monotonic()
    _import(url, catalogue, content)
    whole = time.monotonic() - begun
    chance, counts = random.Random(11), []
    for turn in range(20):
        _empty(url)
        result = tmp_path / "result.csv"
        _kill(url, catalogue, content, result, seconds=whole * (turn + chance.random()) / 18)
        counts.append(_count(url, catalogue))
        assert counts[-1] in (0, _ROWS)
        if result.exists():
            assert result.read_text().count("\n") == _ROWS + 1
            result.unlink()
    assert 0 in counts
    _import(url, catalogue, content)
    assert _count(url, catalogue) == _ROWS


def _kill(url: str, catalogue: Catalogue, content: bytes, result: Path, seconds: float) -> None:
    reading, writing = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=_import, args=(url, catalogue, content, result, writing))
    process.start()
    reading.recv()
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    for each in (reading, writing, process):
        each.close()


def test_concurrent_imports_of_overlapping_files(url: str, catalogue: Catalogue) -> None:
    """Sixteen imports of overlapping files, each in its own order, succeed, and each MAC is there once."""
    chance, files = random.Random(5), []
    for turn in range(16):
        numbers = list(range(turn * 50 + 1, turn * 50 + 401))
        chance.shuffle(numbers)
        files.append(_file(numbers))
    importers = [_PROCESSES.Process(target=_import, args=(url, catalogue, content)) for content in files]
    for each in importers:
        each.start()
    for each in importers:
        each.join()
    assert [each.exitcode for each in importers] == [0] * 16
    assert _count(url, catalogue) == 15 * 50 + 400
