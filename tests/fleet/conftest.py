"""Fixtures of the fleet's tests: a small fleet, on both databases."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgresql_fixture import PostgresqlServer, postgresql

from devlib.clock import FakeClock
from devlib.model import EVERYTHING, Catalogue, Mac, NewDevice, Scope, load_catalogue
from devlib.storage import Inventory, open_inventory

__all__ = ["postgresql"]

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]
APPROVED = ("Yealink T46S", "Yealink W60B", "Cisco 8851")


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The shipped device types."""
    return load_catalogue()


@pytest.fixture
def scope() -> Scope:
    """The customer whose fleet is changed."""
    return Scope("Telecom", "Bakery")


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database in which only providers, customers and sites are."""
    if request.param == "sqlite":
        empty = f"sqlite:///{tmp_path}/inventory.db"
    else:
        server: PostgresqlServer = request.getfixturevalue("postgresql")
        empty = server.new_database()
    with open_inventory(empty, FakeClock()) as inventory:
        _organise(inventory)
    return empty


def _organise(inventory: Inventory) -> None:
    """Make a customer with two sites, and a foreign one with a device."""
    with inventory.write() as writer:
        writer.add_provider("Telecom")
        writer.add_customer("Telecom", "Bakery")
        writer.add_customer("Telecom", "Clinic")
        writer.add_site(EVERYTHING, "Bakery", "Lyon", APPROVED)
        writer.add_site(EVERYTHING, "Bakery", "Chambéry", ("Yealink T46S",))
        writer.add_site(EVERYTHING, "Clinic", "Kiel", APPROVED)
        foreign = NewDevice(Mac(0x001565FFFFFF), "Yealink T46S", "Kiel", name="Secret")
        writer.add_device(EVERYTHING, "Clinic", foreign)


@pytest.fixture
def organise() -> Callable[[Inventory], None]:
    """The function that fills an empty inventory with providers, customers and sites."""
    return _organise


@pytest.fixture
def inventory(url: str) -> Iterator[Inventory]:
    """That database, open."""
    with open_inventory(url, FakeClock()) as opened:
        yield opened
