"""What only the coordinator of one machine must do: files, locks, crashes, boots."""

import os
import signal
import sqlite3
import stat
import time

import pytest
from export.admission.conftest import request_of

from devlib.clock import FakeClock
from devlib.config import ExportPolicy
from devlib.errors import StorageUnavailable
from devlib.export import sqlite_coordinator
from devlib.export.doorbell import Doorbell, ring
from devlib.export.ownership import OwnerLock, boot_id, is_dead
from devlib.export.sqlite_coordinator import SqliteCoordinator


@pytest.fixture
def queue(tmp_path):
    """A function that opens a coordinator in one folder."""
    opened = []

    def open_another(**limits):
        coordinator = SqliteCoordinator(tmp_path / "queue", ExportPolicy(**limits), FakeClock())
        opened.append(coordinator)
        return coordinator

    yield open_another
    for coordinator in opened:
        coordinator.close()


def the_file(folder):
    """Return the database of the queue."""
    return next((folder / "queue").glob("admission-*.db"))


def test_the_folder_is_for_this_account_only(queue, tmp_path):
    """Folder 0700, file 0600: names of customers and accounts are in them."""
    queue().poll("t")
    assert stat.S_IMODE((tmp_path / "queue").stat().st_mode) == 0o700
    assert stat.S_IMODE(the_file(tmp_path).stat().st_mode) == 0o600
    assert boot_id() in the_file(tmp_path).name


def test_a_network_file_system_is_refused_with_a_remedy(queue, monkeypatch):
    """Locks cannot be trusted there; the message names PostgreSQL and a local folder."""
    monkeypatch.setattr(sqlite_coordinator, "network_file_system", lambda _: "nfs4")
    with pytest.raises(StorageUnavailable, match=r"network file system \(nfs4\)") as refused:
        queue()
    assert "DEVLIB_DATABASE" in str(refused.value)


def test_a_machine_without_a_boot_number_is_refused(queue, monkeypatch, tmp_path):
    """Without it, state of another boot could not be told apart."""
    assert boot_id(tmp_path / "missing") == ""
    monkeypatch.setattr(sqlite_coordinator, "boot_id", lambda: "")
    with pytest.raises(StorageUnavailable, match="when it was started"):
        queue()


def test_what_another_boot_left_is_removed(queue, tmp_path):
    """The monotonic clock began anew, so the old times mean nothing."""
    (tmp_path / "queue").mkdir()
    old = tmp_path / "queue" / "admission-another.db"
    old.touch()
    queue().poll("t")
    assert not old.exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"no database at all" * 100),
        lambda path: _execute(path, "PRAGMA user_version = 99"),
        lambda path: _execute(path, "INSERT OR REPLACE INTO admission VALUES ('export', 'no json')"),
        lambda path: _execute(path, "INSERT OR REPLACE INTO admission VALUES ('export', '{\"tickets\": 1}')"),
    ],
    ids=["no database", "another version", "no json", "another document"],
)
def test_a_broken_file_is_put_aside(queue, tmp_path, spoil):
    """A corrupt file, or one of another version, is renamed, and all start anew in the same one."""
    first = queue()
    first.submit(request_of("s1"), ticket="t1")
    first.close()
    spoil(the_file(tmp_path))
    second, third = queue(), queue()
    assert second.submit(request_of("s2"), ticket="t2").state == "running"
    assert third.poll("t2").state == "running"
    assert the_file(tmp_path).with_suffix(".aside").exists()


def _execute(path, sql):
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()


def test_a_replaced_file_is_opened_again(queue, tmp_path):
    """A process that still has the old file open must not keep a queue of its own."""
    first, second = queue(), queue()
    first.submit(request_of("s1"), ticket="t1")
    second.poll("t1")
    the_file(tmp_path).unlink()
    assert second.submit(request_of("s2"), ticket="t2").state == "running"
    assert first.poll("t2").state == "running"
    assert first.poll("t1").why == "unknown"


