"""The one place where exports are entered: what it offers, and which one an installation uses."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from devlib.clock import Clock
from devlib.config import ExportPolicy
from devlib.export.admission_events import Answer
from devlib.export.coordinator_values import ExportRequest, Overview
from devlib.export.sqlite_coordinator import SqliteCoordinator
from devlib.storage.engine import parse_url


class Bell(Protocol):
    """What a waiting request listens to.

    Attributes:
        address: what others ring.
    """

    address: str

    def wait(self, seconds: float, watch: Sequence[str] = ()) -> None:
        """Return when the bell rings, when one of the processes `watch` dies, or after `seconds`."""
        ...

    def ring(self) -> None:
        """End a wait of another thread at this bell."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Coordinator(Protocol):
    """Admits exports for all processes that share it.

    Every method raises `StorageUnavailable` where the coordinator cannot be reached: it fails closed, since
    the backend is the scarce thing (§1.4).
    """

    policy: ExportPolicy

    @property
    def owner(self) -> str:
        """The name of this process in the store."""
        ...

    def bell(self) -> Bell:
        """Return a new bell for one waiting request."""
        ...

    def submit(self, request: ExportRequest, *, ticket: str, bell: str = "") -> Answer:
        """Ask for an export, under a fresh random name `ticket`."""
        ...

    def poll(self, ticket: str) -> Answer:
        """Return where `ticket` stands."""
        ...

    def cancel(self, ticket: str) -> Answer:
        """Give `ticket` up, in whatever state it is."""
        ...

    def finish(self, ticket: str, epoch: int, ref: str) -> Answer:
        """End the real export of `ticket` with the rows stored as `ref`."""
        ...

    def fail(self, ticket: str, epoch: int) -> Answer:
        """End the real export of `ticket` without rows."""
        ...

    def check(self, ticket: str, epoch: int) -> Answer:
        """Return whether `ticket` still holds its slot, and show that its holder lives."""
        ...

    def invalidate(self, provider: str | None = None, customer: str | None = None) -> None:
        """Forget cached rows of a customer whose fleet changed; `None` stands for all."""
        ...

    def release(self, ticket: str, *, force: bool = False) -> Answer:
        """Free the slot of a holder that gave no sign of life for `hard_ttl` seconds."""
        ...

    def overview(self, recent: int = 50) -> Overview:
        """Return what runs and waits now, and the newest `recent` events."""
        ...

    def close(self) -> None:
        """Leave; live requests of this process end as if it had died."""
        ...


def open_coordinator(database_url: str, folder: Path, policy: ExportPolicy, clock: Clock) -> Coordinator:
    """Return the coordinator that belongs to an inventory (`DEVLIB_DATABASE`).

    Args:
        database_url: SQLAlchemy URL of the inventory. PostgreSQL coordinates all machines that share it;
            SQLite the processes of this machine.
        folder: where the SQLite coordinator keeps its files.
        policy: the limits.
        clock: time of this machine; PostgreSQL uses its own.

    Raises:
        ConfigurationError: the URL names no database that devlib knows.
        StorageUnavailable: the folder lies on a network file system, or the database does not answer.
    """
    url = parse_url(database_url)
    if url.get_backend_name() == "postgresql":
        from devlib.export.postgresql_coordinator import PostgresqlCoordinator  # noqa: PLC0415 - its driver

        return PostgresqlCoordinator(url, policy, clock)
    return SqliteCoordinator(folder, policy, clock)
