"""What simulated registrars hold at a moment and how phones answer: by chance, or as played by hand."""

from datetime import UTC, datetime

from devlib.model import Binding
from devlib.network.hostile import USER_AGENT_LIMIT, clean_text
from devlib.network.protocol import RestartOutcome, network_form
from devlib.network.simulator_behaviour import Habit, Weather
from devlib.network.simulator_devices import DeviceOf
from devlib.network.simulator_lines import LineBook, SimulatedLine
from devlib.network.simulator_script import ScriptedLine

_BOOT_SECONDS = 8  # the shortest; the longest is 30
_BOOT_SPREAD = 23
_REFUSALS = (  # per hundred devices, summed up
    (3, RestartOutcome.AUTH_NEEDED, 401, "Unauthorized"),
    (5, RestartOutcome.REFUSED, 489, "Bad Event"),
    (6, RestartOutcome.REFUSED, 481, "Subscription does not exist"),
)


class World:
    """All lines of one simulated network; moments are seconds since 1970, UTC.

    Args:
        name: of the network.
        seed: decides everything that is not played by hand.
        registrars: how many there are.
        device_of: device type and MAC of a line port.
    """

    def __init__(self, name: str, seed: int, registrars: int, device_of: DeviceOf) -> None:
        self._name = name
        self.weather = Weather(seed, registrars)
        self._book = LineBook(seed, self.weather, device_of)
        self.line = self._book.line
        self._scripted: dict[str, ScriptedLine] = {}
        self._left_behind: dict[str, list[ScriptedLine]] = {}
        self._restarts: dict[str, list[int]] = {}
        self._restart_answers: dict[str, tuple[RestartOutcome, int | None]] = {}

    def play(self, line_port: str, script: ScriptedLine, *, beside: bool = False) -> None:
        """Play a line by hand from now on; chance no longer touches it.

        Args:
            line_port: the line.
            script: what it does.
            beside: whether the binding of the script before stays until it expires, as a ghost.
        """
        form = network_form(line_port)
        before = self._scripted.get(form)
        if beside and before is not None:
            before.silent_since = script.since
            self._left_behind.setdefault(form, []).append(before)
        else:
            self._left_behind.pop(form, None)
        self._scripted[form] = script

    def ghosts(self, line_port: str, line: SimulatedLine, moment: float) -> tuple[Binding, ...]:
        """Return the bindings that a line left behind and that exist at `moment`."""
        if not self._left_behind:
            return ()
        left = self._left_behind.get(network_form(line_port), ())
        found = (self._scripted_binding(line_port, line, each, moment) for each in left)
        return tuple(each for each in found if each is not None)

    def played(self, line_port: str) -> ScriptedLine | None:
        """Return the script of a line that is played by hand, else `None`."""
        return self._scripted.get(network_form(line_port))

    def decide_restart(self, line_port: str, outcome: RestartOutcome, code: int | None) -> None:
        """Decide how the phone behind `line_port` answers a restart."""
        self._restart_answers[network_form(line_port)] = (outcome, code)

    def binding(self, line_port: str, line: SimulatedLine, moment: float) -> Binding | None:
        """Return the binding of `line_port` at `moment`, if there is one."""
        if self._scripted:
            scripted = self._scripted.get(network_form(line_port))
            if scripted is not None:
                return self._scripted_binding(line_port, line, scripted, moment)
        temper = line.temper
        if temper.habit is Habit.PERMANENT:
            return Binding(line_port, line.contact, None, registrar=self._name)
        second = int(moment)
        last = temper.last_register(second, self.weather.outage(line.site, second))
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
            self._name,
        )

    def _after_restart(self, line: SimulatedLine, last: int, moment: float) -> tuple[int, int]:
        """Return the last REGISTER with ordered restarts counted in, and how many there were."""
        past = [boot for boot in self._restarts.get(line.device, ()) if boot <= moment]
        return (max(last, past[-1]), len(past)) if past else (last, 0)

    def _scripted_binding(
        self, line_port: str, line: SimulatedLine, played: ScriptedLine, now: float
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
            self._name,
        )

    def goodbye(self, last: Binding, registered: float) -> float | None:
        """Return when the line of a binding signed off that was refreshed at `registered`, if it did."""
        played = self.played(last.line_port)
        if played is not None:
            return played.sign_off()
        return self.line(last.line_port).temper.sign_off(int(registered))

    def restart_outcome(
        self, line_port: str, line: SimulatedLine, moment: float
    ) -> tuple[RestartOutcome, int | None, str]:
        """Return how a registered phone answers a restart: outcome, SIP status, reason."""
        form = network_form(line_port)
        if decided := self._restart_answers.get(form):
            return *decided, ""
        if self.silent(line_port, line, moment):
            return RestartOutcome.NO_ANSWER, 408, "Request Timeout"
        if form not in self._scripted:
            for limit, outcome, code, text in _REFUSALS:
                if line.bits // 1000 % 100 < limit:
                    return outcome, code, text
        return RestartOutcome.ACCEPTED, 200, "OK"

    def silent(self, line_port: str, line: SimulatedLine, moment: float) -> bool:
        """Return whether the phone behind `line_port` has no power or no network at `moment`."""
        if played := self.played(line_port):
            return played.silent_since is not None
        second = int(moment)
        outage = self.weather.outage(line.site, second)
        return not line.temper.on(second) or bool(outage and outage[0] <= moment < outage[1])

    def reboot(self, line: SimulatedLine, moment: float) -> None:
        """Let the device of `line` register anew, 8 to 30 s after `moment`."""
        boot = int(moment) + _BOOT_SECONDS + line.bits % _BOOT_SPREAD
        self._restarts.setdefault(line.device, []).append(boot)
