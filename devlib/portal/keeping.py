"""Keeping house: closed days are compacted, old ones taken away, files that nobody reads removed."""

from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta

from devlib.errors import TryLater
from devlib.portal.acts import Act, Gate
from devlib.portal.desk import Desk
from devlib.portal.services import Services
from devlib.storage import Compaction, Compactor, DayFile


class Keeping(Desk):
    """The act that keeps the lake in shape."""

    def compact(self, tell: Callable[[DayFile], None] | None = None) -> Compaction:
        """Compact the closed days, take away those older than the retention, and sweep.

        Args:
            tell: is given each day file when it is entered.

        Returns:
            What was done.

        Raises:
            NotAllowed: the scope of the identity has a limit, or its role does not cover this.
            StorageUnavailable: the lake cannot be read or written; what was done before stays.
        """
        with self._gate.act(Act.COMPACT, "closed days") as doing:
            self._require_everything()
            done = compact_days(self._services, tell)
            doing.detail = _words(done)
            return done


class DailyHousekeeping:
    """Compacts each day once it has ended, for a collector; a failure is noted and never ends the collector.

    Args:
        services: whose lake.
        gate: audits it, in the name of whoever collects.
    """

    def __init__(self, services: Services, gate: Gate) -> None:
        self._services = services
        self._gate = gate
        self._day = services.clock.now().date()

    def __call__(self, day: date) -> None:
        """Compact now; `day` has ended."""
        # A database that is away now leaves no entry; the days are compacted the next time.
        with suppress(TryLater):
            try:
                done = compact_days(self._services)
            except TryLater as error:
                self._gate.record(Act.COMPACT, str(day), "failed", f"{type(error).__name__}: {error.what}")
            else:
                self._gate.record(Act.COMPACT, str(day), "done", _words(done))

    def advance(self) -> None:
        """Make the state periods of the last full hours, where there are new ones."""
        with suppress(TryLater):  # they are made from the snapshots when somebody asks, only slower
            Compactor(self._services.lake, self._services.clock).advance()

    def look(self) -> None:
        """Make the periods of the last hours; compact where a day has ended since this was last called."""
        self.advance()
        today = self._services.clock.now().date()
        if today > self._day:
            self._day, ended = today, self._day
            self(ended)


def compact_days(services: Services, tell: Callable[[DayFile], None] | None = None) -> Compaction:
    """Compact, expire and sweep.

    Args:
        services: whose lake.
        tell: is given each day file when it is entered.
    """
    days = services.settings.snapshot_retention_days
    keep = None if days is None else timedelta(days=days)
    compactor = Compactor(services.lake, services.clock)
    done = compactor.run(tell, keep)
    compactor.advance()
    services.lake.sweep()
    return done


def _words(done: Compaction) -> str:
    return f"{done.snapshots} snapshots in {len(done.files)} day files, {done.expired} expired"
