"""Results of acts as HTTP answers: JSON for everything, Arrow for frames where it is asked for."""

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from devlib.api.problems import as_json, language_of
from devlib.language import Message
from devlib.portal.routes import Route
from devlib.portal.wire import encode, moment_text

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"
WARNINGS = "Devlib-Warnings"
_BATCH = 10_000  # rows


def answer(request: Request, route: Route, result: object, warnings: Sequence[Message]) -> Response:
    """Return the answer of an act.

    Args:
        request: says the language, and whether frames are wanted as Arrow.
        route: the act.
        result: what it gave.
        warnings: what people should know of it; they travel in a header.
    """
    headers = {"Cache-Control": "no-store", **_warned(request, warnings)}
    if isinstance(result, pd.DataFrame):
        return _frame_answer(request, result, {**headers, "Vary": "Accept"})
    if result is None:
        return Response(None, route.status, headers)
    language = language_of(request)
    headers["Content-Language"] = language
    return Response(as_json(encode(result, language)), route.status, headers, JSON)


def _warned(request: Request, warnings: Sequence[Message]) -> dict[str, str]:
    if not warnings:
        return {}
    language = language_of(request)
    return {WARNINGS: quote(json.dumps([encode(each, language) for each in warnings]))}


def _frame_answer(request: Request, frame: pd.DataFrame, headers: dict[str, str]) -> Response:
    table = arrow_table(frame)
    if ARROW in request.headers.get("accept", ""):
        file = io.BytesIO()
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=_BATCH)
        return Response(file.getvalue(), 200, headers, ARROW)
    return StreamingResponse(_records(table), 200, headers, JSON)


def arrow_table(frame: pd.DataFrame) -> pa.Table:
    """Return a frame as Arrow, whatever its columns are called; two may share a name."""
    arrays = [_arrow_column(frame.iloc[:, place]) for place in range(frame.shape[1])]
    return pa.Table.from_arrays(arrays, names=[str(name) for name in frame.columns])


def _arrow_column(column: pd.Series) -> Any:  # noqa: ANN401 - Arrow publishes no types
    try:
        return pa.array(column, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # Values of several kinds in one column, as a UNION of DuckDB gives: they travel as text.
        return pa.array([None if each is None else str(each) for each in column], pa.string())


def _records(table: pa.Table) -> Iterator[bytes]:
    """Yield a table as a JSON list of records, some at a time."""
    first = True
    yield b"["
    names = _distinct(table.column_names)
    for batch in table.to_batches(max_chunksize=_BATCH):
        columns = [batch.column(place).to_pylist() for place in range(batch.num_columns)]
        rows = [
            as_json(dict(zip(names, map(_plain, row), strict=True))) for row in zip(*columns, strict=True)
        ]
        if rows:
            yield (b"" if first else b",") + b",".join(rows)
            first = False
    yield b"]"


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names of which no two are the same, as the keys of a record must be: a, a_1, …."""
    found: list[str] = []
    for name in names:
        number, distinct = 0, name
        while distinct in found:
            number, distinct = number + 1, f"{name}_{number + 1}"
        found.append(distinct)
    return found


def _plain(value: Any) -> Any:  # noqa: ANN401 - a cell
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124
        return None  # JSON has no number for it
    if hasattr(value, "tzinfo") and hasattr(value, "date"):
        return moment_text(value)
    return value
