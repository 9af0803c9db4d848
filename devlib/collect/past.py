"""The last observation of each line, read once for as long as nothing newer is written."""

import pyarrow as pa

from devlib.collect.rule import PAST
from devlib.model import Scope
from devlib.storage import Lake


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

    def table(self, of_lines: str = "true") -> pa.Table:
        """Return the columns `PAST` of each line, as the lake tells now.

        The lake is asked again only where entries were added meanwhile: what an event feed tells while
        networks are asked is not overlooked.

        Args:
            of_lines: an SQL condition that chooses lines.

        Raises:
            StorageUnavailable: a snapshot cannot be read.
        """
        # The text names every entry that is read, and entries never change.
        rows = self._lake.last_relation(self._scope)
        sql = f"SELECT {', '.join(PAST)} FROM {rows} WHERE {of_lines}"  # noqa: S608 - own texts
        if self._read is None or self._read[0] != sql:
            with self._lake.connection() as cursor:
                self._read = sql, cursor.sql(sql).to_arrow_table()
        return self._read[1]
