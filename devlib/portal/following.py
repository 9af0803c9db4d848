"""Following: what networks tell by themselves goes into the lake as it happens."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from devlib.collect import (
    Beside,
    Flush,
    FlushKind,
    Follower,
    Leadership,
    StandBy,
    Tenure,
    beating,
    keep_following,
    require_feed,
)
from devlib.errors import TryLater
from devlib.model import Scope
from devlib.portal.acts import Act
from devlib.portal.keeping import DailyHousekeeping
from devlib.portal.reporting import Reporting

_PURPOSE = "follow"  # of the leases: those of collectors are others
_LOOK_SECONDS = 60.0  # between two looks whether a day has ended


class Following(Reporting):
    """The act that follows event feeds, for as long as it is let."""

    def follow(
        self,
        tell: Callable[[Flush | TryLater | StandBy], bool],
        customer: str | None = None,
        site: str | None = None,
        *,
        beside: Beside = asyncio.to_thread,
    ) -> None:
        """Follow the event feeds of the scope's networks until `tell` returns false.

        Beginning and end are audited, and between them each whole collection, each feed that broke off and
        each failure; of single changes the audit has the sum at the end, for the lake has each of them.
        Of several that follow the same on the same network one leads, on whichever machine; the others stand
        by, and one of them takes over when it stops or dies.

        Args:
            tell: is given each thing done, the passing error that stood in its place, or that another one
                leads.
            customer: only this one's lines.
            site: only this site's.
            beside: runs the writing while the feeds are heard; see `Follower`.

        Raises:
            NotAllowed: role or scope of the identity changed meanwhile.
            CapabilityMissing: no network pushes its changes.
        """
        target = f"{customer or '*'} / {site or '*'} followed"
        services = self._services
        with self._gate.act(Act.COLLECT, target) as doing:
            scope = self._collected_scope(customer, site)
            self._gate.record(Act.COLLECT, target, "started")
            changed = 0

            def note(result: Flush | TryLater | StandBy) -> bool:
                nonlocal changed
                if isinstance(result, StandBy):
                    return tell(result)
                if isinstance(result, Flush) and result.kind is FlushKind.CHANGED:
                    changed += result.rows
                    doing.detail = f"{changed} changes"
                else:
                    # A store that is away for a while must not end the follower.
                    with suppress(TryLater):
                        self._gate.record(Act.COLLECT, target, *_ended(result))
                goes_on = tell(result)
                with suppress(TryLater):
                    self._require_same(scope, customer, site)
                return goes_on

            require_feed(services.networks)
            services.lake.sweep()
            leadership = self._leadership(scope)
            with beating(leadership), _beside(DailyHousekeeping(services, self._gate), leadership):
                keep_following(self._follower(scope, beside), leadership, services.clock, note)
            doing.note("stopped")

    def _leadership(self, scope: Scope) -> Leadership:
        services = self._services
        patience = services.settings.takeover_seconds
        return Leadership(
            services.inventory, services.networks, scope, services.clock, patience=patience, purpose=_PURPOSE
        )

    def _follower(self, scope: Scope, beside: Beside) -> Callable[[Tenure], Follower]:
        given = self._services

        def made(tenure: Tenure) -> Follower:
            return Follower(
                given.collector, given.lake, given.networks, scope, given.clock, beside=beside, tenure=tenure
            )

        return made


@contextmanager
def _beside(housekeeping: DailyHousekeeping, leadership: Leadership) -> Iterator[None]:
    """Keep house in a thread while this one leads: a feed must not wait until a day is compacted."""
    stop = threading.Event()

    def keep() -> None:
        while not stop.wait(_LOOK_SECONDS):
            if leadership.fences:
                housekeeping.look()

    thread = threading.Thread(target=keep, name="devlib-housekeeping")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _ended(result: Flush | TryLater) -> tuple[str, str]:
    """Return outcome and detail of one thing done, for the audit."""
    if isinstance(result, TryLater):
        return "failed", f"{type(result).__name__}: {result.what}"
    if result.kind is FlushKind.LOST:
        return "failed", f"feed of {result.network} lost: {result.reason}"
    reasons = [f"{each.lines} unknown ({each.network or '-'}: {each.reason})" for each in result.failures]
    return "done", "; ".join([f"snapshot {result.snapshot}, {result.rows} lines", *reasons])
