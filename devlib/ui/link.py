"""Filters in the address of a page: read from a link, written into one; anybody may write such a link."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

from devlib.clock import Clock
from devlib.model import LineState
from devlib.storage import LineFilter

_LONGEST = 200
_MOST_VALUES = 50
_MOMENT = "%Y-%m-%dT%H:%MZ"
SEEN = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}


@dataclass(frozen=True, slots=True)
class LineQuery:
    """What a view of line states shows.

    Args:
        customer: name of the one customer; `None` for all.
        site: name of the one site; `None` for all.
        states: states to keep; empty for all.
        types: device types to keep; empty for all.
        firmware: firmware versions to keep; empty for all.
        search: text.
        unseen: a key of `SEEN`: only lines whose last REGISTER is older; empty for all.
        at: the moment of the states, UTC, as `2026-11-25T08:00Z`; empty for now.
    """

    customer: str | None = None
    site: str | None = None
    states: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()
    search: str = ""
    unseen: str = ""
    at: str = ""

    @classmethod
    def from_link(cls, query: str | Mapping[str, Sequence[str | bytes]]) -> "LineQuery":
        """Return the query of a link; what it does not know or cannot be is left out."""
        given = parse_qs(query.lstrip("?"), max_num_fields=100) if isinstance(query, str) else query
        texts = {name: [_text(value) for value in values[:_MOST_VALUES]] for name, values in given.items()}
        return cls.from_values(texts)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "LineQuery":
        """Return the query that lists of texts say, by name of the field."""

        def all_of(name: str) -> tuple[str, ...]:
            found = values.get(name)
            listed = found if isinstance(found, list) else []
            kept = [each[:_LONGEST] for each in listed[:_MOST_VALUES] if isinstance(each, str) and each]
            return tuple(dict.fromkeys(kept))

        def one_of(name: str) -> str:
            return next(iter(all_of(name)), "")

        known = {state.value for state in LineState}
        return cls(
            customer=one_of("customer") or None,
            site=one_of("site") or None,
            states=tuple(each for each in all_of("states") if each in known),
            types=all_of("types"),
            firmware=all_of("firmware"),
            search=one_of("search"),
            unseen=one_of("unseen") if one_of("unseen") in SEEN else "",
            at=one_of("at") if _moment(one_of("at")) else "",
        )

    def to_values(self) -> dict[str, list[str]]:
        """Return lists of texts by name of the field; empty ones are left out."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else [value]
            for name, value in found.items()
            if value
        }

    def to_link(self) -> str:
        """Return the query part of a link."""
        return urlencode(self.to_values(), doseq=True)

    def past(self, clock: Clock) -> datetime | None:
        """Return the moment of the past that is looked at, UTC; `None` for now."""
        moment = _moment(self.at)
        return moment if moment is not None and moment < clock.now() else None

    def line_filter(self, clock: Clock) -> LineFilter:
        """Return the filter, as it is at the moment that is looked at."""
        before = (self.past(clock) or clock.now()) - SEEN[self.unseen] if self.unseen else None
        return LineFilter(
            states=tuple(LineState(each) for each in self.states),
            device_types=self.types,
            search=self.search,
            firmware=self.firmware,
            seen_before=before,
        )


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _MOMENT).replace(tzinfo=UTC)
    except ValueError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
