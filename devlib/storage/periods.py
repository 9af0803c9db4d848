"""State periods of a span of time, from the snapshots of the lake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from devlib.model import STATE_PERIODS, Scope
from devlib.storage.lake import Lake, arrow_schema, naive
from devlib.storage.manifest import Snapshot, scope_conditions
from devlib.storage.period_rule import PERIODS_SQL, READ, moment_literal

PERIOD_SCHEMA = arrow_schema(STATE_PERIODS)
_ASKED = pa.schema(
    [("moment", pa.timestamp("us")), *((name, pa.string()) for name in ("provider", "customer", "site"))]
)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time.

    Args:
        since: its beginning, UTC.
        until: its end, UTC.
    """

    since: datetime
    until: datetime


def compute_periods(
    lake: Lake, snapshots: Sequence[Snapshot], carry: pa.Table, span: Span, until: datetime
) -> pa.Table:
    """Return the state periods that snapshots tell.

    Args:
        lake: holds their files.
        snapshots: all of the span, in any order.
        carry: the last period of each line that was open when the span began; columns of `STATE_PERIODS`.
        span: nothing before or after it counts.
        until: end of what is still open, UTC.

    Returns:
        An Arrow table with the columns of `STATE_PERIODS`, in no order.
    """
    sql = PERIODS_SQL.format(start=moment_literal(span.since), end=moment_literal(until))
    rows = _rows(lake, snapshots, span)
    with lake.connection({"asked": _asked(snapshots, span), "carry": carry}) as cursor:
        table: pa.Table = cursor.sql(f"WITH rows AS ({rows}) SELECT * FROM ({sql})").to_arrow_table()  # noqa: S608
    return table.cast(PERIOD_SCHEMA)


def _rows(lake: Lake, snapshots: Sequence[Snapshot], span: Span) -> str:
    columns = ", ".join(READ)
    relations = {
        told: lake.relation([each for each in snapshots if each.collected.changes is told])
        for told in (False, True)
    }
    parts = [f"SELECT {columns}, {told} AS told FROM {rows}" for told, rows in relations.items()]  # noqa: S608
    within = f"observed_at >= {moment_literal(span.since)} AND observed_at <= {moment_literal(span.until)}"
    return f"SELECT * FROM ({' UNION ALL '.join(parts)}) WHERE {within}"  # noqa: S608 - own texts


def _asked(snapshots: Sequence[Snapshot], span: Span) -> pa.Table:
    whole = [each.collected for each in snapshots if not each.collected.changes]
    rows = [
        {
            "moment": naive(each.observed_at),
            "provider": each.provider,
            "customer": each.customer,
            "site": each.site,
        }
        for each in whole
        if span.since <= each.observed_at <= span.until
    ]
    return pa.Table.from_pylist(rows, _ASKED)


@dataclass(frozen=True, slots=True)
class PeriodRows:
    """State periods as SQL for a FROM clause, with the Arrow tables that it names.

    Args:
        sql: columns of `STATE_PERIODS`, cut to the window.
        inputs: what it names.
        span: the window: its end is the end of what is known, where more was asked for.
    """

    sql: str
    inputs: Mapping[str, Any]
    span: Span


def state_periods(
    lake: Lake,
    scope: Scope,
    since: datetime | None,
    until: datetime | None,
    *,
    at_moment: bool = False,
    name: str = "tail",
) -> PeriodRows:
    """Return the state periods of the lines of a scope in a window.

    Args:
        lake: holds them.
        scope: what the asker may see.
        since: beginning of the window, UTC; `None` for the first observation.
        until: its end, UTC; `None` for the last observation. Nothing is said of what comes after that.
        at_moment: whether the last observation shall answer for a window that lies after it.
        name: of the Arrow table among the inputs.
    """
    with lake.inventory.read() as reader:
        found = lake.present(reader.manifest(scope, until=until))
    whole = Span(*(pick((each.observed_at for each in found), default=_NEVER) for pick in (min, max)))
    start = max(since or whole.since, whole.since)
    if at_moment:
        start = min(start, whole.until)
    table = PERIOD_SCHEMA.empty_table()
    if found and start <= whole.until:
        table = compute_periods(lake, found, table, whole, whole.until)
    span = Span(start, max(start, whole.until))
    return PeriodRows(_cut(name, scope, span), {name: table}, span)


def _cut(rows: str, scope: Scope, span: Span) -> str:
    """Return SQL of those periods that lie in the scope, cut to the window."""
    since, until = moment_literal(span.since), moment_literal(span.until)
    within = [f"since <= {until}", f"(until > {since} OR ended IS NULL AND until >= {since})"]
    conditions = " AND ".join([*within, *scope_conditions(scope)])
    return (
        f"(SELECT * REPLACE (greatest(since, {since}) AS since, least(until, {until}) AS until, "  # noqa: S608
        f"if(since < {since}, 'carried', began) AS began, if(until > {until}, NULL, ended) AS ended) "
        f"FROM {rows} WHERE {conditions})"
    )
