"""The simulated network: seeded, driven by the clock, and the same again at every moment.

A site is the domain of a line port (`2001@lyon.alpha.example`). Lines of one device share its fate.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from devlib.clock import Clock
from devlib.config import SimulatorSettings
from devlib.errors import NetworkUnreachable
from devlib.language import Message, message
from devlib.model import Binding
from devlib.network.hostile import USER_AGENT_LIMIT, clean_text
from devlib.network.protocol import (
    CHECK_SYNC,
    NO_LINE_PORT,
    Answers,
    Capabilities,
    Change,
    ChangeKind,
    Health,
    RestartAnswer,
    RestartOutcome,
    is_line_port,
    network_form,
    require_restartable,
)
from devlib.network.simulator_behaviour import Habit, Temper, Weather, roll
from devlib.network.simulator_devices import DeviceOf, identify, made_up_device
from devlib.network.simulator_script import ScriptedLine

_AT_ONCE = 2_000  # line ports between two turns of the event loop
_CACHE_LIMIT = 120_000  # lines, about 1 kB each
_NOWHERE = -1
_TEST_NETS = ("192.0.2", "198.51.100", "203.0.113")  # RFC 5737: addresses that belong to nobody
_BOOT_SECONDS = 8  # the shortest; the longest is 30
_BOOT_SPREAD = 23

_REFUSALS = (  # per hundred devices, summed up
    (3, RestartOutcome.AUTH_NEEDED, 401, "Unauthorized"),
    (5, RestartOutcome.REFUSED, 489, "Bad Event"),
    (6, RestartOutcome.REFUSED, 481, "Subscription does not exist"),
)


@dataclass(frozen=True, slots=True)
class _Line:
    """What stays the same of a line port."""

    site: str
    registrar: int
    device: str
    bits: int
    temper: Temper
    contact: str
    received: str
    user_agent: str | None
    instance: str | None


class Simulator:
    """A network of made-up phones; the last methods play single lines by hand.

    Args:
        settings: seed, number of registrars, name.
        clock: the moment that is simulated.
        device_of: device type and MAC of a line port, so that user agent and fate fit its device.
        known: line ports that `snapshot` and `changes` tell of, beside those played by hand.
    """

    def __init__(
        self,
        settings: SimulatorSettings,
        clock: Clock,
        *,
        device_of: DeviceOf | None = None,
        known: Iterable[str] = (),
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._device_of = device_of or (lambda _: None)
        self._known = dict.fromkeys(known)
        self._weather = Weather(settings.seed, settings.registrars)
        self._lines: dict[str, _Line] = {}
        self._scripted: dict[str, ScriptedLine] = {}
        self._restarts: dict[str, list[int]] = {}
        self._restart_answers: dict[str, tuple[RestartOutcome, int | None]] = {}
        self._down: set[int] = set()
        self._capabilities = Capabilities(
            user_agent=True, instance=True, snapshot=True, delta=True, explicit_unregister=True, restart=True
        )

    @property
    def name(self) -> str:
        """The name of the network in `devlib.toml`."""
        return self._settings.name

    @property
    def capabilities(self) -> Capabilities:
        """Everything but push."""
        return self._capabilities

    async def lookup(self, line_ports: Iterable[str]) -> Answers:
        """Return the live bindings of `line_ports` at the clock's moment."""
        answers = Answers()
        moment = self._moment()
        reasons = {**self._unreachable(moment), _NOWHERE: NO_LINE_PORT}
        for number, line_port in enumerate(line_ports, 1):
            line = self._lines.get(line_port) or self._line(line_port)
            if line.registrar in reasons:
                answers.unanswered[line_port] = reasons[line.registrar]
            else:
                binding = self._binding(line_port, line, moment)
                answers.bindings[line_port] = () if binding is None else (binding,)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return answers

    async def snapshot(self) -> AsyncIterator[Binding]:
        """Yield the live binding of every known line port.

        Raises:
            NetworkUnreachable: one of the registrars does not answer; a part would look like the whole.
        """
        answers = await self.lookup(tuple(self._known))
        for reason in answers.unanswered.values():
            raise NetworkUnreachable(reason, where=self.name)
        for bindings in answers.bindings.values():
            for binding in bindings:
                yield binding

    async def changes(self, since: datetime) -> AsyncIterator[Change]:
        """Yield the last change of every known line port after `since`, if it had any.

        Raises:
            NetworkUnreachable: one of the registrars does not answer.
        """
        now = self._moment()
        for reason in self._unreachable(now).values():
            raise NetworkUnreachable(reason, where=self.name)
        for line_port in tuple(self._known):
            line = self._lines.get(line_port) or self._line(line_port)
            before = self._binding(line_port, line, since.timestamp())
            after = self._binding(line_port, line, now)
            if after is not None and (before is None or after.registered_at != before.registered_at):
                same = before is not None and before.call_id == after.call_id
                kind = ChangeKind.REFRESHED if same else ChangeKind.REGISTERED
                yield Change(kind, line_port, after.registered_at or self._clock.now(), after)
            elif after is None and before is not None:
                yield self._end(line, before)

    async def check(self) -> Health:
        """Return whether all registrars answer at this moment."""
        down = self._unreachable(self._moment())
        up = self._settings.registrars - len(down)
        detail = message("{up} of {all} simulated registrars answer.", up=up, all=self._settings.registrars)
        return Health(self.name, not down, detail)

    async def close(self) -> None:
        """Do nothing: nothing is held."""

    async def restart(
        self, line_port: str, event: str = CHECK_SYNC, limit_seconds: float = 8.0
    ) -> RestartAnswer:
        """Restart the device behind `line_port`: most accept, and register anew 8 to 30 s later.

        Raises:
            UsageError: line port or event is not of that form.
        """
        require_restartable(line_port, event)
        moment = self._moment()
        line = self._line(line_port)
        if reason := self._unreachable(moment).get(line.registrar):
            return RestartAnswer(line_port, RestartOutcome.UNREACHABLE, reason=str(reason))
        if self._binding(line_port, line, moment) is None:
            return RestartAnswer(line_port, RestartOutcome.NOT_REGISTERED)
        outcome, code, text = self._restart_outcome(line_port, line, moment)
        if outcome is RestartOutcome.NO_ANSWER:
            await self._clock.wait(limit_seconds)
        if outcome is RestartOutcome.ACCEPTED:
            boot = int(moment) + _BOOT_SECONDS + line.bits % _BOOT_SPREAD
            self._restarts.setdefault(line.device, []).append(boot)
        return RestartAnswer(line_port, outcome, code, text)

    # --- by hand

    def register(
        self,
        line_port: str,
        *,
        expires: float | None = 3600,
        user_agent: str | None = None,
        contact: str | None = None,
        instance: str | None = None,
    ) -> None:
        """Register a line by hand; it refreshes until it signs off or falls silent.

        Args:
            line_port: from now on played by hand; chance no longer touches it.
            expires: seconds of each registration; `None` for a permanent binding.
            user_agent: hostile text is cleaned as from a real registrar; by default one that fits the device.
            contact: by default one at a private address.
            instance: `+sip.instance`, without angle brackets.
        """
        start = self._clock.now().timestamp()
        self._scripted[network_form(line_port)] = ScriptedLine(start, expires, user_agent, contact, instance)
        self._known.setdefault(line_port)

    def sign_off(self, line_port: str) -> None:
        """Let a line say goodbye: its binding is gone at once. A line of chance stays away from now on."""
        self._played(line_port).gone_since = self._clock.now().timestamp()

    def fall_silent(self, line_port: str) -> None:
        """Let a registered line lose its power: its binding stays until it expires."""
        self._played(line_port).silent_since = self._clock.now().timestamp()

    def registrar_down(self, line_port: str | None = None) -> None:
        """Make the registrar of `line_port` unreachable; without one, all of them."""
        self._down |= self._registrars_of(line_port)

    def registrar_up(self, line_port: str | None = None) -> None:
        """End what `registrar_down` did; gaps of chance stay."""
        self._down -= self._registrars_of(line_port)

    def answer_restart(self, line_port: str, outcome: RestartOutcome, code: int | None = None) -> None:
        """Decide how the phone behind `line_port` answers a restart."""
        self._restart_answers[network_form(line_port)] = (outcome, code)

    # --- inside

    def _moment(self) -> float:
        return self._clock.now().timestamp()

    def _registrars_of(self, line_port: str | None) -> set[int]:
        if line_port is None:
            return set(range(self._settings.registrars))
        return {self._line(line_port).registrar}

    def _played(self, line_port: str) -> ScriptedLine:
        if network_form(line_port) not in self._scripted:
            self.register(line_port)
        return self._scripted[network_form(line_port)]

    def _unreachable(self, moment: float) -> dict[int, Message]:
        return {
            number: message(
                "Registrar {number} of {network} does not answer.", number=number, network=self.name
            )
            for number in self._weather.unreachable(int(moment)) | self._down
        }

    def _line(self, line_port: str) -> _Line:
        seed = self._settings.seed
        user, _, domain = line_port.rpartition("@")
        site = domain.lower()
        known = self._device_of(line_port)
        if known is None:
            device = network_form(line_port)
            bits = roll(seed, "device", device)
            device_type, mac = made_up_device(bits)
        else:
            device_type, mac = known
            device = mac
            bits = roll(seed, "device", device)
        said = identify(device_type, mac, bits >> 3)
        place = roll(seed, "place", site)
        public = f"{_TEST_NETS[place % 3]}.{place // 3 % 254 + 1}"
        private = f"192.168.{place % 250}.{bits % 250 + 2}"
        line = _Line(
            site,
            self._weather.registrar(site) if is_line_port(line_port) else _NOWHERE,
            device,
            bits,
            Temper.of(bits),
            contact=clean_text(f"sip:{user}@{private}:5060") or "",
            received=f"sip:{public}:{1024 + bits % 60_000}",
            user_agent=said.user_agent,
            instance=said.instance,
        )
        if len(self._lines) >= _CACHE_LIMIT:
            self._lines.clear()
        self._lines[line_port] = line
        return line

    def _binding(self, line_port: str, line: _Line, moment: float) -> Binding | None:
        if self._scripted:
            scripted = self._scripted.get(network_form(line_port))
            if scripted is not None:
                return self._scripted_binding(line_port, line, scripted, moment)
        temper = line.temper
        if temper.habit is Habit.PERMANENT:
            return Binding(line_port, line.contact, None, registrar=self.name)
        second = int(moment)
        last = temper.last_register(second, self._weather.outage(line.site, second))
        if last is None:
            return None
        boot, since = temper.boot(last)
        last, rebooted = self._after_restart(line, last, moment)
        return Binding(
            line_port,
            line.contact,
            datetime.fromtimestamp(last + temper.expires, UTC),
            datetime.fromtimestamp(last, UTC),
            line.user_agent,
            line.received,
            f"{line.bits:016x}-{boot}-{rebooted}@{line.site}",
            max(since, 0) // (temper.expires // 2) + 1,
            line.instance,
            None,
            self.name,
        )

    def _after_restart(self, line: _Line, last: int, moment: float) -> tuple[int, int]:
        """Return the last REGISTER with ordered restarts counted in, and how many there were."""
        past = [boot for boot in self._restarts.get(line.device, ()) if boot <= moment]
        return (max(last, past[-1]), len(past)) if past else (last, 0)

    def _scripted_binding(
        self, line_port: str, line: _Line, played: ScriptedLine, now: float
    ) -> Binding | None:
        last = played.last_register(now)
        if last is None:
            return None
        past = [boot for boot in self._restarts.get(line.device, ()) if played.since < boot <= now]
        last = max([last, *past])
        return Binding(
            line_port,
            clean_text(played.contact) or line.contact,
            None if played.expires is None else datetime.fromtimestamp(last + played.expires, UTC),
            datetime.fromtimestamp(last, UTC),
            clean_text(played.user_agent, USER_AGENT_LIMIT) or line.user_agent,
            line.received,
            f"{int(played.since)}-{line.bits:x}-{len(past)}",
            1,
            clean_text(played.instance) or line.instance,
            None,
            self.name,
        )

    def _end(self, line: _Line, last: Binding) -> Change:
        """Return how the binding ended that is gone; the moment is as near as two looks can tell."""
        played = self._scripted.get(network_form(last.line_port))
        registered = (last.registered_at or self._clock.now()).timestamp()
        goodbye = line.temper.sign_off(int(registered)) if played is None else played.sign_off()
        if goodbye is not None:
            return Change(ChangeKind.SIGNED_OFF, last.line_port, datetime.fromtimestamp(goodbye, UTC), last)
        at = min(last.expires_at or self._clock.now(), self._clock.now())
        return Change(ChangeKind.EXPIRED, last.line_port, at, last)

    def _restart_outcome(
        self, line_port: str, line: _Line, moment: float
    ) -> tuple[RestartOutcome, int | None, str]:
        form = network_form(line_port)
        if decided := self._restart_answers.get(form):
            return *decided, ""
        if played := self._scripted.get(form):
            silent = played.silent_since is not None
        else:
            second = int(moment)
            outage = self._weather.outage(line.site, second)
            silent = not line.temper.on(second) or bool(outage and outage[0] <= moment < outage[1])
            for limit, outcome, code, text in _REFUSALS:
                if line.bits // 1000 % 100 < limit and not silent:
                    return outcome, code, text
        if silent:
            return RestartOutcome.NO_ANSWER, 408, "Request Timeout"
        return RestartOutcome.ACCEPTED, 200, "OK"
