"""One run of a restart: sends NOTIFYs at its pace, follows what becomes of them, stops and goes on."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from devlib.clock import Clock
from devlib.errors import DevlibError, StorageUnavailable
from devlib.fleet.restart_book import Claim, RestartBook
from devlib.fleet.restart_outcome import FAILURES, RestartResult
from devlib.fleet.restart_pace import Pace, must_stop
from devlib.fleet.restart_plan import Chosen, restarted_before
from devlib.fleet.restart_queue import RestartQueue
from devlib.fleet.restart_watch import RestartWatch, is_silent
from devlib.fleet.restart_wire import RestartWire
from devlib.language import Message, message
from devlib.network import RestartAnswer
from devlib.storage import RestartRun, RestartStep, RunState, StepState

_BATCH_SECONDS = 0.1  # of sending, for which devices are noted as `sending` in one transaction
_BUSY, _IDLE = 0.02, 0.25  # seconds between two rounds
_TELL_EVERY = 0.5
_LAST_WAIT = 2.0  # seconds for which answers are awaited when the run is interrupted
_STORE_RETRY = 1.0


@dataclass(frozen=True, slots=True)
class RestartProgress:
    """How far a run is.

    Args:
        number: of the run.
        devices: in all.
        outcomes: devices by outcome.
        waiting: devices that wait for their NOTIFY.
        booting: devices that have accepted, and are awaited.
        paused: name of a network that does not answer; empty for none.
    """

    number: int
    devices: int
    outcomes: Mapping[str, int]
    waiting: int
    booting: int
    paused: str = ""


Tell = Callable[[RestartProgress], None]


class RestartRunner:
    """Runs one run to its end, in this process.

    Args:
        book: of the run; this process must have taken it.
        wires: the networks, by name.
        queue: the devices that wait.
        clock: the time.
        tell: is given the progress now and then; what it raises ends the run in order.
        halted: whether somebody wants it to stop.
    """

    def __init__(
        self,
        book: RestartBook,
        wires: Mapping[str, RestartWire],
        queue: RestartQueue,
        clock: Clock,
        *,
        tell: Tell,
        halted: Callable[[], bool],
    ) -> None:
        self._book = book
        self._wires = wires
        self._queue = queue
        self._clock = clock
        self._tell = tell
        self._halted = halted
        self._watch = RestartWatch(book, wires, clock)
        self._pace = Pace(book.run.rate, clock)
        if last := max((step.sent_at for step in book.steps if step.sent_at), default=None):
            self._pace.hold((last - clock.now()).total_seconds() + self._pace.distance)
        self._flying: dict[int, asyncio.Task[RestartAnswer]] = {}
        self._unsent: dict[int, RestartStep] = {}  # noted as `sending`, as they were before that
        self._stopping: Message | None = None
        self._ended_before = {step.position for step in book.steps if step.state is StepState.ENDED}
        self._store_away_since: float | None = None
        self._told_at = clock.monotonic() - _TELL_EVERY

    async def run(self) -> RestartRun:
        """Run until every device has its outcome, or until it has to stop.

        Returns:
            The run as it is then: done, or stopped with the reason; what is left can be resumed.

        Raises:
            Conflict: another process has taken the run over.
            StorageUnavailable: the ledger cannot be reached for longer than the run's patience.
        """
        try:
            while self._goes_on() and not self._halted():
                await self._round()
            if self._goes_on():
                await self._leave()
            else:
                await self._finish()
            self._report(at_once=True)
        except BaseException:
            await self._leave()
            raise
        finally:
            for wire in self._wires.values():
                await wire.close()
        return self._book.run

    async def _round(self) -> None:
        try:
            self._settle()
            for position in await self._watch.look():
                self._queue.back(position)
            self._consider_stopping()
            if self._stopping is None:
                await self._send()
            await self._book.commit()
            self._store_away_since = None
        except StorageUnavailable as error:
            await self._bear_without_store(error)
        self._report()
        await self._clock.wait(self._rest())

    def _goes_on(self) -> bool:
        if self._flying:
            return True
        stopping = self._stopping is not None
        return self._watch.pending(stopping=stopping) or (not stopping and len(self._queue) > 0)

    async def _bear_without_store(self, error: StorageUnavailable) -> None:
        """Wait for the ledger; nothing is sent meanwhile, for each NOTIFY is noted there first."""
        now = self._clock.monotonic()
        if self._store_away_since is None:
            self._store_away_since = now
        if now - self._store_away_since >= self._book.run.patience:
            raise error
        await self._clock.wait(_STORE_RETRY)

    def _settle(self) -> None:
        for position in [each for each, task in self._flying.items() if task.done()]:
            self._watch.answered(position, self._flying.pop(position).result())

    def _consider_stopping(self) -> None:
        if self._stopping is not None:
            return
        tried = [s for s in self._book.steps if s.attempts and s.position not in self._ended_before]
        ended = [step for step in tried if step.outcome or is_silent(step)]
        failed = [step for step in ended if step.outcome in FAILURES or is_silent(step)]
        canary = next((step.mac for step in failed if step.canary and step.outcome), "")
        run = self._book.run
        away = self._too_long_away()
        if canary:
            self._stopping = message("The canary {mac} did not come back as it should.", mac=canary)
        elif must_stop(len(failed), len(ended), run.stop_after, run.stop_share):
            self._stopping = message(
                "Too many devices failed: {failed} of {ended}.", failed=len(failed), ended=len(ended)
            )
        elif away:
            self._stopping = message("The network {network} does not answer.", network=away)

    def _too_long_away(self) -> str:
        """Return the name of a network that has not answered for longer than the run's patience."""
        now, patience = self._clock.monotonic(), self._book.run.patience
        for wire in self._wires.values():
            if patience and wire.down_since is not None and now - wire.down_since > patience:
                return wire.name
        return ""

    async def _send(self) -> None:
        """Note the next devices as `sending`, and send their NOTIFYs as the pace lets them."""
        run = self._book.run
        room = run.window - len(self._flying)
        if room <= 0 or not len(self._queue) or self._pace.seconds_left() > _BATCH_SECONDS:
            return
        count = min(room, max(1, int(run.rate * _BATCH_SECONDS)))
        if not (batch := await self._queue.next(count)):
            return
        self._unsent = {position: self._book.steps[position] for position, _ in batch}
        try:
            granted = await self._book.claim(self._claims(batch))
        except StorageUnavailable:
            for position in reversed(self._unsent):
                self._queue.back(position)
            self._unsent = {}
            raise
        if granted.later:
            self._pace.hold(granted.later)
        for position, chosen in batch:
            if position in granted.positions:
                await self._pace.turn()
                self._flying[position] = self._notify(position, chosen)
            else:
                self._skip(position)
            del self._unsent[position]

    def _claims(self, batch: list[tuple[int, Chosen]]) -> list[Claim]:
        first = self._clock.now() + timedelta(seconds=self._pace.seconds_left())
        return [
            Claim(
                position,
                chosen.line_port,
                chosen.calls,
                chosen.phone,
                first + timedelta(seconds=number * self._pace.distance),
            )
            for number, (position, chosen) in enumerate(batch)
        ]

    def _notify(self, position: int, chosen: Chosen) -> asyncio.Task[RestartAnswer]:
        step = self._book.change(position, sent_at=self._clock.now())
        wire = self._wires[step.network]
        self._watch.sent(step)
        return asyncio.get_running_loop().create_task(wire.notify(chosen.line_port, step.event))

    def _skip(self, position: int) -> None:
        now = self._clock.now()
        self._book.end(position, RestartResult.SKIPPED, restarted_before(now, now))

    def _rest(self) -> float:
        """Return the seconds until there may be something to do."""
        if self._flying:
            return _BUSY
        if self._stopping is None and len(self._queue):
            return min(max(self._pace.seconds_left(), _BUSY), _IDLE)
        return _IDLE

    def _report(self, *, at_once: bool = False) -> None:
        if self._clock.monotonic() - self._told_at < _TELL_EVERY and not at_once:
            return
        self._told_at = self._clock.monotonic()
        outcomes = Counter(step.outcome for step in self._book.steps if step.outcome)
        away = next((each.name for each in self._wires.values() if each.down_since is not None), "")
        devices, waiting = len(self._book.steps), len(self._queue)
        self._tell(RestartProgress(self._book.run.id, devices, outcomes, waiting, self._watch.booting, away))

    async def _finish(self) -> None:
        state = RunState.DONE if self._stopping is None else RunState.STOPPED
        await self._book.finish(state, self._stopping)

    async def _leave(self) -> None:
        """Let go of the run in order: what is answered soon is noted, the rest is left to be resumed."""
        if self._flying:
            await asyncio.wait(self._flying.values(), timeout=_LAST_WAIT)
        with suppress(DevlibError):
            self._settle()
            for position, before in self._unsent.items():
                self._book.change(
                    position, state=before.state, attempts=before.attempts, sent_at=before.sent_at
                )
            await self._book.finish(RunState.STOPPED, message("It was interrupted."))
        for task in self._flying.values():
            task.cancel()
