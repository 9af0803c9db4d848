"""10 000 OPTIONS through the SIP client against bare asyncio UDP loops of as many messages.

Bare is what anyone would write: asyncio's datagram endpoint and as many workers as the window has places;
each sends one datagram and awaits the next that arrives; nothing is built, matched or read.
Raw is the limit below:
no workers, the protocol sends the next datagram from within its callback. All ask the same peer in another
process, with the same window; bare and raw send the OPTIONS of the client byte for byte, and the peer answers
all alike: the request's own headers under a `200 OK`.
Run it with `python -m bench probe`.
"""

import asyncio
import itertools
import multiprocessing
import resource
import socket
import statistics
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
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
Measured = tuple[float, float]  # wall and processor seconds


class _Answerer(asyncio.DatagramProtocol):
    """Answers each request with its own headers under another first line."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._transport.sendto(b"SIP/2.0 200 OK" + data[data.index(b"\r\n") :], addr)


class _Wire(asyncio.DatagramProtocol):
    """Hands what arrives to `heard`."""

    def __init__(self, heard: Callable[[], None]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: Address) -> None:  # noqa: ARG002 - as asyncio calls it
        self._heard()


def run(count: int = 10_000, window: int = 128) -> dict[str, object]:
    """Measure all in seven rounds, one after the other.

    Args:
        count: OPTIONS, each to another line port.
        window: under way at once, on all sides.

    Returns:
        Medians of seconds and of the process's own processor seconds, and the medians of the rounds' ratios.
    """
    with _peer() as address:
        rounds = [asyncio.run(_round(count, window, address)) for _ in range(ROUNDS)]
    client, bare, raw = zip(*rounds, strict=True)
    return {
        "what": f"{count} OPTIONS, window {window}, against bare UDP loops of the same bytes",
        **{
            f"{name}_{unit}": round(statistics.median(each[place] for each in side), 2)
            for name, side in (("client", client), ("bare", bare), ("raw", raw))
            for place, unit in ((0, "s"), (1, "cpu_s"))
        },
        "ratio_to_bare": _ratio(client, bare),
        "ratio_to_raw": _ratio(client, raw),
        "goal": "ratio_to_bare <= 1.5",
    }


def _ratio(one: Sequence[Measured], other: Sequence[Measured]) -> float:
    return round(statistics.median(a[0] / b[0] for a, b in zip(one, other, strict=True)), 2)


async def _round(count: int, window: int, peer: Address) -> tuple[Measured, Measured, Measured]:
    messages = [_example(number, peer) for number in range(count)]
    bare = await _measured(lambda: _bare(messages, window, peer))
    client = await _measured(lambda: _client(count, window, peer))
    raw = await _measured(lambda: _raw(messages, window, peer))
    return client, bare, raw


async def _measured(work: Callable[[], Awaitable[None]]) -> Measured:
    wall, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    await work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return time.perf_counter() - wall, cpu


async def _open(heard: Callable[[], None]) -> asyncio.DatagramTransport:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Wire(heard), local_addr=(_HOST, 0)
    )
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    return transport


async def _bare(messages: list[bytes], window: int, peer: Address) -> None:
    waiting: deque[asyncio.Future[None]] = deque()
    transport = await _open(lambda: waiting.popleft().set_result(None))
    left = iter(messages)

    async def work() -> None:
        for message in left:
            answer = asyncio.get_running_loop().create_future()
            waiting.append(answer)
            transport.sendto(message, peer)
            await answer

    # The buffers hold more than the window, so that nothing is lost; a round that hangs says so.
    await asyncio.wait_for(asyncio.gather(*(work() for _ in range(window))), _PATIENCE)
    transport.close()


async def _raw(messages: list[bytes], window: int, peer: Address) -> None:
    done = asyncio.get_running_loop().create_future()
    left, missing = iter(messages), len(messages)

    def heard() -> None:
        nonlocal missing
        missing -= 1
        if (message := next(left, None)) is not None:
            transport.sendto(message, peer)
        elif missing == 0:
            done.set_result(None)

    transport = await _open(heard)
    for message in itertools.islice(left, window):
        transport.sendto(message, peer)
    await asyncio.wait_for(done, _PATIENCE)
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
