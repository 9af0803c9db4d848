"""SIP messages and the simulated phones that speak them."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devlib.clock import SystemClock
from devlib.errors import UsageError
from devlib.network import Phone, PhoneFleet
from devlib.network.sip import MAX_DATAGRAM, parse_message, uri_in, write_request, write_response

HEADERS = [
    ("Via", "SIP/2.0/UDP 127.0.0.1:5070;rport;branch=z9hG4bKabc"),
    ("From", "<sip:devlib@lab.test>;tag=1"),
    ("To", "<sip:2001@lab.test>"),
    ("Call-ID", "call"),
    ("CSeq", "3 NOTIFY"),
    ("Event", "check-sync;reboot=true"),
]


class Peer(asyncio.DatagramProtocol):
    """A registrar that keeps silent to the first datagrams and answers 200 to the others."""

    def __init__(self, deaf: int = 0) -> None:
        self.deaf = deaf
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    def connection_made(self, transport):
        """Keep the way to answer."""
        self.transport = transport

    def datagram_received(self, data, addr):
        """Keep what was heard, and answer requests."""
        self.heard.put_nowait(data)
        self.phone = addr
        self.deaf -= 1
        found = parse_message(data)
        if self.deaf < 0 and found and found.method:
            self.transport.sendto(write_response(found, 200, "OK", "peer"), addr)


@asynccontextmanager
async def fleet_and_peer(deaf=0, **more):
    """A fleet and the peer it registers with."""
    loop = asyncio.get_running_loop()
    transport, peer = await loop.create_datagram_endpoint(lambda: Peer(deaf), local_addr=("127.0.0.1", 0))
    try:
        async with PhoneFleet(transport.get_extra_info("sockname"), SystemClock(), **more) as fleet:
            yield fleet, peer
    finally:
        transport.close()


async def heard(peer):
    """Return the next message that the peer hears."""
    return parse_message(await asyncio.wait_for(peer.heard.get(), 3))


@given(st.binary(max_size=600))
def test_random_bytes_never_raise(data):
    """A datagram is a message or it is not; nothing in between."""
    found = parse_message(data)
    assert found is None or bool(found.method) != bool(found.status)


@given(
    st.lists(
        st.sampled_from([b"\r\n", b"\n", b" ", b"\t", b":", b";", b"SIP/2.0", b"NOTIFY sip:a SIP/2.0\r\n"])
        | st.sampled_from([b"v", b"Via", b"CSeq", b"branch=", b"content-length: ", b"9" * 30, b"\xff\x00"])
        | st.binary(max_size=8),
        max_size=60,
    )
)
def test_broken_messages_never_raise(parts):
    """Pieces of real messages in any order are read or refused, and so is everything asked of them."""
    found = parse_message(b"NOTIFY sip:a SIP/2.0\r\n" + b"".join(parts))
    if found is not None:
        assert found.branch is not None
        assert found.cseq[0] >= 0
        write_response(found, 200, "OK", "tag")


@given(
    st.dictionaries(st.sampled_from(["Via", "To", "X-Text"]), st.text(max_size=80)), st.binary(max_size=50)
)
def test_no_value_breaks_a_written_message(values, body):
    """A line break in a value becomes a blank: one header stays one header."""
    data = write_request("NOTIFY", "sip:a@b", values.items(), body)
    found = parse_message(data)
    assert found is not None
    assert found.body == body
    assert data.partition(b"\r\n\r\n")[0].count(b"\r\n") == len(values) + 1


def test_compact_names_and_folded_lines_are_read():
    """RFC 3261 §7.3: `v`, `f`, `t`, `i`, `l` and continued lines."""
    found = parse_message(
        b"NOTIFY sip:2001@lab.test SIP/2.0\r\nv: SIP/2.0/UDP a;\r\n branch=z9hG4bKx\r\ni:call\r\n"
        b"t: <sip:b@c>\r\nCSEQ: 5 NOTIFY\r\no: check-sync\r\nl: 2\r\n\r\nabcd"
    )
    assert found is not None
    assert (found.branch, found.header("call-id"), found.cseq) == ("z9hG4bKx", "call", (5, "NOTIFY"))
    assert (found.header("event"), found.body, uri_in(found.header("to"))) == ("check-sync", b"ab", "sip:b@c")


def test_what_is_too_long_is_no_message():
    """More than a UDP datagram can hold is not looked at."""
    assert parse_message(b"x" * (MAX_DATAGRAM + 1)) is None


@pytest.mark.parametrize("host", ["192.0.2.1", "localhost.example", "", "::ffff:8.8.8.8"])
def test_phones_speak_to_this_machine_only(host):
    """Trial phones can never flood another machine."""
    with pytest.raises(UsageError):
        PhoneFleet((host, 5060), SystemClock())


async def test_a_lost_register_is_sent_again():
    """Timer E: after half a second without answer the same bytes go out again."""
    async with fleet_and_peer(deaf=1) as (fleet, peer):
        assert await fleet.register([Phone("2001@lab.test")]) == {"2001@lab.test": 200}
        assert await peer.heard.get() == await peer.heard.get()


async def test_an_unanswered_register_is_408():
    """Timer F: at the limit the fleet gives up on that phone."""
    async with fleet_and_peer(deaf=99, limit_seconds=0.2) as (fleet, _):
        assert await fleet.register([Phone("2001@lab.test")]) == {"2001@lab.test": 408}


async def test_options_is_answered_and_a_reboot_happens_once():
    """OPTIONS gets 200; one NOTIFY sent twice reboots once, with a new Call-ID and CSeq 1."""
    async with fleet_and_peer() as (fleet, peer):
        await fleet.register([Phone("2001@lab.test")])
        first = await heard(peer)
        uri = uri_in(first.header("contact"))
        peer.transport.sendto(write_request("OPTIONS", uri, HEADERS), peer.phone)
        assert (await heard(peer)).status == 200
        for _ in range(2):
            peer.transport.sendto(write_request("NOTIFY", uri, HEADERS), peer.phone)
        answers = [await heard(peer) for _ in range(3)]
        assert sorted(answer.status for answer in answers) == [0, 200, 200]
        (register,) = [answer for answer in answers if answer.method]
        assert register.header("call-id") != first.header("call-id")
        assert register.cseq == (1, "REGISTER")
        assert fleet.boots == {"2001@lab.test": 2}


async def test_a_silent_phone_answers_nothing():
    """Without power there is no answer, and no goodbye."""
    async with fleet_and_peer() as (fleet, peer):
        await fleet.register([Phone("2001@lab.test"), Phone("2002@lab.test")])
        uris = [uri_in((await heard(peer)).header("contact")) for _ in range(2)]
        fleet.fall_silent(["2001@lab.test"])
        for uri in uris:
            peer.transport.sendto(write_request("OPTIONS", uri, HEADERS), peer.phone)
        assert "2002" not in uris[0]
        assert (await heard(peer)).status == 200
        assert peer.heard.empty()


async def test_hostile_datagrams_do_not_stop_the_fleet():
    """Garbage, foreign responses and unknown lines are answered or ignored; the phones live on."""
    async with fleet_and_peer() as (fleet, peer):
        await fleet.register([Phone("2001@lab.test")])
        await heard(peer)
        for data in (
            b"",
            b"\x00\xff" * 700,
            b"SIP/2.0 200 OK\r\n\r\n",
            b"NOTIFY sip:x;line=99999999999999999999 SIP/2.0\r\n\r\n",
            write_request("NOTIFY", "sip:x;line=٣", HEADERS),
            write_request("INVITE", "sip:x;line=1", []),
            write_request("NOTIFY", "sip:x;line=1", [("Event", "presence")]),
        ):
            peer.transport.sendto(data, peer.phone)
        assert await fleet.sign_off(["2001@lab.test"]) == {"2001@lab.test": 200}


async def test_an_unknown_phone_is_a_clear_error():
    """Signing off a phone that the fleet does not have says so."""
    async with fleet_and_peer() as (fleet, _):
        with pytest.raises(UsageError):
            await fleet.sign_off(["2001@lab.test"])
