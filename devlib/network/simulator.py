"""The simulated network: seeded, driven by the clock, and the same again at every moment.

A site is the domain of a line port (`2001@lyon.alpha.example`). Lines of one device share its fate.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

import pyarrow as pa

from devlib.clock import Clock
from devlib.config import SimulatorSettings
from devlib.errors import NetworkUnreachable
from devlib.language import Message, message
from devlib.model import Binding
from devlib.network.protocol import (
    CHECK_SYNC,
    NO_LINE_PORT,
    WHOLE,
    Answers,
    Capabilities,
    Change,
    ChangeKind,
    FeedBack,
    FeedEvent,
    FeedLost,
    Health,
    RestartAnswer,
    RestartOutcome,
    require_restartable,
)
from devlib.network.reach import Reach, ReachOutcome
from devlib.network.simulator_devices import DeviceOf
from devlib.network.simulator_lines import NOWHERE
from devlib.network.simulator_script import ScriptedLine
from devlib.network.simulator_world import World

_LOOK_EVERY = 1.0  # seconds between two looks of the event feed
_PROBE_SECONDS = 4.0  # for which a probe waits
_FASTEST_MS, _SPREAD_MS = 4, 60  # milliseconds of a phone's answer
_AT_ONCE = 2_000  # line ports between two turns of the event loop


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
        self._known = dict.fromkeys(known)
        self._world = World(settings.name, settings.seed, settings.registrars, device_of or (lambda _: None))
        self._down: set[int] = set()
        self._capabilities = Capabilities(
            user_agent=True,
            instance=True,
            snapshot=True,
            delta=True,
            push=True,
            explicit_unregister=True,
            restart=True,
            whole=bool(self._known),
            probe=True,
        )

    @property
    def name(self) -> str:
        """The name of the network in `devlib.toml`."""
        return self._settings.name

    @property
    def capabilities(self) -> Capabilities:
        """Everything."""
        return self._capabilities

    async def lookup(self, line_ports: Iterable[str]) -> Answers:
        """Return the live bindings of `line_ports` at the clock's moment."""
        answers = Answers()
        moment = self._moment()
        reasons = {**self._unreachable(moment), NOWHERE: NO_LINE_PORT}
        for number, line_port in enumerate(line_ports, 1):
            line = self._world.line(line_port)
            if line.registrar in reasons:
                answers.unanswered[line_port] = reasons[line.registrar]
            else:
                binding = self._world.binding(line_port, line, moment)
                ghosts = self._world.ghosts(line_port, line, moment)
                answers.bindings[line_port] = ghosts if binding is None else (binding, *ghosts)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return answers

    async def snapshot(self) -> AsyncIterator[Binding]:
        """Yield the live bindings of every known line port.

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
            line = self._world.line(line_port)
            before = self._world.binding(line_port, line, since.timestamp())
            after = self._world.binding(line_port, line, now)
            if after is not None and (before is None or after.registered_at != before.registered_at):
                same = before is not None and before.call_id == after.call_id
                kind = ChangeKind.REFRESHED if same else ChangeKind.REGISTERED
                yield Change(kind, line_port, after.registered_at or self._clock.now(), after)
            elif after is None and before is not None:
                yield self._end(before)

    async def whole(self) -> pa.Table:
        """Return the live binding of every known line port.

        Raises:
            NetworkUnreachable: one of the registrars does not answer.
        """
        rows = [{name: getattr(binding, name) for name in WHOLE.names} async for binding in self.snapshot()]
        for row in rows:
            for name in ("expires_at", "registered_at"):
                row[name] = row[name].replace(tzinfo=None) if row[name] else None
        return pa.Table.from_pylist(rows, WHOLE)

    async def events(self) -> AsyncIterator[FeedEvent]:
        """Yield what happens to the known line ports, second by second of the clock."""
        since, connected = self._clock.now(), None
        while True:
            now = self._clock.now()
            reason = next(iter(self._unreachable(self._moment()).values()), None)
            if reason is not None and connected is not False:
                connected = False
                yield FeedLost(now, reason)
            elif reason is None and not connected:
                connected, since = True, now
                yield FeedBack(now)
            elif reason is None and now > since:
                async for change in self.changes(since):
                    yield change
                since = now
            await self._clock.wait(_LOOK_EVERY)

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
        line = self._world.line(line_port)
        if reason := self._unreachable(moment).get(line.registrar):
            return RestartAnswer(line_port, RestartOutcome.UNREACHABLE, reason=str(reason))
        if self._world.binding(line_port, line, moment) is None:
            return RestartAnswer(line_port, RestartOutcome.NOT_REGISTERED)
        outcome, code, text = self._world.restart_outcome(line_port, line, moment)
        if outcome is RestartOutcome.NO_ANSWER:
            await self._clock.wait(limit_seconds)
        if outcome is RestartOutcome.ACCEPTED:
            self._world.reboot(line, moment)
        return RestartAnswer(line_port, outcome, code, text)

    async def probe(self, line_ports: Iterable[str]) -> AsyncIterator[Reach]:
        """Yield whether each phone answers at the clock's moment; the silent ones cost one wait together."""
        silent = []
        for number, line_port in enumerate(dict.fromkeys(line_ports), 1):
            reach = self._reach(line_port, self._moment())
            if reach.outcome is ReachOutcome.SILENT:
                silent.append(reach)
            else:
                yield reach
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        if silent:
            await self._clock.wait(_PROBE_SECONDS)
        for reach in silent:
            yield reach

    def _reach(self, line_port: str, moment: float) -> Reach:
        line = self._world.line(line_port)
        if line.registrar == NOWHERE:
            return Reach(line_port, ReachOutcome.UNROUTABLE, reason=NO_LINE_PORT)
        if (reason := self._unreachable(moment).get(line.registrar)) is not None:
            return Reach(line_port, ReachOutcome.UNREACHABLE, reason=reason)
        binding = self._world.binding(line_port, line, moment)
        if binding is None:
            return Reach(line_port, ReachOutcome.NOT_REGISTERED)
        if self._world.silent(line_port, line, moment):
            return Reach(line_port, ReachOutcome.SILENT)
        seconds = (_FASTEST_MS + line.bits % _SPREAD_MS) / 1000
        return Reach(line_port, ReachOutcome.ANSWERS, 200, seconds, binding.user_agent)

    # --- by hand

    def register(
        self,
        line_port: str,
        *,
        expires: float | None = 3600,
        user_agent: str | None = None,
        contact: str | None = None,
        instance: str | None = None,
        beside: bool = False,
    ) -> None:
        """Register a line by hand; it refreshes until it signs off or falls silent.

        Args:
            line_port: from now on played by hand; chance no longer touches it.
            expires: seconds of each registration; `None` for a permanent binding.
            user_agent: hostile text is cleaned as from a real registrar; by default one that fits the device.
            contact: by default one at a private address.
            instance: `+sip.instance`, without angle brackets.
            beside: whether its earlier registration by hand stays until it expires: a second phone, or the
                ghost that a DECT handset leaves at another base.
        """
        start = self._clock.now().timestamp()
        script = ScriptedLine(start, expires, user_agent, contact, instance)
        self._world.play(line_port, script, beside=beside)
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
        self._world.decide_restart(line_port, outcome, code)

    # --- inside

    def _moment(self) -> float:
        return self._clock.now().timestamp()

    def _registrars_of(self, line_port: str | None) -> set[int]:
        if line_port is None:
            return set(range(self._settings.registrars))
        return {self._world.line(line_port).registrar}

    def _played(self, line_port: str) -> ScriptedLine:
        played = self._world.played(line_port)
        if played is None:
            self.register(line_port)
            return self._played(line_port)
        return played

    def _gaps(self, moment: int) -> frozenset[int]:
        return self._world.weather.unreachable(moment) if self._settings.gaps else frozenset()

    def _unreachable(self, moment: float) -> dict[int, Message]:
        return {
            number: message(
                "Registrar {number} of {network} does not answer.", number=number, network=self.name
            )
            for number in self._gaps(int(moment)) | self._down
        }

    def _end(self, last: Binding) -> Change:
        """Return how the binding ended that is gone; the moment is as near as two looks can tell."""
        now = self._clock.now()
        goodbye = self._world.goodbye(last, (last.registered_at or now).timestamp())
        if goodbye is not None:
            return Change(ChangeKind.SIGNED_OFF, last.line_port, datetime.fromtimestamp(goodbye, UTC), last)
        return Change(ChangeKind.EXPIRED, last.line_port, min(last.expires_at or now, now), last)
