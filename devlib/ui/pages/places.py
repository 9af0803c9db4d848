"""What pages share that are filtered by customer and site, and nothing else."""

from abc import ABC, abstractmethod

from devlib.ui.filters import Filters
from devlib.ui.link import LineQuery
from devlib.ui.page import Visit


class PlacePage(ABC):
    """Keeps the place that a page shows; pages say in `_look` what they show of it.

    Args:
        visit: who looks, and at what.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._query = LineQuery.from_link(visit.link)
        self.filters = Filters(self._query, visit.language, ("customer", "site"), self._filtered)
        self._offer()

    @abstractmethod
    def _look(self, *, keeps_place: bool) -> None:
        """Show everything anew.

        Args:
            keeps_place: whether readers stay where they have scrolled to (data that were refreshed).
        """

    def _newest(self) -> tuple[int, ...]:
        """Return the version of the data of the place."""
        return self._visit.portal.lake_version(self._query.customer, self._query.site)

    def _offer(self) -> None:
        portal = self._visit.portal
        customers = list(dict.fromkeys(each.name for each in portal.customers()))
        sites = portal.sites(self._query.customer)["site"].drop_duplicates().tolist()
        self.filters.offer({"customer": customers, "site": sites})

    def _filtered(self, query: LineQuery) -> None:
        moved = query.customer != self._query.customer
        self._query = query
        self._look(keeps_place=False)
        self._visit.set_link(query.to_link())
        if moved:
            self._offer()
