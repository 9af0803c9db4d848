"""The fixture `postgresql`: a private PostgreSQL for the whole test session."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

_USER = "postgres"
_SECONDS = 30.0


class PostgresqlServer:
    """A running PostgreSQL that answers on 127.0.0.1 without passwords.

    Args:
        port: where it listens.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._numbers = count(1)

    def url(self, database: str, user: str = _USER) -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://{user}@127.0.0.1:{self._port}/{database}"

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL of our own; skipped where it is not installed, but CI must have it."""
    if (programs := _programs()) is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have PostgreSQL: apt-get install postgresql")
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with _running(programs) as server:
        yield server


def _programs() -> Path | None:
    # Debian keeps the server's programs out of PATH, one folder for each version.
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("initdb"):
        places.append(Path(found).parent)
    return next((place for place in places if (place / "initdb").exists()), None)


class KillablePostgresql(PostgresqlServer):
    """A PostgreSQL that a test kills and starts again; what it said was committed stays.

    Args:
        start: gives the running process.
        port: where it listens.
        log: of the server.
    """

    def __init__(self, start: Callable[[], subprocess.Popen[bytes]], port: int, log: Path) -> None:
        super().__init__(port)
        self._start, self._log = start, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers; right after a kill its children may still be going."""
        end = time.monotonic() + _SECONDS
        while True:
            self._process = self._start()
            try:
                _wait(self._process, self._port, self._log)
            except RuntimeError:
                if time.monotonic() > end:
                    raise
            else:
                return

    def kill(self) -> None:
        """End it with kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_SECONDS)


@contextmanager
def killable() -> Iterator[KillablePostgresql]:
    """Run a PostgreSQL of one's own; skipped where it is not installed."""
    if (programs := _programs()) is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with _prepared(programs) as (run, folder):
        port = _free_port()
        command = _command(run, programs, folder, port, synchronous_commit="on")
        with (folder / "log").open("wb") as log:
            server = KillablePostgresql(
                lambda: subprocess.Popen(command, stdout=log, stderr=log, cwd=folder), port, folder / "log"
            )
            server.start()
            try:
                yield server
            finally:
                server.kill()


@contextmanager
def _running(programs: Path) -> Iterator[PostgresqlServer]:
    with _prepared(programs) as (run, folder), _server(run, programs, folder) as port:
        yield PostgresqlServer(port)


@contextmanager
def _prepared(programs: Path) -> Iterator[tuple[list[str], Path]]:
    folder = Path(tempfile.mkdtemp(prefix="devlib-postgresql-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root; pytest's own folders are closed to other accounts.
        account = pwd.getpwnam(_USER)
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_user = [f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"]
    # Killed with us, however we end: SIGQUIT is PostgreSQL's immediate shutdown.
    run = ["setpriv", "--pdeathsig=QUIT", *as_user, "--"]
    try:
        initdb = [f"--pgdata={folder}/data", f"--username={_USER}", "--auth=trust", "--no-sync"]
        locale = ["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=fr"]
        subprocess.run(
            [*run, programs / "initdb", *initdb, *locale], check=True, capture_output=True, cwd=folder
        )
        yield run, folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _command(
    run: list[str], programs: Path, folder: Path, port: int, synchronous_commit: str = "off"
) -> list[str | Path]:
    settings = {
        "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off",
        "full_page_writes": "off", "synchronous_commit": synchronous_commit, "max_connections": 200,
    }  # fmt: skip
    options = [f"-c{name}={value}" for name, value in settings.items()]
    return [*run, programs / "postgres", "-D", folder / "data", *options]


@contextmanager
def _server(run: list[str], programs: Path, folder: Path) -> Iterator[int]:
    port = _free_port()
    command = _command(run, programs, folder, port)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            _wait(process, port, folder / "log")
            yield port
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(_SECONDS)


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            psycopg.connect(PostgresqlServer(port).url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}")
