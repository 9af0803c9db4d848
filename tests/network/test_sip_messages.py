"""Writing and reading SIP: what is written is read again, and the quick look agrees with the whole one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from devlib.network.sip import parse_message, write_request, write_response
from devlib.network.sip_answer import quick_look
from devlib.network.sip_hop import Hop
from devlib.network.sip_request import Attempt, SipRequest, write_attempt

tokens = st.from_regex(r"[A-Za-z0-9.!%*_+`'~-]{1,20}", fullmatch=True)
uris = st.from_regex(r"sip:[A-Za-z0-9;=.@:~-]{1,40}", fullmatch=True)
values = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=60).map(str.strip)
names = tokens.filter(lambda name: len(name) > 1).map(lambda name: f"X-{name}")


@settings(max_examples=50)
@given(tokens, uris, st.lists(st.tuples(names, values), max_size=8), st.binary(max_size=200))
def test_a_request_is_read_as_it_was_written(method, uri, headers, body):
    """Method, URI, headers in order, and body come back."""
    found = parse_message(write_request(method, uri, headers, body))
    assert (found.method, found.uri, found.body) == (method, uri, body)
    assert found.headers == (
        *((name.lower(), value) for name, value in headers), ("content-length", str(len(body))),
    )  # fmt: skip


@settings(max_examples=50)
@given(st.lists(st.tuples(names, st.text(max_size=40)), max_size=5))
def test_no_value_begins_another_header(headers):
    """Whatever stands in a value, as many headers are read as were written."""
    found = parse_message(write_request("OPTIONS", "sip:a@b", headers))
    assert [name for name, _ in found.headers] == [*(name.lower() for name, _ in headers), "content-length"]


@settings(max_examples=50)
@given(st.integers(100, 699), values, tokens)
def test_a_response_answers_its_request(status, reason, tag):
    """Status, reason, branch and CSeq come back, and To gets its tag."""
    attempt = Attempt.first("token")
    asked = SipRequest("NOTIFY", "sip:a@b", Hop("udp", "192.0.2.1", 5060))
    request = parse_message(write_attempt(asked, attempt, "UDP", "192.0.2.9", 5070))
    data = write_response(request, status, reason, tag)
    found = parse_message(data)
    assert (found.status, found.reason.strip()) == (status, reason)
    assert (found.branch, found.cseq, found.has_one_via) == (attempt.branch, (1, "NOTIFY"), True)
    assert found.header("to").endswith(f";tag={tag}")
    seen = quick_look(data)
    assert seen is None or seen == (status, found.reason.encode(), attempt.branch.encode())


USUAL = (
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.9:5070;rport=5070;branch=z9hG4bKa1\r\n"
    b"From: <sip:d@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n"
    b"Server: Yealink\r\nContent-Length: 0\r\n\r\n"
)
pieces = st.sampled_from(
    [
        b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b",", b'"', b"v: x;branch=z9hG4bKo", b"Via: y",
        b"\xff", b"CSeq: 2 NOTIFY", b"l: 4", b"Content-Length: 4", b"\r\n\r\n", b"\r\n ", b";branch=z9hG4bKo",
        b"\r\ncseq : 1 OPTIONS",
    ]
)  # fmt: skip
places = st.tuples(st.integers(0, len(USUAL)), st.integers(0, 12), pieces | st.binary(max_size=3))


@settings(max_examples=300)
@given(st.lists(places, max_size=4))
def test_the_quick_look_sees_what_the_whole_one_reads(changes):
    """What is taken at the quick look is read with the same values, or refused for a header twice."""
    data = USUAL
    for place, cut, piece in changes:
        data = data[:place] + piece + data[place + cut :]
    seen = quick_look(data)
    if seen is None:
        return
    found = parse_message(data)
    if found is None:
        heads = [line.partition(b":")[0].strip().lower() for line in data.split(b"\r\n")[1:]]
        assert len(set(heads)) < len(heads)
        return
    assert (found.status, found.reason.encode("utf-8", "surrogateescape"), found.branch.encode()) == seen
    assert found.has_one_via
    # Only a right CSeq line of its own lets the answer through.
    if b"\r\nCSeq: 1 OPTIONS\r\n" in data:
        assert found.cseq == (1, "OPTIONS")


def test_the_usual_answer_is_taken_at_the_quick_look():
    """The common case does not go the slow way."""
    assert quick_look(USUAL) == (200, b"OK", b"z9hG4bKa1")
    assert quick_look(USUAL.replace(b"Content-Length: 0\r\n", b"")) is not None
