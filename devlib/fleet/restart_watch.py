"""What became of the devices that were sent a NOTIFY: told by the feed, or looked up, many at once.

An answer counts only while the network is sound: where it failed since, what seemed to be the phone's silence
may be the network's, and a device that was perhaps restarted is not sent a second NOTIFY before it had time
to boot.
"""

from collections.abc import Iterable, Mapping, Sequence

from devlib.clock import Clock
from devlib.fleet.restart_book import RestartBook
from devlib.fleet.restart_outcome import RestartResult, result_of, said
from devlib.fleet.restart_plan import is_back, still_boots
from devlib.fleet.restart_wire import RestartWire
from devlib.language import Message, message
from devlib.model import Binding
from devlib.network import RestartAnswer, RestartOutcome, network_form
from devlib.storage import RestartStep, StepState

MOST_ATTEMPTS = 3
"""NOTIFYs to one device in one run; a second one goes only where nobody knows of the first one."""

_SHORTEST_POLL, _LONGEST_POLL = 0.5, 5.0  # seconds
_POLLS_PER_BOOT = 30
_SCAN_EVERY = 0.25
_OK, _REDIRECTS, _TIMEOUT = 200, 300, 408  # RFC 3261 §21: below 300 are the successes
_NOT_FINAL = frozenset({RestartOutcome.NO_ANSWER, RestartOutcome.UNROUTABLE})


def is_silent(step: RestartStep) -> bool:
    """Return whether a device has not accepted its NOTIFY, and is awaited all the same."""
    return step.state is StepState.SENT and not (step.code and step.code < _REDIRECTS)


def _silence(step: RestartStep) -> RestartResult:
    """Return the outcome of a device that did not accept its NOTIFY and did not come back."""
    return RestartResult.NO_ANSWER if step.code in (None, _TIMEOUT) else RestartResult.UNROUTABLE


