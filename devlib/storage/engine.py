"""How to reach the database: one SQLite file on this machine, or PostgreSQL.

SQLite keeps its journal in WAL mode, in which readers and the writer do not wait for each other, only where
the library is free of the WAL-reset bug, which can corrupt databases; elsewhere in PERSIST mode. Python links
whatever the machine has, mostly an older one: the package pysqlite3 brings the library with it.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from pysqlite3 import dbapi2 as sqlite3
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from devlib.errors import ConfigurationError, StorageUnavailable
from devlib.language import message
from devlib.storage.file_systems import network_file_system

WRITING = "devlib_writing"
"""Execution option of a connection whose transaction takes SQLite's write lock when it begins."""

WAL_SAFE_SINCE = (3, 51, 3)
"""The first version of the SQLite library without the WAL-reset bug."""

SQLITE_VERSION: tuple[int, ...] = sqlite3.sqlite_version_info
"""Version of the SQLite library in use, which pysqlite3 brings along; Python's own may be another one."""

_BUSY_SECONDS = 60
_CONNECT_SECONDS = 10
# What a transaction may change before SQLite writes pages of it, without WAL shutting readers out: 128 MiB.
_CACHE_KIB = 131_072
_READING_CACHE_KIB = 2048
_LARGE_CHANGE = 1000  # rows
_JOURNAL_BYTES = 64 << 20  # what is kept of the file of a larger journal
_KEPT_OPEN = 8

SetUp = Callable[[sqlite3.Connection], None]


def parse_url(text: str) -> URL:
    """Return the URL with the driver that devlib uses.

    Args:
        text: a SQLAlchemy URL; `postgres://` and `postgresql://` mean psycopg.

    Raises:
        ConfigurationError: it is no URL, or names another kind of database, or SQLite without a file.
    """
    remedy = message("Give sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE as DEVLIB_DATABASE.")
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The text itself is not shown: it may hold a password.
        raise ConfigurationError(message("The database URL cannot be read."), remedy=remedy) from None
    kind = url.drivername.partition("+")[0]
    if kind in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if kind == "sqlite" and url.database and url.database != ":memory:":
        return url.set(drivername="sqlite+pysqlite", database=str(Path(url.database).expanduser().absolute()))
    raise ConfigurationError(
        message("The inventory cannot be kept in {kind}.", kind=url.render_as_string(hide_password=True)),
        remedy=remedy,
    )


def sqlite_file(url: URL) -> Path | None:
    """Return the file of a SQLite URL, or `None` for PostgreSQL."""
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def make_engine(url: URL) -> Engine:
    """Return an engine for a URL from `parse_url`; a folder that is missing is made.

    Raises:
        StorageUnavailable: the SQLite file would lie on a network file system, or its folder cannot be made.
    """
    if (path := sqlite_file(url)) is None:
        return create_engine(
            url,
            pool_pre_ping=True,
            connect_args={"connect_timeout": _CONNECT_SECONDS, "application_name": "devlib"},
        )
    _check_place(path)
    # One writes at a time. What a large change left in its cache is given back, or it would be kept for ever.
    engine = _kept_engine(url, path, 1, _set_up)
    event.listen(engine, "checkin", _shrink)
    event.listen(engine, "begin", _begin)
    return engine


def make_reading_engine(url: URL) -> Engine | None:
    """Return an engine for reading beside the one that writes; `None` for PostgreSQL, which needs none."""
    path = sqlite_file(url)
    return None if path is None else _kept_engine(url, path, _KEPT_OPEN, _set_up_reading)


def _kept_engine(url: URL, path: Path, kept: int, set_up: SetUp) -> Engine:
    """Return an engine that keeps connections: opening a SQLite file costs more than most questions."""
    engine = create_engine(
        url,
        module=sqlite3,
        poolclass=QueuePool,
        pool_size=kept,
        max_overflow=-1,
        connect_args={"timeout": _BUSY_SECONDS},
    )
    event.listen(engine, "connect", partial(_set_up_kept, path, set_up))
    event.listen(engine, "checkout", partial(_still_there, path))
    return engine


def preferred_journal_mode(
    version: tuple[int, ...] = SQLITE_VERSION,
) -> Literal["wal", "persist"]:
    """Return the journal mode for this version of the SQLite library."""
    return "wal" if version >= WAL_SAFE_SINCE else "persist"


def journal_mode(connection: Connection) -> str:
    """Return the journal mode that the database has; empty for PostgreSQL."""
    if connection.dialect.name != "sqlite":
        return ""
    return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())


def _check_place(path: Path) -> None:
    if found := network_file_system(path.parent):
        raise StorageUnavailable(
            message("SQLite cannot lock its file safely on a network file system ({kind}).", kind=found),
            where=str(path),
            remedy=message("Move DEVLIB_HOME to a local disk, or set DEVLIB_DATABASE to a PostgreSQL URL."),
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageUnavailable(
            message("The folder of the inventory cannot be made: {error}", error=error.strerror),
            where=str(path.parent),
            remedy=message("Let this account write there, or set DEVLIB_HOME to another folder."),
        ) from None


def _set_up(connection: sqlite3.Connection) -> None:
    # The driver must not begin transactions of its own; `_begin` does, and reads need none.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute(f"PRAGMA journal_mode = {preferred_journal_mode()}")
    connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_BYTES}")
    # SQLite's own lower() knows ASCII only, PostgreSQL's all letters.
    connection.create_function("lower", 1, _lower, deterministic=True)


def _set_up_reading(connection: sqlite3.Connection) -> None:
    _set_up(connection)
    connection.execute(f"PRAGMA cache_size = -{_READING_CACHE_KIB}")


def _set_up_kept(
    path: Path, set_up: SetUp, connection: sqlite3.Connection, entry: ConnectionPoolEntry
) -> None:
    set_up(connection)
    entry.info["file"] = file_of(path)


def _shrink(connection: sqlite3.Connection | None, entry: ConnectionPoolEntry) -> None:
    if connection is None:
        return
    changed = connection.total_changes
    # Giving back costs the next transaction its pages: an entry of the audit is not worth that.
    if changed - entry.info.get("changed", 0) > _LARGE_CHANGE:
        connection.execute("PRAGMA shrink_memory")
    entry.info["changed"] = changed


def _still_there(path: Path, _connection: object, entry: ConnectionPoolEntry, _proxy: object) -> None:
    # A backup that was restored stands in the place of a file that an open connection would go on reading.
    if entry.info["file"] != file_of(path):
        raise DisconnectionError


def file_of(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at a path from one that takes its place; `None` where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _lower(text: object) -> str | None:
    return None if text is None else str(text).lower()


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get(WRITING):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
