"""State periods of a span of time, from the snapshots of the lake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from devlib.model import EVERYTHING, STATE_PERIODS, Scope
from devlib.storage.arrow_types import arrow_schema, naive
from devlib.storage.day_ledger import DayFile
from devlib.storage.lake import Lake
from devlib.storage.manifest import Snapshot, scope_conditions
from devlib.storage.period_rule import PERIODS_SQL, READ, moment_literal
from devlib.storage.query import dataset_of
from devlib.storage.snapshot_sql import files_sql

PERIOD_SCHEMA = arrow_schema(STATE_PERIODS)
ASKED = pa.schema(
    [("moment", pa.timestamp("us")), *((name, pa.string()) for name in ("provider", "customer", "site"))]
)
PERIODS_LAYOUT = 1
"""Version of the columns of `STATE_PERIODS` in the files of days."""

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_TAILS = 2  # of each lake; one of 100 000 lines has 30 MB
_TAILS: WeakKeyDictionary[Lake, tuple[tuple[object, pa.Table], ...]] = WeakKeyDictionary()


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
    lake: Lake,
    snapshots: Sequence[Snapshot],
    carry: pa.Table,
    span: Span,
    until: datetime,
    scope: Scope = EVERYTHING,
) -> pa.Table:
    """Return the state periods that snapshots tell.

    Args:
        lake: holds their files.
        snapshots: all of the span, in any order.
        carry: the last period of each line that was open when the span began; columns of `STATE_PERIODS`.
        span: nothing before or after it counts.
        until: end of what is still open, UTC.
        scope: whose rows; those of whole customers.

    Returns:
        An Arrow table with the columns of `STATE_PERIODS`, in no order.
    """
    rows = _rows(lake, snapshots, span, scope)
    return apply_rule(lake, rows, {"asked": _asked(snapshots, span), "carry": carry}, span.since, until)


def apply_rule(
    lake: Lake, rows: str, inputs: Mapping[str, pa.Table], since: datetime, until: datetime
) -> pa.Table:
    """Return the state periods that rows tell; see `PERIODS_SQL`.

    Args:
        lake: runs the query.
        rows: a query that gives the columns of `READ`, and `told`.
        inputs: `asked`, `carry`, and what `rows` names.
        since: beginning of the span, UTC.
        until: end of what is still open, UTC.
    """
    sql = PERIODS_SQL.format(start=moment_literal(since), end=moment_literal(until))
    with lake.connection(inputs) as cursor:
        # Written out once, all rows of a day would fill the memory.
        found = cursor.sql(f"WITH rows AS NOT MATERIALIZED ({rows}) SELECT * FROM ({sql})")  # noqa: S608
        table: pa.Table = found.to_arrow_table()
    return table.cast(PERIOD_SCHEMA)


def _rows(lake: Lake, snapshots: Sequence[Snapshot], span: Span, scope: Scope) -> str:
    columns = ", ".join(READ)
    relations = {
        told: lake.relation([each for each in snapshots if each.collected.changes is told])
        for told in (False, True)
    }
    parts = [f"SELECT {columns}, {told} AS told FROM {rows}" for told, rows in relations.items()]  # noqa: S608
    span_of = (f"observed_at >= {moment_literal(span.since)}", f"observed_at <= {moment_literal(span.until)}")
    within = " AND ".join([*span_of, *scope_conditions(scope)])
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
    return pa.Table.from_pylist(rows, ASKED)


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


def open_periods(table: pa.Table) -> pa.Table:
    """Return those of these periods that go on after the span for which they were made."""
    return table.filter(pc.is_null(table.column("ended")))


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

    Compacted days are read from their files; for the days after them, today at least, periods are made now.

    Args:
        lake: holds them.
        scope: what the asker may see.
        since: beginning of the window, UTC; `None` for the first observation.
        until: its end, UTC; `None` for the last observation. Nothing is said of what comes after that.
        at_moment: whether the last observation shall answer for a window that lies after it.
        name: of the Arrow table among the inputs.
    """
    with lake.inventory.read() as reader:
        between = reader.observed_between(scope, until)
        chain = reader.period_files()
    if between is None or (since is not None and since > between[1] and not at_moment):
        nothing = since or until or between[0] if between else _NEVER
        return PeriodRows(name, {name: PERIOD_SCHEMA.empty_table()}, Span(nothing, nothing))
    first, last = between
    span = Span(min(max(since or first, first), last), last)
    there = lake.files.present(each.path for each in chain)
    chain = list(takewhile(lambda each: each.path in there, chain))
    days = [each for each in chain if each.until > span.since and each.since <= span.until]
    tail = _tail(lake, scope, chain[-1] if chain else None, span)
    return PeriodRows(_cut(lake, days, name, scope, span), {name: tail}, span)


