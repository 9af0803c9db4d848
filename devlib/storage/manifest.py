"""The manifest: which snapshots there are, what each covers, and which hold the newest rows of a scope.

`Reader.manifest(...)`, `Reader.snapshot_paths()`, `Reader.retired_snapshots(before=…)`,
`Writer.add_snapshot(collected, path=…, rows=…, bytes=…, finished_at=…) -> Snapshot` and
`Writer.forget_snapshots(ids)` give and take these values.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
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
        observed_at: when the networks were asked, UTC; of changes, when the last of them was told.
        changes: whether only single lines are in it, of which an event feed told something, and not all.
    """

    provider: str | None
    customer: str | None
    site: str | None
    observed_at: datetime
    changes: bool = False

    def covers(self, customer: Customer) -> bool:
        """Return whether every line of `customer` was asked."""
        return (
            not self.changes
            and self.site is None
            and self.provider in (None, customer.provider)
            and self.customer in (None, customer.name)
        )

    def touches(self, customer: Customer) -> bool:
        """Return whether any line of `customer` may have been asked."""
        return self.provider in (None, customer.provider) and self.customer in (None, customer.name)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One entry of the manifest; `path` is relative to the lake's folder.

    `layout` is the version of the columns in its file: older ones lack those that came later. `in_day_file`
    tells that the file is that of a whole day, in which the column `snapshot_id` tells its rows from others'.
    """

    id: int
    path: str
    collected: Collected
    finished_at: datetime
    rows: int
    bytes: int
    layout: int = 1
    in_day_file: bool = False

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


def current(
    reader: ManifestReader,
    scope: Scope,
    until: datetime | None = None,
    readable: Callable[[Snapshot], bool] | None = None,
) -> list[Snapshot]:
    """Return the fewest snapshots that hold the newest row of every line of the scope, newest first.

    Args:
        reader: gives the customers and the manifest.
        scope: the part of the fleet that is asked about.
        until: the moment to look from, UTC; `None` for now.
        readable: whether a snapshot's file is there; those without one are left out.

    Returns:
        For each customer its newest whole snapshot, of each site the newest one that is newer, and the
        changes that came after them.
    """
    manifest = reader.manifest(scope, until=until)
    return fewest(manifest, reader.customers(scope), scope.sites, readable)


def fewest(
    newest_first: Iterable[Snapshot],
    customers: Iterable[Customer],
    sites: frozenset[str] | None = None,
    readable: Callable[[Snapshot], bool] | None = None,
) -> list[Snapshot]:
    """Return the snapshots needed to cover all `customers`, reading no further than that.

    Args:
        newest_first: the manifest.
        customers: to be covered.
        sites: their sites that are asked about; `None` for all.
        readable: whether a snapshot that is needed can be read; another one is taken in its place.
    """
    covered: dict[Customer, set[str]] = {each: set() for each in customers}
    chosen: list[Snapshot] = []
    for snapshot in newest_first:
        if not covered:
            break
        helped = [each for each in covered if _helps(snapshot.collected, each, covered[each], sites)]
        if not helped or not (readable is None or readable(snapshot)):
            continue
        chosen.append(snapshot)
        if snapshot.collected.changes:
            continue  # it says nothing of the lines that it does not hold
        for each in helped:
            if snapshot.collected.site is not None:
                covered[each].add(snapshot.collected.site)
            if snapshot.collected.site is None or (sites is not None and sites <= covered[each]):
                del covered[each]
    return chosen


def _helps(collected: Collected, customer: Customer, covered: set[str], sites: frozenset[str] | None) -> bool:
    """Return whether a snapshot tells of lines of the customer that no newer one covers."""
    site = collected.site
    wanted = site is None or collected.changes or (site not in covered and (sites is None or site in sites))
    return wanted and collected.touches(customer)


def changes_since_whole(reader: ManifestReader, collected: Collected) -> list[Snapshot]:
    """Return the entries of a feed since the last whole snapshot of its scope, newest first.

    Args:
        reader: gives the manifest.
        collected: the newest of them.
    """
    site = None if collected.site is None else frozenset({collected.site})
    same = (collected.provider, collected.customer, collected.site)
    found: list[Snapshot] = []
    for each in reader.manifest(Scope(collected.provider, collected.customer, site)):
        theirs = each.collected
        # Entries of two days never come into one file: the past could not be asked any more.
        if not theirs.changes or theirs.observed_at.date() < collected.observed_at.date():
            break
        if (theirs.provider, theirs.customer, theirs.site) == same and not each.in_day_file:
            found.append(each)
    return found


def newest_rows(rows: str, snapshots: Sequence[Snapshot]) -> str:
    """Return SQL, for a FROM clause, of the newest row of each line that is still there.

    What counts is which lines a snapshot asked for, not which rows it holds: where a newer snapshot covers
    the place of a row and has no row of that line, the line was removed. A line that moved to another place
    has its newest row only.

    Args:
        rows: SQL of all rows of these snapshots.
        snapshots: whose rows they are.
    """
    if not snapshots or is_one_whole(snapshots):
        return rows
    covered = ", ".join(_coverage(each.collected) for each in snapshots if not each.collected.changes)
    if not covered:
        return last_rows(rows, snapshots)
    return (
        f"(SELECT * FROM {rows} AS seen WHERE NOT EXISTS (SELECT 1 FROM (VALUES {covered}) "  # noqa: S608 - own texts
        "AS newer(asked_at, provider, customer, site) WHERE newer.asked_at > seen.observed_at "
        "AND coalesce(newer.provider, seen.provider) = seen.provider "
        "AND coalesce(newer.customer, seen.customer) = seen.customer "
        f"AND coalesce(newer.site, seen.site) = seen.site) {_ONE_OF_EACH_LINE})"
    )


def last_rows(rows: str, snapshots: Sequence[Snapshot]) -> str:
    """Return SQL, for a FROM clause, of the last row of each line, also of those that are gone since.

    A device that moves takes its lines' past along: nothing may hide what the old place knew of them.

    Args:
        rows: SQL of all rows of these snapshots.
        snapshots: whose rows they are.
    """
    if is_one_whole(snapshots):
        return rows
    return f"(SELECT * FROM {rows} {_ONE_OF_EACH_LINE})"  # noqa: S608 - own texts


def is_one_whole(snapshots: Sequence[Snapshot]) -> bool:
    """Return whether this is one snapshot in which each line is once: there is nothing to choose from."""
    return len(snapshots) == 1 and not snapshots[0].collected.changes


_ONE_OF_EACH_LINE = "QUALIFY row_number() OVER (PARTITION BY line_key ORDER BY observed_at DESC) = 1"


def _coverage(collected: Collected) -> str:
    names = (collected.provider, collected.customer, collected.site)
    texts = ", ".join("NULL::VARCHAR" if name is None else literal(name) for name in names)
    return f"(TIMESTAMP '{collected.observed_at.replace(tzinfo=None)}', {texts})"


def literal(text: str) -> str:
    """Return `text` as an SQL string literal."""
    return "'" + text.replace("'", "''").replace("\0", "") + "'"


def scope_conditions(scope: Scope) -> list[str]:
    """Return the SQL conditions that a row of the lake lies in a scope."""
    conditions = [
        f"{name} = {literal(value)}"
        for name, value in (("provider", scope.provider), ("customer", scope.customer))
        if value is not None
    ]
    if scope.sites is not None:
        conditions.append(one_of("site", sorted(scope.sites)))
    return conditions


def one_of(name: str, values: Iterable[str]) -> str:
    """Return the SQL condition that a column has one of these values."""
    listed = ", ".join(literal(value) for value in values)
    return f"{name} IN ({listed})" if listed else "false"
