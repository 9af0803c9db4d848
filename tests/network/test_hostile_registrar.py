"""A registrar that lies, hangs or breaks: each line port gets a reason, and nothing waits for long."""

import asyncio
import gzip
import json
import random
import time
from base64 import b64encode
from collections import Counter

import pytest
from aiohttp import web
from hostile_server import LINE, contacts, http, kamailio_at, rpc, saying, served, spoken
from pydantic import SecretStr

from devlib.clock import FakeClock
from devlib.config import KamailioSettings
from devlib.errors import NetworkUnreachable
from devlib.network import RestartOutcome, open_network
from devlib.network.rpc_client import RpcClient


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 5000,
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (2 << 20),
        http(b"<html>Bad Gateway</html>", b"500 Internal Server Error"),
        http(b"", b"302 Found", b"Location: http://127.0.0.1:1/\r\n"),
        http(b"[" * 100_000),
        http(b'{"result": ' + b"9" * 10_000 + b"}"),
        http(b"\xff\xfe\x00"),
        http(b"[]"),
        http(b"null"),
        http(b"{}"),
        http(rpc({})),
        http(rpc(None)),
        http(rpc([1, 2])),
        http(rpc({"Contacts": "all"})),
        http(rpc({"Contacts": [None]})),
        http(rpc({"Contacts": {"Contact": 1}})),
        http(rpc(contacts({"Expires": "soon"}))),
        http(rpc(contacts({"Expires": True}))),
        http(rpc(contacts({"Expires": 1e300}))),
        http(rpc(contacts({"Expires": 10**15}))),
        http(rpc(contacts({"Expires": ["expired"]}))),
        http(b'{"error": {"code": 500, "message": "Internal error \x1b[31m"}}', b"500 No"),
        http(b'{"error": "AOR not found in location table"}', b"500 No"),
    ],
)
async def test_nonsense_is_unanswered(data):
    """No answer that makes no sense is read as `holds none`."""
    async with spoken(saying(data)) as port, kamailio_at(port) as network:
        answers = await network.lookup([LINE])
        assert answers.bindings == {}
        assert set(answers.unanswered) == {LINE}
        assert "\x1b" not in str(answers.unanswered[LINE])
        assert not (await network.check()).answers
        assert (await network.restart(LINE)).outcome is RestartOutcome.UNREACHABLE


