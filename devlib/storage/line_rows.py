"""The rows that a reader takes from the lake: those of a scope, cut by a filter."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from devlib.config import QueryLimits
from devlib.model import LineState, Scope
from devlib.storage.arrow_types import naive
from devlib.storage.lake import Lake
from devlib.storage.manifest import Snapshot, is_one_whole, literal, one_of, scope_conditions
from devlib.storage.query import Source, newest_observations, run

_SEARCHED = (
    "site", "mac", "device_name", "device_type", "line_port", "user_id", "first_name", "last_name",
    "phone_number", "extension", "user_agent",
)  # fmt: skip
_MAC_PART = re.compile(r"[0-9A-Fa-f]{2,12}")
_FEW = 4  # as many values DuckDB compares one by one; from five on it joins (2.0, tried)
_ORDER = "provider, customer, site, mac, port"


@dataclass(frozen=True, slots=True)
class LineFilter:
    """A filter that applies before export (article, "États des lignes").

    Args:
        states: states to keep; empty for all.
        device_types: names of types to keep; empty for all.
        search: text that any name, number, address or user agent must contain, in either case.
        condition: an SQL condition over the columns of `line_states`.
        firmware: firmware versions to keep, as phones say them; empty for all.
        seen_before: keep lines whose last known REGISTER was before this moment (UTC), or never.
    """

    states: tuple[LineState, ...] = ()
    device_types: tuple[str, ...] = ()
    search: str = ""
    condition: str = ""
    firmware: tuple[str, ...] = ()
    seen_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class LineRows:
    """Rows of the lake as SQL for a FROM clause, with the Arrow tables that it names."""

    sql: str
    inputs: Mapping[str, Any]
    snapshots: tuple[Snapshot, ...]


def choose_lines(
    lake: Lake, snapshots: Sequence[Snapshot], scope: Scope, line_filter: LineFilter, limits: QueryLimits
) -> LineRows:
    """Return the newest row of each line that lies in the scope and passes the filter.

    Args:
        lake: holds the files.
        snapshots: which of them; a line's newest row counts.
        scope: what the reader may see; checked here again, whatever was collected.
        line_filter: what the reader wants of it.
        limits: for the SQL condition, which runs shut off from files and networks.

    Returns:
        Rows sorted by provider, customer, site, MAC and port.

    Raises:
        QueryRefused: the condition is no SQL condition over these columns.
        QueryTimeout: it took too long.
    """
    conditions = [*scope_conditions(scope), *_of_filter(line_filter)]
    inputs: dict[str, Any] = {}
    if line_filter.condition.strip():
        inputs["chosen"] = _keys(lake, snapshots, scope, line_filter.condition, limits)
        conditions.append("line_key IN (SELECT line_key FROM chosen)")
    rows = lake.current_relation(snapshots)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    order = "" if _in_order(snapshots, scope, line_filter) else f" ORDER BY {_ORDER}"
    return LineRows(f"(SELECT * FROM {rows}{where}{order})", inputs, tuple(snapshots))  # noqa: S608


def _in_order(snapshots: Sequence[Snapshot], scope: Scope, line_filter: LineFilter) -> bool:
    """Return whether the rows come sorted although nobody asks for it, which spares a sort of all of them.

    A snapshot's own file is sorted, and DuckDB keeps the order of a file unless it joins: which it also does
    for a list of more than a few values.
    """
    lists = (scope.sites or (), line_filter.states, line_filter.device_types, line_filter.firmware)
    return (
        is_one_whole(snapshots)
        and not snapshots[0].in_day_file
        and not line_filter.condition.strip()
        and all(len(each) <= _FEW for each in lists)
    )


def _keys(
    lake: Lake, snapshots: Sequence[Snapshot], scope: Scope, condition: str, limits: QueryLimits
) -> Any:  # noqa: ANN401 - Arrow has no types
    source = Source("line_states", lambda: newest_observations(lake, snapshots, scope))
    # The condition stands on a line of its own, so that a comment in it cannot hide the bracket.
    sql = f"SELECT line_key FROM line_states WHERE (\n{condition}\n)"  # noqa: S608 - runs shut off
    return run(sql, [source], limits.model_copy(update={"rows": 100_000_000}))


def _of_filter(line_filter: LineFilter) -> list[str]:
    conditions = []
    if line_filter.states:
        conditions.append(one_of("state", [state.value for state in line_filter.states]))
    if line_filter.device_types:
        conditions.append(one_of("device_type", line_filter.device_types))
    if line_filter.firmware:
        conditions.append(one_of("firmware", line_filter.firmware))
    if line_filter.seen_before is not None:
        moment = f"TIMESTAMP '{naive(line_filter.seen_before)}'"
        conditions.append(f"(last_registered_at IS NULL OR last_registered_at < {moment})")
    if text := line_filter.search.strip():
        found = [f"contains(lower({name}), {literal(text.lower())})" for name in _SEARCHED]
        if (digits := mac_digits(text)) is not None:
            found.append(f"contains(replace(mac, ':', ''), {literal(digits)})")
        conditions.append(f"({' OR '.join(found)})")
    return conditions


def mac_digits(text: str) -> str | None:
    """Return the hexadecimal digits of a text that may be a part of a MAC, in upper case; else `None`."""
    digits = text.translate(str.maketrans("", "", ":-."))
    return digits.upper() if _MAC_PART.fullmatch(digits) else None
