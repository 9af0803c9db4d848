"""A real Kamailio of one's own on free loopback ports, for trials and for `make demo NETWORK=kamailio`."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from devlib.clock import Clock, SystemClock
from devlib.errors import ConfigurationError, NetworkUnreachable
from devlib.language import message
from devlib.network.loopback import answers_rpc, free_ports

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
class Registrar:
    """A running Kamailio.

    Args:
        sip_port: UDP and TCP port on 127.0.0.1.
        rpc_url: where `jsonrpcs` answers.
        log: what it wrote.
    """

    sip_port: int
    rpc_url: str
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        """Host and SIP port, as `PhoneFleet` takes them."""
        return _HOST, self.sip_port


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
    clock: Clock | None = None,
) -> Iterator[Registrar]:
    """Run a Kamailio with its bindings in memory, as an ordinary user, until the block ends.

    It dies with the thread that started it, so that a killed trial leaves nothing behind.

    Args:
        folder: where its log goes; made where it is missing.
        timer: seconds between two sweeps of expired bindings.
        min_expires: shortest registration in seconds that it grants.
        contacts: most contacts that its memory must hold.
        answer_limit: seconds for which a phone may keep a NOTIFY unanswered.
        clock: for tests.

    Yields:
        Its address, once it answers.

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
    process, registrar = _start(folder / "kamailio.log", defines, contacts, clock or SystemClock())
    try:
        yield registrar
    finally:
        _stop(process)


def _start(
    log: Path, defines: Mapping[str, int], contacts: int, clock: Clock
) -> tuple[subprocess.Popen[bytes], Registrar]:
    program = kamailio_program()
    for _ in range(_ATTEMPTS):
        # Another process may take a port between the look and the start: then new ones are tried.
        sip_port, rpc_port = free_ports(2)
        registrar = Registrar(sip_port, f"http://{_HOST}:{rpc_port}/RPC", log)
        ports = {"SIP_PORT": sip_port, "RPC_PORT": rpc_port}
        process = _launch(program, log, {**ports, **defines}, contacts)
        if _comes_up(process, registrar, clock):
            return process, registrar
        _stop(process)
        if b"already in use" not in log.read_bytes():
            break
    raise NetworkUnreachable(
        message("Kamailio did not start."),
        where=str(log),
        remedy=message("Read the last lines of its log."),
    )


def _launch(program: str, log: Path, defines: Mapping[str, int], contacts: int) -> subprocess.Popen[bytes]:
    shared = 32 + contacts * 2 // 1000  # MB: 1.5 kB a contact (SIP study §2), and room for connections
    command = [*_as_ordinary_user(), program, "-DD", "-E", "-f", "-", "-Y", "/"]
    command += ["-m", str(shared), "-M", str(_PRIVATE_MEMORY)]
    for name, value in defines.items():
        command += ["-A", f"{name}={value}"]
    # The configuration goes through standard input, since an ordinary user may not read the package's
    # folder; `-Y /` is a folder that exists for everybody, and nothing is written there.
    configuration = resources.files("devlib.demo").joinpath("kamailio.cfg").read_bytes()
    with log.open("wb") as output:
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


def _comes_up(process: subprocess.Popen[bytes], registrar: Registrar, clock: Clock) -> bool:
    end = clock.monotonic() + _START_SECONDS
    while process.poll() is None and clock.monotonic() < end:
        # Another Kamailio may have taken the port.
        if answers_rpc(registrar.rpc_url, seconds=1.0, process=process.pid):
            return True
        clock.sleep(_POLL_SECONDS)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
