"""A trial with simulated phones: who plays which part, and what happens to them as time goes by."""

import itertools
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from devlib.clock import Clock
from devlib.errors import UsageError
from devlib.language import message
from devlib.network.phone_behaviour import OK, AfterNotify, Challenge, Phone
from devlib.network.phones import PhoneFleet
from devlib.network.simulator_devices import identify, made_up_device

_BASES = 3
_BASE_TYPE = "Snom M700"
_NEVER_HOSTILE = 1  # an odd roll; see `devlib.network.simulator_devices`


@dataclass(frozen=True, slots=True)
class TrialLine:
    """One line of a trial.

    Args:
        phone: as it registers first.
        elsewhere: for a DECT handset: as the other bases of its chain register it.
    """

    phone: Phone
    elsewhere: tuple[Phone, ...] = ()

    def timed(self, expires: int, boot_seconds: float) -> "TrialLine":
        """Return it with these seconds of registration and of a reboot, at every base."""
        at = [
            replace(each, expires=expires, boot_seconds=boot_seconds)
            for each in (self.phone, *self.elsewhere)
        ]
        return TrialLine(at[0], tuple(at[1:]))


@dataclass(frozen=True, slots=True)
class Parts:
    """How many phones play which part; all lines of a phone play the same. The rest reboot when asked to.

    Args:
        silent: registered, and deaf to a restart.
        refuse: answer a restart with `refuse_status`.
        challenge: ask for a password first, then reboot.
        never_back: answer 200 and are never heard of again.
        ignore: answer 200 and go on as before.
        age: lose their power one after the other, without a goodbye.
        leave: sign off one after the other.
        roam: handsets (lines, not phones) that move from base to base again and again.
        refuse_status: of those that refuse.
    """

    silent: int = 0
    refuse: int = 0
    challenge: int = 0
    never_back: int = 0
    ignore: int = 0
    age: int = 0
    leave: int = 0
    roam: int = 0
    refuse_status: int = 403


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays what.

    Args:
        lines: all of them, with their parts.
        aging: line ports of the phones that lose their power, phone by phone.
        leaving: line ports of the phones that sign off, phone by phone.
        roaming: the handsets that move.
    """

    lines: tuple[TrialLine, ...]
    aging: tuple[tuple[str, ...], ...] = ()
    leaving: tuple[tuple[str, ...], ...] = ()
    roaming: tuple[TrialLine, ...] = ()


def trial_line(
    line_port: str, device_type: str, mac: str, others: Sequence[tuple[str, str]] = ()
) -> TrialLine:
    """Return a line whose phone says what a phone of that type says.

    Args:
        line_port: under which it registers.
        device_type: of its device, as in the catalogue.
        mac: of its device.
        others: type and MAC of the other bases of a DECT handset's chain.
    """
    at = [_phone_at(line_port, *each) for each in ((device_type, mac), *others)]
    return TrialLine(at[0], tuple(at[1:]))


def _phone_at(line_port: str, device_type: str, mac: str) -> Phone:
    said = identify(device_type, mac, _NEVER_HOSTILE)
    return Phone(line_port, said.user_agent or "", said.instance or "", device=mac)


def with_own_instance(line: TrialLine) -> TrialLine:
    """Return a handset that has one `+sip.instance` at every base, so that the registrar knows it again."""
    instance = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, 'sip:' + line.phone.line_port)}"
    phone, *elsewhere = (replace(each, instance=instance) for each in (line.phone, *line.elsewhere))
    return TrialLine(phone, tuple(elsewhere))


def made_up_lines(count: int, domain: str, handsets: int = 0) -> Iterator[TrialLine]:
    """Yield lines of phones that no inventory knows; the same for the same arguments.

    Args:
        count: how many, each a phone of its own.
        domain: of their line ports.
        handsets: how many of them are DECT handsets of one chain of three bases.
    """
    for number in range(count - handsets):
        device_type, mac = made_up_device(number << 8 | number % 256)
        yield trial_line(f"{2_000_000 + number}@{domain}", device_type, mac)
    bases = [(_BASE_TYPE, f"000413{0xF00000 + place:06X}") for place in range(_BASES)]
    for number in range(count - handsets, count):
        home, *others = bases[number % _BASES :] + bases[: number % _BASES]
        yield trial_line(f"{2_000_000 + number}@{domain}", *home, others)


def cast(lines: Sequence[TrialLine], parts: Parts, challenge: Challenge | None = None) -> Cast:
    """Give out the parts.

    Args:
        lines: of all phones; those of one device stand under its name in `Phone.device`.
        parts: how many play which.
        challenge: what those ask for that ask for a password; an empty user stands for the line port's own.

    Raises:
        UsageError: there are not so many phones or handsets.
    """
    devices: dict[str, list[TrialLine]] = {}
    for line in lines:
        devices.setdefault(line.phone.device or line.phone.line_port, []).append(line)
    left = iter(devices)
    given = {name: _take(left, wanted, name) for name, wanted in _wishes(parts)}
    behaviour = {name: part for part, names in given.items() for name in names}
    played = tuple(
        _play(line, behaviour.get(name, ""), parts, challenge) for name in devices for line in devices[name]
    )
    gone = {*given["age"], *given["leave"]}
    return Cast(
        played,
        _ports(devices, given["age"]),
        _ports(devices, given["leave"]),
        _roaming([each for each in played if each.phone.device not in gone], parts.roam),
    )


def _wishes(parts: Parts) -> list[tuple[str, int]]:
    names = ("silent", "refuse", "challenge", "never_back", "ignore", "age", "leave")
    return [(name, getattr(parts, name)) for name in names]


def _take(left: Iterator[str], wanted: int, part: str) -> list[str]:
    found = list(itertools.islice(left, wanted))
    if len(found) < wanted:
        raise _too_few(part, wanted, len(found))
    return found


def _too_few(part: str, wanted: int, found: int) -> UsageError:
    return UsageError(
        message(
            "{wanted} phones are to play the part {part}, but only {found} are left for it.",
            wanted=wanted,
            part=part.replace("_", "-"),
            found=found,
        ),
        remedy=message("Give more phones, or fewer parts."),
    )


def _roaming(lines: Sequence[TrialLine], wanted: int) -> tuple[TrialLine, ...]:
    found = [line for line in lines if line.elsewhere][:wanted]
    if len(found) < wanted:
        raise _too_few("roam", wanted, len(found))
    return tuple(found)


def _ports(devices: Mapping[str, Sequence[TrialLine]], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(line.phone.line_port for line in devices[name]) for name in names)


def _play(line: TrialLine, part: str, parts: Parts, challenge: Challenge | None) -> TrialLine:
    def play(phone: Phone) -> Phone:
        if part == "silent":
            return replace(phone, notify_status=None)
        if part == "refuse":
            return replace(phone, notify_status=parts.refuse_status)
        if part == "challenge" and challenge is not None:
            return replace(phone, challenge=_own(challenge, phone.line_port))
        after = {"never_back": AfterNotify.DIES, "ignore": AfterNotify.IGNORES}
        return replace(phone, after_notify=after.get(part, AfterNotify.REBOOTS))

    return TrialLine(play(line.phone), tuple(map(play, line.elsewhere)))


def _own(challenge: Challenge, line_port: str) -> Challenge:
    user = challenge.credentials.username or line_port.rpartition("@")[0]
    return replace(challenge, credentials=replace(challenge.credentials, username=user))


class Trial:
    """The life of a cast: it registers, and then one thing after the other happens.

    Args:
        fleet: opened.
        actors: who plays what.
        clock: for waiting.
        pace: seconds between two happenings: a phone ages or leaves, and a handset roams.
    """

    def __init__(self, fleet: PhoneFleet, actors: Cast, clock: Clock, pace: float) -> None:
        self._fleet = fleet
        self._cast = actors
        self._clock = clock
        self._pace = pace
        self.happened: Counter[str] = Counter()

    async def begin(self) -> dict[str, int]:
        """Register all phones; return the SIP status of each line port."""
        return await self._fleet.register(line.phone for line in self._cast.lines)

    async def go_on(self) -> None:
        """Let things happen for as long as nobody cancels this."""
        pairs = itertools.zip_longest(self._cast.aging, self._cast.leaving)
        goings = ((kind, ports) for pair in pairs for kind, ports in zip(("aged", "left"), pair, strict=True))
        moves = itertools.cycle(self._moves()) if self._cast.roaming else iter(())
        while True:
            await self._clock.wait(self._pace)
            await self._one_goes(goings)
            if (move := next(moves, None)) is not None:
                answers = await self._fleet.roam([move])
                self.happened["roamed"] += list(answers.values()) == [OK]

    async def sign_off(self) -> None:
        """Let every phone that is still there say goodbye."""
        await self._fleet.sign_off(self._fleet.present)

    async def _one_goes(self, goings: Iterator[tuple[str, tuple[str, ...] | None]]) -> None:
        kind, ports = next(((kind, ports) for kind, ports in goings if ports), ("", None))
        if ports is None:
            return
        if kind == "aged":
            self._fleet.fall_silent(ports)
        else:
            await self._fleet.sign_off(ports)
        self.happened[kind] += len(ports)

    def _moves(self) -> list[Phone]:
        """Return one round of moves: each handset to each of its other bases, and home again."""
        rounds = [(*line.elsewhere, line.phone) for line in self._cast.roaming]
        return [move for step in itertools.zip_longest(*rounds) for move in step if move is not None]
