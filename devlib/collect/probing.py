"""Whether the phones behind assigned lines answer: each network is asked for its own lines."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from devlib.collect.asking import nobody_serves, reason_of
from devlib.collect.networks import Networks, Served
from devlib.language import Message
from devlib.network import Reach, ReachOutcome

Told = Callable[[int, int], None]
"""Gets lines probed and lines in all."""


@dataclass(frozen=True, slots=True)
class ProbedLine:
    """One line and what its probe found.

    Args:
        provider: of its customer.
        customer: of its site.
        site: where its device stands.
        mac: of its device.
        device_type: name in the catalogue.
        port: of the device.
        line_port: the SIP address.
        network: that was asked; empty where none serves the customer.
        reach: what was found.
    """

    provider: str
    customer: str
    site: str
    mac: str
    device_type: str
    port: int
    line_port: str
    network: str = ""
    reach: Reach | None = None

    @property
    def outcome(self) -> ReachOutcome:
        """What was found; `unreachable` where nothing was."""
        return ReachOutcome.UNREACHABLE if self.reach is None else self.reach.outcome


async def probe_lines(
    networks: Networks, lines: Sequence[ProbedLine], told: Told | None = None
) -> list[Reach]:
    """Probe lines, all networks at the same time.

    Args:
        networks: whom to ask.
        lines: with nothing found yet.
        told: is called after each outcome.

    Returns:
        What was found of each line, in the order of `lines`.
    """
    course = _Course(lines, told)
    theirs: dict[str, tuple[Served | None, list[int]]] = {}
    for number, line in enumerate(lines):
        served = networks.for_customer(line.provider, line.customer)
        theirs.setdefault(served.name if served else "", (served, []))[1].append(number)
    await asyncio.gather(*(course.probe(served, numbers) for served, numbers in theirs.values()))
    return [course.found[number] for number in range(len(lines))]


class _Course:
    """What one probe of several networks has found, by number of the line."""

    def __init__(self, lines: Sequence[ProbedLine], told: Told | None) -> None:
        self.found: dict[int, Reach] = {}
        self._lines = lines
        self._told = told

    async def probe(self, served: Served | None, numbers: Iterable[int]) -> None:
        """Probe the lines that one network serves; never raises for what fails there."""
        waiting: dict[str, list[int]] = {}
        for number in numbers:
            waiting.setdefault(self._lines[number].line_port, []).append(number)
        if served is None:
            for same in waiting.values():
                self._unreachable(same, nobody_serves(self._lines[same[0]].customer))
            return
        try:
            await self._ask(served, waiting)
        # As where lines are looked up: a network is foreign code behind a wire, and its fault is data.
        except Exception as error:  # noqa: BLE001
            for same in waiting.values():
                self._unreachable(same, reason_of(error))

    async def _ask(self, served: Served, waiting: dict[str, list[int]]) -> None:
        source = served.open()
        try:
            async for reach in source.probe(tuple(waiting)):
                for number in waiting.pop(reach.line_port, ()):
                    self._keep(number, reach)
        finally:
            await source.close()

    def _unreachable(self, numbers: Iterable[int], why: Message) -> None:
        for number in numbers:
            line_port = self._lines[number].line_port
            self._keep(number, Reach(line_port, ReachOutcome.UNREACHABLE, reason=why))

    def _keep(self, number: int, reach: Reach) -> None:
        self.found[number] = reach
        if self._told is not None:
            self._told(len(self.found), len(self._lines))
