"""One export while it lives: what its thread tells, who waits for it, and how it is given up."""

import asyncio
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import Any

from devlib.api.export_record import ExportRecord, JobState
from devlib.api.problems import problem_values
from devlib.clock import Clock
from devlib.errors import DevlibError, ExportFailed
from devlib.export import Progress
from devlib.language import message
from devlib.portal.wire_errors import decoded_error

# Only these outcomes are final for an idempotency key: after the others nothing was done.
_KEPT_ERRORS = (ExportFailed,)


class Abandoned(KeyboardInterrupt):
    """The thread of an export is to end, as Ctrl+C ends a command: it is given up, and has not failed."""


class ExportJob:
    """One export of the service.

    Args:
        record: what is written down of it.
        clock: times its parts.

    Attributes:
        record: as it is now.
        error: why it failed.
        future: the thread that runs it.
        cancelled: whether the one who asked gave it up.
        place: place in the queue, from 1; 0 where it runs or shares a running one.
        seconds_to_go: estimate of the seconds until the rows are there.
        done: lines asked so far, and lines in all.
    """

    def __init__(self, record: ExportRecord, clock: Clock) -> None:
        self.record = record
        self._clock = clock
        self._arrived = self._began = self._ended = clock.monotonic()
        self.error: DevlibError | None = decoded_error(record.problem) if record.problem else None
        self.future: Future[None] | None = None
        self.cancelled = False
        self.delayed = False
        self.place = 0
        self.seconds_to_go = 0.0
        self.done: tuple[int, int | None] = (0, None)
        self._abandoned = False
        self._admitted = record.state.ended
        self._lock = threading.Lock()
        self._listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def may_be_repeated(self) -> bool:
        """Whether its idempotency key may be used again, since nothing was done under it."""
        failed = self.record.state is JobState.FAILED and not isinstance(self.error, _KEPT_ERRORS)
        return failed or self.record.state is JobState.CANCELLED or self.cancelled

    @property
    def told(self) -> bool:
        """Whether it is known how it began: it runs, waits, or has ended."""
        return self._admitted or self.record.state.ended

    @property
    def timing(self) -> str:
        """The field `Server-Timing`: milliseconds in the queue, and for the export itself."""
        queue, export = self._began - self._arrived, self._ended - self._began
        return f"queue;dur={queue * 1000:.0f}, export;dur={export * 1000:.0f}"

    def waited(self, progress: Progress) -> None:
        """Take in where it stands in the queue; called by its thread."""
        self._go_on()
        self.place, self.delayed = progress.place, progress.delayed
        self._began = self._clock.monotonic()
        self.seconds_to_go = progress.seconds_to_go
        self._tell()

    def progressed(self, done: int, total: int | None = None) -> None:
        """Take in how far the collection is; called by its thread."""
        self._go_on()
        self.place, self.delayed, self.done = 0, False, (done, total)
        if self.record.state is JobState.WAITING:
            self.record = replace(self.record, state=JobState.RUNNING)
        self._tell()

    def changed(self, record: ExportRecord) -> None:
        """Take in how it ended."""
        self._ended = self._clock.monotonic()
        self.record = record
        self._tell()

    def cancel(self) -> None:
        """Give it up: its thread learns that at its next step, within a second."""
        self.cancelled = self._abandoned = True

    def abandon(self) -> None:
        """End its thread without giving it up: it goes on when the service starts again."""
        self._abandoned = True

    def fail_unexpectedly(self, error: Exception) -> None:
        """Keep that it failed; the text of the error stays in the log."""
        self.error = ExportFailed(
            message("The export failed at the server."),
            where=self.record.id,
            remedy=message("Export again; if it fails again, give this number to your administrator."),
        )
        self.error.__cause__ = error

    def problem(self) -> dict[str, Any]:
        """Return the members of the problem; empty where it did not fail."""
        return {} if self.error is None else problem_values(self.error, "en", self.record.id)

    async def wait(self, seconds: float, *, for_end: bool = True) -> None:
        """Wait until it has ended, or without `for_end` until it is known how it began; `seconds` at most."""
        event = asyncio.Event()
        listener = (asyncio.get_running_loop(), event)
        with self._lock:
            self._listeners.add(listener)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not (self.record.state.ended or (self.told and not for_end)):
                        await event.wait()
                        event.clear()
        finally:
            with self._lock:
                self._listeners.discard(listener)

    def _go_on(self) -> None:
        if self._abandoned:
            raise Abandoned

    def _tell(self) -> None:
        self._admitted = True
        with self._lock:
            listeners = tuple(self._listeners)
        for loop, event in listeners:
            with suppress(RuntimeError):  # the loop of a listener that is gone
                loop.call_soon_threadsafe(event.set)
