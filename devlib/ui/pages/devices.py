"""Devices and import: the device list, what one can do with a device, and the bulk file from template to result."""

from collections.abc import Sequence
from typing import Any

import ipywidgets
import pandas as pd

from devlib.language import message
from devlib.model import DEVICE_LIST
from devlib.portal import Portal
from devlib.storage import empty_pages, frame_pages
from devlib.ui.details import Details
from devlib.ui.filters import Filters
from devlib.ui.grid import Grid
from devlib.ui.link import LineQuery
from devlib.ui.page import Row, Visit
from devlib.ui.pages.device_acts import DeviceActs
from devlib.ui.pages.imports import ImportPanel

_COLUMNS = (
    "mac", "device_type", "available_lines", "site", "customer", "status", "registered_lines", "assigned_lines",
    "total_lines", "name", "last_seen", "vendor", "kind", "description", "base_station_id", "chain_id",
)  # fmt: skip


class DevicesPage:
    """The page of one visit.

    Args:
        visit: who looks, and at what.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        language, words = visit.language, visit.words
        query = LineQuery.from_link(visit.link)
        self.filters = Filters(query, language, ("customer", "site", "types", "search"), self._filtered)
        self.grid = Grid(
            empty_pages(DEVICE_LIST), language, label=words(message("Devices")), columns=_COLUMNS,
            height=420, searchable=False, on_pick=self._picked,
        )  # fmt: skip
        hint = words(message("Choose a device in the table to see it and to do something with it."))
        self.details = Details(language, hint)
        self.acts = DeviceActs(visit, self._look)
        self.imports = ImportPanel(visit, self._look)
        self._offer(query)
        self._look()

    def widgets(self) -> Sequence[ipywidgets.Widget]:
        """Return the page from top to bottom."""
        beside = Row([self.details, self.acts.of_device, self.acts.adding])
        beside.add_class("dl-beside")
        return [self.filters, self.grid, beside, *self.imports.widgets()]

    def _offer(self, query: LineQuery) -> None:
        portal = self._visit.portal
        customers = list(dict.fromkeys(each.name for each in portal.customers()))
        approved = portal.sites(query.customer)
        sites = approved["site"].drop_duplicates().tolist()
        types = sorted(set(approved["device_type"].dropna()))
        self.filters.offer({"customer": customers, "site": sites, "types": types})
        self.acts.offer(customers, sites, types, query)
        self.imports.offer(customers, query.customer)
        self._customer = query.customer

    def _filtered(self, query: LineQuery) -> None:
        self._visit.set_link(query.to_link())
        self._look()
        if query.customer != self._customer:
            self._offer(query)

    def _look(self) -> None:
        """Read the list again, beside the page: it may be long."""
        query = self.filters.query

        def show(found: pd.DataFrame) -> None:
            self.grid.show(frame_pages(found), keeps_place=True)

        self._visit.later(lambda: _devices(self._visit.portal, query), show, self.grid)

    def _picked(self, row: dict[str, Any]) -> None:
        self.details.show(row, DEVICE_LIST.names)
        self.acts.choose(row)


def _devices(portal: Portal, query: LineQuery) -> pd.DataFrame:
    kind = query.types[0] if query.types else None
    return portal.devices(query.customer, query.site, device_type=kind, search=query.search, columns=None)


def build(visit: Visit) -> Sequence[ipywidgets.Widget]:
    """Return the page's widgets."""
    return DevicesPage(visit).widgets()
