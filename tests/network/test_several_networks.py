"""Several networks at once: each is tried by itself, and a dead one costs only its own lines."""

import asyncio
import json
import socket
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from kamailio_fixture import kamailio
from postgresql_fixture import postgresql

from devlib.cli import main
from devlib.clock import SystemClock
from devlib.config import KamailioSettings, Settings, SimulatorSettings, load_settings
from devlib.demo.location_tables import make_location_tables
from devlib.demo.registrar import Options, running_registrar
from devlib.model import EVERYTHING, Identity, LineState, Mac, NewDevice, Role, User
from devlib.network import Phone, PhoneFleet, Simulator, examine
from devlib.network.loopback import free_ports
from devlib.portal import Portal, open_services
from devlib.storage import NewLine

__all__ = ["kamailio", "postgresql"]

KIND = "Yealink T46S"


def settings_of(**given):
    """Return the settings of one network."""
    return KamailioSettings.model_validate({"kind": "kamailio", "name": "trial", "seconds": 1.0} | given)


def examined(settings):
    """Try a network; return its parts by name, and the whole."""
    found = asyncio.run(examine(settings, SystemClock()))
    return {each.name: each for each in found.parts}, found


def test_the_documentation_names_every_key_and_its_example_is_right(tmp_path):
    """docs/settings.md names each setting of a network; its two networks can be loaded as they stand."""
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
    part = page.partition("## Networks")[2].partition("\n## ")[0]
    for name in {*KamailioSettings.model_fields, *SimulatorSettings.model_fields}:
        assert f"`{name}`" in part or f"`{name} = " in part, name
    example = part.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "devlib.toml").write_text(example)
    lyon, kiel = load_settings({"DEVLIB_HOME": str(tmp_path)}).networks
    assert (lyon.customers, kiel.customers, kiel.seconds) == (("Bakery",), ("Clinic",), 2.0)
    assert lyon.rpc_password.env == "LYON_RPC_PASSWORD"


@contextmanager
def deaf():
    """A TCP port that takes connections and never says a word, and a UDP port that swallows everything."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen(8)
        udp.bind(("127.0.0.1", 0))
        yield tcp.getsockname()[1], udp.getsockname()[1]


@pytest.mark.kamailio
@pytest.mark.postgresql
def test_each_part_that_is_set_is_tried(kamailio, postgresql, tmp_path):
    """RPC, database, feed and SIP proxy answer, over UDP and TCP; with all of them nothing is missing."""
    database = postgresql.new_database()
    make_location_tables(database)
    with running_registrar(tmp_path, options=Options(database=database, events=True)) as registrar:
        given = {"rpc_url": registrar.rpc_url, "database": database, "events": registrar.events}
        for proxy in (registrar.sip_proxy, registrar.sip_proxy.replace("udp:", "tcp:")):
            parts, found = examined(settings_of(**given, sip_proxy=proxy))
            assert {name: each.works for name, each in parts.items()} == dict.fromkeys(
                ("rpc", "database", "events", "sip_proxy"), True
            )
            assert found.works
            assert "kamailio" in str(parts["rpc"].detail)
            assert "200" in str(parts["sip_proxy"].detail)
        registrar.kill()
        parts, found = examined(settings_of(**given, sip_proxy=registrar.sip_proxy))
        assert {name: each.works for name, each in parts.items()} == {
            "rpc": False, "database": True, "events": False, "sip_proxy": False,
        }  # fmt: skip
        assert not found.works


@pytest.mark.kamailio
def test_what_is_not_set_says_what_that_means(kamailio):
    """A part that is not set is no failure; it says what cannot be known without it."""
    parts, found = examined(settings_of(rpc_url=kamailio.rpc_url))
    assert found.works
    assert {name for name, each in parts.items() if not each.is_set} == {"database", "events", "sip_proxy"}
    assert "inferred" in str(parts["events"].without)
    assert not found.capabilities.push


def test_deaf_parts_end_within_their_limit():
    """Doors that take everything and answer nothing cost the limit once, not one after the other."""
    with deaf() as (tcp, udp):
        start = time.monotonic()
        parts, _ = examined(
            settings_of(
                rpc_url=f"http://127.0.0.1:{tcp}/RPC",
                database=f"postgresql://u:hunter2@127.0.0.1:{tcp}/d",
                sip_proxy=f"udp:127.0.0.1:{udp}",
                seconds=0.5,
            )
        )
        assert time.monotonic() - start < 4
        assert not any(each.works for each in parts.values())
        assert "0.5" in str(parts["sip_proxy"].detail)
        parts, _ = examined(
            settings_of(rpc_url="http://127.0.0.1:1/RPC", sip_proxy=f"tcp:127.0.0.1:{tcp}", seconds=0.3)
        )
        assert not parts["sip_proxy"].works


def test_a_missing_secret_is_that_part_alone(tmp_path, monkeypatch):
    """A variable or file that is missing is named, the other parts are tried all the same."""
    monkeypatch.delenv("NOT_SET_HERE", raising=False)
    (port,) = free_ports(1)
    parts, _ = examined(
        settings_of(
            rpc_url=f"http://127.0.0.1:{port}/RPC",
            rpc_user="u",
            rpc_password={"env": "NOT_SET_HERE"},
            database={"file": str(tmp_path / "away")},
            events=f"127.0.0.1:{port}",
        )
    )
    assert "NOT_SET_HERE" in str(parts["rpc"].detail)
    assert "secret" in str(parts["database"].detail)
    assert "refused" in str(parts["events"].detail).lower()


async def test_a_simulator_is_one_part():
    """The simulated network answers as a whole."""
    found = await examine(SimulatorSettings(gaps=False), SystemClock())
    assert [each.name for each in found.parts] == ["simulator"]
    assert found.works
    assert isinstance(Simulator(SimulatorSettings(), SystemClock()), Simulator)


@pytest.mark.kamailio
def test_doctor_tries_all_networks_at_once_and_prints_no_secret(kamailio, tmp_path, monkeypatch, capsys):
    """Each network has its line and one for each part; the dead one fails, the secrets stay secret."""
    monkeypatch.setenv("DEVLIB_HOME", str(tmp_path))
    monkeypatch.setenv("DEVLIB_LANGUAGE", "en")
    monkeypatch.setenv("LAB_PASSWORD", "hunter2-of-the-environment")
    (tmp_path / "word").write_text("hunter2-of-the-file\n")
    (port,) = free_ports(1)
    (tmp_path / "devlib.toml").write_text(
        f"""
