"""Follows the event feeds of networks: a change is in the lake within two seconds, with exact evidence.

What a feed has not told cannot be known from it. So a whole collection reconciles whenever a feed is
connected, for the first time or again, and whenever one was lost or more was told than could be kept; while a
registrar cannot be asked that collection says `unknown`, and it is repeated until all answer. Of what happens
while no feed is heard nothing is recorded as gone.

A refresh that only moves an expiry is not written at once: one row for each line and half minute is, and at
once where the expiry that readers see is less than a minute ahead. So `expires_at` in `line_states` lies at
most half a minute behind, and after a clean end not at all; a later collection never takes a refreshed line
for an aged one, unless the follower was killed in that half minute.

Of several followers with the same scope one leads, see `devlib.collect.leading`. The others do not listen
meanwhile: whoever takes over begins with a whole collection, as after every time in which no feed was heard.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice

from devlib.clock import Clock
from devlib.collect.answers import Failure
from devlib.collect.asking import reason_of
from devlib.collect.collection import Collector
from devlib.collect.flushing import Flusher, Written
from devlib.collect.leading import Tenure
from devlib.collect.networks import Networks, Served
from devlib.collect.waiting import run_blocking
from devlib.errors import CapabilityMissing, LeadLost, TryLater
from devlib.language import Message, message
from devlib.model import LineState, Scope
from devlib.network import Change, FeedEvent, FeedLost, Network
from devlib.storage import Lake

GATHER_SECONDS = 0.5  # events are gathered for so long before they are written
REFRESH_SECONDS = 30.0  # between two writings of mere refreshes
MOST_WAITING = 50_000  # events; when more wait, a collection replaces them
_AT_ONCE = 5_000  # events in one entry of the lake
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 300.0  # seconds before a collection is repeated that had no whole answer
_FEED_PAUSE = 5.0  # seconds before a feed is opened again that failed unexpectedly


class FlushKind(StrEnum):
    """What the follower did."""

    RECONCILED = "reconciled"
    CHANGED = "changed"
    LOST = "feed lost"


@dataclass(frozen=True, slots=True)
class Flush:
    """One thing that the follower did, for people and for the audit.

    Args:
        kind: a whole collection, rows of single lines, or a feed that broke off.
        at: when it was done, UTC.
        network: whose feed; empty for a collection.
        snapshot: number of the entry of the lake; `None` where nothing was written.
        rows: lines written.
        states: of a collection, lines by state.
        put_off: lines of which only the expiry moved.
        unknown: events of line ports that belong to no line of the scope.
        failures: of a collection, the networks that did not answer.
        reason: why a feed broke off.
    """

    kind: FlushKind
    at: datetime
    network: str = ""
    snapshot: int | None = None
    rows: int = 0
    states: dict[LineState, int] = field(default_factory=dict)
    put_off: int = 0
    unknown: int = 0
    failures: tuple[Failure, ...] = ()
    reason: Message | None = None


Tell = Callable[[Flush | TryLater], bool]
Work = Callable[[], list[Flush | TryLater]]
Beside = Callable[[Work], Awaitable[list[Flush | TryLater]]]


class Follower:
    """Follows the feeds of all networks that serve a scope.

    Args:
        collector: reconciles, and writes the rows.
        lake: what is known of the lines.
        networks: those that push are followed; the others are asked when a collection reconciles.
        scope: whose lines.
        clock: when it is.
        beside: runs the writing while the feeds are heard; by default in a thread. With a clock that a test
            moves, time must not run on meanwhile.
        tenure: under whose leases it writes; without, it is alone.
    """

    def __init__(
        self,
        collector: Collector,
        lake: Lake,
        networks: Networks,
        scope: Scope,
        clock: Clock,
        *,
        beside: Beside = asyncio.to_thread,
        tenure: Tenure | None = None,
    ) -> None:
        self._collector = collector
        self._tenure = tenure
        self._fences = None if tenure is None else tenure.fences
        self._flusher = Flusher(collector, lake, networks, scope, clock, self._fences)
        self._networks = networks
        self._scope = scope
        self._clock = clock
        self._beside = beside
        self._heard: list[tuple[Served, FeedEvent]] = []  # of the feeds' side
        self._waiting: deque[tuple[Served, FeedEvent]] = deque()  # of the lake's side
        self._writing = threading.Lock()
        self._overflowed = False
        self._rest_until = 0.0
        self._lost: set[str] = set()
        self._due: float | None = None  # when a collection has to reconcile
        self._pause = _FIRST_PAUSE
        self._refreshed = clock.monotonic()

    def follow(self, tell: Tell) -> None:
        """Follow until `tell` returns false, or was given that another follower leads (`LeadLost`).

        Args:
            tell: is given each thing done, or the passing error that stood in its place.

        Raises:
            CapabilityMissing: no network pushes its changes.
        """
        run_blocking(self._follow(tell))

    async def _follow(self, tell: Tell) -> None:
        sources = [(served, served.open()) for served in self._networks.served]
        pushing = [each for each in sources if each[1].capabilities.push]
        try:
            if not pushing:
                raise _no_feed()
            await self._hear_and_write(pushing, tell)
        finally:
            for _, source in sources:
                await source.close()

    async def _hear_and_write(self, pushing: Sequence[tuple[Served, Network]], tell: Tell) -> None:
        ears = [asyncio.ensure_future(self._hear(*each)) for each in pushing]
        try:
            while True:
                await self._clock.wait(GATHER_SECONDS)
                self._take()
                # The lake is written in a thread, so that the feeds are heard meanwhile.
                for each in await self._beside(self._work):
                    goes_on = tell(each)
                    if isinstance(each, LeadLost):
                        self._drop_all()
                        return
                    if not goes_on:
                        return
        finally:
            for ear in ears:
                ear.cancel()
            await asyncio.gather(*ears, return_exceptions=True)
            self._write_the_rest()

    async def _hear(self, served: Served, source: Network) -> None:
        while True:
            try:
                async for event in source.events():
                    self.hear(served, event)
            # A fault of one feed must not end the others; it is a feed that broke off.
            except Exception as error:  # noqa: BLE001
                self.hear(served, FeedLost(self._clock.now(), reason_of(error)))
            await self._clock.wait(_FEED_PAUSE)

    def hear(self, served: Served, event: FeedEvent) -> None:
        """Take one event of a feed; it is written at the next turn."""
        if len(self._heard) + len(self._waiting) >= MOST_WAITING:
            # The lake is slower than the feed: instead of these events all lines are read.
            self._heard = [each for each in self._heard if not isinstance(each[1], Change)]
            self._overflowed = True
        if len(self._heard) < MOST_WAITING:
            self._heard.append((served, event))

    def _take(self) -> None:
        """Hand over what was heard; only while nothing is being written."""
        if self._overflowed:
            marks = [each for each in self._waiting if not isinstance(each[1], Change)]
            self._waiting = deque(marks)
            self._overflowed, self._due = False, self._clock.monotonic()
        self._waiting.extend(self._heard)
        self._heard = []

    def _work(self) -> list[Flush | TryLater]:
        """Do what is due, and return what was done; what failed for now stays to be done."""
        done: list[Flush | TryLater] = []
        if self._clock.monotonic() < self._rest_until:
            return done
        with self._writing:
            try:
                if self._tenure is not None:
                    self._tenure.require()
                for flush in self._turn():
                    done.append(flush)  # noqa: PERF402 - what was done before a failure is told too
            except TryLater as error:
                self._rest_until = self._clock.monotonic() + _FIRST_PAUSE
                done.append(error)
        return done

    def _turn(self) -> Iterator[Flush]:
        while self._waiting:
            served, event = self._waiting[0]
            if isinstance(event, Change):
                yield from self._reconciled()
                yield from self._changed()
                continue
            self._waiting.popleft()
            self._due, self._pause = self._clock.monotonic(), _FIRST_PAUSE
            if isinstance(event, FeedLost):
                self._lost.add(served.name)
                yield Flush(FlushKind.LOST, self._clock.now(), served.name, reason=event.reason)
            else:
                self._lost.discard(served.name)
        yield from self._reconciled()
        if self._clock.monotonic() - self._refreshed >= REFRESH_SECONDS:
            yield from self._refreshes()

    def _reconciled(self) -> Iterator[Flush]:
        """Collect all lines where that is due; where not all is well after it, again later."""
        if self._due is None or self._clock.monotonic() < self._due:
            return
        self._flusher.read_lines()
        collection = self._collector.collect(self._scope, fences=self._fences)
        self._flusher.forget()
        self._due = None
        if collection.failures or self._lost:
            self._due = self._clock.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        yield Flush(
            FlushKind.RECONCILED,
            self._clock.now(),
            snapshot=collection.snapshot.id,
            rows=sum(collection.states.values()),
            states=dict(collection.states),
            failures=collection.failures,
        )

    def _changed(self) -> Iterator[Flush]:
        """Write the changes that wait in front, of one network after the other."""
        changes = self._in_front()
        by_network: dict[str, tuple[Served, list[Change]]] = {}
        for served, change in changes:
            by_network.setdefault(served.name, (served, []))[1].append(change)
        written = [(served, self._flusher.write(served, theirs)) for served, theirs in by_network.values()]
        # Only now: what could not be written is tried again, and writing it twice changes nothing.
        for _ in changes:
            self._waiting.popleft()
        yield from (self._flush(served, each) for served, each in written if each.rows or each.unknown)

    def _in_front(self) -> list[tuple[Served, Change]]:
        found: list[tuple[Served, Change]] = []
        for served, event in islice(self._waiting, _AT_ONCE):
            if not isinstance(event, Change):
                break
            found.append((served, event))
        return found

    def _refreshes(self) -> Iterator[Flush]:
        self._refreshed = self._clock.monotonic()
        for served in self._networks.served:
            written = self._flusher.write_put_off(served)
            if written.rows:
                yield self._flush(served, written)

    def _flush(self, served: Served, written: Written) -> Flush:
        return Flush(
            FlushKind.CHANGED,
            self._clock.now(),
            served.name,
            None if written.snapshot is None else written.snapshot.id,
            written.rows,
            put_off=written.put_off,
            unknown=written.unknown,
        )

    def _drop_all(self) -> None:
        """Forget what was heard: whoever took over has read what it left."""
        self._heard, self._due = [], None
        self._waiting.clear()
        self._flusher.forget()

    def _write_the_rest(self) -> None:
        """Write what was heard and put off, so that the next collection knows true expiries."""
        with self._writing:
            self._take()
            try:
                if self._due is None:
                    list(self._changed())
                list(self._refreshes())
            except TryLater:
                return  # the lake is away: the next collection reads all lines anyway


def require_feed(networks: Networks) -> None:
    """Make sure that a network pushes its changes.

    Args:
        networks: to be followed; none is connected to.

    Raises:
        CapabilityMissing: none does.
    """

    async def look() -> None:
        sources = [served.open() for served in networks.served]
        for each in sources:
            await each.close()
        if not any(each.capabilities.push for each in sources):
            raise _no_feed()

    run_blocking(look())


def _no_feed() -> CapabilityMissing:
    return CapabilityMissing(
        message("No network tells of its changes by itself."),
        remedy=message("Set `events` of the network in devlib.toml, or use devlib collect --every."),
    )
