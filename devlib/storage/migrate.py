"""Brings the tables to the newest form when the inventory is opened."""

from contextlib import nullcontext
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, select, text

from devlib.errors import StorageUnavailable
from devlib.language import message
from devlib.storage.engine import WRITING
from devlib.storage.schema import HEAD
from devlib.storage.write_lock import WriteLock

MIGRATIONS = Path(__file__).parent / "migrations"
# Any number, the same in every version of devlib: first openers of one PostgreSQL database queue at it.
_ADVISORY_KEY = 0x6465766C6962


def bring_up_to_date(engine: Engine, lock: WriteLock | None) -> None:
    """Run the migrations that the database still lacks, in one transaction.

    Args:
        engine: of the inventory.
        lock: the write lock; `None` for PostgreSQL, where an advisory lock does its part.

    Raises:
        StorageUnavailable: the database was made by a newer devlib.
    """
    with engine.connect() as connection:
        found = _revision(connection)
    if found == HEAD:
        return
    with lock or nullcontext(), engine.connect() as connection:
        writing = connection.execution_options(**{WRITING: True})
        with writing.begin():
            if writing.dialect.name == "postgresql":
                writing.execute(select(text(f"pg_advisory_xact_lock({_ADVISORY_KEY})")))
            if (found := _revision(writing)) != HEAD:
                _upgrade(writing, found)


def _revision(connection: Connection) -> str | None:
    # One look at the catalogue of the database instead of an import of Alembic, which takes 0.1 s.
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _upgrade(connection: Connection, found: str | None) -> None:
    from alembic import command  # noqa: PLC0415 - only the first opening of a database pays for it
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StorageUnavailable(
            message("The inventory has a form ({found}) that this devlib does not know.", found=found),
            remedy=message("It was made by a newer devlib: install that version here too."),
        ) from error
