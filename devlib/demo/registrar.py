"""A real Kamailio of one's own on free loopback ports, for trials and for `make demo NETWORK=kamailio`."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from devlib.clock import Clock, SystemClock
from devlib.errors import ConfigurationError, NetworkUnreachable
from devlib.language import message
from devlib.network.loopback import answers_rpc, free_ports, takes_connections

_HOST = "127.0.0.1"
_SEARCH = "/usr/sbin:/usr/local/sbin:"
_ATTEMPTS = 5
_START_SECONDS = 10.0
_STOP_SECONDS = 20.0  # stopping took 5.7 s with a million contacts (SIP study §1)
_POLL_SECONDS = 0.01
_PRIVATE_MEMORY = 64  # MB; a dump of 5 000 contacts needs more than the default
_QUEUE_BYTES = 64 << 20
_NOBODY = (65_534, 65_534)  # user and group; they need no entry in /etc/passwd


@dataclass(frozen=True, slots=True)
class Options:
    """What a trial registrar does beside keeping bindings in memory.

    Args:
        database: URL of the PostgreSQL in which it keeps them, `postgresql://user@host:port/name`; the tables
            of `make_location_tables` must be there.
        db_mode: 1 writes each binding at once, 2 from time to time (usrloc `db_mode`).
        events: whether it tells each REGISTER and each expiry to whoever connects (evapi).
        password: what every phone is asked for (digest); empty for nothing.
    """

    database: str = ""
    db_mode: int = 1
    events: bool = False
    password: str = ""


class Registrar:
    """A Kamailio of one's own on loopback.

    Args:
        folder: where its log goes.
        defines: of its configuration, beside the ports.
        options: what it does beside keeping bindings in memory.
        contacts: most contacts that its memory must hold.
        clock: for waiting.
    """

    def __init__(
        self, folder: Path, defines: Mapping[str, int], options: Options, contacts: int, clock: Clock
    ) -> None:
        self.log = folder / "kamailio.log"
        self.sip_port = 0
        self.rpc_url = ""
        self.events: str | None = None
        self._defines = defines
        self._options = options
        self._contacts = contacts
        self._clock = clock
        self._ports: dict[str, int | str] = {}
        self._listening: tuple[int, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and SIP port, as `PhoneFleet` takes them."""
        return _HOST, self.sip_port

    @property
    def sip_proxy(self) -> str:
        """Where SIP requests for its phones go, as `devlib.toml` writes it."""
        return f"udp:{_HOST}:{self.sip_port}"

    def launch(self) -> None:
        """Start it on free ports.

        Raises:
            NetworkUnreachable: it does not start; the log says why.
        """
        for _ in range(_ATTEMPTS):
            # Another process may take a port between the look and the start: then new ones are tried.
            self._choose_ports()
            if self._starts():
                return
            self.stop()
            if b"already in use" not in self.log.read_bytes():
                break
        raise self._not_started()

    def start(self) -> None:
        """Start it again where it was, after `stop` or `kill`.

        Raises:
            NetworkUnreachable: it does not start; the log says why.
        """
        if not self._starts():
            raise self._not_started()

    def kill(self) -> None:
        """Kill all its processes at once, as a power cut does; nothing is written any more."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._until_its_ports_are_shut()

    def _until_its_ports_are_shut(self) -> None:
        # Only the main process can be waited for: the others may hold the sockets a moment longer.
        end = self._clock.monotonic() + _STOP_SECONDS
        while any(map(takes_connections, self._listening)) and self._clock.monotonic() < end:
            self._clock.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Let it end; calling twice is harmless."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def _choose_ports(self) -> None:
        self.sip_port, rpc_port, *others = free_ports(3 if self._options.events else 2)
        self.rpc_url = f"http://{_HOST}:{rpc_port}/RPC"
        self._listening = (rpc_port, *others)
        self._ports = {"SIP_PORT": self.sip_port, "RPC_PORT": rpc_port}
        if self._options.events:
            self.events = f"{_HOST}:{others[0]}"
            self._ports["EVENTS_ADDR"] = f'"{self.events}"'

    def _starts(self) -> bool:
        options = self._options
        defines: dict[str, int | str] = {**self._ports, **self._defines}
        if options.database:
            parts = urlsplit(options.database)
            defines["DB_URL"] = f'"postgres://{parts.netloc}{parts.path}"'
            defines["DB_MODE"] = options.db_mode
        if options.password:
            defines["AUTH_PW"] = f'"{options.password}"'
        self._process = _launch(kamailio_program(), self.log, defines, self._contacts)
        return _comes_up(self._process, self.rpc_url, self._clock)

    def _not_started(self) -> NetworkUnreachable:
        return NetworkUnreachable(
            message("Kamailio did not start."),
            where=str(self.log),
            remedy=message("Read the last lines of its log."),
        )


def kamailio_program(search: str | None = None) -> str:
    """Return the path of the Kamailio program.

    Args:
        search: folders to look in, separated as in PATH; by default PATH and the folders for servers.

    Raises:
        ConfigurationError: it is not installed; names the packages.
    """
    found = shutil.which("kamailio", path=search or _SEARCH + os.environ.get("PATH", ""))
    if found is None:
        raise ConfigurationError(
            message("Kamailio is not installed on this machine."),
            remedy=message("Install it: apt-get install --no-install-recommends kamailio (Debian, Ubuntu)."),
        )
    return found


@contextmanager
def running_registrar(
    folder: Path,
    *,
    timer: int = 1,
    min_expires: int = 1,
    contacts: int = 5_000,
    answer_limit: float = 4.0,
    options: Options | None = None,
    clock: Clock | None = None,
) -> Iterator[Registrar]:
    """Run a Kamailio of one's own, as an ordinary user, until the block ends.

    It dies with the thread that started it, so that a killed trial leaves nothing behind.

    Args:
        folder: where its log goes; made where it is missing.
        timer: seconds between two sweeps of expired bindings.
        min_expires: shortest registration in seconds that it grants.
        contacts: most contacts that its memory must hold.
        answer_limit: seconds for which a phone may keep a NOTIFY unanswered.
        options: a database, an event feed, a password; by default none of them.
        clock: for tests.

    Yields:
        The registrar, once it answers.

    Raises:
        ConfigurationError: Kamailio is not installed.
        NetworkUnreachable: it does not start; the log says why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    defines = {
        "TIMER": timer,
        "MIN_EXP": min_expires,
        "FR_MS": int(answer_limit * 1000),
        "TCP_WQ": _QUEUE_BYTES,
    }
    registrar = Registrar(folder, defines, options or Options(), contacts, clock or SystemClock())
    registrar.launch()
    try:
        yield registrar
    finally:
        registrar.stop()


