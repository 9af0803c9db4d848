"""Pages of lines that were chosen in the line index; the rows and their form are those of `Pages`."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from devlib.storage.line_index import Places, ScopeIndex
from devlib.storage.line_rows import LineFilter
from devlib.storage.pages import MOST_ROWS, TEXT_LIMIT, Kind, Order, no_column


class IndexPages:
    """The lines that were chosen, read page by page.

    Args:
        kinds: columns by name, in order, with their kind.
        lines: of the reader's scope.
        places: of the lines chosen, in the order of the list.
        allowed: raises where the reader may not see them any more; asked before each look.
    """

    def __init__(
        self, kinds: dict[str, Kind], lines: ScopeIndex, places: Places, allowed: Callable[[], None]
    ) -> None:
        self.kinds = kinds
        self._lines = lines
        self._listed = places
        self._chosen = places
        self._allowed = allowed

    def choose(self, order: Order | None = None, search: str = "") -> int:
        """Sort the list anew and keep the lines that hold `search`; return the number of lines kept.

        Raises:
            UsageError: there is no such column.
        """
        self._allowed()
        places = self._listed
        if search.strip():
            places = self._lines.choose(LineFilter(search=search), among=places).places
        if order is not None:
            if order.column not in self.kinds:
                raise no_column(order.column, self.kinds)
            places = self._lines.ordered(places, order.column, descending=order.descending)
        self._chosen = places
        return len(places)

    def rows(self, first: int, count: int) -> list[list[Any]]:
        """Return rows of the chosen order, as values that JSON can carry; moments as ISO 8601 in UTC."""
        self._allowed()
        places = self._chosen[first : first + min(count, MOST_ROWS)]
        found = self._lines.index.rows(places, tuple(self.kinds))
        return [self._shown(row) for row in found]

    def _shown(self, row: Sequence[Any]) -> list[Any]:
        return [_shown(value, kind) for value, kind in zip(row, self.kinds.values(), strict=True)]


def _shown(value: object, kind: Kind) -> object:
    if value is None:
        return None
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    if kind is Kind.NUMBER:
        return float(str(value))
    return str(value)[:TEXT_LIMIT]
