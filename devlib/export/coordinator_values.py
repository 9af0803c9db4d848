"""What goes into a coordinator and comes out of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, Self

from devlib.export.admission_events import Happening, Outcome
from devlib.export.admission_state import AdmissionState, ExportKey, TicketState
from devlib.model.identity import Identity

Authorise = Callable[[], None]
"""Raises where the asker may not have the rows (any more); asked before admission and at delivery."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """One request for an export.

    Args:
        principal: account name of the asker.
        session: the login session; never a kernel, since every tab is one.
        key: which rows; the filter, columns and language of the reader are no part of it.
        idempotency: a key of the asker's own; a replay within ten minutes is the same request.
        payload: what else a replay must repeat, for example the filter.
    """

    principal: str
    session: str
    key: ExportKey
    idempotency: str = ""
    payload: str = ""

    @classmethod
    def of(cls, identity: Identity, key: ExportKey, *, idempotency: str = "", payload: str = "") -> Self:
        """Return the request of `identity` for `key`."""
        return cls(identity.principal, identity.session_key, key, idempotency, payload)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a waiting request stands.

    Args:
        place: place in the queue, from 1; 0 while it shares a running export.
        seconds_to_go: estimate until the rows are there.
        delayed: whether only the spacing of its own session holds it back (article S1).
    """

    place: int
    seconds_to_go: float
    delayed: bool


@dataclass(frozen=True, slots=True)
class QueuedExport:
    """A running or waiting export, for operators.

    Args:
        seconds: since its start while it runs, since its arrival before.
        silent_for: seconds since the holder's last sign of life; 0 while it waits.
    """

    ticket: str
    state: TicketState
    principal: str
    session: str
    key: ExportKey
    place: int
    seconds_to_go: float
    seconds: float
    silent_for: float
    attempts: int


@dataclass(frozen=True, slots=True)
class RecentExport:
    """One line of the list of recent events.

    Args:
        at: wall clock of the machine that wrote it, UTC; for people only.
        event: `waiting`, `following`, `started`, or a final state.
        customer: service provider and customer, as JSON.
        key: service provider, customer and site, as JSON.
    """

    at: datetime
    ticket: str
    principal: str
    session: str
    customer: str
    key: str
    event: str
    http: int | None
    why: str
    wait_ms: int
    run_ms: int | None


@dataclass(frozen=True, slots=True)
class Overview:
    """What runs, what waits, and what happened lately (newest first)."""

    running: tuple[QueuedExport, ...]
    waiting: tuple[QueuedExport, ...]
    following: tuple[QueuedExport, ...]
    recent: tuple[RecentExport, ...]


class Locked(Protocol):
    """The store of one coordinator while its lock is held."""

    def load(self) -> tuple[AdmissionState, float]:
        """Return the stored state and the moment, read under the lock."""
        ...

    def dead(self, owners: frozenset[str]) -> frozenset[str]:
        """Return those of `owners` whose process is gone."""
        ...

    def earlier(self, principal: str, idempotency: str) -> Outcome | None:
        """Return the stored outcome of an idempotency key."""
        ...

    def save(self, state: AdmissionState, happenings: tuple[Happening, ...], bells: tuple[str, ...]) -> None:
        """Store the state, the events and the outcomes as one."""
        ...

    def recent(self, count: int) -> tuple[RecentExport, ...]:
        """Return the newest events."""
        ...
