"""One collection: scope, networks, states, one snapshot."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from devlib.clock import Clock
from devlib.collect.networks import Networks, Served
from devlib.collect.rule import EXPIRY_SLACK, STATES_SQL
from devlib.collect.waiting import run_blocking
from devlib.language import Message, message
from devlib.model import Binding, Catalogue, LineState, Scope
from devlib.network import Answers
from devlib.storage import Collected, Inventory, Lake, LineRow, Snapshot, naive

Progress = Callable[[int, int], None]
_BATCH = 2_000

_HELD = pa.schema(
    [
        ("line_port", pa.string()),
        ("contact", pa.string()),
        ("user_agent", pa.string()),
        ("received", pa.string()),
        ("expires_at", pa.timestamp("us", tz="UTC")),
        ("registered_at", pa.timestamp("us", tz="UTC")),
    ]
)


_LINES = pa.schema(
    [(name, pa.int64() if name in {"line_key", "port"} else pa.string()) for name in LineRow._fields]
)


_HELD_NAIVE = pa.schema(
    [(each.name, pa.timestamp("us") if pa.types.is_timestamp(each.type) else each.type) for each in _HELD]
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A network that did not answer for some lines."""

    network: str
    lines: int
    reason: Message


@dataclass(frozen=True, slots=True)
class Collection:
    """What one collection gave.

    Args:
        snapshot: the manifest entry.
        states: lines by state.
        failures: networks that did not answer, with the lines they left `unknown`.
    """

    snapshot: Snapshot
    states: Mapping[LineState, int]
    failures: tuple[Failure, ...] = ()


@dataclass(slots=True)
class _Asked:
    """Answers of all networks, gathered for the join."""

    held: list[tuple[object, ...]] = field(default_factory=list)
    network: dict[str, str] = field(default_factory=dict)
    unanswered: dict[str, Message] = field(default_factory=dict)

    def add(self, network: str, line_ports: Sequence[str], answers: Answers) -> None:
        self.network.update(dict.fromkeys(line_ports, network))
        self.unanswered.update(answers.unanswered)
        for line_port, bindings in answers.bindings.items():
            self.held.extend(_held_row(line_port, binding) for binding in bindings)

    def relations(self, lines: pa.Table) -> dict[str, pa.Table]:
        ports = lines.column("line_port").to_pylist()
        asked = pa.table(
            {
                "line_key": lines.column("line_key"),
                "network": pa.array([self.network.get(port) for port in ports], pa.string()),
                "answered": pa.array([port not in self.unanswered for port in ports], pa.bool_()),
            }
        )
        columns = list(zip(*self.held, strict=True)) or [()] * len(_HELD)
        held = pa.table([pa.array(c, f.type) for c, f in zip(columns, _HELD, strict=True)], schema=_HELD)
        held = held.cast(_HELD_NAIVE)
        return {"lines": lines, "asked": asked, "held": held}

    def failures(self) -> Iterator[Failure]:
        by_network: dict[str, list[Message]] = defaultdict(list)
        for line_port, reason in self.unanswered.items():
            by_network[self.network.get(line_port, "")].append(reason)
        for network, reasons in sorted(by_network.items()):
            yield Failure(network, len(reasons), reasons[0])


def _line_table(batch: Sequence[LineRow]) -> pa.Table:
    columns = zip(*batch, strict=True)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, _LINES, strict=True)], schema=_LINES)


def _held_row(line_port: str, binding: Binding) -> tuple[object, ...]:
    return (
        line_port,
        binding.contact,
        binding.user_agent,
        binding.received,
        binding.expires_at,
        binding.registered_at,
    )


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

        A network that does not answer leaves its lines `unknown` and does not stop the others.

        Args:
            scope: one site, one customer, one provider, or everything.
            progress: called with lines asked so far and lines in all.

        Returns:
            The snapshot, its counts and the failures.

        Raises:
            ValueError: the scope names several sites; collect them one by one.
            StorageUnavailable: the snapshot cannot be written.
        """
        lines = self._lines(scope)
        now = self._clock.now()
        asked = run_blocking(self._ask(lines, progress))
        inputs: dict[str, Any] = asked.relations(lines)
        collected = Collected(scope.provider, scope.customer, _one_site(scope), now)
        snapshot = self._lake.write(
            STATES_SQL.replace("FROM previous", f"FROM {self._previous(scope, now)}"),
            inputs,
            {
                "now": naive(now),
                "retention": self._aged_retention,
                "slack": EXPIRY_SLACK.total_seconds(),
            },
            collected,
        )
        return Collection(snapshot, self._states(snapshot), tuple(asked.failures()))

    def _lines(self, scope: Scope) -> pa.Table:
        with self._inventory.read() as reader:
            batches = [_line_table(batch) for batch in reader.line_batches(scope)]
        table = pa.concat_tables([_LINES.empty_table(), *batches])
        vendors, kinds = self._vendors_and_kinds(table.column("device_type"))
        return table.append_column("vendor", vendors).append_column("kind", kinds)

    def _vendors_and_kinds(self, device_types: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
        # Few types, many lines: each type is looked up once.
        coded = device_types.combine_chunks().dictionary_encode()
        found = [self._catalogue.find(name) for name in coded.dictionary.to_pylist()]
        vendors = pa.array([each.vendor if each else None for each in found], pa.string())
        kinds = pa.array([each.kind.value if each else None for each in found], pa.string())
        return vendors.take(coded.indices), kinds.take(coded.indices)

    async def _ask(self, lines: pa.Table, progress: Progress | None) -> _Asked:
        asked = _Asked()
        total = lines.num_rows
        plan = self._plan(lines, asked)

        async def ask_one(served: Served, line_ports: list[str]) -> None:
            source = served.open()
            try:
                for start in range(0, len(line_ports), _BATCH):
                    batch = line_ports[start : start + _BATCH]
                    asked.add(served.name, batch, await source.lookup(batch))
                    if progress is not None:
                        progress(len(asked.network), total)
            finally:
                await source.close()

        await asyncio.gather(*(ask_one(served, ports) for served, ports in plan))
        return asked

    def _plan(self, lines: pa.Table, asked: _Asked) -> list[tuple[Served, list[str]]]:
        ports: dict[str, list[str]] = defaultdict(list)
        customers = lines.column("customer").to_pylist()
        for customer, line_port in zip(customers, lines.column("line_port").to_pylist(), strict=True):
            served = self._networks.for_customer(customer)
            if served is None:
                asked.unanswered[line_port] = message(
                    "No network in devlib.toml serves the customer {customer}.", customer=customer
                )
            else:
                ports[served.name].append(line_port)
        return [(served, ports[served.name]) for served in self._networks.served if ports[served.name]]

    def _previous(self, scope: Scope, now: datetime) -> str:
        return self._lake.current_relation(self._lake.current(scope, until=now))

    def _states(self, snapshot: Snapshot) -> dict[LineState, int]:
        counts = f"SELECT state, count(*) FROM {self._lake.relation([snapshot])} GROUP BY state"  # noqa: S608
        with self._lake.connection() as cursor:
            found = dict(cursor.execute(counts).fetchall())
        return {state: found.get(state.value, 0) for state in LineState}


def _one_site(scope: Scope) -> str | None:
    if scope.sites is None:
        return None
    if len(scope.sites) != 1:
        raise ValueError("one site at a time")
    return next(iter(scope.sites))
