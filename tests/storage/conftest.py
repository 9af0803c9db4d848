"""Fixtures of the inventory's tests: each test runs on both databases."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from postgresql_fixture import PostgresqlServer, postgresql

from devlib.clock import FakeClock
from devlib.model import Catalogue, load_catalogue
from devlib.storage import Inventory, open_inventory

__all__ = ["postgresql"]

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The shipped device types."""
    return load_catalogue()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture(params=BOTH)
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """A function that gives the URL of an empty database, on each kind of database."""
    if request.param == "sqlite":
        numbers = count(1)
        return lambda: f"sqlite:///{tmp_path}/folder/inventory-{next(numbers)}.db"
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.new_database


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    """The URL of an empty database."""
    return new_database()


@pytest.fixture
def inventory(url: str, clock: FakeClock) -> Iterator[Inventory]:
    """An empty inventory."""
    with open_inventory(url, clock) as opened:
        yield opened
