"""How long a whole collection takes beside bare lookups of the same line ports, on a real Kamailio.

Bare means: the same number of keep-alive connections, asked with raw bytes, the answers thrown away.
Run it with `python bench/bench_network.py`; the lead passes the collection of the suite as `collect`.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from devlib.clock import SystemClock
from devlib.config import KamailioSettings
from devlib.demo.registrar import running_registrar
from devlib.network import Phone, PhoneFleet, open_network

Collect = Callable[[KamailioSettings, list[str]], object]

CONNECTIONS = 8
ROUNDS = 5


def run(
    lines: int = 20_000, collect: Collect | None = None, connections: int = CONNECTIONS
) -> dict[str, float]:
    """Register `lines` phones and measure bare lookups and the collection, the best of five rounds each.

    Args:
        lines: line ports, all registered.
        collect: gets the settings and the line ports, and returns when all is done; it may not run inside
            an event loop. By default `lookup` of the network alone.
        connections: keep-alive connections on both sides.

    Returns:
        Seconds: `register`, `bare`, `collection`; and `ratio`, collection by bare.
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
        bare, collection = float("inf"), float("inf")
        for _ in range(ROUNDS):  # in turn, so that a busy machine slows both
            bare = min(bare, _seconds(lambda: asyncio.run(_bare(settings, line_ports))))
            collection = min(collection, _seconds(lambda: (collect or _lookup)(settings, line_ports)))
    return {"register": register, "bare": bare, "collection": collection, "ratio": collection / bare}


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
    answers = asyncio.run(open_network(settings, SystemClock()).lookup(line_ports))
    if answers.unanswered:
        raise RuntimeError(f"{len(answers.unanswered)} line ports were not answered")


async def _bare(settings: KamailioSettings, line_ports: list[str]) -> None:
    waiting = iter(line_ports)
    await asyncio.gather(*(_ask(settings.rpc_url, waiting) for _ in range(settings.connections)))


async def _ask(url: str, waiting: Iterator[str]) -> None:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    for line_port in waiting:
        body = (
            b'{"jsonrpc":"2.0","method":"ul.lookup","params":["location","%b"],"id":1}' % line_port.encode()
        )
        writer.write(b"POST /RPC HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
    writer.close()
    await writer.wait_closed()


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
