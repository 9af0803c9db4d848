"""The trial registrar: it starts on its own ports, says why it cannot, and leaves nothing behind."""

import socket
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from types import SimpleNamespace
from urllib.parse import urlsplit

import psutil
import pytest

from devlib.clock import SystemClock
from devlib.config import KamailioSettings
from devlib.demo import registrar as registrar_module
from devlib.demo.registrar import kamailio_program, running_registrar
from devlib.errors import ConfigurationError, NetworkUnreachable
from devlib.network import Phone, PhoneFleet, open_network
from devlib.network.loopback import answers_rpc, free_ports
from devlib.network.rpc_client import RpcClient


def test_a_missing_kamailio_names_its_package(tmp_path):
    """The error says what to install."""
    with pytest.raises(ConfigurationError, match="apt-get install"):
        kamailio_program(str(tmp_path))


@pytest.mark.kamailio
def test_a_registrar_that_cannot_start_says_where_to_look(kamailio, tmp_path):
    """A setting that Kamailio refuses is an error with its log, not a wait without end."""
    with pytest.raises(NetworkUnreachable) as failure, running_registrar(tmp_path, contacts=-20_000):
        pass
    assert "kamailio.log" in failure.value.where


@pytest.mark.kamailio
def test_two_registrars_stand_side_by_side_and_stop(kamailio, tmp_path):
    """Each has its own ports; after the block nothing answers there."""
    with running_registrar(tmp_path) as other:
        assert other.sip_port != kamailio.sip_port
        assert answers_rpc(other.rpc_url, 1.0)
    assert not answers_rpc(other.rpc_url, 1.0)
    assert answers_rpc(kamailio.rpc_url, 1.0)


@pytest.mark.kamailio
def test_a_killed_trial_leaves_no_registrar(kamailio, tmp_path):
    """Kamailio dies with the process that started it, even when that one had no time to clean up."""
    program = """
        import os, sys
        from pathlib import Path
        from devlib.demo.registrar import running_registrar
        with running_registrar(Path(sys.argv[1])) as registrar:
            print(registrar.rpc_url, flush=True)
            os._exit(9)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    url = done.stdout.strip()
    assert url.startswith("http://127.0.0.1:")
    end = time.monotonic() + 5
    while answers_rpc(url, 0.5) and time.monotonic() < end:
        SystemClock().sleep(0.05)
    assert not answers_rpc(url, 0.5)


@contextmanager
def bound_port():
    """A port that another program holds."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


@pytest.mark.kamailio
@pytest.mark.parametrize("taken", ["SIP port", "RPC port", "RPC port of another Kamailio"])
def test_a_port_taken_in_between_is_tried_again(kamailio, tmp_path, monkeypatch, taken):
    """Whoever took a port after it was looked for, the registrar starts on other ones."""
    looks = []

    with bound_port() as held:
        port = urlsplit(kamailio.rpc_url).port if "another" in taken else held

        def free(count):
            looks.append(count)
            sip, rpc, *others = free_ports(count)
            if len(looks) > 1:
                return sip, rpc, *others
            return (port, rpc, *others) if taken == "SIP port" else (sip, port, *others)

        monkeypatch.setattr(registrar_module, "free_ports", free)
        with running_registrar(tmp_path) as registrar:
            assert answers_rpc(registrar.rpc_url, 1.0)
            assert port not in (registrar.sip_port, urlsplit(registrar.rpc_url).port)
    assert looks == [2, 2]


@pytest.mark.kamailio
def test_ports_that_are_always_taken_end_the_trying(kamailio, tmp_path, monkeypatch):
    """After a few attempts the error says so, instead of trying for ever."""
    looks = []

    with bound_port() as port:

        def free(count):
            looks.append(count)
            sip, other = free_ports(2)
            return sip, port, other

        monkeypatch.setattr(registrar_module, "free_ports", free)
        with pytest.raises(NetworkUnreachable), running_registrar(tmp_path):
            pass
    assert 1 < len(looks) < 10


@pytest.mark.kamailio
async def test_the_registrar_runs_as_an_ordinary_user(kamailio):
    """None of its processes is the system administrator's, whoever started it."""
    client = RpcClient(KamailioSettings(kind="kamailio", name="trial", rpc_url=kamailio.rpc_url))
    answer = await client.call("core.ps", [])
    await client.close()
    users = {psutil.Process(each).uids().real for each in answer.result if isinstance(each, int)}
    assert users
    assert 0 not in users


@pytest.mark.parametrize(
    ("started_by", "known", "becomes"),
    [(1000, {}, []), (0, {"kamailio": (106, 112)}, ["106", "112"]), (0, {}, ["65534", "65534"])],
)
def test_an_administrator_becomes_somebody_else(monkeypatch, started_by, known, becomes):
    """Root becomes Kamailio's own user, or nobody where there is none; everybody else stays."""
    monkeypatch.setattr("os.geteuid", lambda: started_by)
    monkeypatch.setattr(
        "pwd.getpwnam", lambda name: SimpleNamespace(pw_uid=known[name][0], pw_gid=known[name][1])
    )
    prefix = registrar_module._as_ordinary_user()
    assert [each for each in prefix if each.isdigit()] == becomes
    assert "--pdeathsig" in prefix


@pytest.mark.kamailio
async def test_a_thousand_phones_are_read_back(kamailio):
    """Each of a thousand real registrations is found by lookup and in the snapshot, with its instance."""
    settings = KamailioSettings(kind="kamailio", name="trial", rpc_url=kamailio.rpc_url)
    network = open_network(settings, SystemClock())
    phones = [
        Phone(f"{3000 + number}@fleet.example", "Snom D785", f"urn:uuid:0-{number}")
        for number in range(1_000)
    ]
    lines = [phone.line_port for phone in phones]
    async with PhoneFleet(kamailio.address, SystemClock()) as fleet:
        assert set((await fleet.register(phones)).values()) == {200}
        answers = await network.lookup(lines)
        assert {line: found[0].instance for line, found in answers.bindings.items()} == {
            phone.line_port: phone.instance for phone in phones
        }
        assert {binding.line_port async for binding in network.snapshot()} == set(lines)
        assert (await network.check()).contacts == 1_000
        assert set((await fleet.sign_off(lines)).values()) == {200}
    assert not any((await network.lookup(lines)).bindings.values())
    await network.close()


def test_free_ports_are_distinct():
    """Ports that are asked for together differ."""
    assert len(set(free_ports(20))) == 20
