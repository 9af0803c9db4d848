"""An event loop whose time jumps to the next timer instead of waiting for it."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Jumping(selectors.BaseSelector):
    """Asks the real selector without waiting, and moves the loop's time by what it would have waited."""

    def __init__(self) -> None:
        self._real = selectors.SelectSelector()
        self.now = 0.0

    def select(self, timeout=None):
        ready = self._real.select(0)
        if not ready and timeout is not None:
            self.now += max(timeout, 0.0)
        elif not ready:
            raise RuntimeError("nothing is left that could happen")
        return ready

    def register(self, fileobj, events, data=None):
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj):
        return self._real.unregister(fileobj)

    def get_map(self):
        return self._real.get_map()

    def close(self):
        self._real.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop without a real clock."""

    def __init__(self) -> None:
        self.jumping = _Jumping()
        super().__init__(self.jumping)

    def time(self):
        """Return seconds that only timers move."""
        return self.jumping.now


def run_virtually(work: Coroutine[Any, Any, Any]) -> Any:
    """Run `work` to its end; its timers take no time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
