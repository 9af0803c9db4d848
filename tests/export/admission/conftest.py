"""Fixtures of the admission's tests: each contract test runs on all three coordinators."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from postgresql_fixture import PostgresqlServer, postgresql

from devlib.clock import Clock, FakeClock, SystemClock
from devlib.config import ExportPolicy
from devlib.export.admission import ExportKey
from devlib.export.coordinator import Coordinator, open_coordinator
from devlib.export.coordinator_values import ExportRequest
from devlib.export.memory_coordinator import MemoryCoordinator, MemoryStore

__all__ = ["postgresql"]

KINDS = ["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


class PushedClock(SystemClock):
    """The clock of this machine, pushed forward by hand."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def monotonic(self) -> float:
        """Return the machine's time and all pushes."""
        return super().monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        """Push the clock forward."""
        self._ahead += seconds


@dataclass
class House:
    """A place where coordinators share one queue; each of them stands for one process."""

    clock: Clock
    opener: Callable[[ExportPolicy], Coordinator]
    later: Callable[[float], None]
    policy: ExportPolicy = field(default_factory=ExportPolicy)
    opened: list[Coordinator] = field(default_factory=list)

    def process(self, **limits: object) -> Coordinator:
        """Return a new process's coordinator."""
        coordinator = self.opener(self.policy.model_copy(update=limits))
        self.opened.append(coordinator)
        return coordinator

    def next_period(self) -> None:
        """Let the period, and the life of the cache, pass."""
        self.later(self.policy.period + 0.05)


@pytest.fixture(params=KINDS)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """A house of each kind; the clock is pushed by hand except in PostgreSQL, which has its own."""
    house = _house(request, tmp_path)
    yield house
    for coordinator in house.opened:
        coordinator.close()


def _house(request: pytest.FixtureRequest, folder: Path) -> House:
    if request.param == "memory":
        clock = FakeClock()
        store = MemoryStore(clock)
        return House(clock, lambda policy: MemoryCoordinator(store, policy), clock.advance)
    if request.param == "sqlite":
        pushed = PushedClock()
        url = "sqlite:///inventory.db"
        return House(pushed, lambda policy: open_coordinator(url, folder, policy, pushed), pushed.advance)
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    url = server.new_database()
    # Its clock is its own, so these tests wait; the period is short.
    short = ExportPolicy(period=0.6, cache_ttl=0.6)
    system = SystemClock()
    return House(system, lambda policy: open_coordinator(url, folder, policy, system), time.sleep, short)


def request_of(session: str, customer: str = "Mairie", site: str | None = None, **more: str) -> ExportRequest:
    """Return a request of a session, whose principal has its name."""
    return ExportRequest(f"user of {session}", session, ExportKey("Opale", customer, site), **more)