@pytest.mark.parametrize(
    "hang_after", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
async def test_a_hanging_registrar_costs_a_few_time_limits(hang_after):
    """20 000 line ports cost two rounds of the limit, not 20 000."""
    asked = [f"{number}@lyon.example" for number in range(20_000)]
    async with spoken(saying(hang_after, hang=True)) as port:
        start = time.monotonic()
        async with kamailio_at(port, seconds=0.1) as network:
            answers = await network.lookup(asked)
        assert time.monotonic() - start < 25  # one after the other would cost 2 000 s, 32 at a time 62
    assert set(answers.unanswered) == set(asked)


async def test_a_half_dead_registrar_is_given_up():
    """Failures that are never many in a row still end: one lookup has a time limit of its own."""
    clock = FakeClock()

    async def answer(request):
        clock.advance(2.5)
        return web.json_response({"jsonrpc": "2.0", "id": 1, "result": {"AOR": "x", "Contacts": []}})

    asked = [f"{number}@lyon.example" for number in range(500)]
    async with served(answer) as port:
        url = f"http://127.0.0.1:{port}/RPC"
        settings = KamailioSettings(kind="kamailio", name="trial", rpc_url=url, lookup_seconds=25)
        network = open_network(settings, clock)
        answers = await network.lookup(asked)
        await network.close()
    assert len(answers.bindings) < 30
    assert set(answers.unanswered) | set(answers.bindings) == set(asked)


async def test_one_bad_answer_does_not_spoil_the_others():
    """Failures count only in a row: a registrar that stumbles now and then is asked to the end."""

    async def stumbling(request):
        line_port = (await request.json())["params"][1]
        if int(line_port.partition("@")[0]) % 3 == 0:
            return web.Response(status=500, text="no")
        return web.json_response({"result": contacts({})})

    asked = [f"{number}@lyon.example" for number in range(300)]
    async with served(stumbling) as port, kamailio_at(port) as network:
        answers = await network.lookup(asked)
    assert len(answers.unanswered) == 100
    assert len(answers.bindings) == 200


async def test_chunked_answers_and_closed_connections_are_read():
    """A proxy before the registrar may send chunks and close when it likes."""
    closing = iter([True, False] * 100)

    async def chunked(request):
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        if next(closing):
            response.force_close()
        await response.prepare(request)
        data = rpc(contacts({}))
        for place in range(0, len(data), 50):
            await response.write(data[place : place + 50])
        await response.write_eof()
        return response

    asked = [f"{number}@lyon.example" for number in range(60)]
    async with served(chunked) as port, kamailio_at(port) as network:
        answers = await network.lookup(asked)
    assert len(answers.bindings) == 60


async def test_a_connection_given_up_between_questions_is_opened_again():
    """Closing an idle keep-alive connection without notice is no failure."""

    async def one_each(reader, writer):
        await reader.read(65_536)
        writer.write(http(rpc(contacts({}))))
        await writer.drain()

    asked = [f"{number}@lyon.example" for number in range(40)]
    async with spoken(one_each) as port, kamailio_at(port) as network:
        answers = await network.lookup(asked)
    assert len(answers.bindings) == 40


async def test_nothing_is_sent_twice_that_restarts_a_phone():
    """A lookup whose connection breaks is asked once more, on a new connection; a NOTIFY never is."""
    asked = Counter()

    async def breaking(reader, writer):
        while question := await reader.read(65_536):
            method = json.loads(question.partition(b"\r\n\r\n")[2])["method"]
            asked[method] += 1
            if method != "ul.lookup" or asked[method] == 1:
                return
            writer.write(http(rpc(contacts({}))))

    async with spoken(breaking) as port, kamailio_at(port) as network:
        answer = await network.restart(LINE)
    assert answer.outcome is RestartOutcome.UNREACHABLE
    assert asked == {"ul.lookup": 2, "tm.t_uac_wait": 1}


async def test_a_registrar_leads_nowhere_else(monkeypatch):
    """Redirects, cookies and proxies of the environment are not followed; nothing is unpacked."""
    seen = []
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    async def leading(request):
        seen.append(dict(request.headers))
        if len(seen) == 1:
            response = web.Response(status=307, headers={"Location": "/RPC"})
        else:
            packed = gzip.compress(b"0" * (8 << 20))
            response = web.Response(body=packed, headers={"Content-Encoding": "gzip"})
        response.set_cookie("a", "b")
        return response

    asked = ["1@lyon.example", "2@lyon.example"]
    async with served(leading) as port, kamailio_at(port, connections=1) as network:
        answers = await network.lookup(asked)
    assert set(answers.unanswered) == set(asked)
    assert [set(headers) for headers in seen] == [{"Host", "Content-Type", "Content-Length"}] * 2


async def test_credentials_in_the_url_are_not_shown():
    """Errors name host and port only, whatever the URL holds."""
    url = "http://name:s3cret@127.0.0.1:1/RPC"
    client = RpcClient(KamailioSettings(kind="kamailio", name="trial", rpc_url=url))
    with pytest.raises(NetworkUnreachable) as failure:
        await client.call("core.version", [])
    await client.close()
    assert client.where == failure.value.where == "127.0.0.1:1"


async def test_any_bytes_are_an_answer_or_none():
    """However an HTTP answer is mangled, its line port is answered or not; nothing else is raised."""
    random_ = random.Random(20)
    whole = http(rpc(contacts({})))
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: 1\r\n\r\n"
    lines = [f"{number}@lyon.example" for number in range(300)]

    async def mangled(reader, writer):
        await reader.read(65_536)
        data = bytearray(random_.choice([whole, chunks]))
        for _ in range(random_.randrange(6)):
            place = random_.randrange(len(data))
            data[place : place + random_.randrange(3)] = random_.randbytes(random_.randrange(4))
        writer.write(data)

    async with spoken(mangled) as port, kamailio_at(port, connections=1) as network:
        for line_port in lines:
            answers = await network.lookup([line_port])
            assert set(answers.bindings) ^ set(answers.unanswered) == {line_port}


async def test_closing_twice_and_asking_again_is_harmless():
    """`close` ends every connection; a network that is asked after it opens new ones."""

    async def answering(request):
        return web.json_response({"result": contacts({})})

    async with served(answering) as port, kamailio_at(port) as network:
        for _ in range(2):
            assert (await network.lookup([LINE])).bindings[LINE]
            await network.close()
            await network.close()


async def test_the_login_is_sent_and_never_shown():
    """HTTP basic authentication; the password stands in no text that a person or a log sees."""

    async def guarded(request):
        if request.headers.get("Authorization") != "Basic c3VpdGU6czNjcmV0":
            return web.Response(status=401)
        return web.json_response({"result": contacts({})})

    async with (
        served(guarded) as port,
        kamailio_at(port, rpc_user="suite", rpc_password=SecretStr("s3cret")) as right,
        kamailio_at(port, rpc_user="suite", rpc_password=SecretStr("wr0ng")) as wrong,
    ):
        assert (await right.lookup([LINE])).bindings[LINE]
        refused = await wrong.lookup([LINE])
        assert "login" in str(refused.unanswered[LINE])
        shown = repr(refused) + repr(wrong) + repr(vars(wrong)) + repr(vars(vars(wrong)["_client"]))
        assert "wr0ng" not in shown
        assert b64encode(b"suite:wr0ng").decode() not in shown


@pytest.mark.parametrize(
    ("lives", "outcome"), [(True, RestartOutcome.NO_ANSWER), (False, RestartOutcome.UNREACHABLE)]
)
async def test_a_silent_phone_is_told_from_a_silent_registrar(lives, outcome):
    """A NOTIFY without answer is the phone's silence only where the registrar still answers after it."""

    async def half(request):
        method = (await request.json())["method"]
        if method == "ul.lookup":
            return web.json_response({"result": contacts({})})
        if method == "core.version" and lives:
            return web.json_response({"result": "kamailio"})
        if method == "core.version":
            return web.Response(status=502)
        await asyncio.sleep(30)
        return web.Response()

    async with served(half) as port, kamailio_at(port) as network:
        answer = await network.restart(LINE, limit_seconds=0.1)
    assert answer.outcome is outcome
