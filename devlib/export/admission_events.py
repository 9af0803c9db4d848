"""What may happen to the admission of exports, and what it answers."""

import math
from dataclasses import dataclass
from enum import StrEnum

from devlib.export.admission_state import ExportKey, TicketState


class Why(StrEnum):
    """The reason beside a final state; part of the interface, so the texts never change."""

    QUEUE_FULL = "export-queue-full"
    SESSION_FULL = "session-queue-full"
    FOLLOWERS_FULL = "followers-full"
    QUEUE_TIMEOUT = "export-queue-timeout"
    EXPORT_FAILED = "export-failed"
    ATTEMPTS = "export-attempts"
    LOST = "lost"
    RELEASED = "released"
    UNKNOWN = "unknown"
    HIT = "hit"
    COLLAPSED = "collapsed"
    OTHER_PAYLOAD = "other-payload"
    ALIVE = "alive"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The stored end of a request with an idempotency key; kept by the store for ten minutes (§1.6).

    Only 200 and 500 are kept: after 429, 408, a cancellation or a crash nothing was done, and a replay
    that could never succeed would make the key useless for the retry it exists for.
    """

    ticket: str
    payload: str
    state: TicketState
    why: str
    ref: str


@dataclass(frozen=True, slots=True)
class Submit:
    """A request arrives; its right to the rows was checked before (authorisation is not a rule here).

    Args:
        ticket: a fresh random name; a replay is answered under the name of the first request.
        earlier: the stored outcome of the same principal and idempotency key, if there is one.
        payload: what the caller asked besides the key; a replay with another payload is refused.
    """

    ticket: str
    owner: str
    bell: str
    principal: str
    session: str
    key: ExportKey
    idempotency: str = ""
    payload: str = ""
    earlier: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Poll:
    """A waiting request asks where it stands."""

    ticket: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """The one who asked no longer wants the export."""

    ticket: str


@dataclass(frozen=True, slots=True)
class Finish:
    """A real export has stored all its rows under `ref`."""

    ticket: str
    epoch: int
    ref: str


@dataclass(frozen=True, slots=True)
class Fail:
    """A real export failed at the server."""

    ticket: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Check:
    """A real export asks whether it still holds its slot, and shows that it lives."""

    ticket: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Invalidate:
    """The fleet of a customer changed; `None` stands for every provider or customer."""

    provider: str | None = None
    customer: str | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """An operator frees the slot of a holder that shows no sign of life."""

    ticket: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class OwnersDied:
    """Processes are gone; the store saw their locks free."""

    owners: frozenset[str]


@dataclass(frozen=True, slots=True)
class Look:
    """Somebody looks; only time passes."""


TicketEvent = Poll | Cancel | Finish | Fail | Check | Release
Event = Submit | TicketEvent | Invalidate | OwnersDied | Look


@dataclass(frozen=True, slots=True)
class Happening:
    """One change of one ticket, for the list of recent exports.

    Args:
        event: the state entered, or `started`.
        wait_ms: from arrival to start, or to the end without a start.
        run_ms: from start to end of a real export.
        outcome: what a replay of the idempotency key gets; `None` where nothing is kept.
    """

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
    idempotency: str = ""
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the rules answer to one event.

    Args:
        ticket: the ticket spoken of; a replay is answered under the name of the first request.
        state: where that ticket stands.
        why: reason of a final state.
        ref: snapshot number of the result; empty without one.
        epoch: fencing number of a grant; finish and check must show it.
        place: place in the queue, from 1; 0 when not in it.
        seconds_to_go: estimate until the rows are there.
        wake_in: when to ask again if no bell rings; always above zero.
        watch: owners of the running exports, whose death is worth asking again at once.
        retry_after: seconds after which a new request makes sense (RFC 9110 §10.2.3: whole, rounded up).
        age: seconds since the shared result was finished.
        delayed: whether the request waits for the spacing of its session.
        at: the coordinator's time of the start, of the end, or of the answer.
        happenings: what this step changed.
    """

    ticket: str
    state: TicketState
    why: str = ""
    ref: str = ""
    epoch: int = 0
    place: int = 0
    seconds_to_go: float = 0.0
    wake_in: float = 1.0
    watch: tuple[str, ...] = ()
    retry_after: float | None = None
    age: float = 0.0
    delayed: bool = False
    at: float = 0.0
    happenings: tuple[Happening, ...] = ()

    @property
    def http(self) -> int | None:
        """The HTTP status; `None` while the request is live and after a cancellation."""
        return http_status(self.state, self.why)


def http_status(state: TicketState, why: str) -> int | None:
    """Return the HTTP status of a final state (article: 408, 429, 500; RFC 6585 §4, RFC 9110 §15)."""
    if why == Why.OTHER_PAYLOAD:
        return 422
    return {
        TicketState.DONE: 200,
        TicketState.CACHED: 200,
        TicketState.REJECTED: 429,
        TicketState.EXPIRED: 408,
        TicketState.FAILED: 500,
    }.get(state)


def fingerprint(key: ExportKey, payload: str) -> str:
    """Return what a replay must repeat (§1.6): the key of the export and what was asked besides."""
    return key.text + payload


def whole_seconds(seconds: float) -> float:
    """Return `seconds` as Retry-After wants them: whole, rounded up, at least one (RFC 9110 §10.2.3)."""
    return float(max(1, math.ceil(seconds)))
