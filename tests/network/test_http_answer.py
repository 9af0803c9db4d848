"""HTTP answers out of bytes, however they are cut into pieces."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devlib.network.http_answer import HEAD_LIMIT, HttpAnswer
from devlib.network.json_rpc import Endpoint

LENGTH = b"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: 1\r\n\r\n"
)
UNTIL_END = b"HTTP/1.0 200 OK\r\n\r\nhello"


@given(st.sampled_from([LENGTH, CHUNKED, UNTIL_END]), st.lists(st.integers(1, 90), max_size=12))
def test_any_cut_gives_the_same_answer(data, cuts):
    """Content-Length, chunks with trailers and a body up to the end are read from any pieces."""
    answer = HttpAnswer(100)
    places = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    done = [answer.feed(data[start:end]) for start, end in pairwise(places)]
    complete = done[-1] or answer.end()
    assert complete
    assert not any(done[:-1])
    assert answer.body == b"hello"
    assert answer.status == int(data[9:12])
    assert answer.closing is (data is UNTIL_END)


@pytest.mark.parametrize("data", [LENGTH[:-1], CHUNKED[:-3], LENGTH[:20]])
def test_an_answer_that_ends_early_is_not_complete(data):
    """A broken connection does not make half an answer a whole one."""
    answer = HttpAnswer(100)
    assert not answer.feed(data)
    assert not answer.end()


@pytest.mark.parametrize("data", [LENGTH, CHUNKED])
def test_bytes_after_an_answer_close_the_connection(data):
    """What follows an answer would be taken for the answer of the next question."""
    answer = HttpAnswer(100)
    assert answer.feed(data + b"HTTP/1.1 200 OK\r\n")
    assert answer.closing


@pytest.mark.parametrize("data", [LENGTH, CHUNKED, UNTIL_END])
def test_a_body_over_the_limit_is_refused(data):
    """No registrar can fill the memory."""
    with pytest.raises(ValueError, match="size"):
        HttpAnswer(4).feed(data)


def test_a_head_without_end_is_refused():
    """Neither can its head."""
    with pytest.raises(ValueError, match="head"):
        HttpAnswer(100).feed(b"HTTP/1.1 200 OK\r\nX: " + b"y" * HEAD_LIMIT)


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_random_bytes_are_no_surprise(parts):
    """Whatever comes is complete, incomplete or the one error."""
    answer = HttpAnswer(100)
    try:
        for part in [b"HTTP/1.1 200 OK\r\n", *parts]:
            if answer.feed(part):
                break
        answer.end()
    except ValueError:
        assert answer.body == b""


@pytest.mark.parametrize(
    ("url", "where", "secure"),
    [
        ("http://127.0.0.1:8090/RPC", "127.0.0.1:8090", False),
        ("https://registrar.example/RPC", "registrar.example:443", True),
        ("http://name:secret@registrar.example", "registrar.example:80", False),
    ],
)
def test_endpoints_show_no_credentials(url, where, secure):
    """Errors name host and port only, whatever the URL holds."""
    endpoint = Endpoint.of(url, None, None)
    assert (endpoint.where, endpoint.secure) == (where, secure)
    assert "secret" not in repr(endpoint) + endpoint.head().decode()
