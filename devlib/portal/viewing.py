"""Views of line states for people who scroll, filter and look again: authorised once more at each look."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from devlib.model import EVERYTHING, OBSERVATIONS, LineState, Scope
from devlib.portal.acts import Act
from devlib.portal.desk import outside
from devlib.portal.looking import Looking
from devlib.storage import (
    IndexPages,
    Lake,
    LineFilter,
    LineIndex,
    Paged,
    Pages,
    ScopeIndex,
    choose_lines,
    table_kinds,
)

VIEW_COLUMNS = (
    "state", "customer", "site", "device_name", "mac", "device_type", "port", "line_port", "user_id",
    "first_name", "last_name", "phone_number", "extension", "last_registered_at", "expires_at", "firmware",
    "user_agent", "public_address", "state_before", "state_known_at", "observed_at", "reason", "line_key",
)  # fmt: skip

_FIGURES = """
SELECT line_key, observed_at,
    CASE state WHEN 'registered' THEN 0 WHEN 'aged' THEN 1 WHEN 'unregistered' THEN 2 ELSE 3 END::TINYINT
        AS state
FROM {rows}
"""

_FACETS = ("device_type", "firmware")
_MOST_VALUES = 200
_KINDS = table_kinds(OBSERVATIONS, VIEW_COLUMNS)
_OVERTAKEN = -1
_CATCHING_UP = timedelta(minutes=2)
_MOST_BEHIND = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class LineView:
    """The lines that pass a filter, as they were at one moment of the lake.

    Args:
        pages: their rows, with the columns `VIEW_COLUMNS`, and more behind each.
        counts: lines by state.
        oldest: time of the oldest row, UTC; `None` for no row.
        version: changes when the lake has something newer.
    """

    pages: Paged
    counts: dict[LineState, int]
    oldest: datetime | None
    version: tuple[int, ...]


class Viewing(Looking):
    """What dashboards look through."""

    def view_lines(
        self,
        customer: str | None = None,
        site: str | None = None,
        line_filter: LineFilter | None = None,
        *,
        at: datetime | None = None,
    ) -> LineView:
        """Return the state of each line that passes a filter, to be read page by page.

        Args:
            customer: only this one's lines.
            site: only this site's.
            line_filter: states, types, firmware, text, time.
            at: the moment, UTC, at which the states were the newest; `None` for now.
        """
        moment = f" at {at:%Y-%m-%d %H:%M}" if at else ""
        with self._gate.act(Act.SEE, f"line view {customer or '*'} / {site or '*'}{moment}"):
            scope = self._scope(customer, site)
            chosen = line_filter or LineFilter()
            if at is None and not chosen.condition.strip() and (index := self._index()) is not None:
                return self._view_of_index(index, scope, chosen)
            return self._view_of_files(scope, chosen, at)

    def _view_of_files(self, scope: Scope, chosen: LineFilter, at: datetime | None) -> LineView:
        lake, limits = self._services.lake, self._services.settings.query
        snapshots = lake.current(scope, at)
        rows = choose_lines(lake, snapshots, scope, chosen, limits)
        whole = choose_lines(lake, snapshots, scope, LineFilter(), limits)
        # One pass over the rows gives the figures and the keys of the table: both of the same moment.
        with lake.connection(rows.inputs) as cursor:
            found: Any = cursor.execute(_FIGURES.format(rows=rows.sql)).fetchnumpy()
        pages = Pages(
            _KINDS, rows.sql, "line_key", self._opened(scope, rows.inputs), wide=whole.sql,
            listed=np.asarray(found["line_key"], dtype=np.int64),
        )  # fmt: skip
        counts = np.bincount(found["state"].astype(np.int64), minlength=len(LineState))
        return LineView(
            pages,
            {state: int(count) for state, count in zip(LineState, counts, strict=True)},
            pd.Timestamp(found["observed_at"].min()).to_pydatetime() if len(found["line_key"]) else None,
            tuple(each.id for each in snapshots),
        )

    def _view_of_index(self, index: LineIndex, scope: Scope, chosen: LineFilter) -> LineView:
        lines = _lines_of(index, scope, self._services.lake)
        found = lines.choose(chosen)

        def allowed() -> None:
            self._require_still(scope)

        version = tuple(each.id for each in self._services.lake.current(scope))
        if not set(version) <= set(index.entries):
            version = (_OVERTAKEN, *version)  # so that a page looks again until the index has caught up
        return LineView(IndexPages(_KINDS, lines, found.places, allowed), found.counts, found.oldest, version)

    def _index(self) -> LineIndex | None:
        """Return the index where it is that of the newest states, or will be in a moment."""
        if (index := self._services.line_indexes.newest()) is None:
            return None
        current, now = self._services.lake.current(EVERYTHING), self._services.clock.now()
        if index.entries == tuple(each.id for each in current):
            return index
        if not current or current[0].observed_at - index.observed_at > _MOST_BEHIND:
            return None
        trails = min(now - current[0].finished_at, now - index.written_at)
        return index if trails < _CATCHING_UP else None

    def lake_version(self, customer: str | None = None, site: str | None = None) -> tuple[int, ...]:
        """Return the numbers of the snapshots that hold the newest rows; cheap, and not audited."""
        self._gate.authorise(Act.SEE)
        return tuple(each.id for each in self._services.lake.current(self._scope(customer, site)))

    def line_choices(self, customer: str | None = None) -> dict[str, list[str]]:
        """Return what one can filter by: customers, sites, device types, firmware of the newest states."""
        with self._gate.act(Act.SEE, f"choices {customer or '*'}"):
            scope = self._scope(customer, None)
            with self._services.inventory.read() as reader:
                customers = [each.name for each in reader.customers(self.identity.scope)]
                sites = [each.name for each in reader.sites(scope)]
            found = {"customers": list(dict.fromkeys(customers)), "sites": list(dict.fromkeys(sites))}
            lake, limits = self._services.lake, self._services.settings.query
            if (index := self._index()) is not None:
                lines = _lines_of(index, scope, lake)
                return found | {name: lines.values(name, _MOST_VALUES) for name in _FACETS}
            rows = choose_lines(lake, lake.current(scope), scope, LineFilter(), limits)
            with lake.connection(rows.inputs) as cursor:
                for name in _FACETS:
                    sql = (
                        f"SELECT {name} FROM {rows.sql} WHERE {name} <> '' GROUP BY {name} "  # noqa: S608 - own texts
                        f"ORDER BY count(*) DESC, {name} LIMIT {_MOST_VALUES}"
                    )
                    found[name] = sorted(row[0] for row in cursor.execute(sql).fetchall())
            return found

    def _opened(self, scope: Scope, inputs: Any) -> Callable[[], AbstractContextManager[Any]]:  # noqa: ANN401
        def opened() -> AbstractContextManager[Any]:
            self._require_still(scope)
            return self._services.lake.connection(inputs)

        return opened

    def _require_still(self, scope: Scope) -> None:
        """Check that the scope has not shrunk since a view was made: then its rows are not shown any more."""
        self._gate.authorise(Act.SEE)
        if not scope.lies_within(self.identity.scope):
            raise outside()


@lru_cache(maxsize=2)
def _lines_of(index: LineIndex, scope: Scope, lake: Lake) -> ScopeIndex:
    return ScopeIndex(index, scope, lake)
