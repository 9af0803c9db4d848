"""When the next NOTIFY may go, and when a run has to stop: rules without any network."""

from devlib.clock import Clock

SHARE_FROM = 20
"""Devices with an outcome from which on the share of failures counts: one of two is no half of a fleet."""


class Pace:
    """Keeps NOTIFYs at least `1 / rate` seconds apart, so that no second ever has more than `rate` of them.

    There is no catching up: what a pause left unused is not sent in a burst after it.

    Args:
        rate: most NOTIFYs per second.
        clock: measures and waits.
    """

    def __init__(self, rate: float, clock: Clock) -> None:
        self.distance = 1.0 / rate
        self._clock = clock
        self._next = clock.monotonic()

    def seconds_left(self) -> float:
        """Return the seconds until the next one may go."""
        return max(0.0, self._next - self._clock.monotonic())

    def hold(self, seconds: float) -> None:
        """Let the next one not go before so many seconds from now."""
        self._next = max(self._next, self._clock.monotonic() + seconds)

    async def turn(self) -> None:
        """Wait until the next one may go; the caller sends it at once."""
        # Asked again after each wait: a timer may fire a little early.
        while (left := self.seconds_left()) > 0:
            await self._clock.wait(left)
        self._next = self._clock.monotonic() + self.distance


def must_stop(failed: int, ended: int, stop_after: int, stop_share: float) -> bool:
    """Return whether too many devices failed.

    Args:
        failed: devices that were sent a NOTIFY and failed.
        ended: devices that were sent a NOTIFY and have an outcome.
        stop_after: failures at which to stop; 0 for never.
        stop_share: share of failures above which to stop; 0 for never.
    """
    if stop_after and failed >= stop_after:
        return True
    return bool(stop_share) and ended >= SHARE_FROM and failed > stop_share * ended
