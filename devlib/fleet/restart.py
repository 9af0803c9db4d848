"""Restart of one device: one NOTIFY through its registrar, confirmed by a new registration.

A 200 only means that the NOTIFY arrived; the proof is a REGISTER with a new Call-ID after it (SIP study §4).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from devlib.clock import Clock
from devlib.collect import Networks, newest, run_blocking
from devlib.language import Message, message
from devlib.model import Binding, Catalogue, Device
from devlib.network import Network, RestartAnswer
from devlib.network import RestartOutcome as NetworkOutcome

# Event header by vendor: FusionPBX's event table, Asterisk's sample, the vendors' guides (domain study §4).
# Poly and Cisco know no `reboot=` and restart on a plain check-sync.
_PLAIN_EVENT_VENDORS = frozenset({"Poly", "Cisco"})
_LOOK_EVERY = 1.0
# Registrars stamp whole seconds: a REGISTER in the second of the NOTIFY may carry an earlier stamp.
_STAMP_SLACK = timedelta(seconds=1)


class RestartResult(StrEnum):
    """What became of a restart."""

    CONFIRMED = "confirmed"
    ACCEPTED = "accepted but unconfirmed"
    AUTH_NEEDED = "auth needed"
    REFUSED = "refused"
    NO_ANSWER = "no answer"
    NOT_REGISTERED = "not registered"
    UNROUTABLE = "unroutable"
    UNREACHABLE = "network unreachable"


def restart_words(result: RestartResult) -> Message:
    """Return what became of a restart, in words."""
    return {
        RestartResult.CONFIRMED: message("confirmed: it registered again"),
        RestartResult.ACCEPTED: message("accepted, but it has not registered again yet"),
        RestartResult.AUTH_NEEDED: message("it asks for a login"),
        RestartResult.REFUSED: message("refused"),
        RestartResult.NO_ANSWER: message("no answer"),
        RestartResult.NOT_REGISTERED: message(
            "not registered, so it cannot be restarted through the network"
        ),
        RestartResult.UNROUTABLE: message("the network cannot route to it"),
        RestartResult.UNREACHABLE: message("the network cannot be reached"),
    }[result]


_RESULTS: Mapping[NetworkOutcome, RestartResult] = {
    NetworkOutcome.ACCEPTED: RestartResult.ACCEPTED,
    NetworkOutcome.AUTH_NEEDED: RestartResult.AUTH_NEEDED,
    NetworkOutcome.REFUSED: RestartResult.REFUSED,
    NetworkOutcome.NO_ANSWER: RestartResult.NO_ANSWER,
    NetworkOutcome.NOT_REGISTERED: RestartResult.NOT_REGISTERED,
    NetworkOutcome.UNROUTABLE: RestartResult.UNROUTABLE,
    NetworkOutcome.UNREACHABLE: RestartResult.UNREACHABLE,
}


@dataclass(frozen=True, slots=True)
class Restart:
    """The outcome for one device.

    Args:
        device: which.
        result: what became of it.
        line_port: the line through which it was addressed; empty where there was none.
        reason: what the phone or the network said; hostile text.
    """

    device: Device
    result: RestartResult
    line_port: str = ""
    reason: Message | None = None


def restart_device(
    device: Device, networks: Networks, catalogue: Catalogue, clock: Clock, *, wait: float = 0.0
) -> Restart:
    """Restart a device with one NOTIFY to one of its registered lines.

    Args:
        device: with its lines.
        networks: through which.
        catalogue: tells the vendor, and so the event.
        clock: waits.
        wait: seconds to wait for the new registration; 0 for none.

    Returns:
        The outcome; a device that cannot be restarted is an outcome, not an error.
    """
    served = networks.for_customer(device.provider, device.customer)
    if served is None or not device.lines:
        return Restart(device, RestartResult.NOT_REGISTERED, reason=message("No line of it is assigned."))
    kind = catalogue.find(device.device_type)
    plain = kind is not None and kind.vendor in _PLAIN_EVENT_VENDORS
    event = "check-sync" if plain else "check-sync;reboot=true"
    return run_blocking(_restart(device, served.open, event, clock, wait))


async def _restart(
    device: Device, open_network: Callable[[], Network], event: str, clock: Clock, wait: float
) -> Restart:
    network = open_network()
    try:
        answers = await network.lookup([line.line_port for line in device.lines])
        held = [binding for found in answers.bindings.values() for binding in found]
        before = newest(held)
        if before is None:
            if answers.unanswered:
                reason = next(iter(answers.unanswered.values()))
                return Restart(device, RestartResult.UNREACHABLE, reason=reason)
            return Restart(device, RestartResult.NOT_REGISTERED)
        line_port = next(port for port, found in answers.bindings.items() if before in found)
        asked_at = clock.now()
        answer = await network.restart(line_port, event)
        if answer.outcome is NetworkOutcome.ACCEPTED and wait > 0:
            back = await _came_back(network, line_port, before, asked_at, clock, wait)
            if back:
                return Restart(device, RestartResult.CONFIRMED, line_port)
        return Restart(device, _RESULTS[answer.outcome], line_port, _said(answer))
    finally:
        await network.close()


def _said(answer: RestartAnswer) -> Message | None:
    if answer.code is None:
        return None
    return message("The phone answered {code} {reason}.", code=answer.code, reason=answer.reason)


async def _came_back(
    network: Network, line_port: str, before: Binding, asked_at: datetime, clock: Clock, wait: float
) -> bool:
    """Return whether the line registers with a new Call-ID within `wait` seconds."""
    end = clock.monotonic() + wait
    while clock.monotonic() < end:
        await clock.wait(_LOOK_EVERY)
        found = (await network.lookup([line_port])).bindings.get(line_port, ())
        for binding in found:
            fresh = binding.registered_at is None or binding.registered_at >= asked_at - _STAMP_SLACK
            if fresh and binding.call_id != before.call_id:
                return True
    return False
