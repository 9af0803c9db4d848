"""Random and mutated bytes against parser, digest, stream and a living client: no exception, no growth.

It runs for DEVLIB_TORTURE_SECONDS, 2 by default and 600 in `make torture`. What it draws comes from a seed
that is printed, so that a finding can be had again with DEVLIB_FUZZ_SEED.
"""

import asyncio
import os
import random
import sys
import time
import tracemalloc

import psutil
import pytest
from both_transports import open_both
from pydantic import SecretStr

from devlib.network.sip import parse_message, uri_in, write_response
from devlib.network.sip_answer import quick_look
from devlib.network.sip_client import SipClient
from devlib.network.sip_digest import (
    Credentials,
    answer_challenge,
    challenge,
    is_right_answer,
    is_stale,
    parse_digest,
    strongest,
)
from devlib.network.sip_hop import Hop
from devlib.network.sip_request import SipRequest
from devlib.network.sip_stream import MOST_BODY, MOST_HEAD, SipStream, StreamBroken

SECONDS = float(os.environ.get("DEVLIB_TORTURE_SECONDS", "2"))
SEED = int(os.environ.get("DEVLIB_FUZZ_SEED", "0")) or random.SystemRandom().getrandbits(32)
TRACED = 1 << 20  # bytes by which what Python holds may grow
RESIDENT = 24 << 20  # bytes by which the process may grow
LOGIN = Credentials("night", SecretStr("shift"))

OK = (
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;rport=5070;branch=z9hG4bKa1\r\n"
    b"From: <sip:d@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n"
    b"Server: Yealink\r\nContent-Length: 0\r\n\r\n"
)
UNAUTHORIZED = (
    b"SIP/2.0 401 Unauthorized\r\nv: SIP/2.0/TCP [::1]:5070 ; branch = z9hG4bKa1\r\nf: <sip:d@b>\r\n"
    b"t: <sip:a@b>\r\ni: c\r\nCSeq: 1\r\n NOTIFY\r\nl: 4\r\n"
    b"WWW-Authenticate: %b\r\n\r\nbody" % challenge("r", "n").encode()
)
NOTIFY = (
    b"NOTIFY sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/TCP b;branch=z9hG4bK2\r\n"
    b'From: "A \\" B" <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 7 NOTIFY\r\n'
    b"Event: check-sync;reboot=true\r\nContent-Length: 0\r\n\r\n"
)
SEEDS = (OK, UNAUTHORIZED, NOTIFY)
PIECES = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\x00", b"\xff\xfe", b":", b";", b",", b'"', b"\\",
    b"<", b">", b"=", b"%00", b"SIP/2.0 ", b"Via: ", b"v:", b"CSeq: 1 OPTIONS", b"Content-Length: ", b"l: -1",
    b"branch=z9hG4bK", b"99999999999999999999", b"Digest ", b'realm="', b"nonce=", b"qop=auth-int",
    b"stale=true", b"algorithm=SHA-256-sess",
]  # fmt: skip


