"""The SIP client on real loopback sockets: both transports, both families, challenges, hostile peers."""

import asyncio
import itertools
import socket
from contextlib import asynccontextmanager

import pytest
from both_transports import open_both
from pydantic import SecretStr

from devlib.network.sip import parse_message, write_response
from devlib.network.sip_client import SipClient
from devlib.network.sip_digest import Credentials, challenge, is_right_answer
from devlib.network.sip_hop import Hop
from devlib.network.sip_request import SipRequest

ALICE = Credentials("alice", SecretStr("wonder land"))
NOTIFY = (("Event", "check-sync;reboot=true"), ("Subscription-State", "terminated"))


def ok(request, _):
    """Answer 200."""
    return write_response(request, 200, "OK", "peer")


class Peer(asyncio.DatagramProtocol):
    """Another SIP element on one port, over UDP and TCP; `reply` gives each answer, or `None`."""

    def __init__(self, reply):
        self.reply = reply
        self.heard = []
        self.writers = []

    def connection_made(self, transport):
        """Keep the way to answer."""
        self.transport = transport

    def datagram_received(self, data, addr):
        """Answer over UDP."""
        if (back := self._answer(data, "udp")) is not None:
            self.transport.sendto(back, addr)

    async def serve(self, reader, writer):
        """Answer over TCP, one request after the other."""
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(
                    parse_message(head.replace(b"Content-Length: ", b"X-Length: ")).header("x-length")
                )
                data = head + await reader.readexactly(length)
                if (back := self._answer(data, "tcp")) is not None:
                    writer.write(back)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    def _answer(self, data, transport):
        request = parse_message(data)
        self.heard.append((transport, request))
        return self.reply(request, len(self.heard))


@asynccontextmanager
async def peer_at(reply=ok, host="127.0.0.1"):
    """A peer that listens on UDP and TCP."""
    transport, peer, server = await open_both(lambda: Peer(reply), host)
    port = transport.get_extra_info("sockname")[1]
    peer.hops = {kind: Hop(kind, host, port) for kind in ("udp", "tcp")}
    peer.server = server
    try:
        yield peer
    finally:
        transport.close()
        server.close()
        for writer in peer.writers:
            writer.close()
        await asyncio.sleep(0)


def client_at(host="127.0.0.1", **more):
    """A client whose tokens can be told apart."""
    numbers = itertools.count(1)
    return SipClient(host, lambda: f"token{next(numbers):019}", **more)


def asked(hop, method="OPTIONS", headers=(), body=b""):
    return SipRequest(method, "sip:2001@lab.test", hop, headers, body)


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_request_is_answered(host, transport):
    """Over both transports and both families, with a Via of our own address, rport, and a Contact."""
    async with peer_at(host=host) as peer, client_at(host) as client:
        answers = [await client.request(asked(peer.hops[transport]), 5.0) for _ in range(3)]
        assert {answer.status for answer in answers} == {200}
        heard = [request for kind, request in peer.heard if kind == transport]
        assert len(heard) == 3
        assert len({request.branch for request in heard}) == len({r.header("call-id") for r in heard}) == 3
        own = "[::1]" if host == "::1" else host
        via = heard[0].header("via")
        assert via.startswith(f"SIP/2.0/{transport.upper()} {own}:")
        assert ";rport;branch=z9hG4bK" in via
        assert heard[0].header("contact").startswith(f"<sip:devlib@{own}:")
        assert heard[0].cseq == (1, "OPTIONS")
        assert len(peer.writers) <= 1  # the connection is kept
        assert client.under_way == 0


async def test_a_name_is_looked_up_in_the_own_family():
    """A hop may be a name; a host without an address of our family is 503 with the reason, not an error."""
    async with peer_at() as peer, client_at() as client:
        hop = Hop("udp", "localhost", peer.hops["udp"].port)
        assert (await client.request(asked(hop), 5.0)).status == 200
        other = await client.request(asked(Hop("udp", "::1", 5060)), 5.0)
        assert (other.status, other.came) == (503, False)
        assert "own_host" in str(other.failure)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_where_nobody_listens_it_is_503_at_once(transport):
    """A refused connection, and an ICMP error on UDP, end a request long before its time limit."""
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    async with client_at() as client:
        loop = asyncio.get_running_loop()
        start = loop.time()
        answer = await client.request(asked(Hop(transport, "127.0.0.1", free_port(kind))), 30.0)
        assert (answer.status, answer.came) == (503, False)
        assert "refused" in str(answer.failure)
        assert loop.time() - start < 5


async def test_a_refused_peer_costs_the_others_nothing():
    """ICMP for one request ends that one; requests to a living peer on the same socket are answered."""
    dead = Hop("udp", "127.0.0.1", free_port(socket.SOCK_DGRAM))
    async with peer_at() as peer, client_at() as client:
        work = [client.request(asked(hop), 20.0) for hop in (dead, peer.hops["udp"]) * 40]
        statuses = [answer.status for answer in await asyncio.gather(*work)]
        assert statuses == [503, 200] * 40


