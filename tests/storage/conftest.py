"""Fixtures of the inventory's tests: each test runs on both databases."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from bucket_fixture import BucketServer, bucket_server
from postgresql_fixture import PostgresqlServer, postgresql

from devlib.clock import FakeClock
from devlib.model import Catalogue, load_catalogue
from devlib.storage import BucketFiles, FolderFiles, Inventory, LakeFiles, open_inventory

__all__ = ["bucket_server", "postgresql"]

BUCKET = pytest.param("bucket", marks=pytest.mark.bucket)
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


@pytest.fixture(params=["folder", BUCKET])
def place(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> LakeFiles:
    """An empty store of files, of each kind."""
    return _place(request, request.param, tmp_path, clock)


@pytest.fixture
def fitting_place(request: pytest.FixtureRequest, url: str, tmp_path: Path, clock: FakeClock) -> LakeFiles:
    """An empty store of files: a folder beside SQLite, a bucket beside PostgreSQL."""
    return _place(request, "folder" if url.startswith("sqlite") else "bucket", tmp_path, clock)


def _place(request: pytest.FixtureRequest, kind: str, folder: Path, clock: FakeClock) -> LakeFiles:
    if kind == "folder":
        return FolderFiles(folder / "lake")
    server: BucketServer = request.getfixturevalue("bucket_server")
    return BucketFiles(server.bucket(folder), clock)
