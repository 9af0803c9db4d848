"""One collection: scope, networks, states, one snapshot."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from devlib.clock import Clock
from devlib.collect.alignment import Alignment
from devlib.collect.answers import Asked, Failure
from devlib.collect.asking import Progress, ask_networks
from devlib.collect.networks import Networks
from devlib.collect.past import Past
from devlib.collect.rule import DOUBT_SQL, EXPIRY_SLACK, states_sql
from devlib.collect.waiting import run_blocking
from devlib.errors import StorageUnavailable, UsageError
from devlib.language import message
from devlib.model import Catalogue, LineState, Scope
from devlib.storage import Collected, Inventory, Lake, Snapshot, naive
from devlib.storage.lake import ROW_GROUP
from devlib.storage.lake_engine import EngineError
from devlib.storage.line_table import line_count, line_table

_PART = ROW_GROUP  # lines that are judged at once: with more a collection needs more memory


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


@dataclass(slots=True)
class _Doubt:
    """Chooses the lines of which a table may be wrong, and keeps why that failed.

    Where networks are asked a failure becomes data, and theirs. What cannot be read here is ours.
    """

    choose: Callable[[pa.Table, pa.Table, datetime], pa.Table]
    fault: StorageUnavailable | EngineError | None = None

    def __call__(self, asked: pa.Table, held: pa.Table, at: datetime) -> pa.Table:
        try:
            return self.choose(asked, held, at)
        except (StorageUnavailable, EngineError) as error:
            self.fault = error
            raise


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

    def collect(
        self, scope: Scope, progress: Progress | None = None, fences: Mapping[str, int] | None = None
    ) -> Collection:
        """Ask now for every line of the scope and write one snapshot, whole or not at all.

        A network that does not answer leaves its lines `unknown` and does not stop the others. A scope of
        several sites is asked at once and kept as one snapshot for each site.

        Args:
            scope: sites of one customer, one customer, one provider, or everything.
            progress: called with lines asked so far and lines in all.
            fences: of the leases under which it is done, by name.

        Returns:
            The snapshot, its counts and the failures.

        Raises:
            UsageError: the scope names no site at all.
            StorageUnavailable: the snapshot cannot be written.
            LeadLost: another collector has taken over; nothing was written.
        """
        places = list(_places(scope))
        past = Past(self._lake, scope)

        def read_lines() -> pa.Table:
            past.try_out()  # what cannot be written afterwards need not be asked
            return self.lines(scope)

        doubt = _Doubt(lambda *answer: self._doubtful(past.relation(), *answer))
        asking = ask_networks(
            self._networks, read_lines, self._clock, progress, doubt, expected=self._expected(scope)
        )
        lines, asked = run_blocking(asking)
        if doubt.fault is not None:
            raise doubt.fault
        observed_at = self._observed_at(scope, asked.since)
        previous, read_at = past.relation(), self._clock.now()
        snapshots = [
            self._write(place, _lines_of(lines, place), asked, observed_at, previous, read_at, fences)
            for place in places
        ]
        states: Counter[LineState] = Counter(dict.fromkeys(LineState, 0))
        for each in snapshots:
            states.update(self._states(each))
        return Collection(snapshots[-1], dict(states), tuple(asked.failures()))

    def write_told(
        self, scope: Scope, lines: pa.Table, asked: Asked, fences: Mapping[str, int] | None = None
    ) -> Snapshot:
        """Write what an event feed told of single lines, beside the snapshots.

        Args:
            scope: of the feed.
            lines: of the inventory, as `lines` returns them; only those of `asked` are written.
            asked: what was told of them.
            fences: of the leases under which it is written, by name.

        Raises:
            StorageUnavailable: nothing can be written.
            LeadLost: another follower has taken over; nothing was written.
        """
        observed_at = self._observed_at(scope, asked.since)
        collected = Collected(scope.provider, scope.customer, _only(scope.sites), observed_at)
        of_these = lines_sql(lines.column("line_key").to_pylist())
        previous = Past(self._lake, scope).of_lines(of_these)
        # Events count whole seconds and may seem older than what is known: none of them is held back.
        sql = self._states_sql(observed_at, read_at=None)
        aligned = pa.concat_tables(Alignment(self._lake, lines, *asked.relations(), previous).parts(_PART))
        return self._lake.append(sql, {"aligned": aligned}, {}, collected, fences)

    def _observed_at(self, scope: Scope, since: datetime) -> datetime:
        """Return when asking began; later than all that is known, even if the machine's clock went back."""
        with self._inventory.read() as reader:
            newest = next(reader.manifest(scope), None)
        if newest is None:
            return since
        return max(since, newest.observed_at + timedelta(microseconds=1))

    def _write(
        self,
        place: Scope,
        lines: pa.Table,
        asked: Asked,
        observed_at: datetime,
        previous: pa.Table | str,
        read_at: datetime,
        fences: Mapping[str, int] | None,
    ) -> Snapshot:
        collected = Collected(place.provider, place.customer, _only(place.sites), observed_at)
        aligned = Alignment(self._lake, lines, *asked.relations(), previous)
        pa.default_memory_pool().release_unused()  # what asking and aligning needed, some 30 MB
        # No part has a name here: it must be gone when the next is made.
        rows = (self._judged(part, observed_at, read_at) for part in aligned.parts(_PART))
        return self._lake.write_tables(rows, collected, fences)

    def _judged(self, part: pa.Table, observed_at: datetime, read_at: datetime) -> pa.Table:
        with self._lake.connection({"aligned": part}) as cursor:
            return cursor.sql(self._states_sql(observed_at, read_at)).to_arrow_table()

    def _states_sql(self, observed_at: datetime, read_at: datetime | None) -> str:
        return states_sql(observed_at, self._aged_retention, EXPIRY_SLACK.total_seconds(), read_at)

    def _doubtful(self, previous: pa.Table | str, asked: pa.Table, held: pa.Table, at: datetime) -> pa.Table:
        values = {"at": naive(at), "slack": EXPIRY_SLACK.total_seconds()}
        with self._lake.connection({"asked": asked, "held": held, "previous": previous}) as cursor:
            return cursor.sql(DOUBT_SQL, params=values).to_arrow_table()

    def last_collected(self, scope: Scope) -> datetime | None:
        """Return when exactly this scope was last collected whole, UTC; `None` for never."""
        last = self._last_whole(scope)
        return None if last is None else last.observed_at

    def _expected(self, scope: Scope) -> int:
        """Return how many lines the last whole snapshot of the scope had; without one, count them.

        For sites that is not worth it: 0.
        """
        if scope.sites is not None:
            return 0
        if (last := self._last_whole(scope)) is not None:
            return last.rows
        with self._inventory.read() as reader:
            return line_count(reader, scope)

    def _last_whole(self, scope: Scope) -> Snapshot | None:
        with self._inventory.read() as reader:
            for each in reader.manifest(scope):
                theirs = each.collected
                same = (theirs.provider, theirs.customer) == (scope.provider, scope.customer)
                here = theirs.site is None if scope.sites is None else theirs.site in scope.sites
                if same and here and not theirs.changes:
                    return each
        return None

    def lines(self, scope: Scope) -> pa.Table:
        """Return the assigned lines of the scope, with vendor and kind of their devices."""
        with self._inventory.read() as reader:
            table = line_table(reader, scope)
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


def lines_sql(keys: Sequence[int]) -> str:
    """Return an SQL condition for the rows of these lines.

    A list of numbers, not a join: only that DuckDB carries to the files, before it looks for the last rows.
    """
    return f"line_key IN ({', '.join(map(str, keys))})" if keys else "false"


def _only(sites: frozenset[str] | None) -> str | None:
    """Return the one site of a place; `None` for all, and for several, which no manifest row can name."""
    return next(iter(sites)) if sites is not None and len(sites) == 1 else None
