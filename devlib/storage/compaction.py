"""Closed days become few files: the observations of each scope by line, and the day's state periods.

A day (UTC) that has ended is read once more. The snapshots of each collected scope go into one file, sorted
by customer, line and time, which is smaller and answers for one line much faster; then one transaction lets
the manifest's entries be read from it. The entries stay, with their numbers, so a reader finds every row once
before and after that moment. The old files are swept when no query can hold them any more. Beside it lie the
state periods of the day, made from all scopes together and from the day before, so that questions over a
month read a few rows for each line and day and not one for each snapshot.

Killed at any moment this leaves at most a file that no entry names. Two at the same time do the same work
twice; the second finds the entries moved and discards its file.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path

import duckdb
import pyarrow as pa

from devlib.clock import Clock
from devlib.errors import StorageUnavailable
from devlib.language import message
from devlib.model import EVERYTHING, OBSERVATIONS_LAYOUT
from devlib.storage.day_ledger import DayFile, DayFileKind
from devlib.storage.day_sorting import write_sorted
from devlib.storage.lake import Lake, Overtaken
from devlib.storage.manifest import Snapshot
from devlib.storage.periods import PERIOD_SCHEMA, PERIODS_LAYOUT, Span, carried, compute_periods, open_periods

DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)
_FEWEST = 2  # snapshots of one scope that are worth a file of the day

Tell = Callable[["DayFile"], None]


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did.

    Args:
        files: the day files that it entered, in the order of time.
        snapshots: whose rows were moved.
        bytes_before: of their own files.
        expired: snapshots that the retention took away.
    """

    files: tuple[DayFile, ...] = ()
    snapshots: int = 0
    bytes_before: int = 0
    expired: int = 0

    @property
    def bytes_after(self) -> int:
        """Bytes of the day files of observations."""
        return sum(each.bytes for each in self.files if each.kind is DayFileKind.OBSERVATIONS)