async def test_a_silent_peer_is_408_in_time():
    """Without an answer the time limit ends it; the request was repeated with the same branch."""
    async with peer_at(lambda request, number: None) as peer, client_at(t1=0.02) as client:
        answer = await client.request(asked(peer.hops["udp"]), 0.3)
        assert (answer.status, answer.came) == (408, False)
        assert len(peer.heard) > 2
        assert len({request.branch for _, request in peer.heard}) == 1
        over_tcp = await client.request(asked(peer.hops["tcp"]), 0.1)
        assert over_tcp.status == 408
        assert sum(kind == "tcp" for kind, _ in peer.heard) == 1


async def test_a_long_request_goes_over_tcp():
    """Above 1300 bytes UDP is not used (RFC 3261 §18.1.1), and the Via says so."""
    async with peer_at() as peer, client_at() as client:
        assert (await client.request(asked(peer.hops["udp"], body=b"x" * 500), 5.0)).status == 200
        assert (await client.request(asked(peer.hops["udp"], body=b"x" * 1400), 5.0)).status == 200
        assert [kind for kind, _ in peer.heard] == ["udp", "tcp"]
        assert "/TCP " in peer.heard[1][1].header("via")
        assert peer.heard[1][1].body == b"x" * 1400


async def test_a_long_request_goes_over_udp_where_tcp_is_refused():
    """A peer without TCP gets it over UDP, once: nothing had been sent (RFC 3261 §18.1.1)."""
    async with peer_at() as peer, client_at() as client:
        peer.server.close()
        await peer.server.wait_closed()
        answer = await client.request(asked(peer.hops["udp"], "NOTIFY", NOTIFY, b"x" * 1400), 5.0)
        assert answer.status == 200
        assert [kind for kind, _ in peer.heard] == ["udp"]


@pytest.mark.parametrize("breaking", ["close", "garbage", "no length"])
async def test_a_broken_connection_is_opened_again(breaking):
    """A connection that the peer closes or fills with garbage ends its request; the next gets a new one."""
    ends = {
        "close": None,
        "garbage": b"x" * 70_000,
        "no length": b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\n\r\n",
    }

    def reply(request, number):
        if number != 2:
            return ok(request, number)
        if ends[breaking] is None:
            asyncio.get_running_loop().call_soon(peer.writers[0].transport.abort)
        return ends[breaking]

    async with peer_at(reply) as peer, client_at() as client:
        hop = peer.hops["tcp"]
        assert (await client.request(asked(hop, "NOTIFY", NOTIFY), 5.0)).status == 200
        broken = await client.request(asked(hop, "NOTIFY", NOTIFY), 5.0)
        assert (broken.status, broken.came) == (503, False)
        # It is not sent again by itself: it may have arrived.
        assert len(peer.heard) == 2
        assert (await client.request(asked(hop, "NOTIFY", NOTIFY), 5.0)).status == 200
        assert len(peer.writers) == 2


async def test_options_over_a_stale_connection_are_asked_again():
    """A kept connection that breaks says nothing about an OPTIONS: it is repeated once, on a new one."""

    def reply(request, number):
        if number == 2:
            peer.writers[0].transport.abort()
            return None
        return ok(request, number)

    async with peer_at(reply) as peer, client_at() as client:
        statuses = [(await client.request(asked(peer.hops["tcp"]), 5.0)).status for _ in range(3)]
        assert statuses == [200, 200, 200]
        assert len(peer.writers) == 2


class Guard:
    """Challenges like a phone, with one nonce or several; counts what it let through."""

    def __init__(self, algorithm="MD5", status=401, nonces=1, refuse=False):
        self.algorithm, self.status, self.nonces, self.refuse = algorithm, status, nonces, refuse
        self.done = 0

    def __call__(self, request, number):
        """Let the right proof of the newest nonce through."""
        given = request.header("authorization" if self.status == 401 else "proxy-authorization")
        newest = f"nonce{min(number, self.nonces)}"
        right = given and is_right_answer(given, request.method, ALICE, "phone", newest)
        if right and not self.refuse:
            self.done += 1
            return ok(request, number)
        name = "WWW-Authenticate" if self.status == 401 else "Proxy-Authenticate"
        offered = challenge("phone", f"nonce{min(number + 1, self.nonces)}", self.algorithm)
        if given and not self.refuse:
            offered += ", stale=TRUE"
        back = write_response(request, self.status, "Who are you", "peer")
        return back.replace(b"\r\nContent-Length", f"\r\n{name}: {offered}\r\nContent-Length".encode())


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "MD5-sess", "SHA-256-sess"])
@pytest.mark.parametrize("status", [401, 407])
async def test_a_challenge_is_answered(algorithm, status):
    """The phone gets the proof in a new transaction of the same call, and acts once."""
    guard = Guard(algorithm, status)
    async with peer_at(guard) as peer, client_at() as client:
        answer = await client.request(asked(peer.hops["udp"], "NOTIFY", NOTIFY), 5.0, ALICE)
        assert answer.status == 200
        assert guard.done == 1
        first, second = [request for _, request in peer.heard]
        assert first.header("call-id") == second.header("call-id")
        assert first.header("from") == second.header("from")
        assert first.branch != second.branch
        assert (first.cseq[0], second.cseq[0]) == (1, 2)
        assert second.header("event") == "check-sync;reboot=true"


