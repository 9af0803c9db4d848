"""The inventory as it was at one moment, for reading all of it while others go on writing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import URL, Connection, Engine

from devlib.storage.engine import make_engine, parse_url, sqlite_file
from devlib.storage.write_lock import WriteLock


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
    with TemporaryDirectory(dir=path.parent, prefix=".copy-") as folder:
        copy = Path(folder) / path.name
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
