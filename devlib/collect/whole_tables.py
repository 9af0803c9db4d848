"""Tables of all bindings: where reading one is worth it, and reading it while the lines are still looked up.

Reading 100 000 bindings and reading 100 000 lines of the inventory take about the same time and wait for
different programs. Where it is known how many lines there are, the table need not wait for them.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

import pyarrow as pa

from devlib.clock import Clock
from devlib.collect.networks import Served
from devlib.errors import DevlibError
from devlib.network import Health, Network

MANY = 2_000  # lines; fewer are looked up in less time than a table takes to open
_PART = 10  # a table is read where at least a tenth of the registrar's contacts is asked for
_LAG = 0.02  # share of the contacts that a table may miss: more, and it lags too far behind the memory


def are_many(count: int) -> bool:
    """Return whether so many lines are worth a table."""
    return count > MANY


@dataclass(frozen=True, slots=True)
class TableRead:
    """What a network said of itself, and its table.

    Args:
        held: all bindings, with the schema `WHOLE`; `None` where lookups have to do.
        at: when they had arrived, UTC.
        health: before the table was read; `None` where that was not asked.
    """

    held: pa.Table | None
    at: datetime
    health: Health | None = None


async def read_table(source: Network, count: int, clock: Clock) -> TableRead:
    """Read all bindings of a network, where that is worth it.

    Args:
        source: the network.
        count: lines that are asked of it.
        clock: tells when the table had arrived.

    Raises:
        NetworkUnreachable: the registrar does not answer.
    """
    if not are_many(count) or not source.capabilities.whole:
        return TableRead(None, clock.now())
    # A table in a database outlives its registrar: what it holds counts only while that answers.
    health = await source.check()
    held = await _table_of(source, health) if _worth(health, count) else None
    return TableRead(held, clock.now(), health)


def _worth(health: Health, count: int) -> bool:
    return (
        are_many(count) and health.answers and (health.contacts is None or count * _PART >= health.contacts)
    )


async def _table_of(source: Network, health: Health) -> pa.Table | None:
    """Return all bindings; `None` where the table cannot be read or lags, so that lookups have to do."""
    try:
        held = await source.whole()
    except DevlibError:
        return None  # the registrar answered a moment ago: it can still be asked
    lags = health.contacts is not None and len(held) < health.contacts * (1 - _LAG)
    return None if lags else held


class EarlyTable:
    """Reads the table of a network from now on; whoever asks for it waits for it.

    Args:
        served: the network.
        expected: lines that will be asked of it, by what is known.
        clock: tells when the table had arrived.
    """

    def __init__(self, served: Served, expected: int, clock: Clock) -> None:
        self._clock = clock
        self._reading = asyncio.ensure_future(self._read(served, expected))

    async def _read(self, served: Served, expected: int) -> TableRead:
        source = served.open()
        try:
            return await read_table(source, expected, self._clock)
        finally:
            await source.close()

    async def get(self, count: int) -> TableRead:
        """Return what was read.

        Args:
            count: lines that are asked of it; where they are few after all, its table is dropped.

        Raises:
            DevlibError: the network cannot be asked.
        """
        read = await asyncio.shield(self._reading)
        worth = read.health is not None and _worth(read.health, count)
        return read if worth else TableRead(None, read.at)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