[[networks]]
kind = "kamailio"
name = "north"
rpc_url = "{kamailio.rpc_url}"
rpc_user = "devlib"
rpc_password = {{ env = "LAB_PASSWORD" }}
sip_proxy = "{kamailio.sip_proxy}"
customers = ["A"]

[[networks]]
kind = "kamailio"
name = "south"
rpc_url = "http://127.0.0.1:{port}/RPC"
database = "postgresql://devlib:hunter2-in-the-url@127.0.0.1:{port}/kamailio"
notify_password = {{ file = "{tmp_path / "word"}" }}
seconds = 1.0
"""
    )
    assert main(["doctor"]) == 1
    said = capsys.readouterr()
    assert "hunter2" not in said.out + said.err
    lines = {line[6:].partition(":")[0]: line for line in said.out.splitlines()}
    assert lines["network north"].startswith("ok")
    assert "Tells user agents" in lines["network north"]
    assert lines["network north sip_proxy"].startswith("ok")
    assert lines["network north events"].startswith("–")
    assert lines["network south"].startswith("FAIL")
    assert "rpc, database" in lines["network south"]
    assert lines["network south database"].startswith("FAIL")
    main(["--json", "doctor"])
    found = {each["subject"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["network north"]["capabilities"]["push"] is False
    assert found["network south rpc"]["works"] is False


@pytest.mark.kamailio
def test_a_dead_network_costs_only_its_own_lines(kamailio, tmp_path):
    """Two registrars of two customers and a dead third: each line is asked at its own, in its own limits."""
    with running_registrar(tmp_path / "second") as second, deaf() as (tcp, _):
        networks = (
            settings_of(name="one", rpc_url=kamailio.rpc_url, customers=("A",)),
            settings_of(name="two", rpc_url=second.rpc_url, customers=("B",), connections=2),
            settings_of(name="dead", rpc_url=f"http://127.0.0.1:{tcp}/RPC", customers=("C",), seconds=0.4),
        )
        settings = Settings(home=tmp_path / "home", account="tester", networks=networks)
        services = open_services(settings, SystemClock())
        ports = seeded(services)
        try:
            asyncio.run(registered(ports, {"A": kamailio, "B": second}))
            portal = Portal(Identity("tester", Role.SERVICE_PROVIDER, EVERYTHING), services)
            start = time.monotonic()
            result = portal.collect()
            assert time.monotonic() - start < 10
            assert (result.states[LineState.REGISTERED], result.states[LineState.UNKNOWN]) == (40, 20)
            rows = portal.sql("SELECT customer, network, state, count(*) AS n FROM line_states GROUP BY ALL")
            assert sorted(rows.itertuples(index=False, name=None)) == [
                ("A", "one", "registered", 20),
                ("B", "two", "registered", 20),
                ("C", "dead", "unknown", 20),
            ]
            assert [each.network for each in result.failures] == ["dead"]
        finally:
            services.close()


def seeded(services):
    """Give three customers twenty lines each, under the same names of users; return their line ports."""
    ports = {}
    with services.inventory.write() as writer:
        writer.add_provider("P")
        for number, customer in enumerate("ABC"):
            writer.add_customer("P", customer)
            writer.add_site(EVERYTHING, customer, "S", [KIND])
            ports[customer] = [f"{each}@{customer.lower()}.test" for each in range(20)]
            macs = [Mac(0x805EC0 << 24 | number << 8 | each) for each in range(20)]
            writer.add_devices(EVERYTHING, customer, [NewDevice(mac, KIND, "S") for mac in macs])
            lines = [
                (mac, NewLine(port, User(f"u{port}"), port=1))
                for mac, port in zip(macs, ports[customer], strict=True)
            ]
            writer.assign_lines(EVERYTHING, services.catalogue, lines)
    return ports


async def registered(ports, registrars):
    """Register each customer's lines at its own registrar."""
    for customer, registrar in registrars.items():
        async with PhoneFleet(registrar.address, SystemClock()) as fleet:
            answers = await fleet.register(Phone(port, expires=60) for port in ports[customer])
            assert set(answers.values()) == {200}
