"""The plan of a restart: pure functions of what is known of the devices, their registrations and the past."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from devlib.errors import UsageError
from devlib.fleet.restart_outcome import RestartResult
from devlib.fleet.restart_vendors import boot_seconds_of, profile_of
from devlib.language import Message, message
from devlib.model import Binding, Device, DeviceKind, DeviceType, Scope, identify
from devlib.network import Answers
from devlib.storage import RestartStep, StepState

DEFAULT_RATE = 2.0
_MOST_WINDOW = 1_024


@dataclass(frozen=True, slots=True)
class RestartOptions:
    """How a restart is done.

    Args:
        rate: most NOTIFYs per second; `None` for the network's own limit, which is never exceeded.
        canary: devices, of different models where there are, that must be confirmed before the rest goes.
        stop_after: failures at which it stops; 0 for never.
        stop_share: share of failures (0 to 1) above which it stops; 0 for never.
        grace: seconds beyond its boot time for which a device's new registration is awaited.
        boot_seconds: boot time of every device in place of its vendor's; `None` for the vendors'.
        patience: seconds for which it waits for a network that does not answer.
        answer_seconds: seconds for which a phone may keep the NOTIFY unanswered.
        window: most NOTIFYs without an answer at once.
        force: restarts also devices that were restarted a moment ago.
    """

    rate: float | None = None
    canary: int = 3
    stop_after: int = 20
    stop_share: float = 0.25
    grace: float = 60.0
    boot_seconds: float | None = None
    patience: float = 1_800.0
    answer_seconds: float = 8.0
    window: int = 64
    force: bool = False

    def __post_init__(self) -> None:
        wrong = [
            name
            for name, right in (
                ("rate", self.rate is None or 0 < self.rate <= 1_000),  # noqa: PLR2004 - as in devlib.toml
                ("canary", self.canary >= 0),
                ("stop_after", self.stop_after >= 0),
                ("stop_share", 0 <= self.stop_share <= 1),
                ("grace", self.grace >= 0),
                ("boot_seconds", self.boot_seconds is None or self.boot_seconds > 0),
                ("patience", self.patience >= 0),
                ("answer_seconds", self.answer_seconds > 0),
                ("window", 1 <= self.window <= _MOST_WINDOW),
            )
            if not right
        ]
        if wrong:
            raise UsageError(
                message("A restart cannot be done like this: {names}.", names=", ".join(wrong)),
                remedy=message("Give a rate of up to 1000 per second, shares from 0 to 1, and no negatives."),
            )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that may be restarted.

    Args:
        device: with its lines.
        kind: its type in the catalogue; `None` where that lacks it.
        network: name of the network that serves it; empty for none.
    """

    device: Device
    kind: DeviceType | None
    network: str

    @property
    def dect(self) -> bool:
        """Whether it is a DECT base, whose lines are handsets that roam."""
        return self.kind is not None and self.kind.kind is DeviceKind.DECT_BASE


@dataclass(frozen=True, slots=True)
class Chosen:
    """The line through which a device is addressed, and how it is registered now."""

    line_port: str
    calls: tuple[str, ...]
    phone: str


@dataclass(frozen=True, slots=True)
class RestartPlan:
    """What a restart would do.

    Args:
        planned_at: when that was worked out, UTC.
        target: what for, in words.
        scope: the part of the fleet that it may touch.
        rate: most NOTIFYs per second.
        options: everything else that was asked for.
        steps: each device once, in the order in which they are sent; what is skipped has its outcome already.
    """

    planned_at: datetime
    target: str
    scope: Scope
    rate: float
    options: RestartOptions
    steps: tuple[RestartStep, ...]

    @property
    def to_send(self) -> tuple[RestartStep, ...]:
        """The devices that would be sent a NOTIFY."""
        return tuple(step for step in self.steps if step.state is StepState.WAITING)

    @property
    def seconds(self) -> float:
        """About how long it takes when everything goes well: the canary's return, then all the others."""
        going = self.to_send
        if not going:
            return 0.0
        slowest = max(step.boot_seconds for step in going)
        canary = max((step.boot_seconds for step in going if step.canary), default=0.0)
        held = canary if any(not step.canary for step in going) else 0.0
        return held + (len(going) - 1) / self.rate + slowest


def make_plan(
    candidates: Iterable[Candidate],
    answers: Mapping[str, Answers],
    options: RestartOptions,
    *,
    now: datetime,
    last_restarts: Mapping[str, datetime],
    known_macs: Collection[int] = (),
) -> list[RestartStep]:
    """Return each device once, in the order of sending.

    Args:
        candidates: the devices; one that comes twice counts once.
        answers: what each network said of their lines, by name.
        options: how.
        now: UTC.
        last_restarts: when each device was last sent a NOTIFY, by MAC, UTC.
        known_macs: MAC numbers of the inventory, for phones that register with another's.
    """
    steps: dict[str, RestartStep] = {}
    for each in sorted(candidates, key=_order):
        mac = str(each.device.mac)
        if mac not in steps:
            found = answers.get(each.network, Answers())
            steps[mac] = _step(each, found, options, now, last_restarts.get(mac), known_macs)
    return _numbered(choose_canaries(list(steps.values()), options.canary))


def _order(candidate: Candidate) -> tuple[str, str, str, int]:
    device = candidate.device
    return device.provider, device.customer, device.site, device.mac.value


