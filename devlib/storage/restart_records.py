"""What the inventory keeps of a restart: the run, and each device's place in it."""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from devlib.language import Message
from devlib.model import Scope


class RunState(StrEnum):
    """How far a run is; all but a `DONE` one can go on."""

    OPEN = "open"
    DONE = "done"
    STOPPED = "stopped"


class StepState(StrEnum):
    """How far one device of a run is.

    `SENDING` is written before its NOTIFY leaves: where it stands after a crash, the device was perhaps
    restarted.
    """

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class RestartRun:
    """One run over many devices, or one.

    Args:
        id: its number; 0 before it is kept.
        created_at: when it was planned, UTC.
        principal: who planned it.
        target: what for, in words.
        scope: the part of the fleet that it may touch.
        state: how far it is.
        rate: most NOTIFYs per second.
        canary: devices that must be confirmed before the rest is restarted.
        stop_after: failures after which it stops; 0 for never.
        stop_share: share of failures (0 to 1) above which it stops; 0 for never.
        patience: seconds for which it waits for a network that does not answer.
        answer_seconds: seconds for which a phone may keep a NOTIFY unanswered.
        window: most NOTIFYs without an answer at once.
        reason: why it stopped; `None` where it did not.
        holder: name of the process that runs it now; `None` for none.
        held_until: until when that process has it, UTC, unless it prolongs that.
        finished_at: when it ended, UTC.
    """

    id: int
    created_at: datetime
    principal: str
    target: str
    scope: Scope
    state: RunState
    rate: float
    canary: int
    stop_after: int
    stop_share: float
    patience: float
    answer_seconds: float
    window: int
    reason: Message | None = None
    holder: str | None = None
    held_until: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RestartStep:
    """One device of a run.

    Args:
        position: place in the run, from 0.
        mac: of the device.
        device_type: name of its type.
        provider: name of its service provider.
        customer: name of its customer.
        site: name of its site.
        network: name of the network that serves it; empty for none.
        line_port: line through which it is addressed; empty where none is registered.
        event: Event header of its NOTIFY.
        boot_seconds: seconds within which it is never sent a second NOTIFY.
        confirm_seconds: seconds after the NOTIFY within which its new registration is awaited.
        canary: whether the rest waits for it.
        state: how far it is.
        outcome: how it ended; empty before.
        reason: in words.
        code: SIP status of its answer.
        attempts: NOTIFYs sent so far.
        sent_at: when the last one was sent, UTC.
        calls_before: Call-IDs that its line was registered with before that.
        phone_before: MAC or `+sip.instance` that the phone then said; empty for none.
        ended_at: when its outcome was known, UTC.
    """

    position: int
    mac: str
    device_type: str
    provider: str
    customer: str
    site: str
    network: str
    line_port: str
    event: str
    boot_seconds: float
    confirm_seconds: float
    canary: bool = False
    state: StepState = StepState.WAITING
    outcome: str = ""
    reason: Message | None = None
    code: int | None = None
    attempts: int = 0
    sent_at: datetime | None = None
    calls_before: tuple[str, ...] = ()
    phone_before: str = ""
    ended_at: datetime | None = None


def kept_message(text: Message | None) -> str:
    """Return a message as the database keeps it: its English text and values, so that French is not lost."""
    if text is None:
        return ""
    values = {
        name: each if isinstance(each, int | float) else str(each) for name, each in text.values.items()
    }
    return json.dumps([text.text, values])


def read_message(kept: str) -> Message | None:
    """Return what `kept_message` gave."""
    return Message(*json.loads(kept)) if kept else None


def kept_scope(scope: Scope) -> str:
    """Return a scope as the database keeps it."""
    sites = None if scope.sites is None else sorted(scope.sites)
    return json.dumps([scope.provider, scope.customer, sites])


def read_scope(kept: str) -> Scope:
    """Return what `kept_scope` gave."""
    provider, customer, sites = json.loads(kept)
    return Scope(provider, customer, None if sites is None else frozenset(sites))
