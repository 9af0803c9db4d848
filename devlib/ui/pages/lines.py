"""Line states: filters, figures, a table over any number of lines, one line's history, the download."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import ipywidgets
import pandas as pd

from devlib.language import message
from devlib.model import Mac
from devlib.portal import VIEW_COLUMNS
from devlib.ui.chart import Chart
from devlib.ui.details import Details
from devlib.ui.export_button import ExportButton
from devlib.ui.figures import age_of, past_of, tiles_of, warnings_of
from devlib.ui.filters import Filters
from devlib.ui.grid import Grid
from devlib.ui.link import LineQuery
from devlib.ui.page import Row, Visit
from devlib.ui.plots import periods_figure
from devlib.ui.tiles import Tiles

_SHOWN = [name for name in VIEW_COLUMNS if name != "line_key"]
_HISTORY = timedelta(days=30)


class LinesPage:
    """The page of one visit.

    Args:
        visit: who looks, and at what.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        language = visit.language
        query = LineQuery.from_link(visit.link)
        shown = ("customer", "site", "states", "types", "firmware", "unseen", "search", "at")
        self.filters = Filters(query, language, shown, self._filtered)
        self.tiles = Tiles(language)
        self.export = ExportButton(language, query)
        self.export.show(query, past=query.past(visit.portal.clock) is not None)
        self._view = self._look(query)
        label = visit.words(message("Line states"))
        self.grid = Grid(
            self._view.pages, language, label=label, columns=_SHOWN, height=480, searchable=False,
            on_pick=self._picked,
        )  # fmt: skip
        title = visit.words(message("States of the last 30 days"))
        self.history = Chart({"data": [], "layout": {}}, language, label=title, height=170)
        self.details = Details(
            language, visit.words(message("Choose a line in the table to see its history."))
        )
        self._offer(query)
        self._figures()
        visit.every_tick(self._refresh)

    def widgets(self) -> Sequence[ipywidgets.Widget]:
        """Return the page from top to bottom."""
        beside = Row([self.details, self.history])
        beside.add_class("dl-beside")
        parts = [self.filters, self.tiles, self.grid]
        # The export is the server's; in a notebook there is `devlib export` and `ui.download`.
        return [*parts, *([self.export] if self._visit.served else []), beside]

    def _look(self, query: LineQuery) -> Any:  # noqa: ANN401 - a LineView
        clock = self._visit.portal.clock
        past = query.past(clock)
        return self._visit.portal.view_lines(query.customer, query.site, query.line_filter(clock), at=past)

    def _offer(self, query: LineQuery) -> None:
        self._customer = query.customer
        found = self._visit.portal.line_choices(query.customer)
        self.filters.offer(
            {
                "customer": found["customers"],
                "site": found["sites"],
                "types": found["device_type"],
                "firmware": found["firmware"],
            }
        )

    def _filtered(self, query: LineQuery) -> None:
        self._view = self._look(query)
        # The numbers first, then the table: both of the same moment.
        self._figures()
        self.grid.show(self._view.pages)
        self.export.show(query, past=query.past(self._visit.portal.clock) is not None)
        self._visit.set_link(query.to_link())
        if self._customer != query.customer:
            self._offer(query)

    def _figures(self) -> None:
        portal, language = self._visit.portal, self._visit.language
        counts = {state.value: count for state, count in self._view.counts.items()}
        past = self.filters.query.past(portal.clock)
        if past is None:
            age = age_of(self._view.oldest, portal.clock.now(), language)
        else:
            age = past_of(past, self._view.oldest, language)
        warnings = warnings_of(counts, language, simulated=portal.simulated)
        self.tiles.show(tiles_of(counts, language), age, warnings)

    def _refresh(self) -> None:
        query = self.filters.query
        if query.past(self._visit.portal.clock) is not None:
            return  # what was stays as it was
        if self._visit.portal.lake_version(query.customer, query.site) != self._view.version:
            self._view = self._look(query)
            self.grid.show(self._view.pages, keeps_place=True)
        self._figures()

    def _picked(self, row: dict[str, Any]) -> None:
        portal, language = self._visit.portal, self._visit.language
        now = portal.clock.now()
        self.details.show(row, _SHOWN)

        def history() -> pd.DataFrame:
            return portal.line_history(row["line_port"] or Mac.parse(row["mac"]), now - _HISTORY, now)

        def show(found: pd.DataFrame) -> None:
            told = message("{line}: {count} spans of time", line=row["line_port"], count=len(found))
            self.history.show(periods_figure(found, language, end=now), alt=self._visit.words(told))

        self._visit.later(history, show, self.history)


def build(visit: Visit) -> Sequence[ipywidgets.Widget]:
    """Return the page's widgets."""
    return LinesPage(visit).widgets()
