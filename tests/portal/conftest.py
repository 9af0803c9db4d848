"""The portal's tests run twice: on a portal of this machine, and on one over HTTP; the contract is one.

Tests that look behind the portal (its own store, a file of this machine, a callback that must be called at a
certain moment) carry the mark `here`, and run on this machine's only.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_service import running
from portal_home import Home, HttpHome


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every test with a home both kinds of it, but for those that are marked."""
    if "home" in metafunc.fixturenames:
        here_only = metafunc.definition.get_closest_marker("here")
        metafunc.parametrize("home", ["here"] if here_only else ["here", "http"], indirect=True)


@pytest.fixture
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """A home in a folder of its own, whose portals work here or over HTTP."""
    if request.param == "here":
        made = Home(tmp_path / "home")
        yield made
    else:
        made = HttpHome(tmp_path / "home")
        with running(made) as service:
            made.service = service
            yield made
            made.close_portals()
    made.services.close()
