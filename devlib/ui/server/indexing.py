"""Keeps the line index up to date, so that no page has to read all lines of a large fleet anew."""

import asyncio
import signal
import sys
from contextlib import suppress

from devlib.clock import Clock
from devlib.config import own_environment
from devlib.errors import TryLater
from devlib.model import EVERYTHING
from devlib.portal import Services

_LEAST_PAUSE = 60.0
_SHARE = 10.0  # seconds of pause for each second of work: at most a tenth of one processor


class Indexing:
    """Has the index written by a process of its own whenever the newest states are others.

    Args:
        services: of this home.
        clock: for the distance between two indexes.
    """

    def __init__(self, services: Services, clock: Clock) -> None:
        self._services = services
        self._clock = clock
        self._entries: tuple[int, ...] = ()
        self._not_before = 0.0
        self._process: asyncio.subprocess.Process | None = None

    async def look(self) -> None:
        """Have the index written, where there is something newer and the last one is not just done."""
        if self._clock.monotonic() < self._not_before:
            return
        with suppress(TryLater):  # the store is away for a while: the next look will tell
            entries, lines = await asyncio.get_running_loop().run_in_executor(None, self._newest)
            if entries != self._entries:
                if lines < self._services.settings.dashboards.index_from_lines:
                    self._services.line_indexes.clear()
                elif not await self._write():
                    return  # it has said why on the server's error output, and is tried again
                self._entries = entries

    def close(self) -> None:
        """End what is under way, and remove the index: nobody would keep it up to date."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
        self._services.line_indexes.clear()

    def _newest(self) -> tuple[tuple[int, ...], int]:
        found = self._services.lake.current(EVERYTHING)
        return tuple(each.id for each in found), sum(each.rows for each in found)

    async def _write(self) -> bool:
        """Have the index written; return whether there is a new one."""
        began = self._clock.monotonic()
        environment = own_environment() | {"DEVLIB_HOME": str(self._services.settings.home)}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "devlib.ui.server.index_child", env=environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await self._process.wait()
        now = self._clock.monotonic()
        self._not_before = now + max(_LEAST_PAUSE, _SHARE * (now - began))
        return self._process.returncode == 0
