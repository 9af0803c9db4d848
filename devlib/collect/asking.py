"""Asks each network for its lines; what goes wrong at one of them is data, never the end of the others."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from devlib.clock import Clock
from devlib.collect.networks import Networks, Served
from devlib.errors import DevlibError
from devlib.language import Message, message
from devlib.model import Binding
from devlib.network import Answers
from devlib.storage import LineRow, naive

Progress = Callable[[int, int], None]
HEARTBEAT = 2.0  # most seconds between two calls of `progress`
_BATCH = 2_000
_MOMENT = pa.timestamp("us")

LINES = pa.schema(
    [(name, pa.int64() if name in {"line_key", "port"} else pa.string()) for name in LineRow._fields]
)
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
_HELD_NAIVE = pa.schema(
    [(each.name, _MOMENT if pa.types.is_timestamp(each.type) else each.type) for each in _HELD]
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A network that did not answer for some lines."""

    network: str
    lines: int
    reason: Message


@dataclass(slots=True)
class Asked:
    """Answers of all networks, gathered for the join.

    Args:
        since: when asking began, UTC.
        held: the bindings.
        network: who was asked, by line port.
        asked_at: when the answer had arrived, by line port.
        unanswered: why there is no answer, by line port.
    """

    since: datetime
    held: list[tuple[object, ...]] = field(default_factory=list)
    network: dict[str, str] = field(default_factory=dict)
    asked_at: dict[str, datetime] = field(default_factory=dict)
    unanswered: dict[str, Message] = field(default_factory=dict)

    def add(self, network: str, line_ports: Sequence[str], answers: Answers, at: datetime) -> None:
        """Keep what a network said, or did not say, of these line ports at that moment."""
        self.network.update(dict.fromkeys(line_ports, network))
        self.asked_at.update(dict.fromkeys(line_ports, naive(at)))
        self.unanswered.update(answers.unanswered)
        for line_port, bindings in answers.bindings.items():
            self.held.extend(_held_row(line_port, binding) for binding in bindings)

    def relations(self, lines: pa.Table) -> dict[str, pa.Table]:
        """Return the relations of `STATES_SQL`, without `previous`, for these of the lines asked."""
        ports = lines.column("line_port").to_pylist()
        since = naive(self.since)
        asked = pa.table(
            {
                "line_key": lines.column("line_key"),
                "network": pa.array([self.network.get(port) for port in ports], pa.string()),
                "answered": pa.array([port not in self.unanswered for port in ports], pa.bool_()),
                "asked_at": pa.array([self.asked_at.get(port, since) for port in ports], _MOMENT),
            }
        )
        columns = list(zip(*self.held, strict=True)) or [()] * len(_HELD)
        held = pa.table([pa.array(c, f.type) for c, f in zip(columns, _HELD, strict=True)], schema=_HELD)
        return {"lines": lines, "asked": asked, "held": held.cast(_HELD_NAIVE)}

    def failures(self) -> Iterator[Failure]:
        """Yield one failure for each network that left lines without an answer."""
        by_network: dict[str, list[Message]] = defaultdict(list)
        for line_port, reason in self.unanswered.items():
            by_network[self.network.get(line_port, "")].append(reason)
        for network, reasons in sorted(by_network.items()):
            yield Failure(network, len(reasons), reasons[0])


def _held_row(line_port: str, binding: Binding) -> tuple[object, ...]:
    return (
        line_port,
        binding.contact,
        binding.user_agent,
        binding.received,
        binding.expires_at,
        binding.registered_at,
    )


async def ask_networks(
    networks: Networks, lines: pa.Table, clock: Clock, progress: Progress | None = None
) -> Asked:
    """Ask all networks at the same time, each for the lines of the customers that it serves.

    Args:
        networks: whom to ask.
        lines: of the inventory.
        clock: when it is.
        progress: called with lines asked and lines in all: after each answer, and every few seconds while
            none arrives; what it raises ends the asking.
    """
    asked = Asked(clock.now())
    plan = _plan(networks, lines, asked)

    def tell() -> None:
        if progress is not None:
            progress(len(asked.network), lines.num_rows)

    async def ask_one(served: Served, line_ports: Sequence[str]) -> None:
        async with aclosing(_answers(served, line_ports)) as found:
            async for batch, answers in found:
                asked.add(served.name, batch, answers, clock.now())
                tell()

    async def ask_all() -> None:
        await asyncio.gather(*(ask_one(served, ports) for served, ports in plan))

    await _with_heartbeat(ask_all(), tell)
    return asked


async def _with_heartbeat(work: Coroutine[object, object, None], tick: Callable[[], None]) -> None:
    # The loop's own time, like every time limit of the network: a clock that a test moves would never wait.
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=HEARTBEAT))[0]:
            tick()
        task.result()
    finally:
        task.cancel()


async def _answers(
    served: Served, line_ports: Sequence[str]
) -> AsyncGenerator[tuple[Sequence[str], Answers], None]:
    """Yield line ports with what the network says of them, until each was yielded once; never raises."""
    done = 0
    try:
        source = served.open()
        try:
            while done < len(line_ports):
                batch = line_ports[done : done + _BATCH]
                answers = await source.lookup(batch)
                done += len(batch)
                yield batch, answers
        finally:
            await source.close()
    # The one place where any failure becomes data: a network is foreign code behind a wire, and a fault of
    # one must not cost the others their snapshot. The lines left get the reason.
    except Exception as error:  # noqa: BLE001
        if rest := line_ports[done:]:
            yield rest, Answers({}, dict.fromkeys(rest, _reason(error)))


def _reason(error: Exception) -> Message:
    if isinstance(error, DevlibError):
        return error.what
    return message("The network failed unexpectedly: {error}", error=f"{type(error).__name__}: {error}"[:200])


def _plan(networks: Networks, lines: pa.Table, asked: Asked) -> list[tuple[Served, list[str]]]:
    ports: dict[str, list[str]] = defaultdict(list)
    columns = [lines.column(name).to_pylist() for name in ("provider", "customer", "line_port")]
    for provider, customer, line_port in zip(*columns, strict=True):
        served = networks.for_customer(provider, customer)
        if served is None:
            asked.unanswered[line_port] = nobody_serves(customer)
        else:
            ports[served.name].append(line_port)
    return [(served, ports[served.name]) for served in networks.served if ports[served.name]]


def nobody_serves(customer: str) -> Message:
    """Return why lines of a customer cannot be asked that no network serves."""
    return message("No network in devlib.toml serves the customer {customer}.", customer=customer)
