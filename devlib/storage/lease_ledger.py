"""Leases: which process does a thing of which there must be only one, such as collecting from a network.

No clock of one machine is held against that of another. Who holds a lease counts its `beat` up; who wants it
watches, by its own clock, whether that still happens. Each change of hands counts the `fence` up, and what is
written under a lease is written in one transaction with a look at the fence: a holder that was frozen for an
hour and does not know that it was replaced writes nothing (the fencing token of the admission study §1.6).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import insert, select, update

from devlib.errors import LeadLost
from devlib.language import message
from devlib.storage.connected import Connected
from devlib.storage.schema import leases

FREE = ""
"""Holder of a lease that was given back."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it was at one moment.

    Args:
        name: of what there must be only one.
        holder: name of the process; `FREE` for none.
        fence: how often it changed hands.
        beat: how often the holder showed that it lives.
        place: where the holder runs, for people.
        since: when it took the lease by its own clock, UTC, for people; `None` where that is not known.
    """

    name: str
    holder: str
    fence: int
    beat: int
    place: str = ""
    since: datetime | None = None


class LeaseWriter(Connected):
    """Takes, keeps and gives back leases."""

    def lease(self, name: str) -> Lease | None:
        """Return a lease; on PostgreSQL nobody else changes it until the transaction ends."""
        found = select(leases).where(leases.c.name == name).with_for_update()
        row = self.connection.execute(found).one_or_none()
        return None if row is None else Lease(*row)

    def take_lease(self, name: str, holder: str, seen: Lease | None, place: str = "") -> Lease:
        """Make `holder` the holder of a lease.

        Args:
            name: of the lease.
            holder: name of the process.
            seen: what `lease` returned in this transaction.
            place: where that process runs, for people.

        Raises:
            Conflict: another process made the lease just now.
        """
        fence = 1 if seen is None else seen.fence + 1
        taken = Lease(name, holder, fence, 0, place, self._clock.now())
        if seen is None:
            self.connection.execute(insert(leases).values(asdict(taken)))
        else:
            self.connection.execute(update(leases).where(leases.c.name == name).values(asdict(taken)))
        return taken

    def beat_lease(self, name: str, fence: int) -> bool:
        """Show that the holder lives; return whether it still is the holder."""
        ours = (leases.c.name == name) & (leases.c.fence == fence)
        change = update(leases).where(ours).values(beat=leases.c.beat + 1)
        return self.connection.execute(change).rowcount == 1

    def give_lease_back(self, name: str, fence: int) -> None:
        """Let the next one have it at once; harmless where another one has it already."""
        ours = (leases.c.name == name) & (leases.c.fence == fence)
        self.connection.execute(update(leases).where(ours).values(holder=FREE, fence=fence + 1))

    def require_fences(self, fences: Mapping[str, int]) -> None:
        """Make sure that leases did not change hands, until the transaction ends.

        Args:
            fences: of the leases by name, as they were when they were taken.

        Raises:
            LeadLost: one did.
        """
        for name in sorted(fences):
            found = select(leases.c.fence).where(leases.c.name == name).with_for_update(read=True)
            if self.connection.execute(found).scalar() != fences[name]:
                raise LeadLost(
                    message("Another process has taken over; nothing was written."),
                    where=name.partition("\n")[0],  # the network; scope and purpose say nothing to people
                    remedy=message(
                        "Nothing needs to be done: this one stands by and takes over in its turn."
                    ),
                )
