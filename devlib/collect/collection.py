"""One collection: scope, networks, states, one snapshot."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from devlib.clock import Clock
from devlib.collect.asking import LINES, Asked, Failure, Progress, ask_networks
from devlib.collect.networks import Networks
from devlib.collect.rule import EXPIRY_SLACK, STATES_SQL
from devlib.collect.waiting import run_blocking
from devlib.errors import UsageError
from devlib.language import message
from devlib.model import Catalogue, LineState, Scope
from devlib.storage import Collected, Inventory, Lake, LineRow, Snapshot, naive


@dataclass(frozen=True, slots=True)
class Collection:
    """What one collection gave.

    Args:
        snapshot: the manifest entry; the last one where the scope names several sites.
        states: lines by state, of all sites.
        failures: networks that did not answer, with the lines they left `unknown`.
    """

    snapshot: Snapshot
    states: Mapping[LineState, int]
    failures: tuple[Failure, ...] = ()


def _line_table(batch: Sequence[LineRow]) -> pa.Table:
    columns = zip(*batch, strict=True)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, LINES, strict=True)], schema=LINES)


class Collector:
    """Asks the networks for the lines of a scope and writes what they say as one snapshot.

    Args:
        inventory: which lines there are.
        lake: where snapshots go, and what was known before.
        networks: whom to ask.
        catalogue: vendor and kind of each device type.
        clock: when it is.
        aged_retention: seconds after its last expiry for which a line is `aged`.
    """

    def __init__(
        self,
        inventory: Inventory,
        lake: Lake,
        networks: Networks,
        *,
        catalogue: Catalogue,
        clock: Clock,
        aged_retention: float,
    ) -> None:
        self._inventory = inventory
        self._lake = lake
        self._networks = networks
        self._catalogue = catalogue
        self._clock = clock
        self._aged_retention = aged_retention

    def collect(self, scope: Scope, progress: Progress | None = None) -> Collection:
        """Ask now for every line of the scope and write one snapshot, whole or not at all.

        A network that does not answer leaves its lines `unknown` and does not stop the others. A scope of
        several sites is asked at once and kept as one snapshot for each site.

        Args:
            scope: sites of one customer, one customer, one provider, or everything.
            progress: called with lines asked so far and lines in all.

        Returns:
            The snapshot, its counts and the failures.

        Raises:
            UsageError: the scope names no site at all.
            StorageUnavailable: the snapshot cannot be written.
        """
        places = list(_places(scope))
        lines = self._lines(scope)
        asked = run_blocking(ask_networks(self._networks, lines, self._clock, progress))
        observed_at = self._observed_at(scope, asked)
        snapshots = [self._write(place, _lines_of(lines, place), asked, observed_at) for place in places]
        states: Counter[LineState] = Counter(dict.fromkeys(LineState, 0))
        for each in snapshots:
            states.update(self._states(each))
        return Collection(snapshots[-1], dict(states), tuple(asked.failures()))

    def _observed_at(self, scope: Scope, asked: Asked) -> datetime:
        """Return when asking began; later than all that is known, even if the machine's clock went back."""
        with self._inventory.read() as reader:
            newest = next(reader.manifest(scope), None)
        if newest is None:
            return asked.since
        return max(asked.since, newest.observed_at + timedelta(microseconds=1))

    def _write(self, place: Scope, lines: pa.Table, asked: Asked, observed_at: datetime) -> Snapshot:
        inputs: dict[str, Any] = asked.relations(lines)
        site = None if place.sites is None else next(iter(place.sites))
        return self._lake.write(
            STATES_SQL.replace("FROM previous", f"FROM {self._lake.last_relation(place)}"),
            inputs,
            {
                "now": naive(observed_at),
                "retention": self._aged_retention,
                "slack": EXPIRY_SLACK.total_seconds(),
            },
            Collected(place.provider, place.customer, site, observed_at),
        )

    def _lines(self, scope: Scope) -> pa.Table:
        with self._inventory.read() as reader:
            batches = [_line_table(batch) for batch in reader.line_batches(scope)]
        table = pa.concat_tables([LINES.empty_table(), *batches])
        vendors, kinds = self._vendors_and_kinds(table.column("device_type"))
        return table.append_column("vendor", vendors).append_column("kind", kinds)

    def _vendors_and_kinds(self, device_types: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
        # Few types, many lines: each type is looked up once.
        coded = device_types.combine_chunks().dictionary_encode()
        found = [self._catalogue.find(name) for name in coded.dictionary.to_pylist()]
        vendors = pa.array([each.vendor if each else None for each in found], pa.string())
        kinds = pa.array([each.kind.value if each else None for each in found], pa.string())
        return vendors.take(coded.indices), kinds.take(coded.indices)

    def _states(self, snapshot: Snapshot) -> dict[LineState, int]:
        counts = f"SELECT state, count(*) FROM {self._lake.relation([snapshot])} GROUP BY state"  # noqa: S608
        with self._lake.connection() as cursor:
            found = dict(cursor.execute(counts).fetchall())
        return {state: found.get(state.value, 0) for state in LineState}


def _places(scope: Scope) -> Iterator[Scope]:
    """Yield the scope in parts that one snapshot each can cover."""
    if scope.sites is None:
        yield scope
        return
    if not scope.sites:
        raise UsageError(
            message("There is no site to collect."), remedy=message("Name a site of your own scope, or none.")
        )
    for site in sorted(scope.sites):
        yield Scope(scope.provider, scope.customer, frozenset({site}))


def _lines_of(lines: pa.Table, place: Scope) -> pa.Table:
    if place.sites is None:
        return lines
    return lines.filter(pc.is_in(lines.column("site"), pa.array(sorted(place.sites))))
