"""The manifest: which snapshots there are, what each covers, and which hold the newest rows of a scope.

`Reader.manifest(...)`, `Reader.snapshot_paths()`, `Reader.retired_snapshots(before=…)`,
`Writer.add_snapshot(collected, path=…, rows=…, bytes=…, finished_at=…) -> Snapshot` and
`Writer.forget_snapshots(ids)` give and take these values.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from devlib.model import Customer, Scope


@dataclass(frozen=True, slots=True)
class Collected:
    """What one collection asked: all lines of everything, of a provider, a customer or a site.

    Args:
        provider: name of the one provider, or `None` for all.
        customer: name of the one customer, or `None` for all.
        site: name of the one site, or `None` for all.
        observed_at: when the networks were asked, UTC.
    """

    provider: str | None
    customer: str | None
    site: str | None
    observed_at: datetime

    def covers(self, customer: Customer) -> bool:
        """Return whether every line of `customer` was asked."""
        return (
            self.site is None
            and self.provider in (None, customer.provider)
            and self.customer in (None, customer.name)
        )

    def touches(self, customer: Customer) -> bool:
        """Return whether any line of `customer` may have been asked."""
        return self.provider in (None, customer.provider) and self.customer in (None, customer.name)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One entry of the manifest; `path` is relative to the lake's folder."""

    id: int
    path: str
    collected: Collected
    finished_at: datetime
    rows: int
    bytes: int

    @property
    def observed_at(self) -> datetime:
        """When the networks were asked, UTC."""
        return self.collected.observed_at


class ManifestReader(Protocol):
    """What `current` asks of the inventory."""

    def customers(self, scope: Scope) -> list[Customer]:
        """Return the customers of the scope."""
        ...

    def manifest(
        self, scope: Scope, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Snapshot]:
        """Yield the living snapshots that touch the scope, newest first."""
        ...


def current(reader: ManifestReader, scope: Scope, until: datetime | None = None) -> list[Snapshot]:
    """Return the fewest snapshots that hold the newest row of every line of the scope, newest first.

    Args:
        reader: gives the customers and the manifest.
        scope: the part of the fleet that is asked about.
        until: the moment to look from, UTC; `None` for now.

    Returns:
        For each customer its newest whole snapshot, and those of single sites that are newer.
    """
    return fewest(reader.manifest(scope, until=until), reader.customers(scope))


def fewest(newest_first: Iterable[Snapshot], customers: Iterable[Customer]) -> list[Snapshot]:
    """Return the snapshots needed to cover all `customers`, reading no further than that."""
    open_customers = set(customers)
    chosen: list[Snapshot] = []
    for snapshot in newest_first:
        if not open_customers:
            break
        if any(snapshot.collected.touches(each) for each in open_customers):
            chosen.append(snapshot)
            open_customers -= {each for each in open_customers if snapshot.collected.covers(each)}
    return chosen
