"""The inventory: what the fleet is, who may see it, and which snapshots there are.

`read()` and `write()` give a `Reader` and a `Writer` for a short time: a block of `read()` holds a connection
but no lock between two questions, a block of `write()` is one transaction.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine

from devlib.clock import Clock
from devlib.storage.audit_group import AuditGroup
from devlib.storage.engine import (
    WRITING,
    journal_mode,
    make_engine,
    make_reading_engine,
    parse_url,
    preferred_journal_mode,
    sqlite_file,
)
from devlib.storage.faults import translated
from devlib.storage.frozen import frozen
from devlib.storage.kept_questions import GlanceReader, KeptConnections
from devlib.storage.migrate import bring_up_to_date
from devlib.storage.reader import Reader
from devlib.storage.records import NewAuditEntry
from devlib.storage.write_lock import WriteLock
from devlib.storage.writer import Writer


class MustWait(Exception):
    """Something would be written where nothing may be waited for."""


class _Glance:
    """A block of `without_waiting()`: its entries, and the one connection of its questions."""

    def __init__(self) -> None:
        self.entries: list[NewAuditEntry] = []
        self.reader: GlanceReader | None = None


_GLANCE: ContextVar[_Glance | None] = ContextVar("_GLANCE", default=None)


class Inventory:
    """A database of the inventory; may be used by many threads, and by the children of a fork.

    Args:
        url: SQLAlchemy URL of a SQLite file or a PostgreSQL database.
        clock: dates new devices and audit entries.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = parse_url(url)
        self.clock = clock
        self._lock = WriteLock.beside(self._url)
        self._process = os.getpid()
        self._engine = make_engine(self._url)
        self._reading = make_reading_engine(self._url) or self._engine
        self._opening = threading.Lock()
        self._kept = KeptConnections(sqlite_file(self._url) or Path())
        self._audit_of = os.getpid()
        self._audit = AuditGroup(self._write_audit)
        # Engines of the parent of a fork: kept, for closing them would end the parent's sessions.
        self._inherited: list[Engine] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; harmless when repeated."""
        self._kept.close()
        self._own_engine().dispose()
        self._reading.dispose()

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """Give a `Reader`; each of its answers is the committed state of that moment.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        self._own_engine()
        glance = _GLANCE.get()
        if glance is not None:
            with translated(self._url):
                if glance.reader is None:
                    glance.reader = GlanceReader(self._reading, self._kept, self.clock)
                yield glance.reader
            return
        with translated(self._url), self._reading.connect() as connection:
            yield Reader(connection, self.clock)

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """Give a `Writer` in one transaction: all of the block, or nothing of it.

        On SQLite one block runs at a time on this machine; the others wait.

        Raises:
            Conflict: something exists already or is taken.
            StorageUnavailable: the database cannot be reached, or a deadlock was ended; try again.
            RuntimeError: the thread is in a block of `write()` already.
            MustWait: inside a block of `without_waiting()`.
        """
        if _GLANCE.get() is not None:
            raise MustWait
        engine = self._own_engine()
        with self._lock or nullcontext(), translated(self._url), engine.connect() as connection:
            writing = connection.execution_options(**{WRITING: True})
            with writing.begin():
                yield Writer(writing, self.clock)

    @property
    def address(self) -> str:
        """The database as people write it, without its password."""
        return self._url.render_as_string(hide_password=True)

    @contextmanager
    def frozen(self) -> Iterator[Connection]:
        """Give a connection in which nothing changes until the block ends, while others go on writing.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        with translated(self._url), frozen(self._own_engine(), self._url, self._lock) as connection:
            yield connection

    def audit(self, entry: NewAuditEntry) -> None:
        """Add an entry to the audit, together with those that other threads add at the same time.

        Returns when it is committed. Inside a block of `write()`, use the `Writer` instead; inside one of
        `without_waiting()` the entry only joins those of the block.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        if (glance := _GLANCE.get()) is not None:
            glance.entries.append(entry)
            return
        if self._audit_of != os.getpid():
            # A thread of the parent may have been writing for all when it forked.
            self._audit_of, self._audit = os.getpid(), AuditGroup(self._write_audit)
        self._audit.add(entry)

    def audit_all(self, entries: Sequence[NewAuditEntry]) -> None:
        """Add entries to the audit in one transaction, all or none; returns when they are committed.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        self._write_audit(entries)

    @property
    def reads_at_once(self) -> bool:
        """Whether a question waits for nobody: a file of this machine whose readers no writer holds up."""
        return sqlite_file(self._url) is not None and preferred_journal_mode() == "wal"

    @contextmanager
    def without_waiting(self) -> Iterator[list[NewAuditEntry]]:
        """Give the entries of the audit that the block makes; they are not written, the caller does that.

        For an event loop, which must not wait: in the block questions are answered, where `reads_at_once`,
        and `write()` raises `MustWait` before anything is done.
        """
        glance = _Glance()
        token = _GLANCE.set(glance)
        try:
            yield glance.entries
        finally:
            _GLANCE.reset(token)
            if glance.reader is not None:
                glance.reader.close()

    def _write_audit(self, entries: Sequence[NewAuditEntry]) -> None:
        with self.write() as writer:
            writer.audit_all(entries)

    def journal_mode_in_use(self) -> str:
        """Return SQLite's journal mode, `wal` or `persist`; empty for PostgreSQL."""
        with self.read() as reader:
            return journal_mode(reader.connection)

    def prepare(self) -> None:
        """Make or update the tables; quick where that is done already."""
        with translated(self._url):
            bring_up_to_date(self._own_engine(), self._lock)

    def _own_engine(self) -> Engine:
        if self._process == os.getpid():
            return self._engine
        with self._opening:
            if self._process != os.getpid():
                self._inherited += [self._engine, self._reading]
                self._engine = make_engine(self._url)
                self._reading = make_reading_engine(self._url) or self._engine
                self._process = os.getpid()
        return self._engine


def open_inventory(url: str, clock: Clock) -> Inventory:
    """Open the inventory, and make or update its tables first.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/DATABASE`.
        clock: dates new devices and audit entries.

    Returns:
        The inventory; close it, or use it as a context manager.

    Raises:
        ConfigurationError: the URL is none, or names another kind of database.
        StorageUnavailable: the database cannot be reached, lies on a network file system, or was made by a
            newer version of devlib.
    """
    inventory = Inventory(url, clock)
    try:
        inventory.prepare()
    except BaseException:
        inventory.close()
        raise
    return inventory