def _step(
    candidate: Candidate,
    answers: Answers,
    options: RestartOptions,
    now: datetime,
    last: datetime | None,
    known_macs: Collection[int],
) -> RestartStep:
    device, kind = candidate.device, candidate.kind
    boot = options.boot_seconds or boot_seconds_of(kind)
    step = RestartStep(
        position=0,
        mac=str(device.mac),
        device_type=device.device_type,
        provider=device.provider,
        customer=device.customer,
        site=device.site,
        network=candidate.network,
        line_port="",
        event=profile_of(kind).event,
        boot_seconds=boot,
        confirm_seconds=boot + options.grace,
    )
    chosen, outcome, reason = choose_line(candidate, answers, now, known_macs)
    if chosen is not None:
        step = replace(step, line_port=chosen.line_port, calls_before=chosen.calls, phone_before=chosen.phone)
        if options.force or not still_boots(last, boot, now):
            return step
        outcome, reason = RestartResult.SKIPPED, restarted_before(last, now)
    return replace(step, state=StepState.ENDED, outcome=outcome.value, reason=reason, ended_at=now)


def still_boots(last: datetime | None, boot_seconds: float, now: datetime) -> bool:
    """Return whether a device that was last sent a NOTIFY then may still be on its way back."""
    return last is not None and now < last + timedelta(seconds=boot_seconds)


def restarted_before(last: datetime | None, now: datetime) -> Message | None:
    """Return why a device is skipped."""
    if last is None:
        return None
    seconds = round((now - last).total_seconds())
    return message("It was restarted {seconds} s ago and may still be booting.", seconds=max(seconds, 0))


def choose_line(
    candidate: Candidate, answers: Answers, now: datetime, known_macs: Collection[int]
) -> tuple[Chosen | None, RestartResult, Message | None]:
    """Return the best line of a device, or the outcome and the reason why it has none.

    Best is a line whose phone says the device's own MAC, then one with a single registration (a NOTIFY goes
    to all phones of a line), then the newest one. A line where another device of the inventory is registered
    never counts: that other device would restart. So a handset that roamed restarts no foreign base.
    """
    device = candidate.device
    if not device.lines:
        return None, RestartResult.NOT_REGISTERED, message("No line of it is assigned.")
    found, foreign = [], 0
    for line in device.lines:
        live = [each for each in answers.bindings.get(line.line_port, ()) if each.live(now)]
        if not live:
            continue
        newest = max(live, key=_registered)
        own = _whose(newest, candidate, known_macs)
        if own is None:
            foreign += 1
        else:
            found.append(((own, len(live) == 1, _registered(newest), line.line_port), live, newest))
    if not found:
        return None, *_why_none(device, answers, foreign)
    (*_, line_port), live, newest = max(found, key=lambda each: each[0])
    calls = tuple(sorted({each.call_id for each in live if each.call_id}))
    return Chosen(line_port, calls, _phone(newest)), RestartResult.ACCEPTED, None


def _registered(binding: Binding) -> float:
    return binding.registered_at.timestamp() if binding.registered_at else 0.0


def _whose(binding: Binding, candidate: Candidate, known_macs: Collection[int]) -> bool | None:
    """Return whether the phone says the device's MAC; `None` where it is another device for sure."""
    said = identify(binding.user_agent, binding.instance, binding.contact).mac
    if said is None or said == candidate.device.mac:
        return said is not None
    # The inventory decides which phone a line is, unless it knows that other phone: then it would restart.
    return None if said.value in known_macs else False


def _why_none(device: Device, answers: Answers, foreign: int) -> tuple[RestartResult, Message | None]:
    for line in device.lines:
        if reason := answers.unanswered.get(line.line_port):
            return RestartResult.UNREACHABLE, reason
    if foreign:
        return RestartResult.NOT_REGISTERED, message("Its lines are registered by another device.")
    return RestartResult.NOT_REGISTERED, None


def choose_canaries(steps: Sequence[RestartStep], count: int) -> list[RestartStep]:
    """Return the steps with the canaries first: of different models as long as there are any, then more."""
    waiting = [step for step in steps if step.state is StepState.WAITING]
    seen: dict[str, int] = {}
    turns = []
    for place, step in enumerate(waiting):
        seen[step.device_type] = turn = seen.get(step.device_type, 0) + 1
        turns.append((turn, place))
    chosen = {id(waiting[place]) for _, place in sorted(turns)[:count]}
    first = [replace(step, canary=True) for step in waiting if id(step) in chosen]
    return first + [step for step in steps if id(step) not in chosen]


def _numbered(steps: Sequence[RestartStep]) -> list[RestartStep]:
    return [replace(step, position=place) for place, step in enumerate(steps)]


def is_back(step: RestartStep, bindings: Iterable[Binding]) -> bool:
    """Return whether a registration proves that the device has restarted.

    That is one with a Call-ID that its line did not have before, not older than the NOTIFY (SIP study §4),
    and of the same phone where it says which: a handset whose base restarts may roam to another meanwhile.
    """
    return step.sent_at is not None and any(_proves(step, each, step.sent_at) for each in bindings)


def _proves(step: RestartStep, binding: Binding, sent_at: datetime) -> bool:
    if not binding.call_id or binding.call_id in step.calls_before:
        return False
    # Registrars stamp whole seconds: a REGISTER in the second of the NOTIFY may carry an earlier stamp.
    if binding.registered_at is not None and binding.registered_at < sent_at.replace(microsecond=0):
        return False
    says = _phone(binding)
    return says in ("", step.mac, step.phone_before) or not step.phone_before


def _phone(binding: Binding) -> str:
    """Return what tells a phone from others on the same line: the MAC that it says, or its instance."""
    said = identify(binding.user_agent, binding.instance, binding.contact).mac
    return str(said) if said else (binding.instance or "")
