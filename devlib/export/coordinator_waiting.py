"""To wait for an export, and to hold one: `acquire` for scripts, `acquire_async` for widgets."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from devlib.errors import DevlibError, NotAllowed, StorageUnavailable
from devlib.export.admission_events import Answer, Why
from devlib.export.admission_state import TicketState
from devlib.export.coordinator import Bell, Coordinator
from devlib.export.coordinator_errors import failure, refusal
from devlib.export.coordinator_values import Authorise, ExportRequest, Progress

OnProgress = Callable[[Progress], None]


class Grant:
    """The right to export, or rows that are there already; a context manager.

    Leaving it on an error ends the export with 500 for all who share it; leaving it on an interruption, a
    cancellation or without `finish` gives the export up, and the oldest of those who share it takes over.

    Args:
        coordinator: where the export is entered.
        answer: the final answer, or the grant of a real export.
        authorise: asked again before any rows are handed out.

    Attributes:
        real: whether to collect the rows; otherwise `result` is there already.
        ticket: number of the request.
        age: seconds since shared rows were finished.
        collapsed: whether it waited for another one's run, rather than finding its rows there.
        at: the coordinator's time of the grant.
    """

    def __init__(self, coordinator: Coordinator, answer: Answer, authorise: Authorise) -> None:
        self._coordinator = coordinator
        self._authorise = authorise
        self._ref = answer.ref
        self._ended = answer.state is not TicketState.RUNNING
        self.real = not self._ended
        self.ticket = answer.ticket
        self.epoch = answer.epoch
        self.age = answer.age
        self.collapsed = answer.why == Why.COLLAPSED
        self.at = answer.at

    @property
    def result(self) -> str:
        """The number of the snapshot; the asker's right is checked at this moment (§1.6: at delivery).

        Raises:
            NotAllowed: the scope no longer covers the rows.
            RuntimeError: the real export has not been finished.
        """
        if not self._ref:
            raise RuntimeError("finish the export before its result is asked for")
        self._authorise()
        return self._ref

    def check(self) -> None:
        """Show that this process lives; call it before each request to the backend.

        Raises:
            ExportFailed: an operator gave the slot to somebody else; stop, the rows would not count.
        """
        self._demand_held(self._coordinator.check(self.ticket, self.epoch))

    def finish(self, ref: str) -> None:
        """End the real export well: `ref` names the snapshot that holds all its rows.

        Raises:
            ExportFailed: an operator gave the slot to somebody else; the rows do not count.
        """
        self._demand_held(self._coordinator.finish(self.ticket, self.epoch, ref))
        self._ended, self._ref = True, ref

    def _demand_held(self, answer: Answer) -> None:
        if answer.state is TicketState.FAILED:
            self._ended = True
            raise failure(self.ticket, answer.why)

    def _end(self, error: BaseException | None) -> None:
        if self._ended:
            return
        self._ended = True
        failed = isinstance(error, Exception) and not isinstance(error, NotAllowed)
        # Where the coordinator cannot be reached, it takes the slot back when this process ends.
        with contextlib.suppress(StorageUnavailable):
            if failed:
                self._coordinator.fail(self.ticket, self.epoch)
            else:
                self._coordinator.cancel(self.ticket)
        # Those who shared the export learn only that it failed (§1.5); who ran it learns why.
        if failed and not isinstance(error, DevlibError):
            raise failure(self.ticket, "") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(error)


class _Asker:
    """One request on its way to a grant.

    A replay of an idempotency key is answered under the name of the first request. It does not run and
    does not cancel what belongs to the first one; it repeats itself until there is an outcome.
    """

    def __init__(
        self, coordinator: Coordinator, request: ExportRequest, authorise: Authorise, on_progress: OnProgress
    ) -> None:
        self._coordinator = coordinator
        self._request = request
        self._authorise = authorise
        self._on_progress = on_progress
        # The asker names the ticket, so that it can be cancelled even if the answer is lost.
        self._ticket = secrets.token_hex(16)
        self._own = False

    def ask(self, bell: Bell) -> Answer:
        if self._own:
            return self._coordinator.poll(self._ticket)
        answer = self._coordinator.submit(self._request, ticket=self._ticket, bell=bell.address)
        self._own = answer.ticket == self._ticket
        return answer

    def must_wait(self, answer: Answer) -> bool:
        if not answer.state.live or (self._own and answer.state is TicketState.RUNNING):
            return False
        self._on_progress(Progress(answer.place, answer.seconds_to_go, answer.delayed))
        return True

    def grant(self, answer: Answer) -> Grant:
        if answer.state not in (TicketState.RUNNING, TicketState.DONE, TicketState.CACHED):
            raise refusal(answer)
        # The scope may have shrunk while the request waited.
        self._authorise()
        return Grant(self._coordinator, answer, self._authorise)

    def leave(self) -> None:
        with contextlib.suppress(StorageUnavailable):
            self._coordinator.cancel(self._ticket)


def _silent(_: Progress) -> None:
    """Tell nobody."""


@contextlib.contextmanager
def acquire(
    coordinator: Coordinator,
    request: ExportRequest,
    *,
    authorise: Authorise,
    on_progress: OnProgress = _silent,
) -> Iterator[Grant]:
    """Wait for an export, and hold it inside the `with`.

    Args:
        coordinator: where exports are entered.
        request: who asks for what.
        authorise: raises if the asker may not have the rows; asked first, so that a refusal costs and
            tells nothing, again when the wait is over, and at delivery (article; §1.6).
        on_progress: told place and seconds to go at each change and at least once a second.

    Yields:
        The grant. Where `grant.real`, collect the rows, calling `grant.check()` before each request to the
        backend, and `grant.finish(number)`; then read the rows of `grant.result`.

    Raises:
        ExportRejected: too many wait (429).
        ExportQueueTimeout: it waited too long (408).
        ExportFailed: the export failed, here or for the one it was shared with (500).
        StorageUnavailable: the coordinator cannot be reached (503); never "go ahead".
    """
    authorise()
    asker = _Asker(coordinator, request, authorise, on_progress)
    try:
        with coordinator.bell() as bell:
            answer = asker.ask(bell)
            while asker.must_wait(answer):
                bell.wait(answer.wake_in, answer.watch)
                answer = asker.ask(bell)
        grant = asker.grant(answer)
    except BaseException:
        # KeyboardInterrupt, a closed tab, an error in `on_progress`: nobody waits any more.
        asker.leave()
        raise
    with grant:
        yield grant


@contextlib.asynccontextmanager
async def acquire_async(
    coordinator: Coordinator,
    request: ExportRequest,
    *,
    authorise: Authorise,
    on_progress: OnProgress = _silent,
) -> AsyncIterator[Grant]:
    """Wait as `acquire` does, without blocking the event loop: a kernel's widgets stay alive.

    The wait happens in a thread of its own; `on_progress` is called in the event loop. The methods of the
    grant take about a millisecond and may be called from the loop.
    """
    authorise()
    asker = _Asker(coordinator, request, authorise, on_progress)
    loop = asyncio.get_running_loop()
    # One thread, so that a cancellation cannot overtake the request that it cancels.
    with coordinator.bell() as bell:
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="devlib-export")
        try:
            answer = await loop.run_in_executor(thread, asker.ask, bell)
            while asker.must_wait(answer):
                await loop.run_in_executor(thread, bell.wait, answer.wake_in, answer.watch)
                answer = await loop.run_in_executor(thread, asker.ask, bell)
            grant = asker.grant(answer)
        except BaseException:
            bell.ring()
            thread.shutdown(wait=True, cancel_futures=True)
            asker.leave()
            raise
        thread.shutdown(wait=True)
    with grant:
        yield grant
