"""Followers of one scope follow one after the other: each for as long as it leads, then the next."""

from collections.abc import Callable

from devlib.clock import Clock
from devlib.collect.following import Flush, Follower
from devlib.collect.leading import Leadership, StandBy, Tenure
from devlib.errors import TryLater


def keep_following(
    follower: Callable[[Tenure], Follower],
    leadership: Leadership,
    clock: Clock,
    tell: Callable[[Flush | TryLater | StandBy], bool],
) -> None:
    """Follow for as long as this process leads, and stand by for as long as another one does.

    Each tenure has a follower of its own, which begins with a whole collection: what was heard under lost
    leases is told by whoever took over, and never twice.

    Args:
        follower: makes one that writes under a tenure.
        leadership: the leases under which it is done.
        clock: waits between two looks at another one that leads.
        tell: is given each thing done, the passing error that stood in its place, and each look at another
            one that leads; following ends when it returns false.

    Raises:
        CapabilityMissing: no network pushes its changes.
    """
    while True:
        try:
            result: StandBy | TryLater | None = leadership.lead()
        except TryLater as error:
            result = error
        goes_on = tell(result) if result is not None else _follow(follower(Tenure(leadership, clock)), tell)
        if not goes_on:
            return
        clock.sleep(leadership.pause)


def _follow(follower: Follower, tell: Callable[[Flush | TryLater], bool]) -> bool:
    """Follow to the end of a tenure; return whether `tell` wants more."""
    goes_on = True

    def note(result: Flush | TryLater) -> bool:
        nonlocal goes_on
        goes_on = tell(result)
        return goes_on

    follower.follow(note)
    return goes_on
