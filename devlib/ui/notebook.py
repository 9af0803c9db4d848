"""What notebooks call: one call to start, then tables, figures, forms and downloads."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from devlib.clock import Clock
from devlib.config import Settings, load_settings
from devlib.errors import DevlibError
from devlib.language import Language, message
from devlib.portal import Portal, connect
from devlib.storage import Pages, frame_pages
from devlib.ui.chart import Chart
from devlib.ui.downloads import Download, Source
from devlib.ui.forms import Choice, Form, Plain
from devlib.ui.grid import Grid, Pick
from devlib.ui.plots import heat_map_figure, periods_figure, periods_from, sunburst_figure
from devlib.ui.words import state_texts

if TYPE_CHECKING:
    import plotly.graph_objects as go


class _Desk:
    """What the notebook of this process has started with."""

    language: Language | None = None


def start(
    language: Language | None = None,
    *,
    principal: str | None = None,
    settings: Settings | None = None,
    clock: Clock | None = None,
) -> Portal:
    """Open the portal for a notebook, and choose the language of everything that it shows.

    Args:
        language: `"en"` or `"fr"`; by default the one of the settings.
        principal: name of a stored identity to act as; by default this account.
        settings: by default those of `devlib.toml` and the environment.
        clock: by default the system's.

    Returns:
        The portal; close it in the last cell.
    """
    chosen = settings or load_settings()
    _Desk.language = DevlibError.notebook_language = language or chosen.language
    return connect(
        principal=principal, settings=chosen.model_copy(update={"language": _Desk.language}), clock=clock
    )


def language_now() -> Language:
    """Return the language that `start` chose; without it, that of the settings."""
    if _Desk.language is None:
        _Desk.language = load_settings().language
    return _Desk.language


def table(
    rows: pd.DataFrame | Pages,
    title: str = "",
    *,
    columns: Sequence[str] | None = None,
    height: int = 420,
    on_pick: Pick | None = None,
) -> Grid:
    """Return a table that pages, sorts and searches in DuckDB, however many rows there are.

    Args:
        rows: a frame, or the pages of a list.
        title: for screen readers and the static table.
        columns: which to show, in order; by default all.
        height: in CSS pixels.
        on_pick: called with the values of a row, by column, that somebody chose.
    """
    pages = rows if isinstance(rows, Pages) else frame_pages(rows)
    language = language_now()
    label = title or message("Table").in_language(language)
    return Grid(pages, language, label=label, columns=columns, height=height, on_pick=on_pick)


def line_timeline(
    frame: pd.DataFrame,
    title: str = "",
    *,
    line: str = "line_port",
    at: str = "observed_at",
    state: str = "state",
    until: datetime | None = None,
) -> Chart:
    """Return the states of lines over time, as bars: one row for each line, one colour for each state.

    Args:
        frame: spans, as `portal.line_history` gives them (line, state, `since`, `until`), or observations
            (line, moment, state from then on). Moments are UTC. At most 60 lines are drawn.
        title: over the chart.
        line: column that names the line.
        at: column with the moment of an observation; not needed for spans.
        state: column with the state.
        until: where spans that go on end; by default at the last moment that the frame knows.
    """
    language = language_now()
    spans = frame if "since" in frame.columns else periods_from(frame, line=line, at=at, state=state)
    drawn = periods_figure(spans, language, line=line, end=until)
    lines = min(spans[line].nunique(), 60)
    alt = message("States of {count} lines over time.", count=lines).in_language(language)
    label = title or message("States over time").in_language(language)
    return Chart(drawn, language, label=label, alt=alt, height=130 + 26 * max(lines, 1))


def heat_map(frame: pd.DataFrame, title: str = "", *, x: str, y: str, value: str) -> Chart:
    """Return a map of a number over two columns, such as lines down by hour and site.

    Args:
        frame: long form: one row for each place.
        title: over the chart.
        x: column across.
        y: column down.
        value: column with the number; equal places are added up.
    """
    language = language_now()
    drawn = heat_map_figure(frame, x=x, y=y, value=value)
    rows = len(drawn["data"][0]["y"]) if drawn["data"] else 1
    alt = message("{value} by {y} and {x}.", value=value, y=y, x=x).in_language(language)
    return Chart(drawn, language, label=title or alt, alt=alt, height=min(90 + 22 * rows, 1200))


def sunburst(
    frame: pd.DataFrame,
    title: str = "",
    *,
    path: Sequence[str] = ("site", "device_type"),
    value: str | None = None,
) -> Chart:
    """Return rings of nested groups, such as site and model.

    Args:
        frame: one row for each thing counted, or for each group with its count in `value`.
        title: over the chart.
        path: columns from the inner ring outwards.
        value: column with the count; `None` counts rows.
    """
    language = language_now()
    alt = message("Shares by {names}.", names=", ".join(path)).in_language(language)
    if "state" in frame.columns:
        frame = frame.assign(state=frame["state"].replace(state_texts(language)))
    return Chart(sunburst_figure(frame, path, value), language, label=title or alt, alt=alt, height=460)


def figure(drawn: "go.Figure | Mapping[str, Any]", title: str, *, alt: str = "", height: int = 360) -> Chart:
    """Return any plotly figure as a chart that works offline and follows light and dark.

    Args:
        drawn: a `go.Figure`, or its JSON.
        title: over the chart.
        alt: what it shows, in a sentence.
        height: in CSS pixels.
    """
    return Chart(drawn, language_now(), label=title, alt=alt, height=height)


def form(labels: Mapping[str, str] | None = None, /, **parameters: Plain | Choice) -> Form:
    """Return fields to edit parameters; `form["days"]` is what is written there now.

    Args:
        labels: what stands beside a field, by name; by default the name.
        parameters: their first values; `choice(value, options)` gives a list.
    """
    return Form(parameters, language_now(), labels)


def download(source: Source, name: str, label: str | None = None) -> Download:
    """Return a button that hands a file to the browser.

    Args:
        source: a frame (as CSV, formulas made harmless), a path, bytes, text, or a function that gives one.
        name: file name that the browser proposes.
        label: on the button.
    """
    shown = source.name if isinstance(source, Path) and not name else name
    return Download(source, shown, language_now(), label)
