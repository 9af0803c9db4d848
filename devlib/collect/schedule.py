"""Collecting again and again, at fixed distances, through every failure that may pass."""

import re
from collections.abc import Callable
from datetime import date, timedelta

from devlib.clock import Clock
from devlib.collect.collection import Collection, Collector
from devlib.collect.leading import Leadership, StandBy
from devlib.errors import LeadLost, TryLater, UsageError
from devlib.language import message
from devlib.model import Scope

_UNITS = {"s": 1, "m": 60, "h": 3600}
_DISTANCE = re.compile(r"(\d+(?:\.\d+)?)\s*([smh])")


def parse_distance(text: str) -> timedelta:
    """Return what `30s`, `5m` or `1h` means.

    Raises:
        UsageError: it means nothing, or less than a second.
    """
    found = _DISTANCE.fullmatch(text.strip().lower())
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if seconds < 1:
        raise UsageError(
            message("{text} is no distance in time.", text=text[:40]),
            remedy=message("Write for example 30s, 5m or 1h; one second is the least."),
        )
    return timedelta(seconds=seconds)


def keep_collecting(
    collector: Collector,
    scope: Scope,
    every: timedelta,
    clock: Clock,
    tell: Callable[[Collection | TryLater | StandBy], bool],
    daily: Callable[[date], None] | None = None,
    leadership: Leadership | None = None,
) -> None:
    """Collect at once, then at each multiple of `every` after the start.

    A collection that takes longer than `every` is followed by the next multiple: nothing piles up. An error
    that may pass (database locked away, disk full) is told and tried again; every other one ends the loop.
    Where another collector leads, this one looks again and again; when its turn comes, it goes on with the
    distances of the one before.

    Args:
        collector: does it.
        scope: of each collection.
        every: distance between two starts.
        clock: waits.
        tell: is given each result, and each look at another one that leads; collecting ends when it returns
            false.
        daily: is given each day (UTC) that has ended, once, after the first collection of the next.
        leadership: the leases under which it is done; without, it is alone.
    """
    rounds = _Rounds(collector, scope, every, clock, leadership)
    day = clock.now().date()
    while True:
        try:
            result: Collection | TryLater | StandBy = rounds.collect()
            if daily is not None and isinstance(result, Collection) and clock.now().date() > day:
                daily(day)
                day = clock.now().date()
        except TryLater as error:
            result = error
        if not tell(result):
            return
        rounds.wait(standing_by=isinstance(result, StandBy | LeadLost))


class _Rounds:
    """When the next collection is due, and whose it is."""

    def __init__(
        self,
        collector: Collector,
        scope: Scope,
        every: timedelta,
        clock: Clock,
        leadership: Leadership | None,
    ) -> None:
        self._collector = collector
        self._scope = scope
        self._every = every
        self._clock = clock
        self._leadership = leadership
        self._start = clock.monotonic()

    def collect(self) -> Collection | StandBy:
        """Collect, unless another collector leads.

        Raises:
            TryLater: it cannot be done now.
        """
        if self._leadership is None:
            return self._collector.collect(self._scope)
        standing_by = self._leadership.lead()
        if standing_by is None and self._leadership.inherited:
            self._take_up()
            standing_by = self._leadership.lead()  # another one may have been faster while this one waited
        if standing_by is not None:
            return standing_by
        return self._collector.collect(self._scope, fences=self._leadership.fences)

    def wait(self, *, standing_by: bool) -> None:
        """Wait for the next multiple; whoever stands by looks more often, so that a turn is taken soon."""
        seconds = self._every.total_seconds()
        if standing_by and self._leadership is not None:
            self._clock.sleep(min(seconds, self._leadership.pause))
            return
        passed = self._clock.monotonic() - self._start
        self._clock.sleep(seconds - passed % seconds)

    def _take_up(self) -> None:
        """Wait until the next collection of the one that led before is due: then nothing is there twice."""
        last = self._collector.last_collected(self._scope)
        if last is not None:
            due = (last + self._every - self._clock.now()).total_seconds()
            self._clock.sleep(min(max(due, 0.0), self._every.total_seconds()))
        self._start = self._clock.monotonic()
        if self._leadership is not None:
            self._leadership.inherited = False
