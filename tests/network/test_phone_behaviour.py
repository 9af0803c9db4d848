"""What simulated phones do with a NOTIFY: ask for a password, refuse, keep silent, die, reboot; their log."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kamailio_fixture import kamailio
from pydantic import SecretStr

from devlib.clock import FakeClock, SystemClock
from devlib.demo.registrar import Options, running_registrar
from devlib.network import AfterNotify, Challenge, Phone, PhoneFleet
from devlib.network.sip import parse_message, uri_in, write_request, write_response
from devlib.network.sip_digest import Credentials, answer_challenge

__all__ = ["kamailio"]

LINE = "2001@lab.test"
WORDS = Credentials("2001", SecretStr("secret word"))


class Client(asyncio.DatagramProtocol):
    """A registrar that answers 200, and a client that sends requests to the phones."""

    def __init__(self):
        self.answers = asyncio.Queue()
        self.registers = asyncio.Queue()
        self.number = 0

    def connection_made(self, transport):
        """Keep the socket."""
        self.transport = transport

    def datagram_received(self, data, addr):
        """Answer REGISTER, keep answers."""
        found = parse_message(data)
        if found.method == "REGISTER":
            self.phone = addr
            self.registers.put_nowait(found)
            self.transport.sendto(write_response(found, 200, "OK", "peer"), addr)
        else:
            self.answers.put_nowait(found)

    def send(self, uri, method="NOTIFY", more=(), *, again=False):
        """Send a new request, or the last one again."""
        self.number += not again
        headers = [
            ("Via", f"SIP/2.0/UDP 127.0.0.1:5070;rport;branch=z9hG4bK{self.number}"),
            ("From", "<sip:devlib@lab.test>;tag=1"),
            ("To", f"<sip:{LINE}>"),
            ("Call-ID", "call"),
            ("CSeq", f"{self.number} {method}"),
            ("Event", "check-sync;reboot=true"),
            *more,
        ]
        self.transport.sendto(write_request(method, uri, headers), self.phone)

    async def answer(self):
        """Return the next answer."""
        return await asyncio.wait_for(self.answers.get(), 3)

    async def registered(self):
        """Return the next REGISTER."""
        return await asyncio.wait_for(self.registers.get(), 3)


@asynccontextmanager
async def played(phone, clock=None):
    """One phone, its client, and the URI at which it is."""
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_datagram_endpoint(Client, local_addr=("127.0.0.1", 0))
    try:
        async with PhoneFleet(transport.get_extra_info("sockname"), clock or SystemClock()) as fleet:
            assert await fleet.register([phone]) == {phone.line_port: 200}
            yield fleet, client, uri_in((await client.registered()).header("contact"))
    finally:
        transport.close()


def authorization(answer, uri, credentials, method="NOTIFY"):
    """Return the header that answers a 401."""
    value = answer_challenge(answer.header("www-authenticate"), method, uri, credentials, cnonce="0a4f113b")
    return [("Authorization", value)]


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_a_challenged_notify_reboots_only_with_the_right_password(algorithm):
    """401 with a nonce; a wrong password gets another 401, the right one 200 and a reboot."""
    phone = Phone(LINE, challenge=Challenge(WORDS, algorithm=algorithm))
    async with played(phone) as (fleet, client, uri):
        client.send(uri)
        asked = await client.answer()
        assert asked.status == 401
        assert 'realm="lab.test"' in asked.header("www-authenticate")
        assert f"algorithm={algorithm}" in asked.header("www-authenticate")
        client.send(uri, more=authorization(asked, uri, Credentials("2001", SecretStr("wrong"))))
        asked = await client.answer()
        assert asked.status == 401
        right = authorization(asked, uri, WORDS)
        client.send(uri, more=right)
        assert (await client.answer()).status == 200
        await client.registered()
        assert fleet.boots == {LINE: 2}
        client.send(uri, more=right)
        assert (await client.answer()).status == 401, "a nonce opens once"
        assert [each.answer for each in fleet.heard] == [401, 401, 200, 401]
        assert [each.authorized for each in fleet.heard] == [False, False, True, False]


async def test_a_retransmission_gets_the_same_answer():
    """The same challenge comes back for the same transaction, so that a lost 401 does no harm."""
    async with played(Phone(LINE, challenge=Challenge(WORDS))) as (fleet, client, uri):
        client.send(uri)
        client.send(uri, again=True)
        first, second = await client.answer(), await client.answer()
        assert first.header("www-authenticate") == second.header("www-authenticate")
        client.send(uri, more=authorization(first, uri, WORDS))
        assert (await client.answer()).status == 200
        assert [each.repeated for each in fleet.heard] == [False, True, False]
        assert len({each.branch for each in fleet.heard}) == 2


@pytest.mark.parametrize("options", [True, False])
async def test_options_is_challenged_where_wished(options):
    """Some phones ask for a password for OPTIONS too."""
    async with played(Phone(LINE, challenge=Challenge(WORDS, options=options))) as (_, client, uri):
        client.send(uri, "OPTIONS")
        asked = await client.answer()
        assert asked.status == (401 if options else 200)
        if options:
            client.send(uri, "OPTIONS", authorization(asked, uri, WORDS, "OPTIONS"))
            assert (await client.answer()).status == 200


@pytest.mark.parametrize("status", [403, 481, 486, 500, 603])
async def test_a_phone_refuses_with_any_status(status):
    """The status goes back as it is, and nothing reboots."""
    async with played(Phone(LINE, notify_status=status)) as (fleet, client, uri):
        client.send(uri)
        assert (await client.answer()).status == status
        assert fleet.boots == {LINE: 1}


async def test_a_phone_is_silent_to_notify_while_it_answers_options():
    """No answer to the restart; the log tells that it was heard, and heard again."""
    async with played(Phone(LINE, notify_status=None)) as (fleet, client, uri):
        client.send(uri)
        client.send(uri, again=True)
        client.send(uri, "OPTIONS")
        assert (await client.answer()).cseq == (2, "OPTIONS")
        assert client.answers.empty()
        assert [(each.method, each.answer, each.repeated) for each in fleet.heard] == [
            ("NOTIFY", None, False),
            ("NOTIFY", None, True),
            ("OPTIONS", 200, False),
        ]


@pytest.mark.parametrize("after", [AfterNotify.IGNORES, AfterNotify.DIES])
async def test_a_phone_answers_and_never_comes_back(after):
    """200, and then nothing: one goes on as before, the other is dead."""
    async with played(Phone(LINE, after_notify=after)) as (fleet, client, uri):
        client.send(uri)
        assert (await client.answer()).status == 200
        client.send(uri, "OPTIONS")
        if after is AfterNotify.IGNORES:
            assert (await client.answer()).status == 200
        assert fleet.boots == {LINE: 1}
        assert client.registers.empty()
        await asyncio.sleep(0)
        assert client.answers.empty()


async def test_a_phone_that_ignores_a_restart_refreshes_under_its_old_call_id():
    """A later REGISTER alone is no proof of a restart: only a new Call-ID is."""
    clock = FakeClock()
    async with played(Phone(LINE, after_notify=AfterNotify.IGNORES), clock) as (_, client, uri):
        client.send(uri)
        assert (await client.answer()).status == 200
        clock.advance(1800)
        refreshed = await client.registered()
        assert refreshed.cseq == (2, "REGISTER")
        assert refreshed.header("call-id").endswith("-1-1")


async def test_a_booting_phone_hears_nothing():
    """Between its 200 and its new REGISTER a phone is away; then it has a new Call-ID."""
    async with played(Phone(LINE, boot_seconds=0.3)) as (fleet, client, uri):
        client.send(uri)
        assert (await client.answer()).status == 200
        client.send(uri, "OPTIONS")
        register = await client.registered()
        assert register.header("call-id").endswith("-1-2")
        assert client.answers.empty()
        assert [each.answer for each in fleet.heard] == [200, None]
        client.send(uri, "OPTIONS")
        assert (await client.answer()).status == 200


async def test_the_lines_of_one_device_reboot_together():
    """One NOTIFY to one line of a device restarts each of its lines, and no other device."""
    async with played(Phone(LINE, device="A")) as (fleet, client, uri):
        await fleet.register([Phone("2002@lab.test", device="A"), Phone("2003@lab.test", device="B")])
        for _ in range(2):
            await client.registered()
        client.send(uri)
        assert (await client.answer()).status == 200
        for _ in range(2):
            await client.registered()
        assert fleet.boots == {LINE: 2, "2002@lab.test": 2, "2003@lab.test": 1}


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=120).map(str.encode))
def test_a_hostile_authorization_never_opens(value):
    """Whatever stands in the header, the phone asks again and lives on."""

    async def play():
        async with played(Phone(LINE, challenge=Challenge(WORDS))) as (_, client, uri):
            client.send(uri)
            await client.answer()
            client.send(uri, more=[("Authorization", value.decode("utf-8", "surrogateescape"))])
            assert (await client.answer()).status == 401

    asyncio.run(play())


@pytest.mark.kamailio
def test_phones_prove_their_password_to_a_registrar(kamailio, tmp_path):
    """A real Kamailio with digest lets phones with the password in, and no others."""

    async def play(registrar):
        async with PhoneFleet(registrar.address, SystemClock(), password=SecretStr("word")) as fleet:
            assert await fleet.register([Phone(LINE)]) == {LINE: 200}
            assert await fleet.sign_off([LINE]) == {LINE: 200}
        for password in (None, SecretStr("wrong")):
            async with PhoneFleet(registrar.address, SystemClock(), password=password) as fleet:
                assert await fleet.register([Phone(LINE)]) == {LINE: 401}

    with running_registrar(tmp_path, options=Options(password="word")) as registrar:
        asyncio.run(play(registrar))
