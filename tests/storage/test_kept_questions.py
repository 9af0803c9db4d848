"""Kept questions: what SQLite's driver answers is what SQLAlchemy answers, whatever becomes of the file."""

import multiprocessing
import shutil
import threading
from datetime import UTC, datetime

import pytest

from devlib.clock import FakeClock
from devlib.errors import NotFound, StorageUnavailable
from devlib.model import EVERYTHING, Identity, Mac, NewDevice, Role, Scope, User, load_catalogue
from devlib.storage import ApiToken, Inventory, NewLine, open_inventory

SOMEBODY = Mac(0x805EC0000001)
MOMENT = datetime(2026, 11, 2, 8, 0, 0, 123456, tzinfo=UTC)
NAMES = ("Ünï", "O'Neil", '"; DROP TABLE lines; --', "\u202e\U0001f980", "%_\\", " ")


def fill(path):
    """Make an inventory with two devices, one of them with lines, and tokens."""
    with open_inventory(f"sqlite:///{path}", FakeClock(MOMENT)) as inventory, inventory.write() as writer:
        writer.add_provider("P", line_state_export=True)
        writer.add_customer("P", "C")
        writer.add_site(EVERYTHING, "C", "S", ["Yealink T46S"])
        for number in (0, 1):
            writer.add_device(EVERYTHING, "C", NewDevice(Mac(SOMEBODY.value + number), "Yealink T46S", "S"))
        for port, text in enumerate(NAMES, start=1):
            line = NewLine(f"{port}@s.example", User(f"u{port}", text, text), port=port)
            writer.assign_lines(EVERYTHING, load_catalogue(), [(SOMEBODY, line)])
        writer.put_identity(Identity("reader", Role.VIEWER, Scope("P", "C", frozenset({"S", "T"}))))
        writer.add_api_token(token("one", used=MOMENT))
        writer.add_api_token(token("two", used=None))


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """A filled file, made once."""
    path = tmp_path_factory.mktemp("seeded") / "inventory.db"
    fill(path)
    return path


@pytest.fixture
def inventory(seeded, tmp_path):
    """An inventory of its own, filled."""
    path = shutil.copy(seeded, tmp_path / "inventory.db")
    with Inventory(f"sqlite:///{path}", FakeClock(MOMENT)) as opened:
        yield opened


def token(number, used):
    return ApiToken(number, "d" * 64, "reader", "", "me", MOMENT, MOMENT, None, used)


def both(inventory, ask):
    """Return what is answered in a glance, and as ever."""
    with inventory.without_waiting(), inventory.read() as reader:
        seen = ask(reader)
    with inventory.read() as reader:
        return seen, ask(reader)


SCOPES = [
    EVERYTHING, Scope("P"), Scope("P", "C"), Scope("P", "C", frozenset({"S"})),
    Scope("P", "C", frozenset({"S", "T", "U"})), Scope(None, "C"),
]  # fmt: skip


def test_a_glance_sees_what_everybody_sees(inventory):
    """Devices with and without lines, tokens with and without moments: both ways give the same values."""
    for scope in SCOPES:
        for mac in (SOMEBODY, Mac(SOMEBODY.value + 1)):
            seen, known = both(inventory, lambda reader, s=scope, m=mac: reader.device(s, m))
            assert seen == known
    for number in ("one", "two", "none"):
        seen, known = both(inventory, lambda reader, n=number: reader.bearer(n))
        assert seen == known
        assert (seen is None) == (number == "none")


@pytest.mark.parametrize("scope", [Scope("P", "D"), Scope("Q"), Scope("P", "C", frozenset({"T"}))])
def test_a_glance_sees_nothing_beyond_its_scope(inventory, scope):
    """A device of another scope is not there, nor is one that does not exist."""
    for where, mac in ((scope, SOMEBODY), (EVERYTHING, Mac(1))):
        with pytest.raises(NotFound), inventory.without_waiting(), inventory.read() as reader:
            reader.device(where, mac)


def test_a_glance_sees_what_was_just_written(inventory):
    """A kept connection holds nothing back: what is committed is seen at the next question."""
    ask = lambda reader: len(reader.device(EVERYTHING, SOMEBODY).lines)  # noqa: E731
    assert both(inventory, ask) == (6, 6)
    with inventory.write() as writer:
        line = NewLine("9@s.example", User("u9"), port=9)
        writer.assign_lines(EVERYTHING, load_catalogue(), [(SOMEBODY, line)])
    assert both(inventory, ask) == (7, 7)


def test_a_glance_sees_the_file_that_took_the_place(inventory, tmp_path):
    """After a restore the kept connection reads the new file, not the one that was replaced."""
    ask = lambda reader: len(reader.device(EVERYTHING, SOMEBODY).lines)  # noqa: E731
    assert both(inventory, ask)[0] == 6
    open_inventory(f"sqlite:///{tmp_path / 'new.db'}", FakeClock(MOMENT)).close()
    for end in ("-wal", "-shm"):
        (tmp_path / f"inventory.db{end}").unlink(missing_ok=True)
    (tmp_path / "new.db").replace(tmp_path / "inventory.db")
    with pytest.raises(NotFound), inventory.without_waiting(), inventory.read() as reader:
        ask(reader)


def test_a_broken_table_is_told_as_ever_and_a_mended_one_read_again(inventory):
    """What SQLite refuses is the suite's own error, and the next question starts with a new connection."""
    with inventory.write() as writer:
        writer.connection.exec_driver_sql("ALTER TABLE lines RENAME TO hidden")
    with pytest.raises(StorageUnavailable), inventory.without_waiting(), inventory.read() as reader:
        reader.device(EVERYTHING, SOMEBODY)
    with inventory.write() as writer:
        writer.connection.exec_driver_sql("ALTER TABLE hidden RENAME TO lines")
    with inventory.without_waiting(), inventory.read() as reader:
        assert len(reader.device(EVERYTHING, SOMEBODY).lines) == 6


def test_each_thread_has_its_own(inventory):
    """Threads that look at the same time do not share a connection; all are closed at the end."""
    seen, meet = [], threading.Barrier(4)

    def look():
        meet.wait()
        for _ in range(50):
            with inventory.without_waiting(), inventory.read() as reader:
                seen.append(len(reader.device(EVERYTHING, SOMEBODY).lines))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert seen == [6] * 200
    assert len(inventory._kept._all) == 4
    inventory.close()
    assert inventory._kept._all == []


def _look_in_child(inventory, sent):
    with inventory.without_waiting(), inventory.read() as reader:
        sent.put(len(reader.device(EVERYTHING, SOMEBODY).lines))
    sent.put(len(inventory._kept._inherited))


def test_the_child_of_a_fork_has_its_own(inventory):
    """A child leaves its parent's connection alone, and both go on looking."""
    ask = lambda reader: len(reader.device(EVERYTHING, SOMEBODY).lines)  # noqa: E731
    assert both(inventory, ask) == (6, 6)
    fork = multiprocessing.get_context("fork")
    sent = fork.SimpleQueue()
    child = fork.Process(target=_look_in_child, args=(inventory, sent))
    child.start()
    assert (sent.get(), sent.get()) == (6, 1)
    child.join(30)
    assert child.exitcode == 0
    assert both(inventory, ask) == (6, 6)