class Compactor:
    """Compacts the closed days of a lake.

    Args:
        lake: whose days.
        clock: which days have ended.
    """

    def __init__(self, lake: Lake, clock: Clock) -> None:
        self._lake = lake
        self._clock = clock

    def run(self, tell: Tell | None = None, keep: timedelta | None = None) -> Compaction:
        """Compact every closed day that is not compacted yet, or not as its snapshots are now.

        Args:
            tell: is given each file when it is entered.
            keep: how long snapshots are kept; `None` for ever. See `expire`.

        Raises:
            StorageUnavailable: the lake cannot be read or written; what was entered before stays.
        """
        say = tell or (lambda _: None)
        files: list[DayFile] = []
        moved: list[Snapshot] = []
        with _told(self._lake.files.address):
            for each in self._scope_days():
                if (file := self._move(each)) is not None:
                    files.append(file)
                    moved += each
                    say(file)
            for file in self._period_days():
                files.append(file)
                say(file)
        expired = 0 if keep is None else self.expire(keep)
        return Compaction(tuple(files), len(moved), sum(each.bytes for each in moved), expired)

    def expire(self, keep: timedelta) -> int:
        """Take away the snapshots of days that are older than the retention; call it after `run`.

        What tells of the present stays, however old: the last snapshot of a place that is asked no more, and
        the state periods since then.

        Args:
            keep: how long snapshots are kept; counted in whole days (UTC).

        Returns:
            How many snapshots were taken away; their files are swept later.
        """
        limit = self._today() - keep
        with self._lake.inventory.read() as reader:
            old = list(reader.manifest(EVERYTHING, until=limit - _INSTANT))
            chain = reader.period_files()
        needed = {each.id for each in self._lake.current(EVERYTHING)}
        kept_files = {each.path for each in old if each.id in needed and each.in_day_file}
        kept = [each for each in old if each.id in needed or each.path in kept_files]
        over = [each for each in old if each not in kept]
        if not over:
            return 0
        first = midnight(min((each.observed_at for each in kept), default=limit))
        paths = {each.path for each in over if each.in_day_file}
        paths |= {each.path for each in chain if each.until <= first}
        with self._lake.inventory.write() as writer:
            writer.expire([each.id for each in over], sorted(paths), self._clock.now())
            writer.recount_periods([each for each in chain if each.until > first and each.since < limit])
        return len(over)

    def _today(self) -> datetime:
        return midnight(self._clock.now())

    def _scope_days(self) -> list[list[Snapshot]]:
        """Return the snapshots of closed days that are in files of their own, by day and scope."""
        found: dict[object, list[Snapshot]] = defaultdict(list)
        with self._lake.inventory.read() as reader:
            entries = list(reader.manifest(EVERYTHING, until=self._today() - _INSTANT))
        for each in self._lake.present(each for each in entries if not each.in_day_file):
            asked = each.collected
            found[midnight(each.observed_at), asked.provider, asked.customer, asked.site].append(each)
        return [each for each in reversed(found.values()) if len(each) >= _FEWEST]

    def _move(self, snapshots: Sequence[Snapshot]) -> DayFile | None:
        day = midnight(snapshots[0].observed_at)
        target = self._lake.target(day, "day")
        rows = write_sorted(self._lake, target, snapshots)
        file = self._file(DayFileKind.OBSERVATIONS, target, Span(day, day + DAY), rows, snapshots)
        return self._enter(file, snapshots)

    def advance(self) -> DayFile | None:
        """Make the state periods of today up to the last full hour, so that questions read few snapshots.

        A collector calls it after each collection; the file of the whole day takes their place later.

        Returns:
            The file; `None` where there is no new hour, or earlier days are not compacted yet.

        Raises:
            StorageUnavailable: the lake cannot be read or written.
        """
        hour = self._clock.now().replace(minute=0, second=0, microsecond=0)
        with self._lake.inventory.read() as reader:
            between = reader.observed_between(EVERYTHING)
            chain = reader.period_files()
        if between is None:
            return None
        start = chain[-1].until if chain else midnight(between[0])
        if not self._today() <= start < hour:
            return None
        with _told(self._lake.files.address):
            carry = carried(self._lake, chain[-1]) if chain else PERIOD_SCHEMA.empty_table()
            return self._make_periods(Span(start, hour), carry)[0]

    def _period_days(self) -> Iterator[DayFile]:
        """Make the state periods of the closed days that have none, or whose snapshots changed."""
        with self._lake.inventory.read() as reader:
            between = reader.observed_between(EVERYTHING)
            chain = reader.period_files()
        if between is None:
            return
        there = self._lake.files.present(each.path for each in chain)
        chain = list(takewhile(lambda each: _of_a_whole_day(each) and each.path in there, chain))
        day = chain[-1].until if chain else midnight(between[0])
        carry = carried(self._lake, chain[-1]) if chain else PERIOD_SCHEMA.empty_table()
        while day < self._today():
            file, table = self._make_periods(Span(day, day + DAY), carry)
            yield file
            carry = open_periods(table)
            day += DAY

    def _make_periods(self, span: Span, carry: pa.Table) -> tuple[DayFile, pa.Table]:
        """Make and enter the periods of a span; what is at its end belongs to the next one."""
        entries = self._entries(span)
        within = Span(span.since, span.until - _INSTANT)
        table = compute_periods(self._lake, self._lake.present(entries), carry, within, span.until)
        return self._write_periods(span, entries, table), table

    def _entries(self, span: Span) -> list[Snapshot]:
        with self._lake.inventory.read() as reader:
            return list(reader.manifest(EVERYTHING, since=span.since, until=span.until - _INSTANT))

    def _write_periods(self, span: Span, entries: Sequence[Snapshot], table: pa.Table) -> DayFile:
        target = self._lake.target(span.since, "periods")
        order = "provider, customer, line_key, since"
        rows = self._lake.copy(target, f"SELECT * FROM periods ORDER BY {order}", {"periods": table})  # noqa: S608
        file = self._file(DayFileKind.PERIODS, target, span, rows, entries)
        with self._lake.inventory.write() as writer:
            # Those of later hours and days rest on this one.
            writer.retire_period_files(self._clock.now(), since=span.since)
            return writer.add_day_file(file)

    def _file(
        self, kind: DayFileKind, target: Path, span: Span, rows: int, entries: Sequence[Snapshot]
    ) -> DayFile:
        return DayFile(
            id=0,
            kind=kind,
            path=str(target.relative_to(self._lake.folder)),
            since=span.since,
            until=span.until,
            made_at=self._clock.now(),
            rows=rows,
            bytes=target.stat().st_size,
            layout=OBSERVATIONS_LAYOUT if kind is DayFileKind.OBSERVATIONS else PERIODS_LAYOUT,
            entries=len(entries),
            newest_entry=max((each.id for each in entries), default=0),
        )

    def _enter(self, file: DayFile, snapshots: Sequence[Snapshot]) -> DayFile | None:
        """Let the snapshots be read from the file; `None` where somebody moved or retired one meanwhile."""
        try:
            with self._lake.inventory.write() as writer:
                entered = writer.add_day_file(file)
                if writer.move_snapshots([each.id for each in snapshots], entered) < len(snapshots):
                    raise Overtaken
        except Overtaken:
            self._lake.files.remove([file.path])
            return None
        return entered


def _of_a_whole_day(file: DayFile) -> bool:
    return file.until - file.since == DAY


def midnight(moment: datetime) -> datetime:
    """Return the beginning of the day (UTC) of a moment."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Tell what DuckDB could not do as a fault of the store, which passes."""
    try:
        yield
    except duckdb.Error as error:
        raise StorageUnavailable(
            message("The closed days could not be compacted: {error}", error=str(error)[:500]),
            where=where,
            remedy=message("Nothing is lost. Give [query] memory more in devlib.toml, then: devlib compact"),
        ) from error
