"""Figures of line states, as plotly's JSON: pure functions from a frame to `data` and `layout`.

Colours are names of the page's own (`theme:aged`), so that a figure fits light and dark.
"""

from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from devlib.errors import UsageError
from devlib.language import Language, message
from devlib.ui.words import STATES, state_texts

Figure = dict[str, Any]

_MOST_LINES = 60


def need_columns(frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Check that a frame has the columns that a figure is drawn from.

    Raises:
        UsageError: one is missing; the text names it and those that there are.
    """
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise UsageError(
            message("The table has no column {name}.", name=missing[0]),
            remedy=message("Choose from: {names}", names=", ".join(map(str, frame.columns))),
        )


def timeline_figure(
    frame: pd.DataFrame,
    language: Language,
    *,
    line: str,
    at: str,
    state: str,
    until: datetime | None = None,
) -> Figure:
    """Return bars of the state of each line over time, one row for each line.

    Args:
        frame: observations.
        language: of the states.
        line: column that names the line.
        at: column with the moment of the observation, UTC.
        state: column with the state from that moment on.
        until: where the last bar ends, UTC; by default at the last observation.
    """
    need_columns(frame, [line, at, state])
    texts = state_texts(language)
    bars = _bars(frame, line, at, state, until)
    data = []
    for name in STATES:
        mine = [bar for bar in bars if bar[2] == name]
        if mine:
            data.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "name": texts[name],
                    "y": [bar[0] for bar in mine],
                    "base": [bar[1].isoformat() for bar in mine],
                    "x": [(bar[3] - bar[1]).total_seconds() * 1000 for bar in mine],
                    "marker": {"color": f"theme:{name}"},
                    "customdata": [bar[3].strftime("%Y-%m-%d %H:%M") for bar in mine],
                    "hovertemplate": "%{y}<br>%{base|%Y-%m-%d %H:%M} – %{customdata}",
                }
            )
    layout = {"barmode": "overlay", "xaxis": {"type": "date"}, "yaxis": {"autorange": "reversed"}}
    return {"data": data, "layout": layout | {"legend": {"orientation": "h", "y": 1.1}}}


def _bars(
    frame: pd.DataFrame, line: str, at: str, state: str, until: datetime | None
) -> list[tuple[str, pd.Timestamp, str, pd.Timestamp]]:
    rows = frame[[line, at, state]].dropna(subset=[line, at]).sort_values([line, at])
    if rows.empty:
        return []
    end = pd.Timestamp(until).tz_localize(None) if until is not None else rows[at].max()
    bars = []
    for name, group in list(rows.groupby(line, sort=True))[:_MOST_LINES]:
        changed = group[group[state] != group[state].shift()]
        starts = [pd.Timestamp(moment) for moment in changed[at]]
        for start, value, stop in zip(starts, changed[state], [*starts[1:], end], strict=True):
            bars.append((str(name), start, str(value), max(stop, start)))
    return bars


def heat_map_figure(frame: pd.DataFrame, *, x: str, y: str, value: str) -> Figure:
    """Return a map of `value` over two columns; equal places are added up, missing ones stay empty.

    Args:
        frame: long form, one row for each place.
        x: column across.
        y: column down.
        value: column with the number.
    """
    need_columns(frame, [x, y, value])
    table = frame.pivot_table(index=y, columns=x, values=value, aggfunc="sum", sort=True)
    numbers = [[None if pd.isna(each) else float(each) for each in row] for row in table.to_numpy()]
    trace = {
        "type": "heatmap",
        "x": [_label(each) for each in table.columns],
        "y": [_label(each) for each in table.index],
        "z": numbers,
        "colorscale": [[0, "theme:card"], [1, "theme:unregistered"]],
        "hovertemplate": "%{y}<br>%{x}<br>%{z}<extra></extra>",
    }
    axes = {"xaxis": {"type": "category"}, "yaxis": {"type": "category", "autorange": "reversed"}}
    return {"data": [trace] if numbers else [], "layout": axes}


def sunburst_figure(frame: pd.DataFrame, path: Sequence[str], value: str | None) -> Figure:
    """Return rings of nested groups, such as site and model.

    Args:
        frame: one row for each thing counted, or for each group with its count in `value`.
        path: columns from the inner ring outwards.
        value: column with the count; `None` counts rows.
    """
    need_columns(frame, [*path, *([] if value is None else [value])])
    totals: dict[tuple[str, ...], float] = {}
    rows = frame[[*path]].astype(object).fillna("–").astype(str).to_numpy().tolist()
    counts = [1.0] * len(frame) if value is None else [float(each) for each in frame[value].fillna(0)]
    for names, count in zip(rows, counts, strict=True):
        for depth in range(1, len(names) + 1):
            key = tuple(names[:depth])
            totals[key] = totals.get(key, 0.0) + count
    keys = sorted(totals)
    trace = {
        "type": "sunburst",
        "ids": ["/".join(key) for key in keys],
        "labels": [key[-1] for key in keys],
        "parents": ["/".join(key[:-1]) for key in keys],
        "values": [totals[key] for key in keys],
        "branchvalues": "total",
    }
    return {"data": [trace] if keys else [], "layout": {}}


def _label(value: Hashable) -> str:
    return value.strftime("%Y-%m-%d %H:%M") if isinstance(value, pd.Timestamp | datetime) else str(value)
