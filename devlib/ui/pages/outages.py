"""Outages and quality: when many lines of a site fell together, which lines flap, which are aged for long."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import ipywidgets
import pandas as pd

from devlib.language import message
from devlib.model import AGED_LINES, FLAPPING_LINES, OUTAGES, Table
from devlib.storage import empty_pages, frame_pages
from devlib.ui.chart import Chart
from devlib.ui.figures import age_of, counts_of, oldest, warnings_of
from devlib.ui.grid import Grid
from devlib.ui.page import Row, Visit
from devlib.ui.pages.places import PlacePage
from devlib.ui.plots import heat_map_figure
from devlib.ui.tiles import Tiles

_OUTAGES = (
    "began_at",
    "ended_at",
    "site",
    "customer",
    "lines",
    "site_lines",
    "share",
    "recovered",
    "fell_until",
)
_FLAPPING = (
    "changes",
    "falls",
    "state",
    "site",
    "customer",
    "line_port",
    "mac",
    "device_type",
    "changed_at",
    "share",
)
_AGED = (
    "aged_at",
    "state",
    "registered_at",
    "site",
    "customer",
    "line_port",
    "mac",
    "device_type",
    "evidence",
)
_WINDOW = timedelta(days=7)
_MOST_SITES = 25


class OutagesPage(PlacePage):
    """The page of one visit.

    Args:
        visit: who looks, and at what.
    """

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit)
        language = visit.language
        self.tiles = Tiles(language)
        words = visit.words
        self.outages = self._grid(
            OUTAGES, _OUTAGES, words(message("Many lines of a site fell together (7 days)"))
        )
        self.flapping = self._grid(FLAPPING_LINES, _FLAPPING, words(message("Lines that flap (7 days)")))
        self.aged = self._grid(AGED_LINES, _AGED, words(message("Lines that became aged (7 days)")))
        title = words(message("Share not registered, by site and hour (7 days)"))
        self.hours = Chart({"data": [], "layout": {}}, language, label=title, height=420)
        self._look(keeps_place=False)
        visit.every_tick(self._refresh)

    def widgets(self) -> Sequence[ipywidgets.Widget]:
        """Return the page from top to bottom."""
        beside = Row([self.flapping, self.aged])
        beside.add_class("dl-beside")
        return [self.filters, self.tiles, self.outages, self.hours, beside]

    def _grid(self, table: Table, columns: Sequence[str], label: str) -> Grid:
        return Grid(
            empty_pages(table), self._visit.language, label=label, columns=columns, height=300, table=table,
            searchable=False, empty=message("Nothing of the kind in these days."),
        )  # fmt: skip

    def _look(self, *, keeps_place: bool) -> None:
        portal, query = self._visit.portal, self._query
        now = portal.clock.now()
        since, whose, where = now - _WINDOW, query.customer, query.site
        self._version = self._newest()
        self._age(now)

        ask = partial(self._ask, place=keeps_place)
        ask(lambda: portal.outages(since, now, customer=whose, site=where), self.outages)
        ask(lambda: portal.flapping_lines(since, now, customer=whose, site=where), self.flapping)
        ask(lambda: portal.aged_lines(since, now, customer=whose, site=where), self.aged)

        def hours() -> dict[str, object]:
            return worst_hours(portal.heat_map(since, now, customer=whose, site=where))

        self._visit.later(hours, self.hours.show, self.hours)

    def _ask(self, question: Callable[[], pd.DataFrame], grid: Grid, *, place: bool) -> None:
        self._visit.later(question, lambda found: grid.show(frame_pages(found), keeps_place=place), grid)

    def _age(self, now: datetime) -> None:
        portal, language = self._visit.portal, self._visit.language
        found = portal.summary(self._query.customer, self._query.site)
        warnings = warnings_of(counts_of(found), language, simulated=portal.simulated)
        self.tiles.show([], age_of(oldest(found), now, language), warnings)

    def _refresh(self) -> None:
        if self._newest() != self._version:
            self._look(keeps_place=True)
        else:
            self._age(self._visit.portal.clock.now())


def worst_hours(found: pd.DataFrame) -> dict[str, object]:
    """Return the map of the sites that were worst, from the shares of all sites."""
    down = found.assign(down=1 - found["share"].astype("Float64"), place=found["site"].astype(str))
    worst = down.groupby("place")["down"].mean().sort_values(ascending=False).index[:_MOST_SITES]
    figure = heat_map_figure(down[down["place"].isin(worst)], x="bucket", y="place", value="down")
    for trace in figure["data"]:
        trace |= {"hovertemplate": "%{y}<br>%{x|%Y-%m-%d %H:%M} UTC<br>%{z:.0%}<extra></extra>", "zmin": 0}
        trace |= {"zmax": 1, "colorbar": {"tickformat": ".0%", "thickness": 12, "outlinewidth": 0}}
    figure["layout"]["xaxis"] = {"type": "date"}
    figure["layout"]["yaxis"] |= {"dtick": 1, "tickfont": {"size": 12}}
    return figure


def build(visit: Visit) -> Sequence[ipywidgets.Widget]:
    """Return the page's widgets."""
    return OutagesPage(visit).widgets()
