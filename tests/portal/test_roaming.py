"""DECT on a real Kamailio: handsets that roam between bases, with and without an instance of their own."""

import asyncio

import pytest
from kamailio_fixture import kamailio

from devlib.clock import SystemClock
from devlib.config import KamailioSettings, Settings
from devlib.model import EVERYTHING, Identity, Mac, NewDevice, Role, User
from devlib.network import PhoneFleet, with_own_instance
from devlib.portal import Portal, open_services
from devlib.storage import NewLine

__all__ = ["kamailio"]

pytestmark = pytest.mark.kamailio

BASES = [Mac(0x000413 << 24 | number) for number in (1, 2, 3)]
ROAMER, STAYER, OWN = (f"{name}@roaming.test" for name in ("roamer", "stayer", "own"))


@pytest.fixture
def portal(kamailio, tmp_path):
    """A portal on three bases of one chain, the first with three handsets, at a real registrar."""
    network = KamailioSettings(kind="kamailio", name="lab", rpc_url=kamailio.rpc_url)
    settings = Settings(home=tmp_path, account="tester", networks=(network,))
    services = open_services(settings, SystemClock())
    with services.inventory.write() as writer:
        writer.add_provider("P")
        writer.add_customer("P", "C")
        writer.add_site(EVERYTHING, "C", "S", ["Snom M700"])
        for number, mac in enumerate(BASES, 1):
            base = NewDevice(mac, "Snom M700", "S", base_station_id=str(number), chain_id="77")
            writer.add_device(EVERYTHING, "C", base)
        lines = [
            (BASES[0], NewLine(port, User(port), port=number))
            for number, port in enumerate((ROAMER, STAYER, OWN), 1)
        ]
        writer.assign_lines(EVERYTHING, services.catalogue, lines)
    yield Portal(Identity("tester", Role.SERVICE_PROVIDER, EVERYTHING), services)
    services.close()


def handsets(portal):
    """Return what the handsets' table says, by line port."""
    frame = portal.dect_handsets()
    return {row["line_port"]: row for row in frame.to_dict("records")}


def test_roaming_handsets_are_where_they_registered_last(kamailio, portal):
    """The newest contact tells the base; a ghost is flagged, and counts neither as binding nor as device."""
    asyncio.run(roam(kamailio, portal))


async def roam(registrar, portal):
    lines = {line.phone.line_port: line.timed(60, 0) for line in portal.trial_lines()}
    lines[OWN] = with_own_instance(lines[OWN])
    assert [each.device for each in lines[ROAMER].elsewhere] == [str(mac) for mac in BASES[1:]]
    async with PhoneFleet(registrar.address, SystemClock()) as fleet:
        await fleet.register(line.phone for line in lines.values())
        await asyncio.to_thread(portal.collect)
        before = handsets(portal)
        assert {row["current_station_id"] for row in before.values()} == {"1"}
        # A registrar counts whole seconds, and so does the order of contacts.
        await asyncio.sleep(1.1)
        moved = [lines[ROAMER].elsewhere[1], lines[OWN].elsewhere[0]]
        assert set((await fleet.roam(moved)).values()) == {200}
        await asyncio.to_thread(portal.collect)
        after = handsets(portal)
        places = {port: (row["current_station_id"], row["ghosts"]) for port, row in after.items()}
        assert places == {ROAMER: ("3", 1), STAYER: ("1", 0), OWN: ("2", 0)}
        assert after[ROAMER]["current_base"] == str(BASES[2])
        assert after[ROAMER]["since"] > after[STAYER]["since"] == before[STAYER]["since"]
        stations = portal.dect_stations().set_index("base_station_id")
        assert list(stations["handsets_here"]) == [1, 1, 1]
        assert list(stations["handsets_assigned"]) == [3, 0, 0]
        assert list(stations["ghosts"]) == [0, 0, 1]
        assert portal.sql("SELECT sum(bindings) AS n, count(*) AS lines FROM line_states").iloc[
            0
        ].tolist() == [3, 3]
        findings = portal.findings()
        assert findings[["kind", "line_port"]].values.tolist() == [["ghosts", ROAMER]]
        status = await asyncio.to_thread(portal.status, BASES[0])
        assert (status.registered, [each.bindings for each in status.lines]) == (3, [1, 1, 1])
        assert await asks(registrar, portal, ROAMER) == 200
        await fleet.sign_off(lines)


async def asks(registrar, portal, line_port):
    """Restart a handset through the registrar; return the status: its living contact answers."""
    network = portal.services.networks.served[0].open()
    try:
        return (await network.restart(line_port)).code
    finally:
        await network.close()
