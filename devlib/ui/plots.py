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
_MOST_POINTS = 62  # two months of days; more points than that are a line
_TIME = {"type": "date", "tickangle": 0, "nticks": 8}  # slanted, the moments would be cut off below
_ABOVE = {"orientation": "h", "y": 1, "yanchor": "bottom"}  # over the bars, also where they are few


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


def periods_figure(
    frame: pd.DataFrame, language: Language, *, line: str = "line_port", end: datetime | None = None
) -> Figure:
    """Return bars of the state of each line over time, one row for each line.

    Args:
        frame: spans: the line, `state`, `since` and `until` (UTC; empty where it goes on); `seconds` where it
            is known for how long.
        language: of the states.
        line: column that names the line.
        end: where spans that go on end, UTC; by default at the last moment that the frame knows.
    """
    need_columns(frame, [line, "state", "since", "until"])
    last = _naive(end) if end is not None else _last_known(frame)
    names = sorted(frame[line].dropna().astype(str).unique())[:_MOST_LINES]
    spans = frame[frame[line].astype(str).isin(names)]
    texts = state_texts(language)
    data = [_bars(spans[spans["state"] == name], line, last, texts[name], name) for name in STATES]
    layout = {
        "barmode": "overlay",
        "xaxis": _TIME,
        "yaxis": {"type": "category", "categoryorder": "array", "categoryarray": names[::-1]},
        "legend": _ABOVE,
        "showlegend": True,
    }
    return {"data": [each for each in data if each["y"]], "layout": layout}


def _last_known(frame: pd.DataFrame) -> pd.Timestamp:
    """Return the end of what spans tell: of one that goes on, its beginning and its length."""
    moments = frame[["since", "until"]]
    if "seconds" in frame.columns:
        length = pd.to_timedelta(frame["seconds"].astype("float64"), unit="s")
        moments = moments.assign(known=frame["since"] + length)
    last: pd.Timestamp = moments.max().max()
    return last


def _bars(spans: pd.DataFrame, line: str, last: pd.Timestamp, text: str, state: str) -> Figure:
    starts = [pd.Timestamp(each) for each in spans["since"]]
    stops = [last if pd.isna(each) else pd.Timestamp(each) for each in spans["until"]]
    return {
        "type": "bar",
        "orientation": "h",
        "name": text,
        "y": [str(each) for each in spans[line]],
        "base": [each.isoformat() for each in starts],
        "x": [max((e - s).total_seconds(), 0) * 1000 for s, e in zip(starts, stops, strict=True)],
        "marker": {"color": f"theme:{state}"},
        "customdata": [each.strftime("%Y-%m-%d %H:%M") for each in stops],
        "hovertemplate": "%{y}<br>%{base|%Y-%m-%d %H:%M} – %{customdata} UTC",
    }


def periods_from(frame: pd.DataFrame, *, line: str, at: str, state: str) -> pd.DataFrame:
    """Return the spans that single observations tell: each lasts until the state is seen to be another.

    Args:
        frame: observations: a line, a moment and the state from then on.
        line: column that names the line.
        at: column with the moment.
        state: column with the state.
    """
    need_columns(frame, [line, at, state])
    rows = frame[[line, at, state]].dropna(subset=[line, at]).sort_values([line, at])
    changed = rows[(rows[state] != rows[state].shift()) | (rows[line] != rows[line].shift())]
    until = changed.groupby(line)[at].shift(-1)
    spans = changed.assign(until=until).rename(columns={at: "since", state: "state"})
    # The last observation of all is the end of what is known.
    return spans.assign(until=spans["until"].fillna(rows[at].max()))


def heat_map_figure(frame: pd.DataFrame, *, x: str, y: str, value: str) -> Figure:
    """Return a map of `value` over two columns; equal places are added up, missing ones stay empty.

    Args:
        frame: long form, one row for each place.
        x: column across.
        y: column down.
        value: column with the number.
    """
    need_columns(frame, [x, y, value])
    # What is not known stays empty: `pivot_table` adds it up as 0, and an hour without an answer looks well.
    table = frame.groupby([y, x], sort=True)[value].sum(min_count=1).unstack()  # noqa: PD010 - see above
    numbers = [[None if pd.isna(each) else float(each) for each in row] for row in table.to_numpy()]
    trace = {
        "type": "heatmap",
        "x": [_label(each) for each in table.columns],
        "y": [_label(each) for each in table.index],
        "z": numbers,
        "colorscale": [[0, "theme:card"], [1, "theme:unregistered"]],
        "hovertemplate": "%{y}<br>%{x}<br>%{z}<extra></extra>",
    }
    # One moment alone has no width on an axis of time: it is a column with its name.
    timed = pd.api.types.is_datetime64_any_dtype(frame[x]) and len(table.columns) > 1
    across = _TIME if timed else {"type": "category"}
    axes = {"xaxis": across, "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False}}
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


def shares_figure(frame: pd.DataFrame, *, by: str) -> Figure:
    """Return the share of registered lines over time as lines, one for each group.

    Args:
        frame: what `Portal.availability` gives: `bucket`, `share` and the group.
        by: column that names the group.
    """
    need_columns(frame, ["bucket", "share", by])
    data = [
        {
            "type": "scatter",
            # A moment between two that are not known is a point without lines.
            "mode": "lines+markers" if len(group) <= _MOST_POINTS else "lines",
            "marker": {"size": 5},
            "name": str(name),
            "x": [pd.Timestamp(each).isoformat() for each in group["bucket"]],
            "y": [None if pd.isna(each) else float(each) for each in group["share"]],
            "connectgaps": False,
            "line": {"width": 2},
            "hovertemplate": "%{y:.1%}<br>%{x|%Y-%m-%d %H:%M} UTC",
        }
        for name, group in frame.groupby(by, sort=True)
    ]
    layout = {
        "yaxis": {"tickformat": ".0%", "rangemode": "normal"},
        "xaxis": _around(frame["bucket"]),
        "legend": _ABOVE,
        "showlegend": len(data) > 1,
        "hovermode": "x unified",
    }
    return {"data": data, "layout": layout}


def _around(moments: "pd.Series[Any]") -> Figure:
    """Return an axis of time; of one moment alone a day around it, for plotly would show milliseconds."""
    first, last = moments.min(), moments.max()
    if first != last:  # also where there are none
        return {"type": "date"}
    half = pd.Timedelta(hours=12)
    return {"type": "date", "range": [(first - half).isoformat(), (last + half).isoformat()]}


def _naive(moment: datetime) -> pd.Timestamp:
    """Return a moment as the frames have it: UTC, without saying so."""
    stamp = pd.Timestamp(moment)
    return stamp if stamp.tzinfo is None else stamp.tz_convert("UTC").tz_localize(None)
