"""One export while it lives: what its thread tells, who waits for it, and how it is given up."""

import asyncio
import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import Any

from fastapi.concurrency import run_in_threadpool

from devlib.api.export_folder import ExportFolder, Standing
from devlib.api.export_record import ExportRecord, JobState
from devlib.api.problems import problem_values
from devlib.clock import Clock
from devlib.errors import DevlibError, ExportFailed
from devlib.export import Progress
from devlib.language import message
from devlib.portal.wire_errors import decoded_error

# Only these outcomes are final for an idempotency key: after the others nothing was done.
_KEPT_ERRORS = (ExportFailed,)
_TOLD_EVERY = 0.5  # seconds
_LOOK_EVERY = 0.2  # seconds


class Abandoned(KeyboardInterrupt):
    """The thread of an export is to end, as Ctrl+C ends a command: it is given up, and has not failed."""


class Export(ABC):
    """One export, as whoever asked for it is told of it.

    Args:
        folder: where it lies.
        record: what is written down of it.

    Attributes:
        record: as it is now.
        error: why it failed.
        standing: how far it has come; `None` until it is known how it began.
    """

    def __init__(self, folder: ExportFolder, record: ExportRecord) -> None:
        self.folder = folder
        self.record = record
        self.error: DevlibError | None = decoded_error(record.problem) if record.problem else None
        self.standing: Standing | None = None

    @property
    def cancelled(self) -> bool:
        """Whether the one who asked gave it up, or it is there no longer."""
        return self.record.state is JobState.CANCELLED or self.folder.given_up

    @property
    def may_be_repeated(self) -> bool:
        """Whether its idempotency key may be used again, since nothing was done under it."""
        failed = self.record.state is JobState.FAILED and not isinstance(self.error, _KEPT_ERRORS)
        return failed or self.cancelled

    @property
    def timing(self) -> str:
        """The field `Server-Timing`: milliseconds in the queue, and for the export itself."""
        standing = self.standing or Standing()
        return f"queue;dur={standing.queued * 1000:.0f}, export;dur={standing.exported * 1000:.0f}"

    @abstractmethod
    async def wait(self, seconds: float, *, for_end: bool = True) -> None:
        """Wait until it has ended, or without `for_end` until it is known how it began; `seconds` at most."""

    def _still(self, *, for_end: bool) -> bool:
        return not (self.record.state.ended or (self.standing is not None and not for_end))


class WatchedExport(Export):
    """An export that another process runs, or that has ended: looked at where it lies."""

    def __init__(self, folder: ExportFolder, record: ExportRecord) -> None:
        super().__init__(folder, record)
        self._take(record)

    async def wait(self, seconds: float, *, for_end: bool = True) -> None:
        """Look again and again; see `Export.wait`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._still(for_end=for_end) and not self.cancelled:
                    await asyncio.sleep(_LOOK_EVERY)
                    await run_in_threadpool(self._look)

    def _look(self) -> None:
        found = self.folder.record()
        # Where there is none, it was forgotten meanwhile.
        self._take(found or replace(self.record, state=JobState.CANCELLED))

    def _take(self, found: ExportRecord) -> None:
        self.standing = self.folder.standing() or self.standing
        if found.state is JobState.WAITING and self.standing is not None and self.standing.running:
            found = replace(found, state=JobState.RUNNING)
        self.record = found
        self.error = decoded_error(found.problem) if found.problem else None


class ExportJob(Export):
    """An export that this process runs.

    Args:
        folder: where it lies; owned.
        record: what is written down of it.
        clock: times its parts.

    Attributes:
        future: the thread that runs it.
        written: whether its end is written down; until then it is known here only.
    """

    def __init__(self, folder: ExportFolder, record: ExportRecord, clock: Clock) -> None:
        super().__init__(folder, record)
        self._clock = clock
        self._arrived = self._began = self._ended = clock.monotonic()
        self._told_at = float("-inf")
        self.future: Future[None] | None = None
        self.written = False
        self._given_up = False
        self._abandoned = False
        self._lock = threading.Lock()
        self._listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def waited(self, progress: Progress) -> None:
        """Take in where it stands in the queue; called by its thread."""
        self._go_on()
        self._began = self._clock.monotonic()
        before = self.standing
        self.standing = Standing(progress.place, progress.seconds_to_go, progress.delayed)
        moved = before is None or (before.place, before.delayed) != (progress.place, progress.delayed)
        self._tell(at_once=moved)

    def progressed(self, done: int, total: int | None = None) -> None:
        """Take in how far the collection is; called by its thread."""
        self._go_on()
        first = self.record.state is JobState.WAITING
        if first:
            self.record = replace(self.record, state=JobState.RUNNING)
        seconds_to_go = 0.0 if self.standing is None else self.standing.seconds_to_go
        self.standing = Standing(0, seconds_to_go, running=True, done=done, total=total)
        self._tell(at_once=first)

    def changed(self, record: ExportRecord) -> None:
        """Take in how it ended."""
        self._ended = self._clock.monotonic()
        self.record = record
        queued, exported = self._began - self._arrived, self._ended - self._began
        self.standing = replace(self.standing or Standing(), queued=queued, exported=exported)
        self._tell(at_once=True)

    @property
    def cancelled(self) -> bool:
        """Whether the one who asked gave it up; see `Export.cancelled`."""
        return self._given_up or super().cancelled

    def give_up(self) -> None:
        """Give it up, even where that cannot be written down."""
        self._given_up = True

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
        """Wait for what its thread tells; see `Export.wait`."""
        event = asyncio.Event()
        listener = (asyncio.get_running_loop(), event)
        with self._lock:
            self._listeners.add(listener)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while self._still(for_end=for_end):
                        await event.wait()
                        event.clear()
        finally:
            with self._lock:
                self._listeners.discard(listener)

    def _go_on(self) -> None:
        if self._abandoned or self._given_up or self.folder.given_up:
            raise Abandoned

    def _tell(self, *, at_once: bool) -> None:
        assert self.standing is not None  # noqa: S101 - set by whoever calls
        now = self._clock.monotonic()
        if at_once or now - self._told_at >= _TOLD_EVERY:
            self.folder.tell(self.standing)
            self._told_at = now
        with self._lock:
            listeners = tuple(self._listeners)
        for loop, event in listeners:
            with suppress(RuntimeError):  # the loop of a listener that is gone
                loop.call_soon_threadsafe(event.set)
