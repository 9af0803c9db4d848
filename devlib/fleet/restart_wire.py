"""One network of a run: who is registered, NOTIFYs, and what its event feed tells meanwhile."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from devlib.clock import Clock
from devlib.errors import DevlibError, UsageError
from devlib.model import Binding
from devlib.network import (
    Answers,
    Change,
    ChangeKind,
    FeedBack,
    FeedLost,
    Network,
    RestartAnswer,
    RestartOutcome,
    network_form,
)

_SET = frozenset({ChangeKind.REGISTERED, ChangeKind.REFRESHED})
# A registrar tells whole seconds of its uptime, and the clock is read a little later.
_SAME_START = timedelta(seconds=1.5)


class RestartWire:
    """A connection to one network; open and close it inside the running event loop.

    Attributes:
        feed: whether its event feed is connected, so that nobody has to ask for what it tells.
        down_since: since when it has answered nothing, on the monotonic clock; `None` while it answers.

    Args:
        name: of the network.
        connect: gives a fresh connection.
        clock: the time.
        answer_seconds: seconds for which a phone may keep a NOTIFY unanswered.
    """

    def __init__(
        self, name: str, connect: Callable[[], Network], clock: Clock, answer_seconds: float
    ) -> None:
        self.name = name
        self.feed = False
        self.down_since: float | None = None
        self._network = connect()
        self._clock = clock
        self._answer_seconds = answer_seconds
        self._troubled_at: datetime | None = None
        self._began: datetime | None = None
        self._heard: dict[str, list[Binding]] = {}
        self._watched: set[str] = set()
        self._listening: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Begin to hear the event feed, where the network has one."""
        if self._network.capabilities.push and self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def close(self) -> None:
        """End listening and give the connection back."""
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening
        await self._network.close()

    async def look(self, line_ports: Iterable[str]) -> Answers:
        """Return who is registered; a network that fails is unanswered line ports, never an exception."""
        asked = list(line_ports)
        if not asked:
            return Answers()
        try:
            answers = await self._network.lookup(asked)
        except DevlibError as error:
            answers = Answers({}, dict.fromkeys(asked, error.what))
        self._note(answers)
        return answers

    def _note(self, answers: Answers) -> None:
        if answers.bindings:
            self.down_since = None
        else:
            self._trouble()
            if self.down_since is None:
                self.down_since = self._clock.monotonic()
        began = answers.knows_since
        if began is not None:
            if self._began is not None and began > self._began + _SAME_START:
                self._trouble()  # its registrar restarted since the last look
            self._began = began

    async def notify(self, line_port: str, event: str) -> RestartAnswer:
        """Ask a phone to restart; see `devlib.network.Restarter`."""
        try:
            answer = await self._network.restart(line_port, event, self._answer_seconds)
        except UsageError as error:
            return RestartAnswer(line_port, RestartOutcome.UNROUTABLE, reason=str(error.what))
        except DevlibError as error:
            answer = RestartAnswer(line_port, RestartOutcome.UNREACHABLE, reason=str(error.what))
        if answer.outcome is RestartOutcome.UNREACHABLE:
            self._trouble()
        return answer

    def troubled_since(self, moment: datetime) -> bool:
        """Return whether the network failed, or its registrar restarted, at or after `moment`.

        What it said then of a phone, or did not say, may be its own fault.
        """
        return self._troubled_at is not None and self._troubled_at >= moment

    def watch(self, line_port: str) -> None:
        """Keep what the feed tells of this line from now on."""
        self._watched.add(network_form(line_port))

    def heard(self) -> Iterable[tuple[str, list[Binding]]]:
        """Return the watched lines of which the feed told, in `network_form`, with their registrations."""
        return tuple(self._heard.items())

    def forget(self, line_port: str) -> None:
        """Watch a line no longer."""
        self._watched.discard(network_form(line_port))
        self._heard.pop(network_form(line_port), None)

    def _trouble(self) -> None:
        self._troubled_at = self._clock.now()

    async def _listen(self) -> None:
        # A feed that ends for good is no loss: then the network is asked.
        with suppress(DevlibError):
            async for event in self._network.events():
                if isinstance(event, Change):
                    self._hear(event)
                elif isinstance(event, FeedBack):
                    self.feed = True
                elif isinstance(event, FeedLost):
                    self.feed = False
                    self._trouble()
        self.feed = False

    def _hear(self, change: Change) -> None:
        form = network_form(change.line_port)
        if form in self._watched and change.kind in _SET:
            self._heard.setdefault(form, []).append(change.binding)
