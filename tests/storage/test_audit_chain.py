"""The audit can only be appended to, and shows when it was not."""

import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from devlib.errors import DevlibError
from devlib.storage import Inventory, open_inventory
from devlib.storage.schema import audit


def add(inventory, number, target="t"):
    with inventory.write() as writer:
        writer.audit(
            principal=f"p{number}", role="viewer", session="s", act="see", target=target, outcome="done"
        )


def check(inventory, known=""):
    with inventory.read() as reader:
        return reader.check_audit(known)


def force(inventory, statement):
    """Change the audit as one who owns the database and took the triggers away."""
    with inventory.write() as writer:
        if writer.connection.dialect.name == "sqlite":
            for verb in ("update", "delete"):
                writer.connection.execute(sa.text(f"DROP TRIGGER audit_no_{verb}"))
        else:
            writer.connection.execute(sa.text("ALTER TABLE audit DISABLE TRIGGER USER"))
        writer.connection.execute(sa.text(statement))


def test_an_untouched_audit_is_whole(inventory: Inventory) -> None:
    """Entries, also with odd texts, give a whole chain whose earlier ends are found again."""
    assert check(inventory).whole
    for number, target in enumerate(["é", "\x00\ud800", "'; DROP", "x" * 500, '{"a": 1}']):
        add(inventory, number, target)
        if number == 2:
            noted = check(inventory).digest
    found = check(inventory, noted)
    assert (found.entries, found.broken_at, found.known, found.whole) == (5, None, True, True)
    for known in ("ab" * 32, "é", "\ud800"):
        assert check(inventory, known).known is False
    assert not check(inventory, "ab" * 32).whole


@pytest.mark.parametrize("statement", ["UPDATE audit SET outcome = 'x'", "DELETE FROM audit"])
def test_the_database_refuses_changes(inventory: Inventory, statement: str) -> None:
    """Neither a change nor a removal of an entry is done by the database, whoever asks through devlib."""
    add(inventory, 1)
    with pytest.raises((DevlibError, DBAPIError), match="appended"), inventory.write() as writer:
        writer.connection.execute(sa.text(statement))
    assert check(inventory).whole


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE audit SET outcome = 'refused' WHERE id = 2", 2),
        ("UPDATE audit SET at = '2020-01-01 00:00:00' WHERE id = 3", 3),
        ("DELETE FROM audit WHERE id = 2", 3),
        ("DELETE FROM audit WHERE id = 4", 0),
        ("DELETE FROM audit", 0),
        ("UPDATE audit SET digest = 'é' WHERE id = 2", 2),
        ("UPDATE audit SET principal = principal || role, role = '' WHERE id = 1", 1),
    ],
)
def test_a_forged_audit_is_found(inventory: Inventory, statement: str, broken_at: int) -> None:
    """Each change, removal in the middle and removal at the end is found, at its place."""
    for number in range(4):
        add(inventory, number)
    force(inventory, statement)
    found = check(inventory)
    assert not found.whole
    assert found.broken_at == broken_at


def test_writers_at_once_make_one_chain(inventory: Inventory) -> None:
    """Eight threads that append at the same time leave one whole chain with everything in it."""

    def work(number):
        for _ in range(5):
            add(inventory, number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = check(inventory)
    assert (found.entries, found.whole) == (40, True)


def test_an_audit_from_before_is_chained(new_database, clock) -> None:
    """Entries of an older devlib are chained when its database is opened; going back opens the audit."""
    from alembic import command
    from alembic.config import Config

    from devlib.storage.engine import WRITING, make_engine, parse_url
    from devlib.storage.migrate import MIGRATIONS

    url = new_database()
    engine = make_engine(parse_url(url))

    def move(where):
        with engine.connect() as connection:
            writing = connection.execution_options(**{WRITING: True})
            with writing.begin():
                config = Config()
                config.set_main_option("script_location", str(MIGRATIONS))
                config.attributes["connection"] = writing
                (command.upgrade if where == "0003" else command.downgrade)(config, where)

    move("0003")
    with engine.connect() as connection, connection.begin():
        for number in range(3):
            values = {"at": clock.now(), "principal": f"p{number}", "role": "", "session": "", "act": "é"}
            connection.execute(
                sa.text(
                    "INSERT INTO audit (at, principal, role, session, act, target, outcome, detail) "
                    "VALUES (:at, :principal, :role, :session, :act, '', 'done', '')"
                ).bindparams(sa.bindparam("at", type_=audit.c.at.type)),
                values,
            )
    with open_inventory(url, clock) as inventory:
        add(inventory, 9)
        found = check(inventory)
        assert (found.entries, found.whole) == (4, True)
    engine.dispose()