def period_dataset(lake: Lake, scope: Scope) -> ds.Dataset:
    """Return all state periods of the lines of a scope, to be read as an analyst's table.

    Args:
        lake: holds them.
        scope: what the asker may see.
    """
    with lake.inventory.read() as reader:
        between = reader.observed_between(scope)
        chain = [each.path for each in reader.period_files()]
    files = list(takewhile(Path.is_file, lake.local(chain)))
    rows = state_periods(lake, scope, between[1] if between else None, None)
    tail = rows.inputs["tail"] if between else PERIOD_SCHEMA.empty_table()
    return dataset_of(files, tail, scope)


def _tail(lake: Lake, scope: Scope, file: DayFile | None, span: Span) -> pa.Table:
    """Return the periods after the last compacted day, made now from the snapshots."""
    start = file.until if file is not None else None
    if start is not None and span.until < start:
        return PERIOD_SCHEMA.empty_table()
    # A line may come here from another site: all of its customer is looked at.
    theirs = Scope(scope.provider, scope.customer)
    with lake.inventory.read() as reader:
        found = lake.present(reader.manifest(theirs, since=start, until=span.until))
    whole = Span(start or min((each.observed_at for each in found), default=span.since), span.until)
    # Entries never change, so that what was made of the same ones is the same: whoever asks several questions
    # waits for it once.
    made_of = (theirs, whole, file.path if file else "", tuple(each.id for each in found))
    kept = _TAILS.get(lake, ())
    for of, table in kept:
        if of == made_of:
            return table
    carry = PERIOD_SCHEMA.empty_table() if file is None else carried(lake, file, theirs)
    made = compute_periods(lake, found, carry, whole, span.until, theirs)
    _TAILS[lake] = ((made_of, made), *kept)[:_MOST_TAILS]
    return made


def carried(lake: Lake, file: DayFile, scope: Scope = EVERYTHING) -> pa.Table:
    """Return the periods of a day that go on after it.

    Args:
        lake: holds the file.
        file: of the state periods of a day.
        scope: whose.
    """
    conditions = " AND ".join(["ended IS NULL", *scope_conditions(scope)])
    with lake.connection() as cursor:
        found = cursor.sql(f"SELECT * FROM {files_sql(lake.local([file.path]))} WHERE {conditions}")  # noqa: S608
        table: pa.Table = found.to_arrow_table()
    return table


def _cut(lake: Lake, days: Sequence[DayFile], tail: str, scope: Scope, span: Span) -> str:
    """Return SQL of those periods that lie in the scope, cut to the window."""
    since, until = moment_literal(span.since), moment_literal(span.until)
    conditions = " AND ".join([f"since <= {until}", *scope_conditions(scope)])
    parts = [f"SELECT * FROM {tail} WHERE (until > {since} OR ended IS NULL) AND {conditions}"]  # noqa: S608
    if days:
        files = files_sql(lake.local(each.path for each in days))
        parts.append(f"SELECT * FROM {files} WHERE until > {since} AND {conditions}")  # noqa: S608
    return (
        f"(SELECT * REPLACE (greatest(since, {since}) AS since, least(until, {until}) AS until, "  # noqa: S608
        f"if(since < {since}, 'carried', began) AS began, if(until > {until}, NULL, ended) AS ended, "
        f"least(last_seen_at, {until}) AS last_seen_at) "
        f"FROM ({' UNION ALL '.join(parts)}))"
    )