def _launch(
    program: str, log: Path, defines: Mapping[str, int | str], contacts: int
) -> subprocess.Popen[bytes]:
    shared = 32 + contacts * 2 // 1000  # MB: 1.5 kB a contact (SIP study §2), and room for connections
    command = [*_as_ordinary_user(), program, "-DD", "-E", "-f", "-", "-Y", "/"]
    command += ["-m", str(shared), "-M", str(_PRIVATE_MEMORY)]
    for name, value in defines.items():
        command += ["-A", f"{name}={value}"]
    # The configuration goes through standard input, since an ordinary user may not read the package's
    # folder; `-Y /` is a folder that exists for everybody, and nothing is written there.
    configuration = resources.files("devlib.demo").joinpath("kamailio.cfg").read_bytes()
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - the program found above, and numbers
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
        )
    if process.stdin is not None:
        try:
            process.stdin.write(configuration)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it ended at once: the log says why
    return process


def _as_ordinary_user() -> list[str]:
    # setpriv (util-linux) becomes the program, so that the process id stays the one started here.
    prefix = [shutil.which("setpriv") or "/usr/bin/setpriv", "--pdeathsig", "TERM"]
    if os.geteuid() != 0:
        return prefix
    try:
        entry = pwd.getpwnam("kamailio")
        user, group = entry.pw_uid, entry.pw_gid
    except KeyError:
        user, group = _NOBODY
    return [*prefix, "--reuid", str(user), "--regid", str(group), "--clear-groups"]


def _comes_up(process: subprocess.Popen[bytes], rpc_url: str, clock: Clock) -> bool:
    end = clock.monotonic() + _START_SECONDS
    while process.poll() is None and clock.monotonic() < end:
        # Another Kamailio may have taken the port.
        if answers_rpc(rpc_url, seconds=1.0, process=process.pid):
            return True
        clock.sleep(_POLL_SECONDS)
    return False
