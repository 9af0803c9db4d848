"""The line-state report: the rows of a snapshot as a CSV file, for one reader.

The backend's rows (a snapshot) may be shared; filter, columns and language are this reader's own, and the
scope is applied to the rows again at delivery (admission study §1.6).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from devlib.config import QueryLimits
from devlib.errors import NotFound, UsageError
from devlib.export.files import file_name
from devlib.language import Language, message
from devlib.model import LINE_STATES, OBSERVATIONS, Column, LineState, Scope
from devlib.storage import Lake, LineFilter, LineRows, Snapshot, choose_lines, write_csv


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What one reader wants.

    Args:
        customer: whose lines.
        site: one site, or `None` for all ("Tous les sites").
        line_filter: what to keep.
        language: of the headers.
        columns: names of columns of `observations`; empty for the report's 22.
    """

    customer: str
    site: str | None = None
    line_filter: LineFilter = field(default_factory=LineFilter)
    language: Language = "en"
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A report that was written.

    Args:
        path: the file.
        rows: lines in it.
        states: lines in it by state.
        observed_at: the time of the oldest data in it, UTC.
    """

    path: Path
    rows: int
    states: dict[LineState, int]
    observed_at: datetime


def write_report(
    lake: Lake,
    snapshots: Sequence[Snapshot],
    scope: Scope,
    request: ReportRequest,
    folder: Path,
    limits: QueryLimits,
) -> ReportFile:
    """Write the report of some snapshots for one reader.

    Args:
        lake: holds the snapshots.
        snapshots: newest first.
        scope: what the reader may see now.
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
    if not snapshots:
        raise NotFound(
            message("There is no snapshot of {customer} yet.", customer=request.customer),
            remedy=message("Collect one with `devlib collect`, or export without --from-snapshot."),
        )
    columns = chosen_columns(request.columns)
    narrowed = scope.narrowed(request.customer, request.site)
    rows = choose_lines(lake, snapshots, narrowed, request.line_filter, limits)
    oldest = min(snapshot.observed_at for snapshot in snapshots)
    target = folder / file_name(
        "line-states", request.customer, request.site, oldest, request.line_filter.mark
    )
    written = write_csv(lake, rows.sql, columns, request.language, target, rows.inputs)
    return ReportFile(target, written, count_states(lake, rows), oldest)


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


def count_states(lake: Lake, rows: LineRows) -> dict[LineState, int]:
    """Return the number of lines in each state, in the order of `LineState`."""
    with lake.connection(rows.inputs) as cursor:
        counted = cursor.execute(f"SELECT state, count(*) FROM {rows.sql} GROUP BY state").fetchall()  # noqa: S608
    found = dict(counted)
    return {state: found.get(state.value, 0) for state in LineState}
