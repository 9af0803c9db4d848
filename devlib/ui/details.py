"""One thing in detail: names and values below each other."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import traitlets

from devlib.language import Language
from devlib.storage import Kind
from devlib.ui.grid import described_column
from devlib.ui.widget import Widget


class Details(Widget):
    """Shows the values of one row.

    Args:
        language: of the names.
        hint: what is said while nothing was chosen.
    """

    script = "details.js"

    entries = traitlets.List().tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)

    def __init__(self, language: Language, hint: str) -> None:
        super().__init__(language, hint=hint)

    def show(self, row: Mapping[str, Any], names: Sequence[str]) -> None:
        """Show the values of a row that are not empty."""
        self.entries = [
            self._entry(name, row[name]) for name in names if row.get(name) is not None and row[name] != ""
        ]

    def plain(self) -> str:
        """Return one line for each value."""
        return "\n".join(f"{each['header']}: {each['value']}" for each in self.entries) or self.hint

    def html(self) -> str:
        """Return names and values as a list."""
        listed = "".join(
            f"<dt>{escape(each['header'])}</dt><dd>{escape(str(each['value']))}</dd>" for each in self.entries
        )
        return f"<dl>{listed}</dl>" if listed else f"<p>{escape(self.hint)}</p>"

    def _entry(self, name: str, value: object) -> dict[str, Any]:
        described = described_column(name, Kind.TEXT, self.language)
        states = described["states"] or {}
        text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        return {
            "header": described["header"],
            "value": states.get(text, text),
            "state": text if states else "",
        }