def test_an_unusable_folder_is_503(tmp_path):
    """A file in the place of the folder fails closed, with a remedy."""
    (tmp_path / "queue").write_text("a file", encoding="utf-8")
    with pytest.raises(StorageUnavailable, match="cannot be opened"):
        SqliteCoordinator(tmp_path / "queue", ExportPolicy(), FakeClock())


def test_a_locked_database_is_503(queue, tmp_path, monkeypatch):
    """An error of SQLite that is no corruption leaves the file where it is."""
    coordinator = queue()
    coordinator.poll("t")

    def locked(store):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("devlib.export.sqlite_store.SqliteStore.begin", locked)
    with pytest.raises(StorageUnavailable, match="disk I/O error"):
        coordinator.poll("t")
    assert not the_file(tmp_path).with_suffix(".aside").exists()


def test_an_error_in_a_step_changes_nothing(queue, monkeypatch):
    """A step is stored whole or not at all."""
    coordinator = queue()
    coordinator.submit(request_of("s1", idempotency="k"), ticket="t1")
    monkeypatch.setattr("devlib.export.sqlite_store.SqliteStore.save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        coordinator.cancel("t1")
    monkeypatch.undo()
    assert coordinator.poll("t1").state == "running"


def in_child(action):
    """Run `action` in a fork and return its process; its result is the exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = int(action())
        finally:
            os._exit(code)
    return child


def test_a_killed_holder_frees_its_slot_and_wakes_who_waits(queue):
    """After kill -9 the kernel frees the lock, and the death itself ends the wait of the next (§3.5)."""
    coordinator = queue(max_running=1)
    reader, writer = os.pipe()

    def hold():
        queue(max_running=1).submit(request_of("s1", "c1"), ticket="t1")
        os.write(writer, b"x")
        time.sleep(60)

    child = in_child(hold)
    os.read(reader, 1)
    waiting = coordinator.submit(request_of("s2", "c2"), ticket="t2")
    assert waiting.state == "waiting"
    with coordinator.bell() as bell:
        os.kill(child, signal.SIGKILL)
        began = time.monotonic()
        bell.wait(30.0, waiting.watch)
        assert time.monotonic() - began < 15.0
        assert coordinator.poll("t2").state == "running"
        os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)


def test_a_fork_is_a_process_of_its_own(queue):
    """The child of a fork gets its own owner and connection, and does not keep its dead parent alive."""
    coordinator = queue()
    coordinator.submit(request_of("s1", "c1"), ticket="t1")
    owner = coordinator.owner

    def use():
        coordinator.submit(request_of("s2", "c2"), ticket="t2")
        living = queue().poll("t2").state == "running"
        return coordinator.owner == owner or not living

    _, code = os.waitpid(in_child(use), 0)
    assert code == 0
    assert coordinator.poll("t1").state == "running"
    assert coordinator.poll("t2").why == "unknown"


def test_an_owner_is_dead_when_its_lock_is_free(tmp_path):
    """A living owner is not dead; a closed or unknown one is."""
    owner = OwnerLock(tmp_path)
    assert not is_dead(tmp_path, owner.name)
    owner.close()
    owner.close()
    assert is_dead(tmp_path, owner.name)
    (tmp_path / "1-left").touch()
    assert is_dead(tmp_path, "1-left")
    assert not (tmp_path / "1-left").exists()


def test_a_bell_rings():
    """A ring ends a wait; an address that is none is ignored."""
    with Doorbell() as bell:
        ring([bell.address, "0"])
        began = time.monotonic()
        bell.wait(30.0)
        bell.ring()
        bell.wait(30.0)
        assert time.monotonic() - began < 15.0


def test_a_process_that_is_not_there_is_told_once():
    """A dead process ends the wait at once, but only the first time: no spinning (§3.3)."""
    child = in_child(lambda: 0)
    os.waitpid(child, 0)
    with Doorbell() as bell:
        began = time.monotonic()
        bell.wait(30.0, [f"{child}-gone", "nonsense"])
        assert time.monotonic() - began < 15.0
        began = time.monotonic()
        bell.wait(0.05, [f"{child}-gone", "nonsense"])
        assert time.monotonic() - began >= 0.05
