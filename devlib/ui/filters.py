"""Filters of a dashboard: what they say is in the page's address."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import traitlets

from devlib.errors import UsageError
from devlib.language import Language, Message, message
from devlib.ui.link import SEEN, LineQuery
from devlib.ui.widget import Handler, Widget
from devlib.ui.words import state_texts

Changed = Callable[[LineQuery], None]


class Filters(Widget):
    """Fields for a `LineQuery`.

    Args:
        query: the first one, from the link.
        language: of its texts.
        shown: names of the fields to show, in order: customer, site, states, types, firmware, unseen, search,
            at.
        changed: called with each new query.
    """

    script = "filters.js"

    fields: traitlets.List[Any] = traitlets.List().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)

    def __init__(self, query: LineQuery, language: Language, shown: Sequence[str], changed: Changed) -> None:
        self.query = query
        self._shown = tuple(shown)
        self._changed = changed
        super().__init__(language, _words(), values=query.to_values())

    def handlers(self) -> Mapping[str, Handler]:
        """Return what the browser may do: set the filters."""
        return {"filter": self._filter}

    def offer(self, choices: Mapping[str, Sequence[str]]) -> None:
        """Offer values to choose from, by name of the field."""
        self.fields = [self._described(name, choices) for name in self._shown]

    def plain(self) -> str:
        """Return the query as in a link."""
        return self.query.to_link() or "Filters"

    def _described(self, name: str, choices: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        label = self.words(_label(name))
        if name == "states":
            options = [[state, text] for state, text in state_texts(self.language).items()]
            return {"name": name, "label": label, "kind": "several", "options": options}
        if name == "unseen":
            options = [[key, self.words(_unseen(key))] for key in SEEN]
            return {"name": name, "label": label, "kind": "one", "options": options}
        if name == "at":
            return {"name": name, "label": label, "kind": "moment", "options": []}
        if name == "search":
            return {"name": name, "label": label, "kind": "text", "options": []}
        options = [[value, value] for value in choices.get(name, ())]
        return {"name": name, "label": label, "kind": "one", "options": options}

    def _filter(self, content: Mapping[str, Any], _: list[memoryview]) -> None:
        values = content.get("values")
        if not isinstance(values, dict):
            raise UsageError(message("The page sent something that cannot be: {name}.", name="values"))
        before = self.query
        given = LineQuery.from_values({name: values.get(name) for name in self._shown})
        if given.customer != before.customer and "site" in self._shown:
            # A site of the customer before is none of this one's.
            given = LineQuery.from_values(given.to_values() | {"site": []})
        self.set_query(given)

    def set_query(self, query: LineQuery) -> None:
        """Filter by something else, as if it were written in the fields."""
        if query == self.query:
            return
        self.query = query
        self.values = query.to_values()
        self._changed(query)


def _label(name: str) -> Message:
    return {
        "customer": message("Customer"),
        "site": message("Site"),
        "states": message("State"),
        "types": message("Device type"),
        "firmware": message("Firmware"),
        "unseen": message("Not seen for"),
        "search": message("Search"),
        "at": message("States as of (empty: now)"),
    }[name]


def _unseen(key: str) -> Message:
    return {
        "1h": message("1 hour"),
        "24h": message("24 hours"),
        "7d": message("7 days"),
        "30d": message("30 days"),
    }[key]


def _words() -> dict[str, Message]:
    return {
        "all": message("all"),
        "reset": message("Clear filters"),
        "hint": message("Name, number, MAC or user agent"),
        "filters": message("Filters"),
    }
