"""The coordinator of many machines: one row in the PostgreSQL database of the inventory.

- One row lock makes a step; two round trips, since the statements are sent in a pipeline.
- The server's clock is the only one (`clock_timestamp()`, read after the lock).
- A session advisory lock per process shows that it lives: the server frees it when the connection ends. With
  the keep-alives below, a machine that vanished is noticed after about 11 seconds.
- LISTEN/NOTIFY rings the bells; whoever misses one asks again after a second.

A pooler between here and the server must not share connections between transactions (pgbouncer: session
pooling), since locks and LISTEN belong to a session.
"""

import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL

from devlib.clock import Clock
from devlib.config import ExportPolicy
from devlib.errors import StorageUnavailable
from devlib.export.coordinator_base import SteppingCoordinator
from devlib.export.coordinator_values import Locked
from devlib.export.doorbell import Doorbell
from devlib.export.postgresql_store import LOCKS, PostgresqlStore, prepare
from devlib.language import message

_KEEPALIVE: dict[str, str | int | None] = {
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 11_000,
    "application_name": "devlib export queue",
}


class PostgresqlBell(Doorbell):
    """A bell that also hears the notifications of the process's connection."""

    def __init__(self, coordinator: "PostgresqlCoordinator") -> None:
        super().__init__(coordinator.channel)
        self._coordinator = coordinator

    def wait(self, seconds: float, watch: Sequence[str] = ()) -> None:
        """Return on a notification, a ring, the death of a process `watch` of this machine, or the time."""
        self._wait(seconds, watch, self._coordinator.descriptors())

    def close(self) -> None:
        """Take the bell down."""
        self._coordinator.remove(self)
        super().close()


class PostgresqlCoordinator(SteppingCoordinator):
    """Coordinates all machines that share a PostgreSQL database.

    Args:
        url: of the inventory.
        policy: the limits.
        clock: wall clock for the list of recent exports only.

    Raises:
        StorageUnavailable: the server does not answer, or this account may not make the queue's tables.
    """

    def __init__(self, url: URL, policy: ExportPolicy, clock: Clock) -> None:
        super().__init__(policy)
        self._conninfo = _conninfo(url)
        self._clock = clock
        self._bells: set[PostgresqlBell] = set()
        self._inherited: list[object] = []
        self._reset()
        with self._thread_lock, _explained():
            self._connect()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._thread_lock = threading.Lock()
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None
        self._owner = ""
        self.channel = ""

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        connection = psycopg.connect(self._conninfo, autocommit=True)
        try:
            prepare(connection)
            number = secrets.randbelow(2**31)
            connection.execute("SELECT pg_advisory_lock(%s, %s)", (LOCKS, number))
            self.channel = f"devlib_export_{number}"
            connection.execute(f"LISTEN {self.channel}")
        except BaseException:
            connection.close()
            raise
        connection.add_notify_handler(self._heard)
        # A new connection is a new owner: what the old one held died with it.
        self._owner = f"{os.getpid()}-{number}"
        self._connection = connection
        return connection

    @property
    def owner(self) -> str:
        """The process and the number of its advisory lock."""
        return self._owner

    def bell(self) -> PostgresqlBell:
        """Return a new bell for one waiting request."""
        bell = PostgresqlBell(self)
        self._bells.add(bell)
        return bell

    def remove(self, bell: PostgresqlBell) -> None:
        """Forget a bell that is taken down."""
        self._bells.discard(bell)

    def descriptors(self) -> tuple[int, ...]:
        """Return what becomes readable when the server has a notification."""
        with suppress(psycopg.OperationalError):
            return () if self._connection is None else (self._connection.fileno(),)
        return ()

    def close(self) -> None:
        """Leave; live requests of this process end as if it had died."""
        with self._thread_lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _heard(self, _: psycopg.Notify) -> None:
        # Whichever thread happens to read the notification passes it on to all that wait.
        for bell in tuple(self._bells):
            bell.ring()

    def _ring(self, bells: tuple[str, ...]) -> None:
        """Do nothing: the transaction has sent its notifications."""

    @contextmanager
    def _locked(self) -> Iterator[Locked]:
        if self._process != os.getpid():
            self._inherited.append(self._connection)
            self._reset()
        with self._thread_lock, _explained():
            connection = self._connection
            if connection is None or connection.closed:
                connection = self._connect()
            try:
                # In a pipeline the beginning goes out with the reading, and the writing with the end.
                with connection.pipeline(), connection.transaction():
                    yield PostgresqlStore(connection, self._clock)
            except psycopg.Error:
                connection.close()
                raise


def _conninfo(url: URL) -> str:
    given: dict[str, str | int | None] = {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": url.password,
        "dbname": url.database,
        **{name: value for name, value in url.query.items() if isinstance(value, str)},
    }
    return make_conninfo("", **{**_KEEPALIVE, **{name: value for name, value in given.items() if value}})


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        # The text of the server may hold names of hosts and accounts; its kind is enough here.
        raise StorageUnavailable(
            message("The export queue in PostgreSQL cannot be reached: {error}", error=type(error).__name__),
            remedy=message("Check DEVLIB_DATABASE, and that the server runs; then export again."),
            retry_after=5.0,
        ) from error
