"""Who is sent a NOTIFY next: the canaries first, each device through the line that is best at that moment."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta

from devlib.clock import Clock
from devlib.collect import nobody_serves
from devlib.fleet.restart_book import RestartBook
from devlib.fleet.restart_outcome import RestartResult
from devlib.fleet.restart_plan import Candidate, Chosen, choose_canaries, choose_line
from devlib.fleet.restart_wire import RestartWire
from devlib.language import Message, message
from devlib.model import identify
from devlib.network import Answers
from devlib.storage import RestartStep, StepState

KnownMacs = Callable[[Collection[int]], Collection[int]]
"""Returns those of the MAC numbers that devices of the inventory have."""

_AHEAD = 4  # times as many as are sent next: one look at many lines costs less than many looks
_FRESH_SECONDS = 5.0  # an older look tells too little of how a device is registered
_RETRY_SECONDS = 2.0


class RestartQueue:
    """The devices of a run that wait for their NOTIFY.

    Args:
        book: of the run.
        wires: the networks, by name.
        candidates: the devices as the inventory has them now, by MAC.
        known_macs: asks the inventory.
        clock: the time.
    """

    def __init__(
        self,
        book: RestartBook,
        wires: Mapping[str, RestartWire],
        candidates: Mapping[str, Candidate],
        known_macs: KnownMacs,
        clock: Clock,
    ) -> None:
        self._book = book
        self._wires = wires
        self._candidates = candidates
        self._known_macs = known_macs
        self._clock = clock
        self._waiting = deque(step.position for step in book.steps if step.state is StepState.WAITING)
        self._ready: deque[tuple[int, Chosen, float]] = deque()
        self._retry_at: dict[int, float] = {}
        self._canaries = [step.position for step in book.steps if step.canary]
        self._opened = book.run.canary == 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._ready)

    def back(self, position: int) -> None:
        """Take a device in again, before the others."""
        self._waiting.appendleft(position)

    async def next(self, count: int) -> list[tuple[int, Chosen]]:
        """Return up to `count` devices that are registered now, each with its line; they leave the queue."""
        now = self._clock.monotonic()
        while self._ready and now - self._ready[0][2] > _FRESH_SECONDS:
            self._waiting.appendleft(self._ready.popleft()[0])
        if len(self._ready) < count:
            await self._prepare(_AHEAD * count - len(self._ready))
        found: list[tuple[int, Chosen]] = []
        while self._ready and len(found) < count:
            position, chosen, _ = self._ready.popleft()
            found.append((position, chosen))
        return found

    async def _prepare(self, count: int) -> None:
        """Look up the lines of the next devices, all of a network at once."""
        parts: dict[str, list[int]] = {}
        for position in self._take(count):
            step = self._book.steps[position]
            candidate = self._candidates.get(step.mac)
            if candidate is None:
                reason = message("It is no longer in the inventory.")
                self._book.end(position, RestartResult.NOT_REGISTERED, reason)
            elif candidate.network not in self._wires:
                self._book.end(position, RestartResult.UNREACHABLE, nobody_serves(step.customer))
            else:
                parts.setdefault(candidate.network, []).append(position)
        for name, positions in parts.items():
            await self._choose(name, positions)

    def _take(self, count: int) -> list[int]:
        """Return the next devices that may go now; they leave the queue."""
        if self._only_canaries():
            waiting = set(self._waiting)
            first = [each for each in self._canaries if each in waiting and self._may_go(each)][:count]
            for position in first:
                self._waiting.remove(position)
            return first
        taken: list[int] = []
        held: list[int] = []
        while self._waiting and len(taken) < count:
            position = self._waiting.popleft()
            (taken if self._may_go(position) else held).append(position)
        self._waiting.extendleft(reversed(held))
        return taken

    def _may_go(self, position: int) -> bool:
        return self._retry_at.get(position, 0.0) <= self._clock.monotonic()

    def _only_canaries(self) -> bool:
        """Return whether the rest has to wait; where canaries are missing, others take their place."""
        if self._opened:
            return False
        need = self._book.run.canary
        steps = [self._book.steps[each] for each in self._canaries]
        confirmed = sum(step.outcome == RestartResult.CONFIRMED for step in steps)
        missing = need - confirmed - sum(step.state is not StepState.ENDED for step in steps)
        if missing > 0:
            others = [self._book.steps[each] for each in self._waiting if each not in self._canaries]
            for step in choose_canaries(others, missing)[: min(missing, len(others))]:
                self._book.change(step.position, canary=True)
                self._canaries.append(step.position)
        self._opened = confirmed >= need
        return not self._opened

    async def _choose(self, network: str, positions: Sequence[int]) -> None:
        steps = [self._book.steps[position] for position in positions]
        theirs = [self._candidates[step.mac] for step in steps]
        ports = [line.line_port for each in theirs for line in each.device.lines]
        answers = await self._wires[network].look(ports)
        known = self._known_macs(said_macs([answers]))
        looked, now = self._clock.monotonic(), self._clock.now()
        for step, candidate in zip(steps, theirs, strict=True):
            if step.network != network:
                self._book.change(step.position, network=network)
            chosen, outcome, reason = choose_line(candidate, answers, now, known)
            if chosen is not None:
                self._ready.append((step.position, chosen, looked))
            else:
                self._not_now(step, answers, outcome, reason)

    def _not_now(
        self, step: RestartStep, answers: Answers, outcome: RestartResult, reason: Message | None
    ) -> None:
        """End a device that has no line, or let it wait where that is its network's fault."""
        patience = self._book.run.patience
        waits = patience > 0 and outcome is RestartResult.UNREACHABLE
        began = answers.knows_since
        if began is not None and began > self._book.run.created_at:
            # The registrar restarted since and keeps its bindings in memory only: the phone does not know.
            waits = waits or self._clock.now() < began + timedelta(seconds=patience)
            reason = reason or message("The registrar restarted and keeps its bindings in memory only.")
        if waits:
            self._retry_at[step.position] = self._clock.monotonic() + _RETRY_SECONDS
            self._waiting.append(step.position)
        else:
            self._book.end(step.position, outcome, reason)


def said_macs(answers: Iterable[Answers]) -> set[int]:
    """Return the MAC numbers that phones say in these answers."""
    found = set()
    for each in answers:
        for bindings in each.bindings.values():
            for binding in bindings:
                said = identify(binding.user_agent, binding.instance, binding.contact).mac
                if said is not None:
                    found.add(said.value)
    return found
