"""Collecting again and again, at fixed distances, through every failure that may pass."""

import re
from collections.abc import Callable
from datetime import date, timedelta

from devlib.clock import Clock
from devlib.collect.collection import Collection, Collector
from devlib.errors import TryLater, UsageError
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
    tell: Callable[[Collection | TryLater], bool],
    daily: Callable[[date], None] | None = None,
) -> None:
    """Collect at once, then at each multiple of `every` after the start.

    A collection that takes longer than `every` is followed by the next multiple: nothing piles up. An error
    that may pass (database locked away, disk full) is told and tried again; every other one ends the loop.

    Args:
        collector: does it.
        scope: of each collection.
        every: distance between two starts.
        clock: waits.
        tell: is given each result; collecting ends when it returns false.
        daily: is given each day (UTC) that has ended, once, after the first collection of the next.
    """
    start = clock.monotonic()
    day = clock.now().date()
    while True:
        try:
            result: Collection | TryLater = collector.collect(scope)
            if daily is not None and clock.now().date() > day:
                daily(day)
                day = clock.now().date()
        except TryLater as error:
            result = error
        if not tell(result):
            return
        seconds = every.total_seconds()
        passed = clock.monotonic() - start
        clock.sleep(seconds - passed % seconds)
