"""One run as its process holds it: every change goes into the ledger, many of them in one transaction.

A device is `sending` in the ledger before its NOTIFY leaves, and what became of it is there at once after.
"""

import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from devlib.clock import Clock
from devlib.fleet.restart_outcome import UNTOUCHED, RestartResult
from devlib.language import Message
from devlib.storage import Inventory, RestartRun, RestartStep, RunState, StepState, Writer, ended, own_name

_LEASE = timedelta(seconds=30)
_PROLONG_AFTER = 5.0  # seconds
_LOOK_BACK = timedelta(hours=1)  # no device boots for longer
_Result = TypeVar("_Result")


class Beside(Protocol):
    """Runs a blocking function; as `asyncio.to_thread` does, or at once."""

    def __call__(self, work: Callable[[], _Result], /) -> Awaitable[_Result]:
        """Run `work` and give its result."""
        ...


async def at_once(work: Callable[[], _Result]) -> _Result:
    """Run `work` in place: for few and short changes."""
    return work()


@dataclass(frozen=True, slots=True)
class Claim:
    """A device that is to be sent its NOTIFY next, through which line, and when."""

    position: int
    line_port: str
    calls: tuple[str, ...]
    phone: str
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Granted:
    """What of the claims may be sent.

    Args:
        positions: of the devices, in their order; the others were restarted by another run meanwhile.
        later: seconds by which all of them have to wait longer, since another run sent to the same network.
    """

    positions: tuple[int, ...]
    later: float


class RestartBook:
    """The steps of one run, and what of them is not in the ledger yet.

    Args:
        inventory: holds the ledger.
        run: which run.
        steps: its devices, by position.
        clock: dates what happens.
        beside: runs the transactions.
        force: whether devices are sent a NOTIFY that another run sent one a moment ago.
    """

    def __init__(
        self,
        inventory: Inventory,
        run: RestartRun,
        steps: Sequence[RestartStep],
        clock: Clock,
        *,
        beside: Beside,
        force: bool = False,
    ) -> None:
        self.run = run
        self.steps = list(steps)
        self._inventory = inventory
        self._clock = clock
        self._beside = beside
        self._force = force
        self._name = own_name()
        self._changes: dict[int, dict[str, Any]] = {}
        self._one_at_a_time = threading.Lock()
        self._prolonged = clock.monotonic()

    def take(self) -> None:
        """Make this process the one that runs it.

        Raises:
            Conflict: another process does.
        """
        with self._inventory.write() as writer:
            writer.hold_restart_run(self.run.id, self._name, self._until(), ended)
            values: dict[str, Any] = {"state": RunState.OPEN, "reason": None, "finished_at": None}
            writer.change_restart_run(self.run.id, **values)
        self.run = replace(self.run, **values)

    def change(self, position: int, **values: Any) -> RestartStep:  # noqa: ANN401 - fields of a step
        """Change a step here, and in the ledger with the next `commit`; return it."""
        step = self.steps[position] = replace(self.steps[position], **values)
        self._changes.setdefault(position, {}).update(values)
        return step

    def end(
        self, position: int, result: RestartResult, reason: Message | None = None, code: int | None = None
    ) -> RestartStep:
        """Note the outcome of a device."""
        values = {"outcome": result.value, "reason": reason, "code": code, "ended_at": self._clock.now()}
        return self.change(position, state=StepState.ENDED, **values)

    async def commit(self) -> None:
        """Bring what changed into the ledger.

        Raises:
            StorageUnavailable: it cannot be reached; what changed is kept for the next time.
            Conflict: another process runs this run now.
        """
        if self._changes or self._clock.monotonic() - self._prolonged > _PROLONG_AFTER:
            await self._beside(lambda: self._write(_nothing_more))

    async def claim(self, claims: Sequence[Claim]) -> Granted:
        """Note devices as `sending`, with everything that changed before; only then they may be sent.

        Raises:
            StorageUnavailable: the ledger cannot be reached; nothing may be sent.
            Conflict: another process runs this run now.
        """
        granted = await self._beside(lambda: self._write(lambda writer: self._claim(writer, claims)))
        later = timedelta(seconds=granted.later)
        for each in claims:
            step = self.steps[each.position]
            if each.position in granted.positions:
                self.steps[each.position] = replace(step, **_sending(step, each, later))
        return granted

    async def finish(self, state: RunState, reason: Message | None = None) -> None:
        """Note how the run ended, and let go of it."""
        values: dict[str, Any] = {"state": state, "reason": reason, "holder": None, "held_until": None}
        values["finished_at"] = self._clock.now()

        def write(writer: Writer) -> None:
            writer.change_restart_run(self.run.id, **values)

        await self._beside(lambda: self._write(write))
        self.run = replace(self.run, **values)

    def _until(self) -> datetime:
        return self._clock.now() + _LEASE

    def _write(self, work: Callable[[Writer], _Result]) -> _Result:
        # A transaction whose waiter was cancelled may still run when the next one begins.
        with self._one_at_a_time:
            changes, self._changes = self._changes, {}
            try:
                with self._inventory.write() as writer:
                    writer.take_turn_in_restarts()
                    writer.hold_restart_run(self.run.id, self._name, self._until())
                    writer.note_restarts(self.run.id, changes)
                    result = work(writer)
            except BaseException:
                self._changes = {
                    position: changes.get(position, {}) | self._changes.get(position, {})
                    for position in {**changes, **self._changes}
                }
                raise
        self._prolonged = self._clock.monotonic()
        return result

    def _claim(self, writer: Writer, claims: Sequence[Claim]) -> Granted:
        number, now = self.run.id, self._clock.now()
        steps = {each.position: self.steps[each.position] for each in claims}
        busy: Mapping[str, datetime] = {}
        if not self._force:
            busy = writer.last_restarts(
                [step.mac for step in steps.values()],
                since=now - _LOOK_BACK,
                untouched=[each.value for each in UNTOUCHED],
                without=number,
            )
        free = [each for each in claims if not _boots(steps[each.position], busy, now)]
        later = self._later(writer, free, now)
        changes = {
            each.position: _sending(steps[each.position], each, timedelta(seconds=later)) for each in free
        }
        writer.note_restarts(number, changes)
        return Granted(tuple(each.position for each in free), later)

    def _later(self, writer: Writer, claims: Sequence[Claim], now: datetime) -> float:
        """Return by how much other runs on these networks delay the claims, so that all keep the rate."""
        distance = timedelta(seconds=1 / self.run.rate)
        networks = sorted({self.steps[each.position].network for each in claims})
        others = writer.last_sent(networks, since=now - distance, without=self.run.id)
        if not others or not claims:
            return 0.0
        return max(0.0, (max(others.values()) + distance - claims[0].sent_at).total_seconds())


def _nothing_more(writer: Writer) -> None:
    """Only what changed goes into the ledger."""


def _boots(step: RestartStep, busy: Mapping[str, datetime], now: datetime) -> bool:
    last = busy.get(step.mac)
    return last is not None and now < last + timedelta(seconds=step.boot_seconds)


def _sending(step: RestartStep, claim: Claim, later: timedelta) -> dict[str, Any]:
    return {
        "state": StepState.SENDING,
        "line_port": claim.line_port,
        "calls_before": claim.calls,
        "phone_before": claim.phone,
        "sent_at": claim.sent_at + later,
        "attempts": step.attempts + 1,
    }