class RestartWatch:
    """Devices between their NOTIFY and their outcome.

    Args:
        book: of the run.
        wires: the networks, by name.
        clock: the time.
    """

    def __init__(self, book: RestartBook, wires: Mapping[str, RestartWire], clock: Clock) -> None:
        self._book = book
        self._wires = wires
        self._clock = clock
        self._deadlines: dict[int, float] = {}
        self._extended: set[int] = set()
        self._doubts: set[int] = set()
        self._unproven: dict[int, RestartAnswer] = {}
        self._of_line: dict[tuple[str, str], int] = {}
        self._next_poll = self._next_scan = clock.monotonic()
        for step in book.steps:
            self._remember(step)

    def _remember(self, step: RestartStep) -> None:
        """Take up what an earlier process left."""
        if step.state is StepState.SENDING:
            self._doubts.add(step.position)
        elif step.state is StepState.SENT:
            self._await(step.position, step)
        else:
            return
        self.sent(step)

    def sent(self, step: RestartStep) -> None:
        """Watch the line of a device that is sent its NOTIFY now, or was before."""
        if wire := self._wires.get(step.network):
            wire.watch(step.line_port)
            self._of_line[step.network, network_form(step.line_port)] = step.position

    @property
    def booting(self) -> int:
        """How many devices have accepted and are awaited."""
        return len(self._deadlines)

    def pending(self, *, stopping: bool) -> bool:
        """Return whether anything is awaited; while stopping, only what is not left to the next process."""
        awaited = (*self._unproven, *self._deadlines)
        if stopping:
            return any(self._wire(position).down_since is None for position in awaited)
        return bool(awaited or self._doubts)

    def answered(self, position: int, answer: RestartAnswer) -> None:
        """Take the answer to a NOTIFY."""
        step = self._book.steps[position]
        if answer.outcome is RestartOutcome.ACCEPTED:
            step = self._book.change(position, state=StepState.SENT, code=answer.code or _OK, reason=None)
            self._await(position, step)
            if step.confirm_seconds <= 0:
                self._end(position, RestartResult.ACCEPTED)
        elif answer.outcome in (RestartOutcome.REFUSED, RestartOutcome.AUTH_NEEDED):
            self._end(position, result_of(answer), said(answer), answer.code)
        else:
            self._unproven[position] = answer

    def _await(self, position: int, step: RestartStep) -> None:
        gone = (self._clock.now() - step.sent_at).total_seconds() if step.sent_at else 0.0
        self._deadlines[position] = self._clock.monotonic() + step.confirm_seconds - gone

    async def look(self) -> list[int]:
        """Find out what can be found out now; return the devices that have to be sent a NOTIFY again."""
        self._take_what_was_told()
        again = []
        for name, positions in self._due().items():
            wire = self._wires.get(name)
            if wire is None:
                continue
            answers = await wire.look(self._book.steps[each].line_port for each in positions)
            for position in positions:
                line_port = self._book.steps[position].line_port
                found = answers.bindings.get(line_port)
                if found is None:
                    self._unanswered(position, answers.unanswered.get(line_port))
                elif self._judge(position, found):
                    again.append(position)
        return again

    def _wire(self, position: int) -> RestartWire:
        return self._wires[self._book.steps[position].network]

    def _take_what_was_told(self) -> None:
        for wire in self._wires.values():
            for form, bindings in wire.heard():
                position = self._of_line.get((wire.name, form))
                # One whose NOTIFY is still under way has to wait for its answer.
                if position is None or not self._awaits(position):
                    continue
                if is_back(self._book.steps[position], bindings):
                    self._end(position, RestartResult.CONFIRMED)

    def _awaits(self, position: int) -> bool:
        return position in self._deadlines or position in self._doubts or position in self._unproven

    def _due(self) -> dict[str, list[int]]:
        """Return whom to look for now, by network: all of them at a poll, between two only what is urgent."""
        now = self._clock.monotonic()
        poll = now >= self._next_poll
        if poll:
            self._next_poll = now + self._poll_distance()
        due: dict[str, list[int]] = {}
        if not poll and not self._unproven and now < self._next_scan:
            return due
        self._next_scan = now + _SCAN_EVERY
        for position in {**dict.fromkeys(self._doubts), **self._deadlines, **self._unproven}:
            step = self._book.steps[position]
            wire = self._wires.get(step.network)
            told = wire is not None and wire.feed
            down = wire is not None and wire.down_since is not None
            urgent = self._is_urgent(position, step, now) and not down
            if urgent or (poll and not (told and position in self._deadlines)):
                due.setdefault(step.network, []).append(position)
        return due

    def _is_urgent(self, position: int, step: RestartStep, now: float) -> bool:
        if position in self._doubts:
            return not still_boots(step.sent_at, step.boot_seconds, self._clock.now())
        return position in self._unproven or now >= self._deadlines[position]

    def _poll_distance(self) -> float:
        waits = [self._book.steps[each].boot_seconds for each in (*self._deadlines, *self._doubts)]
        return min(max(min(waits, default=0.0) / _POLLS_PER_BOOT, _SHORTEST_POLL), _LONGEST_POLL)

    def _unanswered(self, position: int, reason: Message | None) -> None:
        """Leave a device as it is while its network does not answer, unless nobody wants to wait for that."""
        if self._book.run.patience > 0:
            return
        if position not in self._deadlines:
            self._end(position, RestartResult.UNREACHABLE, reason)
        elif self._clock.monotonic() >= self._deadlines[position]:
            step = self._book.steps[position]
            self._end(position, _silence(step) if is_silent(step) else RestartResult.ACCEPTED, reason)

    def _judge(self, position: int, bindings: Sequence[Binding]) -> bool:
        """Take what the registrar holds; return whether the device has to be sent a NOTIFY again."""
        step = self._book.steps[position]
        if is_back(step, bindings):
            self._end(position, RestartResult.CONFIRMED)
        elif (answer := self._unproven.pop(position, None)) is not None:
            self._prove(position, answer, bindings)
        elif position in self._doubts:
            return self._once_more(position, step)
        elif self._clock.monotonic() >= self._deadlines[position]:
            self._give_up(position, step)
        return False

    def _prove(self, position: int, answer: RestartAnswer, bindings: Iterable[Binding]) -> None:
        step = self._book.steps[position]
        live = any(each.live(self._clock.now()) for each in bindings)
        contradiction = answer.outcome is RestartOutcome.NOT_REGISTERED and live
        unreachable = answer.outcome is RestartOutcome.UNREACHABLE
        troubled = step.sent_at is not None and self._wire(position).troubled_since(step.sent_at)
        if self._book.run.patience > 0 and (unreachable or contradiction or troubled):
            self._doubts.add(position)
        elif self._may_still_come(answer, step):
            # It may restart all the same: some phones do so without an answer, or answer too late, and a
            # registrar that knew no way may have found one for a repetition.
            self._book.change(position, state=StepState.SENT, code=answer.code, reason=said(answer))
            self._await(position, step)
        else:
            self._end(position, result_of(answer), said(answer), answer.code)

    @staticmethod
    def _may_still_come(answer: RestartAnswer, step: RestartStep) -> bool:
        # What was never sent has no status: nothing comes of it.
        unsent = answer.outcome is RestartOutcome.UNROUTABLE and answer.code is None
        return answer.outcome in _NOT_FINAL and step.confirm_seconds > 0 and not unsent

    def _once_more(self, position: int, step: RestartStep) -> bool:
        if still_boots(step.sent_at, step.boot_seconds, self._clock.now()):
            return False
        if step.attempts >= MOST_ATTEMPTS:
            reason = message("{count} NOTIFYs were lost with the network.", count=step.attempts)
            self._end(position, RestartResult.UNREACHABLE, reason)
            return False
        self._drop(position)
        self._book.change(position, state=StepState.WAITING)
        return True

    def _give_up(self, position: int, step: RestartStep) -> None:
        troubled = step.sent_at is not None and self._wire(position).troubled_since(step.sent_at)
        if troubled and position not in self._extended:
            # It could not register while its registrar was away: its time begins anew, once.
            self._extended.add(position)
            self._deadlines[position] = self._clock.monotonic() + step.confirm_seconds
            return
        if is_silent(step):
            self._end(position, _silence(step), step.reason)
            return
        reason = message("No new registration within {seconds} s.", seconds=round(step.confirm_seconds))
        self._end(position, RestartResult.ACCEPTED, reason)

    def _end(
        self, position: int, result: RestartResult, reason: Message | None = None, code: int | None = None
    ) -> None:
        step = self._book.steps[position]
        self._book.end(position, result, reason, step.code if code is None else code)
        self._drop(position)

    def _drop(self, position: int) -> None:
        step = self._book.steps[position]
        self._deadlines.pop(position, None)
        self._doubts.discard(position)
        self._unproven.pop(position, None)
        if wire := self._wires.get(step.network):
            wire.forget(step.line_port)
            self._of_line.pop((step.network, network_form(step.line_port)), None)
