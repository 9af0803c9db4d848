"""The last observation of each line, as it was when a collection last looked."""

import pyarrow as pa

from devlib.collect.rule import PAST
from devlib.model import Scope
from devlib.storage import Lake, Snapshot
from devlib.storage.manifest import is_one_whole, last_rows


class Past:
    """What is known of the lines of a scope.

    Args:
        lake: holds it.
        scope: whose lines; the whole of their customers is looked at, for a device may have moved.
    """

    def __init__(self, lake: Lake, scope: Scope) -> None:
        self._lake = lake
        self._scope = scope
        self._read: tuple[str, pa.Table] | None = None

    def relation(self) -> pa.Table | str:
        """Return the columns `PAST` of each line, as the lake tells now: a table, or SQL that gives it.

        Files of snapshots never change: SQL tells the same whenever it is run. Where one file tells all, each
        question reads its few columns there, in less time than a table of all of them takes to make. The
        last of several rows of a line is looked for once, and again only where entries were added meanwhile:
        what an event feed tells while networks are asked is not overlooked.

        Raises:
            StorageUnavailable: a snapshot cannot be read.
        """
        snapshots = self._lake.last(self._scope)
        sql = self._sql(snapshots)
        if is_one_whole(snapshots) and not snapshots[0].in_day_file:
            return sql
        if self._read is None or self._read[0] != sql:
            self._read = sql, self._table(sql)
        return self._read[1]

    def try_out(self) -> None:
        """See that the past can be read; a table of it is made now already.

        Raises:
            StorageUnavailable: it cannot.
        """
        if isinstance(found := self.relation(), str):
            self._table(f"{found} LIMIT 0")

    def of_lines(self, condition: str) -> pa.Table:
        """Return the columns `PAST` of some lines, as the lake tells now.

        Args:
            condition: an SQL condition that chooses lines.

        Raises:
            StorageUnavailable: a snapshot cannot be read.
        """
        return self._table(f"{self._sql(self._lake.last(self._scope))} WHERE {condition}")

    def _sql(self, snapshots: list[Snapshot]) -> str:
        rows = last_rows(self._lake.relation(snapshots), snapshots)
        return f"SELECT {', '.join(PAST)} FROM {rows}"  # noqa: S608 - own texts

    def _table(self, sql: str) -> pa.Table:
        with self._lake.connection() as cursor:
            return cursor.sql(sql).to_arrow_table()
