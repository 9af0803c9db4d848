"""Overview: the share registered now and over 30 days, sites in trouble first, changes since yesterday."""

from collections.abc import Sequence
from datetime import timedelta

import ipywidgets
import pandas as pd

from devlib.language import message
from devlib.model import STATE_CHANGES
from devlib.storage import empty_pages, frame_pages
from devlib.ui.chart import Chart
from devlib.ui.figures import (
    age_of,
    counts_of,
    oldest,
    site_shares,
    tiles_of,
    verdict_of,
    warnings_of,
)
from devlib.ui.grid import Grid
from devlib.ui.link import LineQuery
from devlib.ui.page import Row, Visit
from devlib.ui.pages.places import PlacePage
from devlib.ui.plots import shares_figure
from devlib.ui.tiles import Tiles

_SITES = ("site", "share", "lines", "aged", "unregistered", "unknown", "customer", "registered")
_CHANGES = (
    "changed_at",
    "state_before",
    "state",
    "site",
    "customer",
    "mac",
    "line_port",
    "user_id",
    "evidence",
)
_MONTH = timedelta(days=30)
_DAY = timedelta(days=1)
_SPAN = timedelta(hours=6)


class OverviewPage(PlacePage):
    """The page of one visit.

    Args:
        visit: who looks, and at what.
    """

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit)
        language = visit.language
        self.tiles = Tiles(language)
        self._counts = self._summary()
        words = visit.words
        self.sites = Grid(
            frame_pages(site_shares(self._counts)), language,
            label=words(message("Sites, those in trouble first")),
            columns=_SITES, height=380, searchable=False, on_pick=self._picked,
        )  # fmt: skip
        self.changes = Grid(
            empty_pages(STATE_CHANGES), language, table=STATE_CHANGES,
            label=words(message("What changed since yesterday")),
            columns=_CHANGES, height=320,
            empty=message("No line changed its state since yesterday."),
        )  # fmt: skip
        title = words(message("Share of lines registered, 30 days"))
        self.shares = Chart({"data": [], "layout": {}}, language, label=title, height=390)
        self._ask_history(keeps_place=False)
        self._version = self._newest()
        self._figures()
        visit.every_tick(self._refresh)

    def widgets(self) -> Sequence[ipywidgets.Widget]:
        """Return the page from top to bottom."""
        beside = Row([self.shares, self.sites])
        beside.add_class("dl-beside")
        return [self.filters, self.tiles, beside, self.changes]

    def _summary(self) -> pd.DataFrame:
        return self._visit.portal.summary(self._query.customer, self._query.site)

    def _changed(self) -> pd.DataFrame:
        now = self._visit.portal.clock.now()
        found = self._visit.portal.state_changes(
            now - _DAY, now, customer=self._query.customer, site=self._query.site
        )
        return found.sort_values("changed_at", ascending=False, kind="stable")

    def _shares(self) -> dict[str, object]:
        query, now = self._query, self._visit.portal.clock.now()
        by = "site" if query.customer is not None else "customer"
        found = self._visit.portal.availability(
            now - _MONTH, now, by=by, bucket=_SPAN, customer=query.customer, site=query.site
        )
        return shares_figure(found, by=by)

    def _ask_history(self, *, keeps_place: bool) -> None:
        """Ask what is slower than the rest: 30 days of shares, and the changes of a day."""

        def changed(found: pd.DataFrame) -> None:
            self.changes.show(frame_pages(found), keeps_place=keeps_place)

        self._visit.later(self._changed, changed, self.changes)
        self._visit.later(self._shares, self.shares.show, self.shares)

    def _look(self, *, keeps_place: bool) -> None:
        self._counts = self._summary()
        self._figures()
        self.sites.show(frame_pages(site_shares(self._counts)), keeps_place=keeps_place)
        self._ask_history(keeps_place=keeps_place)
        self._version = self._newest()

    def _figures(self) -> None:
        portal, language = self._visit.portal, self._visit.language
        counts = counts_of(self._counts)
        age = age_of(oldest(self._counts), portal.clock.now(), language)
        warnings = warnings_of(counts, language, simulated=portal.simulated)
        verdict = verdict_of(self._counts, language)
        self.tiles.show(tiles_of(counts, language), age, warnings, verdict=verdict)

    def _refresh(self) -> None:
        if self._newest() != self._version:
            self._look(keeps_place=True)
        self._figures()

    def _picked(self, row: dict[str, object]) -> None:
        """Narrow the page to the site that was chosen."""
        chosen = LineQuery(customer=str(row["customer"]), site=str(row["site"]))
        self.filters.set_query(chosen)


def build(visit: Visit) -> Sequence[ipywidgets.Widget]:
    """Return the page's widgets."""
    return OverviewPage(visit).widgets()
