"""How long a whole collection takes beside bare lookups of the same line ports, on a real Kamailio.

Bare is what anyone would write: the same number of keep-alive connections of aiohttp, ask, read,
`json.loads`. Raw is the limit below it: sockets, the answers thrown away.
Run it with `python -m bench network`; `bench_collection` passes the collection of the suite as `collect`.
"""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from devlib.clock import SystemClock
from devlib.config import KamailioSettings
from devlib.demo.registrar import running_registrar
from devlib.network import Answers, Phone, PhoneFleet, open_network

Collect = Callable[[KamailioSettings, list[str]], object]

CONNECTIONS = 8
ROUNDS = 5


def run(
    lines: int = 20_000, collect: Collect | None = None, connections: int = CONNECTIONS
) -> dict[str, float]:
    """Register `lines` phones and measure bare and raw lookups and the collection, in five rounds of all.

    Args:
        lines: line ports, all registered.
        collect: gets the settings and the line ports, and returns when all is done; it may not run inside
            an event loop. By default `lookup` of the network alone.
        connections: keep-alive connections on all sides.

    Returns:
        Seconds: `register`, and the medians `bare`, `raw` and `collection`; `ratio` and `ratio_to_raw`, the
        medians of the rounds' own ratios, since a busy machine slows a whole round.
    """
    line_ports = [f"{2_000_000 + number}@bench.example" for number in range(lines)]
    with (
        tempfile.TemporaryDirectory() as folder,
        running_registrar(Path(folder), contacts=lines) as registrar,
    ):
        settings = KamailioSettings(
            kind="kamailio", name="bench", rpc_url=registrar.rpc_url, connections=connections
        )
        register = _seconds(lambda: asyncio.run(_register(registrar.address, line_ports)))
        rounds = [_round(settings, line_ports, collect or _lookup) for _ in range(ROUNDS)]
    bare, raw, collection = (statistics.median(each) for each in zip(*rounds, strict=True))
    return {
        "register": register,
        "bare": bare,
        "raw": raw,
        "collection": collection,
        "ratio": statistics.median(collected / asked for asked, _, collected in rounds),
        "ratio_to_raw": statistics.median(collected / asked for _, asked, collected in rounds),
    }


def _round(settings: KamailioSettings, line_ports: list[str], collect: Collect) -> tuple[float, float, float]:
    return (
        _seconds(lambda: asyncio.run(_bare(settings, line_ports))),
        _seconds(lambda: asyncio.run(_raw(settings, line_ports))),
        _seconds(lambda: collect(settings, line_ports)),
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


async def _register(address: tuple[str, int], line_ports: list[str]) -> None:
    phones = (
        Phone(line_port, "Yealink SIP-T46S 66.85.0.5", f"urn:uuid:00000000-0000-1000-8000-{number:012x}")
        for number, line_port in enumerate(line_ports)
    )
    # Longer than any run, so that no refresh is due while lookups are timed.
    async with PhoneFleet(address, SystemClock(), limit_seconds=32) as fleet:
        answers = await fleet.register(phones)
    missing = sum(status != 200 for status in answers.values())  # noqa: PLR2004 - SIP's OK
    if missing:
        raise RuntimeError(f"{missing} phones could not register")


def _lookup(settings: KamailioSettings, line_ports: list[str]) -> None:
    answers = asyncio.run(_look_up(settings, line_ports))
    if answers.unanswered:
        raise RuntimeError(f"{len(answers.unanswered)} line ports were not answered")


async def _look_up(settings: KamailioSettings, line_ports: list[str]) -> Answers:
    network = open_network(settings, SystemClock())
    try:
        return await network.lookup(line_ports)
    finally:
        await network.close()


def _question(line_port: str) -> bytes:
    question = {"jsonrpc": "2.0", "method": "ul.lookup", "params": ["location", line_port], "id": 1}
    return json.dumps(question).encode()


async def _bare(settings: KamailioSettings, line_ports: list[str]) -> None:
    waiting = iter(line_ports)

    async def work(session: aiohttp.ClientSession) -> None:
        for line_port in waiting:
            async with session.post(settings.rpc_url, data=_question(line_port)) as response:
                json.loads(await response.read())

    connector = aiohttp.TCPConnector(limit=settings.connections)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(work(session) for _ in range(settings.connections)))


async def _raw(settings: KamailioSettings, line_ports: list[str]) -> None:
    waiting = iter(line_ports)
    await asyncio.gather(*(_ask(settings.rpc_url, waiting) for _ in range(settings.connections)))


async def _ask(url: str, waiting: Iterator[str]) -> None:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    for line_port in waiting:
        body = _question(line_port)
        writer.write(b"POST /RPC HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
    writer.close()
    await writer.wait_closed()


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
