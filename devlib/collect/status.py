"""One device, asked now: what its lines are, without writing a snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from devlib.clock import Clock
from devlib.collect.asking import nobody_serves
from devlib.collect.networks import Networks
from devlib.collect.rule import Evidence, Known, judge, newest
from devlib.collect.waiting import run_blocking
from devlib.language import Message, message
from devlib.model import Binding, Device, Line, LineState, Scope, roll_up
from devlib.network import Answers
from devlib.storage import Lake, utc


@dataclass(frozen=True, slots=True)
class LineStatus:
    """What the network says of one line now.

    Args:
        line: the line.
        state: its state by the rule of the three states.
        evidence: why.
        binding: the binding that speaks for it, or `None`.
        bindings: live bindings; `None` where the network could not be asked.
        state_before: last known state, or `None`.
        state_known_at: when that was observed, UTC.
        expires_at: last known expiry, UTC.
        reason: why the network could not be asked.
    """

    line: Line
    state: LineState
    evidence: Evidence
    binding: Binding | None
    bindings: int | None
    state_before: LineState | None
    state_known_at: datetime | None
    expires_at: datetime | None
    reason: Message | None = None


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """What the network says of one device now.

    Args:
        device: the device, with its assigned lines.
        state: the roll-up of its lines; `None` where none is assigned.
        lines: one entry for each assigned line.
        network: name of the network that was asked.
        observed_at: when, UTC.
    """

    device: Device
    state: LineState | None
    lines: tuple[LineStatus, ...]
    network: str
    observed_at: datetime

    @property
    def registered(self) -> int:
        """Number of registered lines."""
        return sum(each.state is LineState.REGISTERED for each in self.lines)


def ask_device(
    device: Device, networks: Networks, lake: Lake, clock: Clock, retention: float, *, dect: bool = False
) -> DeviceStatus:
    """Ask the network for the lines of one device.

    Args:
        device: with its lines.
        networks: whom to ask.
        lake: what was known before.
        clock: when it is.
        retention: seconds after its last expiry for which a line is `aged`.
        dect: whether it is a DECT base: of a handset's contacts the one that registered last speaks.

    Returns:
        The state of each line and of the device; lines that could not be asked are `unknown`.
    """
    remembered = _remember(lake, device)
    network, answers = run_blocking(_ask(device, networks))
    now = clock.now()
    lines = tuple(
        _line_status(line, answers, remembered.get(line.key), now, timedelta(seconds=retention), dect=dect)
        for line in device.lines
    )
    return DeviceStatus(device, roll_up(each.state for each in lines), lines, network, now)


async def _ask(device: Device, networks: Networks) -> tuple[str, Answers]:
    line_ports = [line.line_port for line in device.lines]
    served = networks.for_customer(device.provider, device.customer)
    if served is None:
        return "", Answers({}, dict.fromkeys(line_ports, nobody_serves(device.customer)))
    source = served.open()
    try:
        return served.name, await source.lookup(line_ports)
    finally:
        await source.close()


def _line_status(
    line: Line, answers: Answers, known: Known | None, now: datetime, retention: timedelta, *, dect: bool
) -> LineStatus:
    bindings = answers.bindings.get(line.line_port)
    verdict = judge(bindings, known, now, retention, knows_since=answers.knows_since, dect=dect)
    binding = newest(bindings or (), now, dect=dect)
    live = sum(each.live(now) for each in bindings or ())
    unknown = verdict.state is LineState.UNKNOWN
    reason = answers.unanswered.get(line.line_port)
    if verdict.evidence is Evidence.FORGOTTEN:
        reason = message("The registrar restarted and keeps its bindings in memory only.")
    return LineStatus(
        line=line,
        state=verdict.state,
        evidence=verdict.evidence,
        binding=binding,
        # A handset's contacts at other bases are ghosts, not bindings.
        bindings=None if bindings is None else min(live, 1) if dect else live,
        state_before=known.state if known else None,
        state_known_at=(known.known_at if known else None) if unknown else now,
        expires_at=binding.expires_at if binding else (known.expires_at if known else None),
        reason=reason,
    )


def _remember(lake: Lake, device: Device) -> dict[int, Known]:
    rows = lake.last_relation(Scope(device.provider, device.customer))
    keys = [line.key for line in device.lines]
    sql = (
        "SELECT line_key, if(state = 'unknown', state_before, state), expires_at, "  # noqa: S608 - own texts
        "if(state = 'unknown', evidence_before, evidence), state_known_at "
        f"FROM {rows} WHERE line_key IN (SELECT unnest($keys::BIGINT[]))"
    )
    with lake.connection() as cursor:
        found: Sequence[tuple[int, str | None, datetime | None, str | None, datetime | None]] = (
            cursor.execute(sql, {"keys": keys}).fetchall()
        )
    return {
        key: Known(LineState(state), utc(expires_at), Evidence(why) if why else None, utc(known_at))
        for key, state, expires_at, why, known_at in found
        if state is not None
    }
