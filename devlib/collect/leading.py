"""Of several collectors with the same scope, one leads each network; the others stand by. So do followers.

The leases are in the inventory's database, so that it does not matter on which machine a collector runs. A
collector needs the leases of all networks that serve its scope, and gets all or none. Collectors with
different scopes do not hinder each other.

Followers of event feeds have leases of their own beside those of collectors, since the two do different
things, and both are wanted for one network: a feed tells exactly and at once what its own network does, a
collector gives at fixed distances a snapshot of all networks, those without a feed among them. With one lease
for both, whichever came second would stand by for ever; and it would prevent little, since reports and
`devlib collect` ask at any time: a collection beside a feed is an ordinary thing.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from devlib.clock import Clock
from devlib.collect.networks import Networks
from devlib.errors import Conflict, LeadLost, StorageUnavailable, TryLater
from devlib.language import message
from devlib.model import Scope
from devlib.storage import FREE, Inventory, Lease, ended, own_name, own_place

_BEATS = 5  # within the patience


@dataclass(frozen=True, slots=True)
class StandBy:
    """Another collector, or another follower, leads.

    Args:
        network: which it leads.
        place: machine and process number of the leader; empty where they are not known.
        since: when it began to lead, by its own clock, UTC; `None` where that is not known.
    """

    network: str
    place: str = ""
    since: datetime | None = None


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
        purpose: what is done under the leases; those of different purposes do not hinder each other.
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
        purpose: str = "",
    ) -> None:
        self.inherited = False
        self.patience = patience
        self._inventory = inventory
        self._networks = networks
        self._scope = scope
        self._clock = clock
        self._holder = holder or own_name()
        self._purpose = purpose
        self._fences: dict[str, int] = {}
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.Lock()

    @property
    def fences(self) -> dict[str, int]:
        """The leases held, by name, for what is written under them."""
        with self._lock:
            return dict(self._fences)

    @property
    def pause(self) -> float:
        """Seconds between two signs of life, and between two looks of those who stand by."""
        return self.patience / _BEATS

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
                standing_by = _stand_by(names[0])
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
                return _stand_by(busy[0], seen[busy[0]])
            for name, lease in seen.items():
                taken[name] = writer.take_lease(name, self._holder, lease, own_place()).fence
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
        purpose = f"\n{self._purpose}" if self._purpose else ""
        return sorted(
            f"{each.name if each else '-'}\n{' / '.join(parts)}{purpose}" for each in found or {None}
        )


class Tenure:
    """The time for which a leadership leads without a break, for one who writes little by little.

    Attributes:
        fences: of its leases, as they were at its beginning; what is written under others is not written.

    Args:
        leadership: leads now.
        clock: between two looks.
    """

    def __init__(self, leadership: Leadership, clock: Clock) -> None:
        self.fences = leadership.fences
        self._leadership = leadership
        self._clock = clock
        self._looked = clock.monotonic()

    def require(self) -> None:
        """See now and then that it goes on, also where nothing is written.

        Raises:
            LeadLost: another one leads, or did meanwhile, or other leases are needed now.
        """
        if self._clock.monotonic() - self._looked < self._leadership.pause:
            return
        self._looked = self._clock.monotonic()
        # A database that is away is away for the others too; whoever has to write will hear of it.
        with suppress(StorageUnavailable):
            if (other := self._leadership.lead()) is not None:
                raise LeadLost(message("Another process has taken over."), where=other.network)
            if self._leadership.fences != self.fences:
                raise LeadLost(
                    message("The networks of the scope have changed, or another process led for a while."),
                    remedy=message("Nothing needs to be done: it begins anew by itself."),
                )


def _stand_by(name: str, lease: Lease | None = None) -> StandBy:
    network = name.partition("\n")[0]
    return StandBy(network) if lease is None else StandBy(network, lease.place, lease.since)


@contextmanager
def beating(leadership: Leadership, seconds: float | None = None) -> Iterator[None]:
    """Show in a thread that a collector lives, for the time of the block; then give its leases back.

    Args:
        leadership: its leases.
        seconds: between two beats; by default `pause` of the leadership.
    """
    stop = threading.Event()
    pause = leadership.pause if seconds is None else seconds

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
