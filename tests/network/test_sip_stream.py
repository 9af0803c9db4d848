"""SIP out of a TCP stream: cut anywhere, messages come out whole, and memory has an end."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devlib.network.sip import parse_message, write_request
from devlib.network.sip_stream import MOST_BODY, MOST_HEAD, SipStream, StreamBroken

HEADERS = [("Via", "SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1"), ("CSeq", "1 OPTIONS")]
bodies = st.lists(st.binary(max_size=80), max_size=6)


def message_with(body):
    return write_request("OPTIONS", "sip:a@b", HEADERS, body)


def fed(stream, data, cuts):
    found, start = [], 0
    for cut in sorted({min(cut, len(data)) for cut in cuts} | {len(data)}):
        found += stream.feed(data[start:cut])
        start = cut
    return found


@settings(max_examples=200)
@given(bodies, st.lists(st.integers(0, 1500), max_size=12), st.sampled_from([b"", b"\r\n", b"\r\n\r\n"]))
def test_messages_come_out_whole_wherever_the_stream_is_cut(sent, cuts, between):
    """Any bodies at any cut points, with keep-alives between: the same messages come out."""
    messages = [message_with(body) for body in sent]
    stream = SipStream()
    assert fed(stream, between.join([*messages, b""]), cuts) == messages
    assert stream.held == 0


@given(bodies)
def test_one_byte_at_a_time_is_enough(sent):
    """The slowest sender gets its messages through."""
    messages = [message_with(body) for body in sent]
    data = b"".join(messages)
    stream = SipStream()
    assert [each for byte in data for each in stream.feed(bytes([byte]))] == messages


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=5))
def test_random_bytes_are_messages_or_break_the_stream(data, cuts):
    """Nothing else than `StreamBroken` comes out of any bytes."""
    stream = SipStream()
    try:
        for found in fed(stream, data, cuts):
            parse_message(found)
    except StreamBroken:
        return
    assert stream.held <= len(data)


@pytest.mark.parametrize(
    "head",
    [
        b"OPTIONS sip:a SIP/2.0\r\nVia: x\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 1e3\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\nl: 3\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nContent-Length: %d\r\n\r\n" % (MOST_BODY + 1),
        b"X" * MOST_HEAD,
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_a_stream_without_a_next_message_is_broken(head):
    """No length, several, none that is a number, or too much: where the next message begins is not known."""
    with pytest.raises(StreamBroken):
        SipStream().feed(head)


@pytest.mark.parametrize(
    "written", [b"l:2", b"L : 2", b"Content-Length:\r\n 2", b"content-length: 2\r\nl: 2"]
)
def test_a_length_is_read_in_every_spelling(written):
    """Compact, folded, with blanks, or twice the same: the body is two bytes."""
    data = b"OPTIONS sip:a SIP/2.0\r\n" + written + b"\r\n\r\nabOPTIONS"
    assert [each[-2:] for each in SipStream().feed(data)] == [b"ab"]


def test_a_flood_of_keep_alives_is_not_kept():
    """Empty lines before a message cost no memory."""
    stream = SipStream()
    for _ in range(2_000):
        stream.feed(b"\r\n" * 500)
        assert stream.held <= 1


def test_a_head_that_grows_byte_by_byte_is_searched_once():
    """A peer that sends 60 kB of head in single bytes costs time by its length, not by its square."""
    stream = SipStream()
    data = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\nX: " + b"y" * 60_000
    for byte in data:
        assert stream.feed(bytes([byte])) == []
    assert len(stream.feed(b"\r\n\r\n")) == 1
