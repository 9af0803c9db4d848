"""A small home for tests: one provider, two customers, four sites, a simulator, a clock that stands still."""

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from devlib.clock import FakeClock
from devlib.config import Settings, SimulatorSettings
from devlib.export import MemoryCoordinator, MemoryStore
from devlib.model import EVERYTHING, Identity, Mac, NewDevice, Role, Scope, User
from devlib.portal import Portal, open_services
from devlib.storage import NewLine

PROVIDER = "Test Telecom"
SITES = {"Bakery": ("Lyon", "Nice"), "Clinic": ("Kiel", "Lyon")}
TYPES = ("Cisco 8851", "Yealink T46S", "Snom M700")


def mac_of(number: int) -> Mac:
    """Return the MAC of the numbered device."""
    return Mac(0x805EC0 << 24 | number)


@cache
def _seeded() -> Path:
    """Return a folder with the fleet, made once for each run and closed; every home is a copy of it."""
    place = Path(tempfile.mkdtemp(prefix="devlib-home-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    home = Home(place / "home", seeded=False)
    home._seed()
    home.services.close()
    return home.folder


class Home:
    """An opened home with its fleet; portals for any identity.

    Args:
        folder: the home.
        database: URL of an empty database; by default a file in the home.
        seeded: whether the fleet is there at once.
    """

    def __init__(self, folder: Path, database: str = "", *, seeded: bool = True) -> None:
        self.folder = folder
        if seeded and not database:
            shutil.copytree(_seeded(), folder, dirs_exist_ok=True)
        self.clock = FakeClock()
        networks = (SimulatorSettings(name="simulator", seed=7, registrars=1),)
        self.settings = Settings(home=folder, database=database, account="tester", networks=networks)
        self.services = open_services(self.settings, self.clock)
        # Waiting moves the clock of the test.
        self.exports = MemoryStore(self.clock)
        self.services.coordinators.append(MemoryCoordinator(self.exports, self.settings.export))
        if seeded and database:
            self._seed()

    @property
    def simulator(self):
        """The one simulator behind all portals of this home."""
        return self.services.networks.served[0].open()

    def portal(self, role: Role = Role.SERVICE_PROVIDER, scope: Scope = EVERYTHING, name: str = "") -> Portal:
        """Return a portal for an identity of this role and scope."""
        return Portal(Identity(name or role.value, role, scope), self.services)

    def _seed(self) -> None:
        number = 0
        with self.services.inventory.write() as writer:
            writer.add_provider(PROVIDER, line_state_export=True)
            for customer, sites in SITES.items():
                writer.add_customer(PROVIDER, customer)
                for site in sites:
                    writer.add_site(EVERYTHING, customer, site, TYPES)
                    for kind in ("Yealink T46S", "Yealink T46S", "Snom M700"):
                        number += 1
                        self._add(writer, customer, site, kind, number)

    def _add(self, writer, customer: str, site: str, kind: str, number: int) -> None:
        dect = kind == "Snom M700"
        device = NewDevice(
            mac_of(number), kind, site, f"{site} {number}",
            base_station_id=f"RPN{number}" if dect else "", chain_id="1356802345" if dect else "",
        )  # fmt: skip
        writer.add_device(EVERYTHING, customer, device)
        lines = [
            NewLine(
                f"{number}{port}@{site.lower()}.{customer.lower()}.example",
                User(f"user{number}{port}", "Ann", "O'Hara", f"+3340000{number:02}{port}", f"{number}{port}"),
                port=port,
            )
            for port in (1, 2)
        ]
        writer.assign_lines(EVERYTHING, self.services.catalogue, [(device.mac, line) for line in lines])


class HttpHome(Home):
    """The same home behind a service; its portals work over HTTP.

    Attributes:
        service: the running service.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.service = None
        self._opened = []

    def portal(self, role: Role = Role.SERVICE_PROVIDER, scope: Scope = EVERYTHING, name: str = "") -> Portal:
        """Return a portal over HTTP for a stored identity of this role and scope."""
        from devlib.network.service_client import ServiceClient

        client = ServiceClient(self.service.url, self.service.token(role, scope, name))
        self._opened.append(_prepared(client, self.services))
        return self._opened[-1]

    def close_portals(self) -> None:
        """Close the connections of all portals."""
        for each in self._opened:
            each.close()


def _prepared(client, services) -> Portal:
    """Return a portal over HTTP through which a test can also reach the services behind it."""
    from devlib.portal.remote import RemotePortal

    kind = type("PreparedPortal", (RemotePortal,), {"services": services})
    return kind(client)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home in a folder of its own; 24 lines on 12 devices."""
    made = Home(tmp_path / "home")
    yield made
    made.services.close()
