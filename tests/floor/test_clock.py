"""Time as an argument."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from devlib.clock import FakeClock, SystemClock


def test_the_fake_clock_stands_still_until_moved():
    """Only advancing, sleeping and waiting move it; both readings move together."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    clock = FakeClock(start)
    assert (clock.now(), clock.monotonic()) == (start, 0.0)
    clock.advance(1.5)
    clock.sleep(2)
    clock.sleep(-5)
    assert (clock.now(), clock.monotonic()) == (start + timedelta(seconds=3.5), 3.5)
    assert FakeClock().now().tzinfo is UTC


async def test_waiting_on_the_fake_clock_lets_others_run():
    """A wait moves the clock at once, and other tasks get their turn."""
    clock, order = FakeClock(), []

    async def other():
        order.append("other")

    task = asyncio.create_task(other())
    await clock.wait(60)
    await clock.wait(-1)
    order.append("self")
    await task
    assert order == ["other", "self"]
    assert clock.monotonic() == 60


async def test_the_system_clock_is_utc_and_never_runs_back():
    """Moments are UTC, the monotonic reading grows, and negative waits are none."""
    clock = SystemClock()
    before = clock.monotonic()
    assert clock.now().utcoffset() == timedelta(0)
    clock.sleep(-1)
    clock.sleep(0.001)
    await clock.wait(-1)
    await clock.wait(0.001)
    assert clock.monotonic() - before == pytest.approx(0.002, abs=1)
    assert clock.monotonic() > before
