"""Time as an argument: the system's clock, and one that a test moves by hand."""

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the suite asks of time; all moments are UTC."""

    def now(self) -> datetime:
        """Return the moment, with time zone UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards, from an unknown start."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        ...

    async def wait(self, seconds: float) -> None:
        """Wait for `seconds` without blocking the event loop."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Return the moment, with time zone UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the system's monotonic clock in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block this thread for `seconds`."""
        time.sleep(max(seconds, 0.0))

    async def wait(self, seconds: float) -> None:
        """Suspend this task for `seconds`."""
        await asyncio.sleep(max(seconds, 0.0))


class FakeClock:
    """A clock that stands still until it is moved; sleeping moves it.

    Args:
        start: the first moment, with a time zone.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
        self._elapsed = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the start plus everything that was advanced."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Move time forward by `seconds`."""
        with self._lock:
            self._elapsed += seconds

    def sleep(self, seconds: float) -> None:
        """Move time forward instead of waiting."""
        self.advance(max(seconds, 0.0))

    async def wait(self, seconds: float) -> None:
        """Move time forward and let other tasks run once."""
        self.advance(max(seconds, 0.0))
        await asyncio.sleep(0)
