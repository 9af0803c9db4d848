"""A probe of many line ports: who is registered is looked up first, then each gets its OPTIONS."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from devlib.clock import Clock
from devlib.language import Message, message
from devlib.network.hostile import clean_text
from devlib.network.kamailio_sip import said_by
from devlib.network.protocol import NO_LINE_PORT, Answers, is_line_port
from devlib.network.reach import Reach, ReachOutcome
from devlib.network.sip_answer import NO_ANSWER, SipAnswer

_BATCH = 2_000  # line ports of one lookup
_PATIENCE = 16  # failures in a row after which the rest is not asked
_RESTARTED = message("The registrar restarted and keeps its bindings in memory only.")
# What a proxy answers by itself where it cannot pass a request on (RFC 3261 §16.6, Kamailio's `tm`). From a
# phone they would be unusual answers to OPTIONS; who says another name than the proxy's is the phone.
_OF_THE_PROXY = frozenset({403, 404, 405, 407, 410, 430, 476, 477, 478, 480, 483, 500, 502, 503, 504, 606})
_NOT_FOUND = 404

Lookup = Callable[[Iterable[str]], Awaitable[Answers]]


class OptionsPath(Protocol):
    """A way on which OPTIONS reach phones."""

    async def options(self, line_port: str) -> SipAnswer:
        """Ask one phone."""
        ...

    async def greet(self) -> str | None:
        """Return what the proxy itself is called, as far as it tells."""
        ...

    async def silence(self) -> Message | None:
        """Return why a silence may be the network's own; `None` where it is the phone's."""
        ...


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe.

    Args:
        lookup: gives the bindings of line ports.
        path: to the phones.
        clock: tells when the bindings were read.
        window: OPTIONS under way at once.
    """

    lookup: Lookup
    path: OptionsPath
    clock: Clock
    window: int

    async def run(self, line_ports: Iterable[str]) -> AsyncGenerator[Reach, None]:
        """Yield one outcome for each of `line_ports`; whoever stops reading ends it."""
        course = _Course(self, dict.fromkeys(line_ports))
        try:
            while (reach := await course.next()) is not None:
                yield reach
        finally:
            await course.stop()


class _Course:
    """What one probe has under way; both queues are bounded, so that a slow reader holds it up."""

    def __init__(self, probe: Probe, line_ports: Iterable[str]) -> None:
        self._probe = probe
        self._line_ports = iter(line_ports)
        self._since = probe.clock.now()
        self._bound: asyncio.Queue[str | None] = asyncio.Queue(probe.window)
        self._found: asyncio.Queue[Reach | None] = asyncio.Queue(4 * probe.window)
        self._working = probe.window
        self._failures = 0
        self._proxy: str | None = None
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        work = [self._find(), *(self._work() for _ in range(probe.window))]
        self._tasks = [asyncio.create_task(self._guarded(each)) for each in work]

    async def next(self) -> Reach | None:
        """Return the next outcome, `None` at the end; what ended one of the tasks is raised here."""
        if not self._found.empty():
            return self._found.get_nowait()
        getting = asyncio.create_task(self._found.get())
        try:
            waited: set[asyncio.Future[Any]] = {getting, self._broken}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                return getting.result()
        finally:
            getting.cancel()
        for task in self._tasks:
            if task.done():
                task.result()
        return None

    async def stop(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        whole = False
        try:
            await work
            whole = True
        finally:
            # Without it, whoever reads would wait for outcomes that no longer come.
            if not whole and not self._broken.done():
                self._broken.set_result(None)

    async def _find(self) -> None:
        """Look up who is registered, and put those up for asking."""
        self._proxy = await self._probe.path.greet()
        while batch := list(itertools.islice(self._line_ports, _BATCH)):
            await self._find_those(batch)
        for _ in range(self._probe.window):
            await self._bound.put(None)

    async def _find_those(self, batch: list[str]) -> None:
        usable = [each for each in batch if is_line_port(each)]
        for line_port in dict.fromkeys(batch).keys() - set(usable):
            await self._tell(line_port, ReachOutcome.UNROUTABLE, NO_LINE_PORT)
        answers = await self._probe.lookup(usable)
        for line_port, why in answers.unanswered.items():
            await self._tell(line_port, ReachOutcome.UNREACHABLE, why)
        for line_port, bindings in answers.bindings.items():
            if bindings:
                await self._bound.put(line_port)
            else:
                await self._tell(line_port, ReachOutcome.NOT_REGISTERED)

    async def _tell(self, line_port: str, outcome: ReachOutcome, why: Message | None = None) -> None:
        await self._found.put(Reach(line_port, outcome, reason=why))

    async def _work(self) -> None:
        given_up: Message | None = None
        while (line_port := await self._bound.get()) is not None:
            if self._failures >= _PATIENCE and given_up is not None:
                await self._tell(line_port, ReachOutcome.UNREACHABLE, given_up)
                continue
            reach = await self._reach(line_port, await self._probe.path.options(line_port))
            failed = reach.outcome is ReachOutcome.UNREACHABLE
            self._failures = self._failures + 1 if failed else 0
            given_up = reach.reason if failed else None
            await self._found.put(reach)
        self._working -= 1
        if self._working == 0:
            await self._found.put(None)

    async def _reach(self, line_port: str, answer: SipAnswer) -> Reach:
        if not answer.came:
            return await self._unanswered(line_port, answer)
        name = said_by(answer)
        if self._is_the_phones(answer, name):
            return Reach(line_port, ReachOutcome.ANSWERS, answer.status, answer.seconds, name)
        if answer.status == NO_ANSWER:
            return Reach(line_port, ReachOutcome.SILENT, answer.status)
        if answer.status == _NOT_FOUND:
            return await self._not_found(line_port)
        return Reach(line_port, ReachOutcome.UNROUTABLE, answer.status, reason=_proxy_said(answer))

    def _is_the_phones(self, answer: SipAnswer, name: str | None) -> bool:
        """Return whether the phone said it, as far as that can be known."""
        if answer.status != NO_ANSWER and answer.status not in _OF_THE_PROXY:
            return True
        return name is not None and self._proxy is not None and name != self._proxy

    async def _unanswered(self, line_port: str, answer: SipAnswer) -> Reach:
        if answer.status == NO_ANSWER:
            why = await self._probe.path.silence()
            if why is None:
                return Reach(line_port, ReachOutcome.SILENT)
            return Reach(line_port, ReachOutcome.UNREACHABLE, reason=why)
        return Reach(line_port, ReachOutcome.UNREACHABLE, reason=answer.failure)

    async def _not_found(self, line_port: str) -> Reach:
        """Tell a binding that went meanwhile from one that was forgotten, or is not routed."""
        answers = await self._probe.lookup([line_port])
        if (why := answers.unanswered.get(line_port)) is not None:
            return Reach(line_port, ReachOutcome.UNREACHABLE, reason=why)
        if answers.bindings.get(line_port):
            return Reach(line_port, ReachOutcome.UNROUTABLE, _NOT_FOUND)
        if _forgot(answers.knows_since, self._since):
            return Reach(line_port, ReachOutcome.UNREACHABLE, reason=_RESTARTED)
        return Reach(line_port, ReachOutcome.NOT_REGISTERED, _NOT_FOUND)


def _forgot(knows_since: datetime | None, since: datetime) -> bool:
    return knows_since is not None and knows_since > since


def _proxy_said(answer: SipAnswer) -> Message:
    return message(
        "The proxy answered {code} {reason}.", code=answer.status, reason=clean_text(answer.reason, 80) or ""
    )
