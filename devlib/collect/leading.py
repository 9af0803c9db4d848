"""Of several collectors with the same scope, one leads each network; the others stand by.

The leases are in the inventory's database, so that it does not matter on which machine a collector runs. A
collector needs the leases of all networks that serve its scope, and gets all or none. Collectors with
different scopes do not hinder each other.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from devlib.clock import Clock
from devlib.collect.networks import Networks
from devlib.errors import Conflict, TryLater
from devlib.model import Scope
from devlib.storage import FREE, Inventory, Lease, ended, own_name

_BEATS = 5  # within the patience


@dataclass(frozen=True, slots=True)
class StandBy:
    """Another collector leads.

    Args:
        network: the lease that it holds.
    """

    network: str


@dataclass(slots=True)
class _Watched:
    """A lease of somebody else, and since when nothing of it has changed, by our own clock."""

    lease: Lease
    since: float


class Leadership:
    """The leases of one collector; `lead` takes or keeps them, a thread of `beating` shows that it lives.

    Attributes:
        inherited: whether another collector led, or tried to, before this one did.

    Args:
        inventory: holds the leases.
        networks: those that the collector asks.
        scope: what it collects.
        clock: measures for how long nothing was heard of a leader.
        patience: seconds without a sign of life after which a leader is replaced; a leader of this machine
            whose process has ended is replaced at once.
        holder: name of this collector; by default that of the process.
    """

    def __init__(
        self,
        inventory: Inventory,
        networks: Networks,
        scope: Scope,
        clock: Clock,
        *,
        patience: float,
        holder: str = "",
    ) -> None:
        self.inherited = False
        self.patience = patience
        self._inventory = inventory
        self._networks = networks
        self._scope = scope
        self._clock = clock
        self._holder = holder or own_name()
        self._fences: dict[str, int] = {}
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.Lock()

    @property
    def fences(self) -> dict[str, int]:
        """The leases held, by name, for what is written under them."""
        with self._lock:
            return dict(self._fences)

    def lead(self) -> StandBy | None:
        """Take the leases, or see that they are still held; return `None` where this collector leads.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        names = self._names()
        with self._lock:
            if set(self._fences) == set(names) and self._beat():
                return None
            self._give_back()
            try:
                standing_by = self._take(names)
            except Conflict:  # made by another collector in this very moment
                standing_by = StandBy(names[0])
            except TryLater:
                # What could not be seen says nothing about the leader.
                self._watched.clear()
                raise
            if standing_by is not None:
                self.inherited = True
            return standing_by

    def beat(self) -> None:
        """Show that this collector lives."""
        with self._lock:
            self._beat()

    def give_back(self) -> None:
        """Let another collector lead at once."""
        with self._lock:
            self._give_back()

    def _beat(self) -> bool:
        if not self._fences:
            return False
        with self._inventory.write() as writer:
            held = [writer.beat_lease(name, self._fences[name]) for name in sorted(self._fences)]
        return all(held)

    def _give_back(self) -> None:
        if self._fences:
            with self._inventory.write() as writer:
                for name in sorted(self._fences):
                    writer.give_lease_back(name, self._fences[name])
            self._fences.clear()

    def _take(self, names: list[str]) -> StandBy | None:
        taken: dict[str, int] = {}
        with self._inventory.write() as writer:
            # All are looked at, in one order, before any is taken: all or none.
            seen = {name: writer.lease(name) for name in names}
            if busy := [name for name in names if not self._may_take(seen[name])]:
                return StandBy(busy[0].partition("\n")[0])
            for name, lease in seen.items():
                taken[name] = writer.take_lease(name, self._holder, lease).fence
        self.inherited |= any(lease is not None and lease.holder != FREE for lease in seen.values())
        self._fences, self._watched = taken, {}
        return None

    def _may_take(self, lease: Lease | None) -> bool:
        if lease is None or lease.holder in (FREE, self._holder) or ended(lease.holder):
            return True
        now = self._clock.monotonic()
        watched = self._watched.get(lease.name)
        if watched is None or watched.lease != lease:
            self._watched[lease.name] = _Watched(lease, now)
            return False
        return now - watched.since >= self.patience

    def _names(self) -> list[str]:
        with self._inventory.read() as reader:
            customers = reader.customers(self._scope)
        found = {self._networks.for_customer(each.provider, each.name) for each in customers}
        scope = self._scope
        parts = (scope.provider or "*", scope.customer or "*", *sorted(scope.sites or ()))
        return sorted(f"{each.name if each else '-'}\n{' / '.join(parts)}" for each in found or {None})


@contextmanager
def beating(leadership: Leadership, seconds: float | None = None) -> Iterator[None]:
    """Show in a thread that a collector lives, for the time of the block; then give its leases back.

    Args:
        leadership: its leases.
        seconds: between two beats; by default a fifth of the patience.
    """
    stop = threading.Event()
    pause = leadership.patience / _BEATS if seconds is None else seconds

    def keep() -> None:
        while not stop.wait(pause):
            with suppress(TryLater):  # a database that is away is away for the others too
                leadership.beat()

    thread = threading.Thread(target=keep, name="devlib-leading", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        with suppress(TryLater):
            leadership.give_back()
