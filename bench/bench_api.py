"""The HTTP service: a million lines as CSV against the same file written here; requests against FastAPI."""

import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import psutil

from bench.bench_report import big_snapshot
from devlib.clock import SystemClock
from devlib.config import QueryLimits, Settings
from devlib.export import ReportRequest, write_report
from devlib.model import EVERYTHING, Identity, NewDevice, Role, Scope, User
from devlib.model.mac import Mac
from devlib.portal import Portal, open_services
from devlib.storage import NewLine

_ROUNDS = 5
_PIECE = 1 << 20
_SECONDS = 5.0
_CONNECTIONS = 32
_WORKERS = 2  # one for each of the two cores of the goal
_DEVICES = 200
_BARE = """
import socket, sys, uvicorn
from fastapi import FastAPI
app = FastAPI(openapi_url=None)
@app.get("/v1/devices/{mac}")
async def device(mac: str) -> dict[str, str]:
    return {"mac": mac}
config = uvicorn.Config(app, log_level="critical", access_log=False)
# Not `fd=`: uvicorn takes that for a Unix socket, and each answer then waits 40 ms for Nagle's algorithm.
uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
"""


def run(rows: int = 1_000_000) -> dict[str, object]:
    """Return seconds and ratio of the streamed CSV, and requests per second beside those of bare FastAPI."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        token = _seed(home, rows)
        with _service(home) as (address, process):
            export = _compare_export(home, address, token, rows)
            alone = _requests(address, token, process)
        with _service(home, _WORKERS) as (address, process):
            ours = _requests(address, token, process)
        with _bare() as (address, process):
            bare = _requests(address, token, process)
    return {
        **export,
        "device_requests_per_s": round(ours.per_second),
        "of_one_worker_per_s": round(alone.per_second),
        "bare_fastapi_per_s": round(bare.per_second),
        "share_of_bare": round(ours.per_second / bare.per_second, 2),
        "device_cpu_ms": round(ours.cpu_ms, 2),
        "bare_cpu_ms": round(bare.cpu_ms, 2),
        "goal_of_requests": ">= 1000 per s, or 0.5 of bare, whichever is less",
    }


def _seed(home: Path, rows: int) -> str:
    services = open_services(Settings(home=home, account="bench"), SystemClock())
    try:
        with services.inventory.write() as writer:
            writer.add_provider("P", line_state_export=True)
            writer.add_customer("P", "C")
            writer.add_site(EVERYTHING, "C", "S", ["Yealink T46S"])
            for number in range(1, _DEVICES + 1):
                mac = Mac(0x001565 << 24 | number)
                writer.add_device(EVERYTHING, "C", NewDevice(mac, "Yealink T46S", "S"))
                line = NewLine(f"{number}@s.example", User(f"u{number}"), port=1)
                writer.assign_lines(EVERYTHING, services.catalogue, [(mac, line)])
            writer.put_identity(Identity("script", Role.VIEWER, Scope("P", "C")))
        big_snapshot(services.lake, rows)
        return Portal(Identity("bench", Role.SERVICE_PROVIDER), services).new_token("script").text
    finally:
        services.close()


@contextmanager
def _service(home: Path, workers: int = 1):  # noqa: ANN202 - of one benchmark
    command = [sys.executable, "-m", "devlib.api", "--port", "0", "--workers", str(workers)]
    environment = {**os.environ, "DEVLIB_HOME": str(home)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        line = next(each for each in process.stderr or () if '"serving"' in each)
        for _ in range(workers if workers > 1 else 0):
            next(each for each in process.stderr or () if '"worker"' in each)
        # Its log is read and dropped, or the pipe would fill.
        drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        try:
            yield f"http://127.0.0.1:{json.loads(line)['port']}", process.pid
        finally:
            process.terminate()
            process.wait()
            drain.wait()


@contextmanager
def _bare():  # noqa: ANN202 - of one benchmark
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        command = [sys.executable, "-c", _BARE, str(listener.fileno())]
        with subprocess.Popen(command, pass_fds=[listener.fileno()]) as process:
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}", process.pid
            finally:
                process.terminate()


def _compare_export(home: Path, address: str, token: str, rows: int) -> dict[str, object]:
    services = open_services(Settings(home=home, account="bench"), SystemClock())
    try:
        local, http = [], []
        for number in range(_ROUNDS + 1):
            local.append(_timed(lambda: _written(services, home / "local", rows)))
            http.append(_timed(lambda number=number: _fetched(address, token, home / f"{number}.csv")))
        ratios = [a / b for a, b in zip(http[1:], local[1:], strict=True)]  # the first warms both
        return {
            "what": f"CSV of {rows} lines over HTTP",
            "http_s": round(statistics.median(http[1:]), 2),
            "local_s": round(statistics.median(local[1:]), 2),
            "ratio": round(statistics.median(ratios), 2),
            "goal": "<= 1.3",
        }
    finally:
        services.close()


def _written(services, folder: Path, rows: int) -> None:  # noqa: ANN001 - of one benchmark
    snapshots = services.lake.current(Scope("P", "C"))
    report = write_report(
        services.lake, snapshots, Scope("P", "C"), ReportRequest("C"), folder, QueryLimits.model_construct()
    )
    assert report.rows == rows  # noqa: S101 - a benchmark of the wrong thing is none


def _fetched(address: str, token: str, target: Path) -> None:
    """Fetch the report into a file with the standard library's client, which only copies."""
    headers = {"Authorization": f"Bearer {token}", "Prefer": "wait=120", "Content-Type": "application/json"}
    order = json.dumps({"customer": "C", "from_snapshot": True})
    connection = HTTPConnection("127.0.0.1", int(address.rsplit(":", 1)[1]), timeout=300)
    with closing(connection), target.open("wb") as file:
        connection.request("POST", "/v1/exports", order, headers)
        answer = connection.getresponse()
        assert answer.status == HTTPStatus.OK, answer.status  # noqa: S101 - a benchmark of refusals is none
        shutil.copyfileobj(answer, file, _PIECE)
    target.unlink()


@dataclass(frozen=True)
class _Answered:
    """Answered requests per second, and milliseconds of CPU of the server for each."""

    per_second: float
    cpu_ms: float


def _requests(address: str, token: str, process: int) -> _Answered:
    """Ask over plain connections with the cheapest client there is, once the server is warm."""
    port = int(address.rsplit(":", 1)[1])
    asyncio.run(_ask_for(port, token, 0.5))
    before = _cpu(process)
    count = asyncio.run(_ask_for(port, token, _SECONDS))
    cpu = _cpu(process) - before
    return _Answered(count / _SECONDS, cpu / count * 1000)


def _cpu(process: int) -> float:
    first = psutil.Process(process)
    return sum(sum(each.cpu_times()[:2]) for each in (first, *first.children(recursive=True)))


async def _ask_for(port: int, token: str, seconds: float) -> int:
    await _ask(port, token, 0.0, 0)  # answers when it has started
    until = time.perf_counter() + seconds
    return sum(await asyncio.gather(*(_ask(port, token, until, number) for number in range(_CONNECTIONS))))


async def _ask(port: int, token: str, until: float, number: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while count == 0 or time.perf_counter() < until:
        mac = f"001565{(number * 37 + count) % _DEVICES + 1:06X}"
        head = f"GET /v1/devices/{mac} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        writer.write(head.encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer  # noqa: S101 - a benchmark of refusals is none
        length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        count += 1
    writer.close()
    return count


def _timed(work) -> float:  # noqa: ANN001 - of one benchmark
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
