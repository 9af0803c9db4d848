"""What the admission of exports remembers: tickets, spacing stamps, cached results; as values and as JSON.

One document holds everything, so that a store needs no more than one row and one lock. All times are
seconds of one clock that never runs backwards; the document remembers the highest it has seen.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Any

FORMAT = 1
"""Version of the document; a store that finds another one starts empty."""

EVERY_SITE = "*ALL*"
"""Shown for an export of all sites of a customer (article: « Tous les sites »)."""


class TicketState(StrEnum):
    """Where a request for an export stands; the last six are final."""

    WAITING = "waiting"
    FOLLOWING = "following"
    RUNNING = "running"
    DONE = "done"
    CACHED = "cached"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def live(self) -> bool:
        """Whether the request still awaits its end."""
        return self in _LIVE


_LIVE = frozenset({TicketState.WAITING, TicketState.FOLLOWING, TicketState.RUNNING})


@dataclass(frozen=True, slots=True)
class ExportKey:
    """What makes two requests « a same export » (article S3): the rows of the backend, not their dress.

    Args:
        provider: name of the service provider.
        customer: name of the customer that owns the sites asked for, not of the one who asks.
        site: name of the site, or `None` for all sites of the customer.
    """

    provider: str
    customer: str
    site: str | None = None

    @property
    def text(self) -> str:
        """The key as one unambiguous text: a site may be called `*ALL*`, a JSON null may not."""
        return _as_json(self.provider, self.customer, self.site)

    @classmethod
    def from_text(cls, text: str) -> "ExportKey":
        """Return the key that has this `text`."""
        return cls(*json.loads(text))

    @property
    def customer_text(self) -> str:
        """The customer as one unambiguous text; names repeat between service providers."""
        return _as_json(self.provider, self.customer)

    @property
    def label(self) -> str:
        """The site for people."""
        return EVERY_SITE if self.site is None else self.site


@lru_cache(maxsize=1024)
def _as_json(*names: str | None) -> str:
    return json.dumps(names, ensure_ascii=False)


@dataclass(slots=True)
class Ticket:
    """One request for an export.

    Args:
        id: chosen by the one who asks, so that a lost answer can still be cancelled.
        number: place in the order of arrival; an heir takes over the number of its leader.
        state: where it stands.
        owner: the process behind it; a store can tell whether it lives.
        bell: where to ring when the ticket changes through somebody else's step.
        leader: ticket whose result it shares; empty for an heir that awaits its own start.
        outdated: the fleet changed while it ran, so its rows may answer only those who asked before.
    """

    id: str
    number: int
    state: TicketState
    owner: str
    bell: str
    principal: str
    session: str
    key: ExportKey
    idempotency: str
    payload: str
    arrived: float
    not_before: float
    give_up: float
    leader: str = ""
    joined: float = 0.0
    epoch: int = 0
    attempts: int = 0
    started: float = 0.0
    seen: float = 0.0
    ended: float = 0.0
    why: str = ""
    ref: str = ""
    finished: float = 0.0
    retry_after: float | None = None
    outdated: bool = False

    @property
    def orphan(self) -> bool:
        """Whether it inherited a place beside the queue and may start itself."""
        return self.state is TicketState.FOLLOWING and not self.leader

    @property
    def candidate(self) -> bool:
        """Whether it may become a real export."""
        return self.state is TicketState.WAITING or self.orphan


@dataclass(frozen=True, slots=True)
class Result:
    """The rows of a successful export: a snapshot, never the rows themselves.

    Args:
        ref: number of the snapshot, as text.
        finished: when the export ended.
        expires: until when it answers other readers.
    """

    ref: str
    finished: float
    expires: float


@dataclass(slots=True)
class AdmissionState:
    """Everything the rules know between two steps."""

    now: float = 0.0
    sequence: int = 0
    epoch: int = 0
    mean_run: float | None = None
    tickets: dict[str, Ticket] = field(default_factory=dict)
    last_start: dict[str, float] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)

    def copy(self) -> "AdmissionState":
        """Return a copy that a step may change."""
        tickets = {name: Ticket(*_VALUES(ticket)) for name, ticket in self.tickets.items()}
        return replace(self, tickets=tickets, last_start=dict(self.last_start), results=dict(self.results))

    def owners(self) -> frozenset[str]:
        """Return the processes behind all tickets."""
        return frozenset(ticket.owner for ticket in self.tickets.values())

    def in_states(self, *states: TicketState) -> list[Ticket]:
        """Return the tickets in these states, in the order of arrival."""
        return in_order(ticket for ticket in self.tickets.values() if ticket.state in states)


def in_order(tickets: Iterable[Ticket]) -> list[Ticket]:
    """Return `tickets` in the order of arrival."""
    return sorted(tickets, key=_NUMBER)


# `dataclasses.replace` and `asdict` took nine tenths of a step.
_NUMBER = attrgetter("number")
_VALUES = attrgetter(*(each.name for each in fields(Ticket)))


def to_json(state: AdmissionState) -> str:
    """Return the document of `state`."""
    document = {
        "now": state.now,
        "sequence": state.sequence,
        "epoch": state.epoch,
        "mean_run": state.mean_run,
        "tickets": [_VALUES(ticket) for ticket in state.tickets.values()],
        "last_start": state.last_start,
        "results": {
            key: (result.ref, result.finished, result.expires) for key, result in state.results.items()
        },
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, default=_names_of_key)


def _names_of_key(key: ExportKey) -> tuple[str, str, str | None]:
    return key.provider, key.customer, key.site


def from_json(text: str) -> AdmissionState:
    """Return the state that a document holds.

    Args:
        text: what `to_json` wrote, in the same `FORMAT`.

    Returns:
        An equal state (invariant I17).

    Raises:
        ValueError: the text is no such document.
    """
    try:
        document = json.loads(text)
        tickets = [_ticket(values) for values in document.pop("tickets")]
        results = {key: Result(*values) for key, values in document.pop("results").items()}
        return AdmissionState(**document, tickets={ticket.id: ticket for ticket in tickets}, results=results)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a document of the admission: {error}") from None


def _ticket(values: list[Any]) -> Ticket:
    ticket = Ticket(*values)
    ticket.state = TicketState(ticket.state)
    ticket.key = ExportKey(*values[_KEY])
    return ticket


_KEY = [each.name for each in fields(Ticket)].index("key")
