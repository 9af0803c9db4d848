"""Fixtures of the service's tests."""

from collections.abc import Iterator

import pytest
from api_service import Service, running
from portal_home import Home, home

__all__ = ["home"]


@pytest.fixture
def service(home: Home) -> Iterator[Service]:
    """A running service over the small home."""
    with running(home) as started:
        yield started
