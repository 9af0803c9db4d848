"""The manifest's entries of day files: one file that holds what many snapshots of a closed day held."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, and_, delete, func, insert, select, update

from devlib.storage.connected import Connected, in_batches
from devlib.storage.schema import day_files, snapshots

_BATCH = 500


class DayFileKind(StrEnum):
    """What a day file holds."""

    OBSERVATIONS = "observations"
    PERIODS = "periods"


@dataclass(frozen=True, slots=True)
class DayFile:
    """A file of one closed day (UTC), or of one collected scope on that day.

    Args:
        id: number in the manifest.
        kind: observations or state periods.
        path: relative to the lake's folder.
        since: beginning of the day, UTC.
        until: its end, UTC.
        made_at: when it was entered, UTC.
        rows: in it.
        bytes: size of the file.
        layout: version of its columns.
        entries: snapshots from which it was made.
        newest_entry: largest number of these; 0 for none.
    """

    id: int
    kind: DayFileKind
    path: str
    since: datetime
    until: datetime
    made_at: datetime
    rows: int
    bytes: int
    layout: int
    entries: int
    newest_entry: int


class DayReader(Connected):
    """Answers questions about day files."""

    def period_files(self) -> list[DayFile]:
        """Return the files of state periods that may be read, day by day without a gap.

        A file that was made before a snapshot of its day, or of an earlier one, was entered or taken away
        tells another story than the snapshots: it is left out, with all that come after it.
        """
        of_day = and_(
            snapshots.c.retired_at.is_(None),
            snapshots.c.observed_at >= day_files.c.since,
            snapshots.c.observed_at < day_files.c.until,
        )
        entries = select(func.count()).where(of_day).scalar_subquery()
        newest = select(func.coalesce(func.max(snapshots.c.id), 0)).where(of_day).scalar_subquery()
        living = (day_files.c.kind == DayFileKind.PERIODS.value) & day_files.c.retired_at.is_(None)
        found = select(day_files, entries, newest).where(living).order_by(day_files.c.since)
        rows = self.connection.execute(found).all()
        chain: list[DayFile] = []
        for row in rows:
            each = _day_file(row)
            if (each.entries, each.newest_entry) != tuple(row[-2:]):
                break
            if chain and chain[-1].until != each.since:
                break
            chain.append(each)
        return chain if self._nothing_before(chain) else []

    def _nothing_before(self, chain: list[DayFile]) -> bool:
        if not chain:
            return True
        found = select(snapshots.c.id).where(
            snapshots.c.retired_at.is_(None), snapshots.c.observed_at < chain[0].since
        )
        return self.connection.execute(found.limit(1)).first() is None

    def retired_day_files(self, *, before: datetime) -> list[DayFile]:
        """Return the day files that were retired before a moment, UTC."""
        found = select(day_files).where(day_files.c.retired_at < before)
        return [_day_file(row) for row in self.connection.execute(found)]

    def day_file_paths(self) -> set[str]:
        """Return the paths of all day files, retired ones too."""
        return set(self.connection.scalars(select(day_files.c.path)))


class DayWriter(DayReader):
    """Changes the entries of day files."""

    def add_day_file(self, file: DayFile) -> DayFile:
        """Enter a finished file; its number is given here.

        Raises:
            Conflict: the manifest names that path already.
        """
        values = {name: getattr(file, name) for name in DayFile.__slots__ if name != "id"}
        values["kind"] = file.kind.value
        key = self.connection.execute(insert(day_files).values(values).returning(day_files.c.id)).scalar_one()
        return DayFile(key, *(getattr(file, name) for name in DayFile.__slots__[1:]))

    def move_snapshots(self, ids: Iterable[int], file: DayFile) -> int:
        """Let snapshots be read from a day file from now on; return how many could be moved.

        One that was retired or moved meanwhile cannot.
        """
        moved = 0
        for batch in in_batches(ids, _BATCH):
            free = snapshots.c.retired_at.is_(None) & snapshots.c.day_file_id.is_(None)
            change = update(snapshots).where(snapshots.c.id.in_(batch), free).values(day_file_id=file.id)
            moved += self.connection.execute(change).rowcount
        return moved

    def retire_period_files(self, at: datetime, *, since: datetime) -> None:
        """Take the files of state periods out that begin at a moment or later.

        Args:
            at: the moment to note, UTC.
            since: the first day, UTC.
        """
        theirs = and_(
            day_files.c.kind == DayFileKind.PERIODS.value,
            day_files.c.retired_at.is_(None),
            day_files.c.since >= since,
        )
        self.connection.execute(update(day_files).where(theirs).values(retired_at=at))

    def expire(self, entries: Iterable[int], paths: Iterable[str], at: datetime) -> None:
        """Take snapshots away for good, with the day files in which nothing else is.

        Args:
            entries: numbers of the snapshots.
            paths: of day files.
            at: the moment to note, UTC; the files are swept later.
        """
        for batch in in_batches(entries, _BATCH):
            self.connection.execute(update(snapshots).where(snapshots.c.id.in_(batch)).values(retired_at=at))
        for names in in_batches(paths, _BATCH):
            self.connection.execute(
                update(day_files).where(day_files.c.path.in_(names)).values(retired_at=at)
            )

    def recount_periods(self, files: Iterable[DayFile]) -> None:
        """Let files of state periods stay true although snapshots of their days were taken away."""
        for each in files:
            of_day = and_(
                snapshots.c.retired_at.is_(None),
                snapshots.c.observed_at >= each.since,
                snapshots.c.observed_at < each.until,
            )
            counts = select(func.count(), func.coalesce(func.max(snapshots.c.id), 0)).where(of_day)
            entries, newest = self.connection.execute(counts).one()
            change = update(day_files).where(day_files.c.id == each.id)
            self.connection.execute(change.values(entries=entries, newest_entry=newest))

    def forget_day_files(self, ids: Iterable[int]) -> None:
        """Remove entries; their numbers are never used again."""
        self.connection.execute(delete(day_files).where(day_files.c.id.in_(list(ids))))


def _day_file(row: Row[Any]) -> DayFile:
    return DayFile(
        row.id, DayFileKind(row.kind), row.path, row.since, row.until, row.made_at, row.rows, row.bytes,
        row.layout, row.entries, row.newest_entry,
    )  # fmt: skip
