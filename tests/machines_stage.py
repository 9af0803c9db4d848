"""Several machines on one: a fleet in a database and a lake, and processes of `devlib` that work on them."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devlib.clock import SystemClock
from devlib.config import Settings, SimulatorSettings
from devlib.model import EVERYTHING, Identity, Mac, NewDevice, Role, Scope, User
from devlib.portal import Portal, open_services
from devlib.storage import NewLine

PROVIDER = "Test Telecom"
CUSTOMERS = ("Bakery", "Clinic", "Harbour", "School")
_TYPE = "Yealink T46S"
_SETTINGS = """
takeover_seconds = 3.0
[[networks]]
kind = "simulator"
gaps = false
"""
_COMMAND = "import sys; from devlib.cli import main; raise SystemExit(main(sys.argv[1:]))"


class Stage:
    """A fleet, and where it is kept.

    Args:
        folder: for the homes of the machines.
        database: URL of the inventory.
        lake: folder or address of the bucket.
        environment: how the bucket is reached.
        more: lines of `devlib.toml` before its sections.
    """

    def __init__(
        self, folder: Path, database: str, lake: str, environment: dict[str, str], more: str = ""
    ) -> None:
        self.folder, self.database, self.lake = folder, database, lake
        self._environment, self._more = environment, more

    def environment(self, machine: str) -> dict[str, str]:
        """Return the environment of a machine with this name; its home is made."""
        home = self.folder / machine
        home.mkdir(exist_ok=True)
        (home / "devlib.toml").write_text(_SETTINGS + self._more)
        given = {"DEVLIB_HOME": str(home), "DEVLIB_DATABASE": self.database, "DEVLIB_LAKE": self.lake}
        return os.environ | self._environment | given

    def settings(self, machine: str = "judge") -> Settings:
        """Return the settings of a machine, for what the test itself looks at."""
        networks = (SimulatorSettings(gaps=False),)
        home = self.folder / machine
        return Settings(home=home, database=self.database, lake=self.lake, account="x", networks=networks)

    def seed(self, devices: int) -> None:
        """Fill the inventory: four customers with one site each, one line to a device."""
        with opened(self.settings()) as services, services.inventory.write() as writer:
            writer.add_provider(PROVIDER, line_state_export=True)
            for place, customer in enumerate(CUSTOMERS):
                writer.add_customer(PROVIDER, customer)
                writer.add_site(EVERYTHING, customer, "Lyon", [_TYPE])
                numbers = range(place * devices + 1, (place + 1) * devices + 1)
                writer.add_devices(
                    EVERYTHING, customer, [NewDevice(_mac(each), _TYPE, "Lyon") for each in numbers]
                )
                lines = [
                    (_mac(each), NewLine(f"{each}@x.example", User(f"u{each}"), port=1)) for each in numbers
                ]
                writer.assign_lines(EVERYTHING, services.catalogue, lines)
            account = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
            writer.put_identity(Identity(account, Role.SERVICE_PROVIDER))

    def tokens(self, count: int) -> list[str]:
        """Return new tokens, each of an identity of its own, for one customer after the other."""
        found = []
        with opened(self.settings()) as services:
            boss = Portal(Identity("token maker", Role.SERVICE_PROVIDER), services)
            for number in range(count):
                scope = Scope(PROVIDER, CUSTOMERS[number % len(CUSTOMERS)])
                with services.inventory.write() as writer:
                    writer.put_identity(Identity(f"client-{number}", Role.OPERATOR, scope))
                found.append(boss.new_token(f"client-{number}").text)
        return found


@contextmanager
def opened(settings: Settings) -> Iterator:
    """Open services for the time of the block."""
    services = open_services(settings, SystemClock())
    try:
        yield services
    finally:
        services.close()


def _mac(number: int) -> Mac:
    return Mac(0x805EC0 << 24 | number)


class Machine:
    """A process that is killed and started again, and everything that it ever said.

    Args:
        stage: on which it works.
        name: of its home.
        arguments: of the process.
        module: whether it is a service, not a command.
    """

    def __init__(self, stage: Stage, name: str, arguments: list[str], module: str = "") -> None:
        self.lines: list[str] = []
        self._stage, self._name = stage, name
        self._command = [sys.executable, *(["-m", module] if module else ["-c", _COMMAND]), *arguments]
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []

    def start(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            self._command, env=self._stage.environment(self._name), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        reader.start()
        self._readers.append(reader)

    def signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it with kill -9, and read what it said until then."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(30)
            self._readers[-1].join(30)

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def records(self) -> list[dict]:
        """Return what it said as JSON; a line that its end cut off is left out."""
        whole = re.compile(r"\{.*\}\n")
        return [json.loads(line) for line in tuple(self.lines) if whole.fullmatch(line)]

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self.lines.append(line)
        process.stdout.close()


@contextmanager
def all_killed(machines: list[Machine]) -> Iterator[None]:
    """Kill all machines at the end of the block."""
    try:
        yield
    finally:
        for each in machines:
            each.kill()
