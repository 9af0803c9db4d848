"""Restart and probe through a real Kamailio's proxy: logins, refusals, deaf and dying registrars."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from devlib.clock import SystemClock
from devlib.config import KamailioSettings
from devlib.demo.registrar import running_registrar
from devlib.network import ReachOutcome, RestartOutcome, open_network
from devlib.network.loopback import free_ports
from devlib.network.sip import parse_message, write_request, write_response
from devlib.network.sip_digest import Credentials, challenge, is_right_answer

pytestmark = pytest.mark.kamailio

LINE = "2001@lyon.proxy.example"
LOGIN = {"notify_user": "night", "notify_password": "shift, 7"}


class TrialPhone(asyncio.DatagramProtocol):
    """A registered phone whose answers the test writes."""

    def __init__(self, registrar, line_port, reply):
        self.registrar, self.line_port, self.reply = registrar, line_port, reply
        self.heard = []
        self.registered = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        """Register at once."""
        self.transport = transport
        self.register(3600)

    def register(self, expires):
        """Send one REGISTER."""
        host, port = self.transport.get_extra_info("sockname")
        user, _, domain = self.line_port.partition("@")
        headers = [
            ("Via", f"SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bK{port}{expires}"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{self.line_port}>;tag=1"),
            ("To", f"<sip:{self.line_port}>"),
            ("Call-ID", f"trial{port}"),
            ("CSeq", f"{10_000 - expires} REGISTER"),
            ("Contact", f"<sip:{user}@{host}:{port}>"),
            ("Expires", str(expires)),
        ]
        self.transport.sendto(write_request("REGISTER", f"sip:{domain}", headers), self.registrar)

    def datagram_received(self, data, addr):
        """Answer what was asked, unless the test says nothing."""
        found = parse_message(data)
        if found.status:
            if not self.registered.done():
                self.registered.set_result(found.status)
            return
        self.heard.append(found)
        if (back := self.reply(found)) is not None:
            self.transport.sendto(back, addr)


@asynccontextmanager
async def phone_at(registrar, reply, line_port=LINE):
    """A phone that is registered until the block ends."""
    loop = asyncio.get_running_loop()
    transport, phone = await loop.create_datagram_endpoint(
        lambda: TrialPhone(registrar.address, line_port, reply), local_addr=("127.0.0.1", 0)
    )
    try:
        assert await asyncio.wait_for(phone.registered, 5) == 200
        yield phone
    finally:
        phone.register(0)
        await asyncio.sleep(0.05)
        transport.close()


@asynccontextmanager
async def network_of(registrar, **more):
    """The suite's network on this registrar."""
    given = {"rpc_url": registrar.rpc_url, "sip_proxy": registrar.sip_proxy, "probe_seconds": 1.5} | more
    network = open_network(KamailioSettings(kind="kamailio", name="trial", **given), SystemClock())
    try:
        yield network
    finally:
        await network.close()


def saying(status, reason="Said", name=""):
    """A reply that is always the same, with a User-Agent where `name` is given."""

    def reply(request):
        back = write_response(request, status, reason, "phone")
        extra = f"\r\nUser-Agent: {name}\r\nContent-Length".encode()
        return back.replace(b"\r\nContent-Length", extra) if name else back

    return reply


def guarded(request):
    """A phone that lets a NOTIFY with the right login through."""
    credentials = Credentials(LOGIN["notify_user"], _secret())
    given = request.header("authorization")
    if request.method != "NOTIFY" or is_right_answer(given, "NOTIFY", credentials, "phone", "n1"):
        return saying(200, "OK")(request)
    offered = f"\r\nWWW-Authenticate: {challenge('phone', 'n1')}\r\nContent-Length".encode()
    return saying(401, "Unauthorized")(request).replace(b"\r\nContent-Length", offered)


def _secret():
    from pydantic import SecretStr

    return SecretStr(LOGIN["notify_password"])


async def reach_of(network, *line_ports):
    return {reach.line_port: reach async for reach in network.probe(line_ports)}


@pytest.mark.parametrize(
    ("login", "outcome", "sendings"),
    [
        (LOGIN, RestartOutcome.ACCEPTED, 2),
        (LOGIN | {"notify_password": "wrong"}, RestartOutcome.AUTH_NEEDED, 2),
        ({}, RestartOutcome.AUTH_NEEDED, 1),
    ],
)
async def test_a_phone_that_challenges_is_restarted_with_the_login(kamailio, login, outcome, sendings):
    """The login of the settings answers the phone's challenge; without one its 401 stays."""
    async with phone_at(kamailio, guarded) as phone, network_of(kamailio, **login) as network:
        answer = await network.restart(LINE, "check-sync")
        assert answer.outcome is outcome
        notifies = [each for each in phone.heard if each.method == "NOTIFY"]
        assert len(notifies) == sendings
        assert {each.header("event") for each in notifies} == {"check-sync"}
        assert notifies[0].header("subscription-state") == "terminated"