async def test_a_nonce_that_was_too_old_is_answered_once_more():
    """`stale=true` is answered with the new nonce, once."""
    guard = Guard(nonces=2)
    async with peer_at(guard) as peer, client_at() as client:
        assert (await client.request(asked(peer.hops["udp"], "NOTIFY"), 5.0, ALICE)).status == 200
        assert (guard.done, len(peer.heard)) == (1, 3) or (guard.done, len(peer.heard)) == (1, 2)


@pytest.mark.parametrize(("credentials", "sendings"), [(ALICE, 2), (None, 1)])
async def test_a_refused_password_is_not_tried_again(credentials, sendings):
    """A second 401 without `stale` is the answer; without a login the first one is."""
    async with peer_at(Guard(refuse=True)) as peer, client_at() as client:
        answer = await client.request(asked(peer.hops["udp"], "NOTIFY"), 5.0, credentials)
        assert answer.status == 401
        assert len(peer.heard) == sendings


async def test_a_peer_that_always_says_stale_is_given_up():
    """A hostile peer cannot keep the client sending: four sendings are the end."""

    def stale(request, number):
        back = write_response(request, 401, "No", "peer")
        more = challenge("phone", f"n{number}") + ", stale=true"
        return back.replace(b"\r\nContent-Length", f"\r\nWWW-Authenticate: {more}\r\nContent-Length".encode())

    async with peer_at(stale) as peer, client_at() as client:
        assert (await client.request(asked(peer.hops["udp"], "NOTIFY"), 5.0, ALICE)).status == 401
        assert len(peer.heard) == 4


async def test_nothing_breaks_out_of_a_header():
    """Line breaks in what is asked cannot begin another header."""
    async with peer_at() as peer, client_at() as client:
        evil = "a\r\nEvil: yes"
        request = SipRequest("OPTIONS", f"sip:{evil}@b", peer.hops["udp"], [("Event", evil)], b"", evil)
        await client.request(request, 0.2)
        assert all(not request.header("evil") for _, request in peer.heard if request)


async def test_a_closed_client_answers_and_leaves_nothing():
    """Closing ends what waits as not sent; sockets are given back, and closing twice is harmless."""
    async with peer_at(lambda request, number: None) as peer:
        client = client_at()
        waiting = [
            asyncio.create_task(client.request(asked(hop), 30.0)) for hop in peer.hops.values() for _ in "ab"
        ]
        await asyncio.sleep(0.05)
        await client.close()
        await client.close()
        assert {answer.status for answer in await asyncio.gather(*waiting)} == {503}
        late = [await client.request(asked(hop), 30.0) for hop in peer.hops.values()]
        assert {answer.status for answer in late} == {503}


async def test_an_address_of_another_machine_cannot_be_bound():
    """`own_host` must be an address of this machine; the error is the system's."""
    with pytest.raises(OSError, match=r"."):
        client_at("192.0.2.1")


async def test_many_requests_share_one_socket_and_lose_nothing():
    """Two thousand requests, 256 at once, each get their own answer."""

    def named(request, number):
        return write_response(request, 200, request.uri.partition(":")[2].partition("@")[0], "peer")

    async with peer_at(named) as peer, client_at() as client:
        numbers = iter(range(2_000))

        async def work():
            for number in numbers:
                request = SipRequest("OPTIONS", f"sip:{number}@lab.test", peer.hops["udp"])
                assert (await client.request(request, 20.0)).reason == str(number)

        await asyncio.gather(*(work() for _ in range(256)))


@pytest.mark.parametrize(
    "text", ["udp:host", "udp:host:0", "udp:host:65536", "tls:host:5061", "udp:a b:1", ""]
)
def test_a_hop_that_leads_nowhere_is_refused(text):
    """Another form, another transport, or a port out of range is an error."""
    with pytest.raises(ValueError, match="udp"):
        Hop.parse(text)


def test_a_hop_is_read():
    """Brackets of an IPv6 address belong to the text, not to the host."""
    assert Hop.parse("tcp:[::1]:5060") == Hop("tcp", "::1", 5060)
    assert Hop.parse("udp:proxy.example:5070").uri == "sip:proxy.example:5070;transport=udp"
    assert Hop("udp", "::1", 5060).uri == "sip:[::1]:5060;transport=udp"
