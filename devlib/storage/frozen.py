"""The inventory as it was at one moment, for reading all of it while others go on writing."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from tempfile import mkdtemp

from pysqlite3 import dbapi2 as sqlite3
from sqlalchemy import URL, Connection, Engine

from devlib.storage.engine import make_engine, parse_url, sqlite_file
from devlib.storage.write_lock import WriteLock

_PREFIX, _LOCK = ".copy-", "lock"


@contextmanager
def frozen(engine: Engine, url: URL, lock: WriteLock | None) -> Iterator[Connection]:
    """Give a connection in which nothing changes until the block ends.

    PostgreSQL keeps the moment for a transaction. SQLite would keep writers from committing for as long: so
    its file is copied first, page by page, which takes a second for a million lines.

    Args:
        engine: of the inventory.
        url: of its database.
        lock: of its writers; `None` for PostgreSQL.
    """
    path = sqlite_file(url)
    if path is None:
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            yield connection
        return
    with _own_folder(path.parent) as folder:
        copy = folder / path.name
        with (
            lock or nullcontext(),
            closing(sqlite3.connect(path)) as given,
            closing(sqlite3.connect(copy)) as kept,
        ):
            given.backup(kept)
        own = make_engine(parse_url(f"sqlite:///{copy}"))
        with own.connect() as connection:
            yield connection
        own.dispose()


@contextmanager
def _own_folder(beside: Path) -> Iterator[Path]:
    """Give a folder for the time of the block, and remove those that killed processes left."""
    for left in beside.glob(f"{_PREFIX}*/{_LOCK}"):
        with left.open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # its process lives
            shutil.rmtree(left.parent, ignore_errors=True)
    folder = Path(mkdtemp(dir=beside, prefix=_PREFIX))
    held = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Before this another one may have taken it for a dead one's: then the folder is made anew.
        fcntl.flock(held, fcntl.LOCK_EX)
        folder.mkdir(exist_ok=True)
        yield folder
    finally:
        os.close(held)
        shutil.rmtree(folder, ignore_errors=True)
