"""Servers on loopback that say whatever a test wants, in the place of a registrar."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from devlib.clock import FakeClock
from devlib.config import KamailioSettings
from devlib.network import Network, open_network

LINE = "2001@lyon.example"
CONTACT = {
    "Address": "sip:2001@10.0.0.7:5060",
    "Expires": 1800,
    "Call-ID": "abc",
    "CSeq": 7,
    "User-Agent": "n/a",
    "Received": "[not set]",
    "Path": "[not set]",
    "Socket": "udp:127.0.0.1:5060",
    "Instance": "<urn:uuid:1>",
    "Last-Modified": 1795374441,
}
Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def kamailio_at(port, *, seconds=30.0, connections=4, **more) -> AsyncIterator[Network]:
    """The network that answers at `port`, closed afterwards."""
    url = f"http://127.0.0.1:{port}/RPC"
    settings = KamailioSettings(
        kind="kamailio", name="trial", rpc_url=url, seconds=seconds, connections=connections, **more
    )
    network = open_network(settings, FakeClock())
    try:
        yield network
    finally:
        await network.close()


@asynccontextmanager
async def served(handler) -> AsyncIterator[int]:
    """An HTTP registrar; `handler` takes aiohttp's request."""
    application = web.Application()
    application.router.add_post("/RPC", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def spoken(handler: Raw) -> AsyncIterator[int]:
    """A TCP server that says whatever `handler` writes."""

    async def talk(reader, writer):
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def saying(data: bytes, *, hang: bool = False) -> Raw:
    """Say `data`, whatever is asked."""

    async def talk(reader, writer):
        await reader.read(65_536)
        writer.write(data)
        await writer.drain()
        if hang:
            await reader.read()

    return talk


def http(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    """Write one HTTP answer."""
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), more, body)


def rpc(result: object) -> bytes:
    """Write one JSON-RPC result."""
    return json.dumps({"jsonrpc": "2.0", "result": result, "id": 1}).encode()


def contacts(*changes: dict[str, object]) -> dict[str, object]:
    """Write a result of `ul.lookup`: one contact for each change of the usual one."""
    return {"AoR": LINE, "Contacts": [{"Contact": CONTACT | change} for change in changes]}