class Draw:
    """Random and mutated bytes."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def data(self):
        """Return the next bytes: of nothing, of pieces, or of a message that was changed."""
        kind = self.random.random()
        if kind < 0.1:
            return self.random.randbytes(self.random.randrange(600))
        if kind < 0.2:
            return b"".join(self.random.choices(PIECES, k=self.random.randrange(40)))
        return self.changed(self.random.choice(SEEDS))

    def changed(self, data):
        """Return `data` with a few changes: cut, doubled, replaced, filled."""
        for _ in range(self.random.randrange(1, 6)):
            place = self.random.randrange(len(data) + 1)
            cut = self.random.choice((0, 0, 1, 2, 8, 40))
            piece = self.random.choice(
                (b"", self.random.choice(PIECES), self.random.randbytes(3), data[place : place + 30])
            )
            if self.random.random() < 0.01:
                piece *= self.random.randrange(2_000)
            data = data[:place] + piece + data[place + cut :]
        return data


def read_everything(data):
    """Ask parser and digest for everything that they can say of these bytes."""
    quick_look(data)
    found = parse_message(data)
    if found is not None:
        assert bool(found.method) != bool(found.status)
        assert (found.branch, found.cseq, found.has_one_via) is not None
        write_response(found, 200, found.reason, "tag")
        for _, value in found.headers:
            uri_in(value)
    text = data.decode("utf-8", "surrogateescape")
    for value in (text, f"Digest {text}"):
        parse_digest(value)
        is_stale(value)
        is_right_answer(value, "NOTIFY", LOGIN, "r", "n")
        if (offered := strongest([value])) is not None:
            answer_challenge(offered, "NOTIFY", text, LOGIN, cnonce=text)


def feed_everything(draw, data):
    """Give the bytes to a stream in pieces; it holds no more than one message may be long."""
    stream = SipStream()
    try:
        while data:
            size = draw.random.randrange(1, 200)
            for found in stream.feed(data[:size]):
                parse_message(found)
            assert stream.held <= MOST_HEAD + MOST_BODY
            data = data[size:]
    except StreamBroken:
        pass


class Memory:
    """What the process has since the work was warm, and what Python holds after a last part of it."""

    def __init__(self):
        self.process = psutil.Process()
        self.resident = self.process.memory_info().rss

    def check(self, rounds, last):
        """Fail where either grew beyond its bound; say the figures."""
        resident = self.process.memory_info().rss - self.resident
        tracemalloc.start()
        last()
        traced = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        sys.stdout.write(f"seed {SEED}: {rounds} rounds, {resident >> 10} kB more, {traced} bytes held\n")
        assert traced < TRACED
        assert resident < RESIDENT


@pytest.mark.torture
@pytest.mark.timeout(SECONDS + 300)
def test_no_bytes_raise_or_stay():
    """Parser, digest and stream take anything for as long as it lasts, and keep nothing of it."""
    draw = Draw(SEED)
    rounds = 0

    def one_round():
        data = draw.data()
        read_everything(data)
        feed_everything(draw, data)

    for _ in range(500):
        one_round()
    memory = Memory()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        one_round()
        rounds += 1
    memory.check(rounds, lambda: [one_round() for _ in range(100)] and None)


class HostilePeer(asyncio.DatagramProtocol):
    """Answers each request with changed answers to it; now and then with the right one."""

    def __init__(self, draw):
        self.draw = draw

    def connection_made(self, transport):
        """Keep the way to answer."""
        self.transport = transport

    def datagram_received(self, data, addr):
        """Answer with anything."""
        for back in self.answers(data):
            self.transport.sendto(back[:60_000], addr)

    async def serve(self, reader, writer):
        """Answer a TCP connection with anything, and break it now and then."""
        try:
            while data := await reader.read(4096):
                for back in self.answers(data):
                    writer.write(back)
                if self.draw.random.random() < 0.05:
                    break
        except OSError:
            pass
        finally:
            writer.close()

    def answers(self, data):
        """Return a few answers, mostly wrong ones."""
        request = parse_message(data)
        if request is None:
            return [self.draw.data()]
        status = self.draw.random.choice((100, 183, 200, 401, 404, 407, 486, 603))
        right = write_response(request, status, "Said", "peer")
        if status in (401, 407):
            line = f"\r\nWWW-Authenticate: {challenge('r', 'n')}, stale=true\r\n".encode()
            right = right.replace(b"\r\n", line, 1)
        wrong = [self.draw.changed(right) for _ in range(3)]
        return [*wrong, self.draw.data(), *([right] if self.draw.random.random() < 0.3 else [])]


async def ask_for_long(seconds, draw):
    """Ask a hostile peer over both transports; return how often."""
    transport, _, server = await open_both(lambda: HostilePeer(draw))
    port = transport.get_extra_info("sockname")[1]
    hops = [Hop(kind, "127.0.0.1", port) for kind in ("udp", "tcp")]
    end, asked = time.monotonic() + seconds, 0
    numbers = iter(range(1 << 60))

    async def work(client):
        nonlocal asked
        while time.monotonic() < end:
            method = draw.random.choice(("OPTIONS", "NOTIFY"))
            request = SipRequest(method, "sip:2001@lab.test", draw.random.choice(hops))
            answer = await client.request(request, 0.1, LOGIN)
            assert 200 <= answer.status <= 699
            _ = answer.message
            asked += 1

    async with SipClient("127.0.0.1", lambda: f"fuzz{next(numbers):020}", t1=0.02) as client:
        await asyncio.gather(*(work(client) for _ in range(16)))
        await asyncio.sleep(0.3)
        assert client.under_way == 0
    transport.close()
    server.close()
    await asyncio.sleep(0.1)
    return asked


@pytest.mark.torture
@pytest.mark.timeout(SECONDS + 300)
def test_a_living_client_survives_a_hostile_peer():
    """Every request ends with a final status in time, nothing is raised, and nothing stays."""
    draw = Draw(SEED)
    asyncio.run(ask_for_long(0.5, draw))
    memory = Memory()
    asked = asyncio.run(ask_for_long(SECONDS / 4, draw))
    assert asked > 10
    memory.check(asked, lambda: asyncio.run(ask_for_long(0.3, draw)))
