"""The grid: a table over any number of rows, of which only the visible ones travel to the browser."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import traitlets

from devlib.language import Language, Message, message
from devlib.model import (
    ANSWERS,
    DEVICE_LIST,
    IMPORT_RESULT,
    OBSERVATIONS,
    SITE_TYPES,
    SUPPORTED_DEVICES,
    Table,
)
from devlib.storage import Kind, Order, Paged
from devlib.ui.widget import Handler, Widget, number_of, switch_of, text_of
from devlib.ui.words import state_texts

_BLOCK = 100
_STATIC_ROWS = 10
_STATIC_WIDTH = 40
_WIDTHS = {Kind.TEXT: 170, Kind.NUMBER: 90, Kind.MOMENT: 185}
_STATE_COLUMNS = frozenset({"state", "status", "state_before", "first_state", "second_state"})
_TABLES: tuple[Table, ...] = (
    OBSERVATIONS,
    DEVICE_LIST,
    IMPORT_RESULT,
    SUPPORTED_DEVICES,
    SITE_TYPES,
    *ANSWERS,
)

Pick = Callable[[dict[str, Any]], None]


class Grid(Widget):
    """Shows the rows of `Pages`, sorted and searched in DuckDB.

    Args:
        pages: the rows.
        language: of headers and texts.
        label: name of the table for screen readers.
        columns: which columns to show, in order; by default all.
        height: in CSS pixels.
        searchable: whether the grid has a search field of its own.
        on_pick: called with the values of a row, by column, that somebody chose.
        table: declares the columns; by default they are looked up by name.
        empty: what is said where there is no row.
    """

    script = "grid.js"

    columns: traitlets.List[Any] = traitlets.List().tag(sync=True)
    view = traitlets.Dict().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(420).tag(sync=True)
    searchable = traitlets.Bool(default_value=True).tag(sync=True)

    def __init__(  # noqa: PLR0913 - eight of them by keyword
        self,
        pages: Paged,
        language: Language,
        *,
        label: str,
        columns: Sequence[str] | None = None,
        height: int = 420,
        searchable: bool = True,
        on_pick: Pick | None = None,
        table: Table | None = None,
        empty: Message | None = None,
    ) -> None:
        self._pages = pages
        self._names = list(columns if columns is not None else pages.kinds)
        self._places = [list(pages.kinds).index(name) for name in self._names]
        self._order: Order | None = None
        self._search = ""
        self._on_pick = on_pick
        described = [described_column(name, pages.kinds[name], language, table) for name in self._names]
        super().__init__(
            language, _words(empty), columns=described, label=label, height=height, searchable=searchable
        )
        self._renew()

    def handlers(self) -> Mapping[str, Handler]:
        """Return what the browser may ask for: rows, an order, a search, a choice."""
        return {"rows": self._rows, "sort": self._sort, "search": self._searched, "pick": self._picked}

    def show(self, pages: Paged, *, keeps_place: bool = False) -> None:
        """Show other rows with the same columns; the order stays.

        Args:
            pages: the rows.
            keeps_place: whether the reader stays where it has scrolled to (data that were refreshed).
        """
        self._pages = pages
        self._renew(keeps_place=keeps_place)

    def values_at(self, row: int) -> dict[str, Any]:
        """Return all values of one row of the present order, by column."""
        found = self._pages.rows(row, 1)
        return dict(zip(self._pages.kinds, found[0], strict=True)) if found else {}

    def plain(self) -> str:
        """Return the count and the first rows."""
        head = message("{count} rows", count=self.view["total"])
        lines = [self.words(head), "  ".join(each["header"] for each in self.columns)]
        lines += ["  ".join(row) for row in self._static_rows()]
        return "\n".join(lines)

    def html(self) -> str:
        """Return the first rows as a table."""
        head = "".join(f"<th>{escape(each['header'])}</th>" for each in self.columns)
        rows = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self._static_rows()
        )
        more = message("{count} rows", count=self.view["total"])
        return (
            f"<table><caption>{escape(self.label)}: {escape(self.words(more))}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )

    def _static_rows(self) -> list[list[str]]:
        words = [each["states"] or {} for each in self.columns]
        rows = self._block(0, _STATIC_ROWS)
        return [[_static(w.get(v, v)) for w, v in zip(words, row, strict=True)] for row in rows]

    def _renew(self, *, keeps_place: bool = False) -> None:
        total = self._pages.choose(self._order, self._search)
        order = self._order or Order("")
        self.view = {
            "version": self.view.get("version", 0) + 1,
            "total": total,
            "sort": order.column,
            "descending": order.descending,
            "keeps_place": keeps_place,
        }
        if not keeps_place and self.comm is not None:
            # The first rows follow at once: one way less until they are seen.
            self._send_rows(0, _BLOCK)

    def _block(self, first: int, count: int) -> list[list[Any]]:
        return [[row[place] for place in self._places] for row in self._pages.rows(first, count)]

    def _send_rows(self, first: int, count: int) -> None:
        rows = self._block(first, count)
        self.send({"kind": "rows", "version": self.view["version"], "first": first, "rows": rows})

    def _rows(self, content: Mapping[str, Any], _: list[memoryview]) -> None:
        version = number_of(content, "version", 0, 2**53)
        first = number_of(content, "first", 0, 2**53)
        count = number_of(content, "count", 1, _BLOCK)
        if version == self.view["version"]:  # An older one asks for rows that nobody waits for any more.
            self._send_rows(first, count)

    def _sort(self, content: Mapping[str, Any], _: list[memoryview]) -> None:
        before = self._order
        self._order = Order(text_of(content, "column"), switch_of(content, "descending"))
        try:
            self._renew()
        except BaseException:
            self._order = before
            raise

    def _searched(self, content: Mapping[str, Any], _: list[memoryview]) -> None:
        self._search = text_of(content, "text", 500)
        self._renew()

    def _picked(self, content: Mapping[str, Any], _: list[memoryview]) -> None:
        version = number_of(content, "version", 0, 2**53)
        row = number_of(content, "row", 0, 2**53)
        if version == self.view["version"] and self._on_pick is not None and (found := self.values_at(row)):
            self._on_pick(found)


def described_column(name: str, kind: Kind, language: Language, table: Table | None = None) -> dict[str, Any]:
    """Return what the browser needs to know of a column: name, header, kind, width, words of its states."""
    declared = next(
        (c for each in (*([table] if table else ()), *_TABLES) for c in each if c.name == name), None
    )
    header = declared.header(language) if declared else name
    states = state_texts(language) if name in _STATE_COLUMNS else None
    width = max(_WIDTHS[kind] if states is None else 130, 9 * len(header) + 45)
    shown = "share" if name == "share" else kind.value
    return {"name": name, "header": header, "kind": shown, "width": width, "states": states}


def _static(value: object) -> str:
    text = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _STATIC_WIDTH else text[: _STATIC_WIDTH - 1] + "…"


def _words(empty: Message | None = None) -> dict[str, Message]:
    return {
        "search": message("Search in all texts"),
        "count": message("{count} rows", count="{count}"),
        "loading": message("The rows are being looked for…"),
        "empty": empty or message("No row fits. Clear the search or loosen a filter."),
    }
