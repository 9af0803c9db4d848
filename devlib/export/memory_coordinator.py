"""A coordinator in the memory of one process, for tests with a clock that is moved by hand."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from devlib.clock import Clock
from devlib.config import ExportPolicy
from devlib.export.admission import AdmissionState, Happening, Outcome, from_json, to_json
from devlib.export.coordinator_base import EVENTS_KEPT, OUTCOME_KEPT, SteppingCoordinator
from devlib.export.coordinator_values import Locked, RecentExport


class MemoryBell:
    """A bell whose wait moves the clock of the test."""

    def __init__(self, address: str, clock: Clock) -> None:
        self.address = address
        self._clock = clock
        self._rung = threading.Event()

    def wait(self, seconds: float, watch: Sequence[str] = ()) -> None:  # noqa: ARG002 - the dead are told
        """Sleep for `seconds` by the clock unless the bell rang."""
        if not self._rung.is_set():
            self._clock.sleep(seconds)
        self._rung.clear()

    def ring(self) -> None:
        """Ring the bell."""
        self._rung.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


@dataclass
class MemoryStore:
    """What the coordinators of one test share; each of them stands for a process.

    Args:
        clock: the clock of all of them.
    """

    clock: Clock
    text: str = field(default_factory=lambda: to_json(AdmissionState()))
    killed: set[str] = field(default_factory=set)
    bells: dict[str, MemoryBell] = field(default_factory=dict)
    events: list[RecentExport] = field(default_factory=list)
    outcomes: dict[tuple[str, str], tuple[float, Outcome]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    opened: int = 0

    def load(self) -> tuple[AdmissionState, float]:
        """Return the state and the moment."""
        return from_json(self.text), self.clock.monotonic()

    def dead(self, owners: frozenset[str]) -> frozenset[str]:
        """Return those that were closed."""
        return owners & self.killed

    def earlier(self, principal: str, idempotency: str) -> Outcome | None:
        """Return the stored outcome of an idempotency key."""
        expires, outcome = self.outcomes.get((principal, idempotency), (0.0, None))
        return outcome if self.clock.monotonic() < expires else None

    def save(self, state: AdmissionState, happenings: tuple[Happening, ...], bells: tuple[str, ...]) -> None:
        """Store everything."""
        del bells
        self.text = to_json(state)
        for each in happenings:
            self.events.append(recent_export(self.clock, each))
            if each.outcome is not None:
                self.outcomes[each.principal, each.idempotency] = (state.now + OUTCOME_KEPT, each.outcome)
        del self.events[:-EVENTS_KEPT]

    def recent(self, count: int) -> tuple[RecentExport, ...]:
        """Return the newest events."""
        return tuple(reversed(self.events[-count:]))


def recent_export(clock: Clock, each: Happening) -> RecentExport:
    """Return the line of the list for one happening, stamped now."""
    return RecentExport(
        at=clock.now(),
        ticket=each.ticket,
        principal=each.principal,
        session=each.session,
        customer=each.customer,
        key=each.key,
        event=each.event,
        http=each.http,
        why=each.why,
        wait_ms=each.wait_ms,
        run_ms=each.run_ms,
    )


class MemoryCoordinator(SteppingCoordinator):
    """A coordinator that stands for one process of a test.

    Args:
        store: shared with the other processes of the test.
        policy: the limits.
    """

    def __init__(self, store: MemoryStore, policy: ExportPolicy) -> None:
        super().__init__(policy)
        self._store = store
        store.opened += 1
        self._owner = f"process-{store.opened}"

    @property
    def owner(self) -> str:
        """The name of this process."""
        return self._owner

    def bell(self) -> MemoryBell:
        """Return a new bell."""
        bell = MemoryBell(f"bell-{len(self._store.bells)}", self._store.clock)
        self._store.bells[bell.address] = bell
        return bell

    def close(self) -> None:
        """End the process: its requests die with it."""
        self._store.killed.add(self._owner)

    @contextmanager
    def _locked(self) -> Iterator[Locked]:
        with self._store.lock:
            yield self._store

    def _ring(self, bells: tuple[str, ...]) -> None:
        for address in bells:
            self._store.bells[address].ring()
