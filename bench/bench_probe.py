"""10 000 OPTIONS through the SIP client against a bare asyncio UDP loop of as many messages.

Bare is what anyone would write: asyncio's datagram endpoint, one datagram sent for each that arrives, nothing
built, matched or read. Both ask the same peer in another process, with the same window; the bare loop sends
the OPTIONS of the client byte for byte, and the peer answers both alike: the request's own headers under a
`200 OK`.
Run it with `python -m bench probe`.
"""

import asyncio
import itertools
import multiprocessing
import resource
import socket
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from devlib.config import fresh_token, fresh_tokens
from devlib.network.sip_client import SipClient
from devlib.network.sip_hop import Hop
from devlib.network.sip_request import Attempt, SipRequest, write_attempt

_HOST = "127.0.0.1"
_BUFFER = 4 << 20
_OK = 200
_PATIENCE = 60.0  # seconds for one round of the bare loop
ROUNDS = 7

Address = tuple[str, int]


class _Answerer(asyncio.DatagramProtocol):
    """Answers each request with its own headers under another first line."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._transport.sendto(b"SIP/2.0 200 OK" + data[data.index(b"\r\n") :], addr)


class _Bare(asyncio.DatagramProtocol):
    """Sends one message for each that arrives."""

    def __init__(self, messages: list[bytes], window: int, peer: Address) -> None:
        self._messages = iter(messages)
        self._left = len(messages)
        self._window = window
        self._peer = peer
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._transport = transport
        for message in itertools.islice(self._messages, self._window):
            transport.sendto(message, self._peer)

    def datagram_received(self, data: bytes, addr: Address) -> None:  # noqa: ARG002 - as asyncio calls it
        self._left -= 1
        message = next(self._messages, None)
        if message is not None:
            self._transport.sendto(message, self._peer)
        elif self._left == 0:
            self.done.set_result(None)


def run(count: int = 10_000, window: int = 128) -> dict[str, object]:
    """Measure both in seven rounds, one after the other.

    Args:
        count: OPTIONS, each to another line port.
        window: under way at once, on both sides.

    Returns:
        Medians of seconds and of the process's own processor seconds, and the medians of the rounds' ratios.
    """
    with _peer() as address:
        rounds = [asyncio.run(_round(count, window, address)) for _ in range(ROUNDS)]
    bare, client = ([each[side] for each in rounds] for side in (0, 1))
    return {
        "what": f"{count} OPTIONS, window {window}, against a bare UDP loop of the same bytes",
        "client_s": round(statistics.median(wall for wall, _ in client), 2),
        "bare_s": round(statistics.median(wall for wall, _ in bare), 2),
        "client_cpu_s": round(statistics.median(cpu for _, cpu in client), 2),
        "bare_cpu_s": round(statistics.median(cpu for _, cpu in bare), 2),
        "ratio": round(statistics.median(c[0] / b[0] for b, c in rounds), 2),
        "ratio_cpu": round(statistics.median(c[1] / b[1] for b, c in rounds), 2),
        "worst_ratio": round(max(c[0] / b[0] for b, c in rounds), 2),
        "goal": "ratio <= 1.5",
    }


async def _round(count: int, window: int, peer: Address) -> tuple[tuple[float, float], tuple[float, float]]:
    messages = [_example(number, peer) for number in range(count)]
    bare = await _measured(lambda: _bare(messages, window, peer))
    client = await _measured(lambda: _client(count, window, peer))
    return bare, client


async def _measured(work: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    wall, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    await work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return time.perf_counter() - wall, cpu


async def _bare(messages: list[bytes], window: int, peer: Address) -> None:
    loop = asyncio.get_running_loop()
    transport, bare = await loop.create_datagram_endpoint(
        lambda: _Bare(messages, window, peer), local_addr=(_HOST, 0)
    )
    # Its buffers hold more than the window, so that nothing is lost; a round that hangs says so.
    await asyncio.wait_for(bare.done, _PATIENCE)
    transport.close()


async def _client(count: int, window: int, peer: Address) -> None:
    hop = Hop("udp", *peer)
    numbers = iter(range(count))
    answered = 0

    async def work(client: SipClient) -> None:
        nonlocal answered
        for number in numbers:
            asked = SipRequest("OPTIONS", _uri(number), hop)
            answer = await client.request(asked, limit=32.0)
            answered += answer.status == _OK

    async with SipClient(_HOST, fresh_tokens().__next__) as client:
        await asyncio.gather(*(work(client) for _ in range(window)))
    if answered != count:
        raise RuntimeError(f"{count - answered} OPTIONS were not answered")


def _uri(number: int) -> str:
    return f"sip:{2_000_000 + number}@bench.example"


def _example(number: int, peer: Address) -> bytes:
    """Return what the client sends, from a port of as many digits."""
    asked = SipRequest("OPTIONS", _uri(number), Hop("udp", *peer))
    return write_attempt(asked, Attempt.first(fresh_token()), "UDP", _HOST, peer[1])


@contextmanager
def _peer() -> Iterator[Address]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.kill()
        process.join()


def _serve(told: Connection) -> None:
    asyncio.run(_answer_for_ever(told))


async def _answer_for_ever(told: Connection) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(_Answerer, local_addr=(_HOST, 0))
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    told.send(transport.get_extra_info("sockname"))
    await asyncio.Event().wait()
