"""What a registrar holds, and what it means for a line."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from devlib.language import Message, message


class LineState(StrEnum):
    """The three states of the portal, and `unknown` where the network could not be asked."""

    REGISTERED = "registered"
    AGED = "aged"
    UNREGISTERED = "unregistered"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Binding:
    """What a registrar holds for a line port: one contact of one phone. All texts are hostile.

    Args:
        line_port: the SIP address `user@domain`.
        contact: URI at which the phone says it can be reached.
        expires_at: end of the binding, UTC; `None` for a permanent one.
        registered_at: last REGISTER that set it, UTC; `None` where the network does not tell.
        user_agent: what the phone says of itself.
        received: source address that the registrar saw.
        call_id: Call-ID of that REGISTER; changes when the phone restarts.
        cseq: its CSeq number.
        instance: `+sip.instance`, without angle brackets.
        path: proxies in front of the phone.
        registrar: name of the network that holds the binding.
    """

    line_port: str
    contact: str
    expires_at: datetime | None
    registered_at: datetime | None = None
    user_agent: str | None = None
    received: str | None = None
    call_id: str | None = None
    cseq: int | None = None
    instance: str | None = None
    path: str | None = None
    registrar: str = ""

    def live(self, now: datetime) -> bool:
        """Return whether the binding is permanent or ends after `now`."""
        return self.expires_at is None or self.expires_at > now


def state_word(state: LineState) -> Message:
    """Return the word of a state for people."""
    return {
        LineState.REGISTERED: message("registered"),
        LineState.AGED: message("aged"),
        LineState.UNREGISTERED: message("unregistered"),
        LineState.UNKNOWN: message("unknown"),
    }[state]


def roll_up(states: Iterable[LineState]) -> LineState | None:
    """Return the state of a device from those of its assigned lines; `None` when it has none.

    Any aged gives aged; otherwise any unknown gives unknown (what was not asked is never shown as
    unregistered); otherwise all registered gives registered, and anything else unregistered.
    """
    found = set(states)
    if not found:
        return None
    for state in (LineState.AGED, LineState.UNKNOWN, LineState.UNREGISTERED):
        if state in found:
            return state
    return LineState.REGISTERED