@pytest.mark.parametrize("status", [200, 202, 404, 405, 480, 481, 489, 500, 503, 603])
async def test_a_notify_arrives_as_one_transaction(kamailio, status):
    """Whatever a phone answers, it was told to restart once: a repetition has the branch of the first."""
    async with phone_at(kamailio, saying(status)) as phone, network_of(kamailio) as network:
        answer = await network.restart(LINE)
        assert answer.code == status or (status, answer.code) == (503, 500)
        assert len({each.branch for each in phone.heard}) == 1


async def test_a_silent_phone_is_told_once_too(kamailio):
    """No answer is an outcome after the limit; all copies belong to one transaction."""
    async with phone_at(kamailio, lambda request: None) as phone, network_of(kamailio) as network:
        assert (await network.restart(LINE, limit_seconds=0.7)).outcome is RestartOutcome.NO_ANSWER
        assert len({each.branch for each in phone.heard}) == 1


async def test_a_registrar_that_dies_meanwhile_is_unreachable(kamailio, tmp_path):
    """Kamailio killed after the NOTIFY was passed on: nothing is said about the phone."""
    with running_registrar(tmp_path, answer_limit=5.0) as registrar:

        def dying(request):
            registrar.kill()

        async with phone_at(registrar, dying), network_of(registrar) as network:
            answer = await network.restart(LINE, limit_seconds=2.5)
            assert answer.outcome is RestartOutcome.UNREACHABLE
            assert answer.reason


async def test_a_proxy_that_is_deaf_to_sip_makes_no_phone_silent(kamailio):
    """The registrar answers, but nothing listens at `sip_proxy`, or nobody answers there: unreachable."""
    loop = asyncio.get_running_loop()
    mute, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    proxies = [f"udp:127.0.0.1:{free_ports(1)[0]}", f"udp:127.0.0.1:{mute.get_extra_info('sockname')[1]}"]
    async with phone_at(kamailio, saying(200)) as phone:
        for proxy in proxies:
            async with network_of(kamailio, sip_proxy=proxy, probe_seconds=0.3) as network:
                assert (await reach_of(network, LINE))[LINE].outcome is ReachOutcome.UNREACHABLE
                answer = await network.restart(LINE, limit_seconds=0.3)
                assert answer.outcome is RestartOutcome.UNREACHABLE
        assert phone.heard == []
    mute.close()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_any_answer_of_the_phone_proves_that_it_is_there(kamailio, transport):
    """Refusals are answers too, with the phone's name; also where the proxy might have said the same."""
    proxy = kamailio.sip_proxy.replace("udp", transport)
    for status in (200, 401, 404, 405, 480, 486, 500, 501):
        async with (
            phone_at(kamailio, saying(status, name="Yealink T46S 66.85")),
            network_of(kamailio, sip_proxy=proxy) as network,
        ):
            reach = (await reach_of(network, LINE))[LINE]
            assert (reach.outcome, reach.code) == (ReachOutcome.ANSWERS, status)
            assert reach.user_agent == "Yealink T46S 66.85"
            assert 0 < reach.seconds < 1.5


async def test_a_proxy_that_does_not_route_is_told_from_the_phone(kamailio):
    """A 480 without any name may be the proxy's own: registered, but not routed, with the code beside it."""
    async with phone_at(kamailio, saying(480)), network_of(kamailio) as network:
        reach = (await reach_of(network, LINE))[LINE]
        assert (reach.outcome, reach.code) == (ReachOutcome.UNROUTABLE, 480)
        assert "480" in str(reach.reason)


async def test_a_registrar_that_dies_during_a_probe_makes_no_phone_silent(kamailio, tmp_path):
    """Kamailio killed at the first OPTIONS: of every line nothing is known, and the probe ends soon."""
    with running_registrar(tmp_path) as registrar:
        ports = [f"{number}@dying.example" for number in range(40)]

        def dying(request):
            if request.method == "OPTIONS":
                registrar.kill()

        async with network_of(registrar, probe_window=8, probe_seconds=0.5, seconds=0.5) as network:
            loop = asyncio.get_running_loop()
            phones = [phone_at(registrar, dying, line_port) for line_port in ports]
            for phone in phones:
                await phone.__aenter__()
            start = loop.time()
            found = await reach_of(network, *ports)
            assert {reach.outcome for reach in found.values()} == {ReachOutcome.UNREACHABLE}
            assert len(found) == 40
            assert loop.time() - start < 10
            for phone in phones:
                await phone.__aexit__(None, None, None)


async def test_silent_phones_cost_one_limit_together(kamailio):
    """Forty silent phones among eighty are found within a few limits, since each costs only its own slot."""
    from devlib.network import Phone, PhoneFleet

    ports = [f"{number}@silent.example" for number in range(80)]
    async with PhoneFleet(kamailio.address, SystemClock()) as fleet:
        await fleet.register([Phone(line_port) for line_port in ports])
        fleet.fall_silent(ports[::2])
        async with network_of(kamailio, probe_window=64) as network:
            loop = asyncio.get_running_loop()
            start = loop.time()
            found = await reach_of(network, *ports)
            assert {found[each].outcome for each in ports[::2]} == {ReachOutcome.SILENT}
            assert {found[each].outcome for each in ports[1::2]} == {ReachOutcome.ANSWERS}
            assert loop.time() - start < 10
        await fleet.sign_off(ports)
