"""The line-state report: the rows of a snapshot as a CSV file, for one reader.

The backend's rows (a snapshot) may be shared; filter, columns and language are this reader's own, and the
scope is applied to the rows again at delivery (admission study §1.6).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from devlib.config import QueryLimits
from devlib.errors import NotFound, UsageError
from devlib.export.files import file_name, short_hash
from devlib.language import Language, message
from devlib.model import LINE_STATES, OBSERVATIONS, Column, LineState, Scope
from devlib.storage import (
    Lake,
    LineFilter,
    LineRows,
    Snapshot,
    choose_lines,
    utc,
    write_arrow,
    write_csv,
    write_parquet,
)


class ReportFormat(StrEnum):
    """The form of a report: text for people and spreadsheets, or columns with their types for programs."""

    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What one reader wants.

    Args:
        customer: whose lines; `None` where the reader may see only one customer, or the site tells.
        site: one site, or `None` for all ("Tous les sites").
        line_filter: what to keep.
        language: of the headers.
        columns: names of columns of `observations`; empty for the report's 22.
        format: CSV has headers in the reader's language; Parquet and Arrow have the columns' own names.
    """

    customer: str | None = None
    site: str | None = None
    line_filter: LineFilter = field(default_factory=LineFilter)
    language: Language = "en"
    columns: tuple[str, ...] = ()
    format: ReportFormat = ReportFormat.CSV

    @property
    def mark(self) -> str:
        """Six hexadecimal digits that tell filter and columns apart; empty for the whole report."""
        if not self.columns and self.line_filter == LineFilter():
            return ""
        return short_hash(repr((self.line_filter, self.columns)))


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A report that was written.

    Args:
        path: the file.
        rows: lines in it.
        states: lines in it by state.
        observed_at: the time of the oldest data in it, UTC.
        scope: what its reader could see when it was written; its rows are cut to that.
        shared: whether another export had asked the network for its rows.
        age: seconds since shared rows were finished.
        collapsed: whether it waited for that other export.
    """

    path: Path
    rows: int
    states: dict[LineState, int]
    observed_at: datetime
    scope: Scope | None = None
    shared: bool = False
    age: float = 0.0
    collapsed: bool = False


def write_report(
    lake: Lake,
    snapshots: Sequence[Snapshot],
    scope: Scope,
    request: ReportRequest,
    folder: Path,
    limits: QueryLimits,
) -> ReportFile:
    """Write the report of some snapshots for one reader, in the form wanted.

    Args:
        lake: holds the snapshots.
        snapshots: newest first.
        scope: what the reader may see now of the customer and site, whose names stand in it.
        request: what the reader wants.
        folder: where the file goes; its name tells customer, site and data time.
        limits: for the SQL condition.

    Returns:
        The file, which appeared whole.

    Raises:
        NotFound: there is no snapshot of this customer or site.
        UsageError: a column does not exist.
        QueryRefused: the condition cannot run.
    """
    customer = scope.customer or ""
    if not snapshots:
        raise NotFound(
            message("There is no snapshot of {customer} yet.", customer=customer),
            remedy=message("Collect one with `devlib collect`, or export without --from-snapshot."),
        )
    columns = chosen_columns(request.columns)
    rows = choose_lines(lake, snapshots, scope, request.line_filter, limits)
    counted = count_states(lake, rows)
    observed_at = counted.oldest or snapshots[0].observed_at
    name = file_name(
        "line-states",
        customer,
        request.site,
        observed_at,
        mark=request.mark,
        language=request.language if request.format is ReportFormat.CSV else "en",
        end=request.format.value,
    )
    if request.format is ReportFormat.CSV:
        written = write_csv(lake, rows.sql, columns, request.language, folder / name, rows.inputs)
    else:
        write = write_parquet if request.format is ReportFormat.PARQUET else write_arrow
        written = write(lake, rows.sql, columns, folder / name, rows.inputs)
    return ReportFile(folder / name, written, counted.states, observed_at, scope)


def chosen_columns(names: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns called `names`, or those of the report.

    Raises:
        UsageError: there is no such column.
    """
    if not names:
        return LINE_STATES.columns
    try:
        return tuple(OBSERVATIONS.column(name) for name in names)
    except KeyError as error:
        raise UsageError(
            message("There is no column {name}.", name=error.args[0]),
            remedy=message("Choose from: {names}", names=", ".join(OBSERVATIONS.names)),
        ) from None


@dataclass(frozen=True, slots=True)
class StateCounts:
    """Lines in each state, in the order of `LineState`, and the time of the oldest row, UTC."""

    states: dict[LineState, int]
    oldest: datetime | None


def count_states(lake: Lake, rows: LineRows) -> StateCounts:
    """Return how many of `rows` are in each state."""
    sql = f"SELECT state, count(*), min(observed_at) FROM {rows.sql} GROUP BY state"  # noqa: S608
    with lake.connection(rows.inputs) as cursor:
        counted = cursor.execute(sql).fetchall()
    found = {state: number for state, number, _ in counted}
    oldest = min((at for _, _, at in counted), default=None)
    return StateCounts({state: found.get(state.value, 0) for state in LineState}, utc(oldest))
