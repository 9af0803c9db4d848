"""Asks each network for its lines; what goes wrong at one of them is data, never the end of the others.

Few lines are looked up one by one. Where a large part of a network is asked for and it can give all its
bindings as one table, that table is read instead; the few lines of which the table may lag behind what the
registrar has in memory are looked up after it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from devlib.clock import Clock
from devlib.collect.answers import Asked, Failure
from devlib.collect.networks import Networks, Served
from devlib.collect.whole_tables import EarlyTable, are_many, read_table
from devlib.errors import DevlibError
from devlib.language import Message, message
from devlib.network import Answers

__all__ = ["Asked", "Doubt", "Failure", "Progress", "ask_networks", "nobody_serves", "reason_of"]

Progress = Callable[[int, int], None]
Doubt = Callable[[pa.Table, pa.Table, datetime], pa.Table]
"""Gets the lines asked, all bindings and when they were read; returns the lines to look up all the same."""

HEARTBEAT = 2.0  # most seconds between two calls of `progress`
_BATCH = 2_000
_BETWEEN = "\0"


async def ask_networks(
    networks: Networks,
    read_lines: Callable[[], pa.Table],
    clock: Clock,
    progress: Progress | None = None,
    doubt: Doubt | None = None,
    *,
    expected: int = 0,
) -> tuple[pa.Table, Asked]:
    """Ask all networks at the same time, each for the lines of the customers that it serves.

    Args:
        networks: whom to ask.
        read_lines: gives the lines of the inventory.
        clock: when it is.
        progress: called with lines asked and lines in all: after each answer, and every few seconds while
            none arrives; what it raises ends the asking.
        doubt: chooses the lines of which a table may be wrong; without it none is doubted.
        expected: lines that there will be, by what is known; where they are many and one network serves
            them all, its table is read while the lines are.

    Returns:
        The lines, and what was said of them.
    """
    asked = Asked(clock.now())
    if not are_many(expected) or len(networks.served) != 1:
        lines = read_lines()
        return lines, await _asked(networks, lines, asked, clock, progress, doubt, None)
    async with EarlyTable(networks.served[0], expected, clock) as early:
        lines = await asyncio.to_thread(read_lines)
        return lines, await _asked(networks, lines, asked, clock, progress, doubt, early)


async def _asked(
    networks: Networks,
    lines: pa.Table,
    asked: Asked,
    clock: Clock,
    progress: Progress | None,
    doubt: Doubt | None,
    early: EarlyTable | None,
) -> Asked:
    def tell() -> None:
        if progress is not None:
            progress(asked.lines, lines.num_rows)

    plan = list(_plan(networks, lines, asked))

    async def ask_one(served: Served, theirs: pa.Table) -> None:
        async with aclosing(_answers(served, theirs, asked, clock, doubt, early)) as found:
            async for _ in found:
                tell()

    async def ask_all() -> None:
        await asyncio.gather(*(ask_one(served, theirs) for served, theirs in plan))

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
    served: Served,
    lines: pa.Table,
    asked: Asked,
    clock: Clock,
    doubt: Doubt | None,
    early: EarlyTable | None,
) -> AsyncGenerator[None, None]:
    """Gather what the network says of each of these lines; pause after each answer; never raises."""
    rest = lines
    try:
        read = None if early is None else await early.get(len(lines))
        source = served.open()
        try:
            if read is None:
                read = await read_table(source, len(lines), clock)
            if read.held is not None:
                rest = _sort_out(served.name, lines, read.held, asked, read.at, doubt)
                yield
            while len(rest):
                batch = rest.slice(0, _BATCH)
                answers = await source.lookup(batch.column("line_port").to_pylist())
                rest = rest.slice(_BATCH)
                asked.add(served.name, batch, answers, clock.now())
                yield
        finally:
            await source.close()
    # The one place where any failure becomes data: a network is foreign code behind a wire, and a fault of
    # one must not cost the others their snapshot. The lines left get the reason.
    except Exception as error:  # noqa: BLE001
        if len(rest):
            ports = rest.column("line_port").to_pylist()
            asked.add(served.name, rest, Answers({}, dict.fromkeys(ports, reason_of(error))), clock.now())
            yield


def _sort_out(
    network: str, lines: pa.Table, held: pa.Table, asked: Asked, at: datetime, doubt: Doubt | None
) -> pa.Table:
    """Take the table as the answer for all lines but the doubtful ones, which are returned."""
    doubtful = lines.slice(0, 0) if doubt is None else doubt(lines, held, at)
    if len(doubtful):
        keys = doubtful.column("line_key").combine_chunks()
        lines = lines.filter(pc.invert(pc.is_in(lines.column("line_key"), keys)))
    asked.add_whole(network, lines, held, at)
    return doubtful


def reason_of(error: Exception) -> Message:
    """Return why a network could not be asked that failed with `error`."""
    if isinstance(error, DevlibError):
        return error.what
    return message("The network failed unexpectedly: {error}", error=f"{type(error).__name__}: {error}"[:200])


def _plan(networks: Networks, lines: pa.Table, asked: Asked) -> list[tuple[Served, pa.Table]]:
    """Return each network with `line_key` and `line_port` of its lines; the others are unanswered."""
    # Few customers, many lines: each customer's network is looked up once.
    both = pc.binary_join_element_wise(lines.column("provider"), lines.column("customer"), _BETWEEN)
    coded = both.combine_chunks().dictionary_encode()
    places = [tuple(text.split(_BETWEEN)) for text in coded.dictionary.to_pylist()]
    found = [networks.for_customer(provider, customer) for provider, customer in places]
    keys = lines.select(["line_key", "line_port"])
    numbers = {
        served.name: [n for n, each in enumerate(found) if each is served] for served in networks.served
    }
    for number, ((_, customer), served_by) in enumerate(zip(places, found, strict=True)):
        if served_by is None:
            nobody = _coded_as(keys, coded, [number])
            ports = nobody.column("line_port").to_pylist()
            asked.add("", nobody, Answers({}, dict.fromkeys(ports, nobody_serves(customer))), asked.since)
    return [
        (served, _coded_as(keys, coded, theirs))
        for served in networks.served
        if (theirs := numbers[served.name])
    ]


def _coded_as(keys: pa.Table, coded: pa.DictionaryArray, numbers: list[int]) -> pa.Table:
    if len(numbers) == len(coded.dictionary):
        return keys
    return keys.filter(pc.is_in(coded.indices, pa.array(numbers, coded.indices.type)))


def nobody_serves(customer: str) -> Message:
    """Return why lines of a customer cannot be asked that no network serves."""
    return message("No network in devlib.toml serves the customer {customer}.", customer=customer)
