"""A stage for restarts: a fleet in the inventory, a simulated network that keeps NOTIFYs, a clock."""

from datetime import timedelta

from devlib.clock import FakeClock
from devlib.collect import Networks, Served
from devlib.config import SimulatorSettings
from devlib.fleet import Restarting, RestartOptions, RestartPlan, RestartReport, at_once
from devlib.model import Mac, NewDevice, Scope, User
from devlib.network import Answers, RestartAnswer, RestartOutcome, Simulator
from devlib.storage import DeviceFilter, NewLine, open_inventory

TYPES = ("Yealink T46S", "Cisco 8851", "Yealink W60B")
BOOT = 60.0
SCOPE = Scope("Telecom", "Bakery", frozenset({"Lyon"}))


def mac(number: int) -> Mac:
    """Return the MAC of the numbered device."""
    return Mac(0x805EC0 << 24 | number)


def port(number: int, line: int = 1) -> str:
    """Return a line port of the numbered device."""
    return f"{2000 + number}{line}@lyon.example"


class StageNetwork(Simulator):
    """The simulator, which also keeps each NOTIFY, and can forget what it held as a restarted registrar does.

    Args:
        clock: of the stage.
        push: whether it has an event feed.
    """

    def __init__(self, clock: FakeClock, *, push: bool) -> None:
        self.sent: list[tuple[float, str, str]] = []
        self.never_back: set[str] = set()
        self.on_send = lambda count: None
        self._at = clock
        self._push = push
        self._began = clock.now() - timedelta(days=1)
        self._forgotten: set[str] = set()
        ports = [port(number, line) for number in range(200) for line in (1, 2)]
        super().__init__(
            SimulatorSettings(seed=7, registrars=1, gaps=False),
            clock,
            device_of=lambda line: (TYPES[(int(line[:4]) - 2000) % 3], str(mac(int(line[:4]) - 2000))),
            known=ports if push else (),
        )

    @property
    def capabilities(self):
        """Those of the simulator, with or without the feed."""
        from dataclasses import replace

        return replace(super().capabilities, push=self._push)

    async def lookup(self, line_ports):
        """Answer as a registrar that keeps its bindings in memory only."""
        answers = await super().lookup(line_ports)
        for line_port in self._forgotten & set(answers.bindings):
            fresh = tuple(b for b in answers.bindings[line_port] if b.registered_at >= self._began)
            answers.bindings[line_port] = fresh
        if all(answers.bindings.values()):
            return answers
        return Answers(answers.bindings, answers.unanswered, self._began)

    async def restart(self, line_port, event="check-sync;reboot=true", limit_seconds=8.0):
        """Keep the NOTIFY, and answer it as the simulator does."""
        self.sent.append((self._at.monotonic(), line_port, event))
        self.on_send(len(self.sent))
        if line_port in self.never_back:
            return RestartAnswer(line_port, RestartOutcome.ACCEPTED, 200, "OK")
        return await super().restart(line_port, event, limit_seconds)

    def forget(self, line_ports):
        """Forget these lines, as a registrar that restarted just now; they register again by themselves."""
        self._began = self._at.now()
        self._forgotten = set(line_ports)

    def notified(self) -> dict[str, list[float]]:
        """Return when each device was sent a NOTIFY, by MAC."""
        found: dict[str, list[float]] = {}
        for at, line_port, _ in self.sent:
            found.setdefault(str(mac(int(line_port[:4]) - 2000)), []).append(at)
        return found


class Stage:
    """A fleet of registered devices at one site.

    Args:
        url: of a database with the customer's site.
        catalogue: the shipped one.
        count: of devices, of three types in turn, each with two lines.
        push: whether the network has an event feed.
    """

    def __init__(self, url: str, catalogue, count: int, *, push: bool = False) -> None:
        self.clock = FakeClock()
        self.inventory = inventory = open_inventory(url, self.clock)
        self.network = StageNetwork(self.clock, push=push)
        networks = Networks([Served("stage", frozenset(), lambda: self.network)])
        self.restarting = Restarting(inventory, networks, catalogue, self.clock, beside=at_once)
        self.count = count
        whole = Scope("Telecom", "Bakery")
        with inventory.write() as writer:
            devices = [NewDevice(mac(n), TYPES[n % 3], "Lyon") for n in range(count)]
            writer.add_devices(whole, "Bakery", devices)
            lines = [
                (mac(n), NewLine(port(n, line), User(f"u{n}{line}"), port=line))
                for n in range(count)
                for line in (1, 2)
            ]
            writer.assign_lines(whole, catalogue, lines)
        for _, line in lines:
            self.network.register(line.line_port, expires=600)
        self.clock.advance(10)

    def plan(self, **options) -> RestartPlan:
        """Plan a restart of the site."""
        chosen = {"rate": 5.0, "canary": 0, "boot_seconds": BOOT, "grace": 30.0, **options}
        return self.restarting.plan(SCOPE, "Bakery / Lyon", DeviceFilter(), RestartOptions(**chosen))

    def start(self, **options) -> int:
        """Plan, and keep the plan; return the number of its run."""
        return self.restarting.start(self.plan(**options), "ann")

    def run(self, number: int, tell=lambda progress: None, halted=lambda: False, **more) -> RestartReport:
        """Run, or go on with a run."""
        return self.restarting.run(number, tell, halted, **more)

    def answers(self, number: int, outcome: RestartOutcome, code: int | None = None) -> None:
        """Decide how all lines of a device answer a NOTIFY."""
        for line in (1, 2):
            self.network.answer_restart(port(number, line), outcome, code)

    def never_back(self, number: int) -> None:
        """Let a device accept and never come back."""
        self.network.never_back |= {port(number, 1), port(number, 2)}

    def leaves(self, number: int) -> None:
        """Let all lines of a device sign off."""
        for line in (1, 2):
            self.network.sign_off(port(number, line))

    def outcomes(self, report: RestartReport) -> dict[int, str]:
        """Return the outcome of each device by its number."""
        return {int(step.mac.replace(":", ""), 16) & 0xFFFFFF: step.outcome for step in report.steps}
