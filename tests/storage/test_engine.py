"""How the inventory is reached: URLs, file systems, journals, migrations, forks."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from devlib.clock import FakeClock, SystemClock
from devlib.errors import ConfigurationError, StorageUnavailable
from devlib.model import EVERYTHING
from devlib.storage import Inventory, engine, open_inventory
from devlib.storage.file_systems import network_file_system
from devlib.storage.migrate import MIGRATIONS
from devlib.storage.schema import HEAD, metadata


def test_migrations_and_metadata_agree(inventory: Inventory) -> None:
    """The migrations make exactly the tables that the code declares."""
    with inventory.read() as reader:
        # SQLite does not tell how a key counts up.
        options = {"compare_type": True, "compare_server_default": reader.connection.dialect.name != "sqlite"}
        context = MigrationContext.configure(reader.connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_head_is_the_newest_migration() -> None:
    """The fast path of opening knows the newest migration without loading any."""
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == HEAD


def test_migration_can_be_taken_back(inventory: Inventory) -> None:
    """The downgrades, one after the other, drop every table of the inventory."""
    from alembic.operations import Operations

    with inventory.write() as writer:
        context = MigrationContext.configure(writer.connection)
        with Operations.context(context):
            for revision in ScriptDirectory(str(MIGRATIONS)).walk_revisions():
                revision.module.downgrade()
        assert not set(context.dialect.get_table_names(writer.connection)) & set(metadata.tables)


def test_database_of_a_newer_devlib_is_refused(inventory: Inventory, url: str, clock: FakeClock) -> None:
    """A form that this code does not know is refused with a remedy, and left as it is."""
    with inventory.write() as writer:
        writer.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageUnavailable, match="9999") as caught:
        open_inventory(url, clock)
    assert "newer" in str(caught.value)


def _open(url: str, barrier: object, errors: object) -> None:
    barrier.wait()
    try:
        with open_inventory(url, SystemClock()) as inventory, inventory.write() as writer:
            writer.add_provider(f"Provider {os.getpid()}")
    except Exception as error:  # noqa: BLE001 - the parent shows it
        errors.put(repr(error))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_sixteen_processes_open_first(new_database: Callable[[], str], clock: FakeClock) -> None:
    """Sixteen processes that open an empty database at the same time all succeed."""
    url = new_database()
    processes = multiprocessing.get_context("fork")
    barrier, errors = processes.Barrier(16), processes.Queue()
    openers = [processes.Process(target=_open, args=(url, barrier, errors)) for _ in range(16)]
    for each in openers:
        each.start()
    for each in openers:
        each.join()
    assert errors.empty(), errors.get()
    with open_inventory(url, clock) as inventory, inventory.read() as reader:
        assert len(reader.providers(EVERYTHING)) == 16
    errors.close()
    errors.join_thread()


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://a:secret@b/c"])
def test_wrong_urls_are_refused(url: str, clock: FakeClock) -> None:
    """A URL that is none, or of another kind of database, is refused with the ways to write one."""
    with pytest.raises(ConfigurationError) as caught:
        open_inventory(url, clock)
    assert "sqlite:///FILE" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_unreachable_postgresql_hides_the_password(clock: FakeClock) -> None:
    """A server that does not answer is StorageUnavailable, and its password stands nowhere in the text."""
    with pytest.raises(StorageUnavailable) as caught:
        open_inventory("postgresql://someone:s3cr3t@127.0.0.1:1/inventory", clock)
    assert "127.0.0.1" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_file_that_is_no_database(tmp_path: Path, clock: FakeClock) -> None:
    """A file of another kind is refused with its name."""
    path = tmp_path / "inventory.db"
    path.write_bytes(b"Not a database at all. " * 100)
    with pytest.raises(StorageUnavailable, match=r"inventory\.db"):
        open_inventory(f"sqlite:///{path}", clock)


def test_folder_that_cannot_be_made(tmp_path: Path, clock: FakeClock) -> None:
    """A folder that cannot be made is StorageUnavailable, not an OSError."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageUnavailable):
        open_inventory(f"sqlite:///{tmp_path}/file/inventory.db", clock)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_network_file_systems_are_recognised(kind: str, tmp_path: Path) -> None:
    """The innermost mount decides, and blanks in its name are understood."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path}/my\\040share {kind} rw 0 0\n"
        f"tmpfs {tmp_path}/my\\040share/local tmpfs rw 0 0\n"
    )
    assert network_file_system(tmp_path / "my share" / "home", mounts) == kind
    assert network_file_system(tmp_path / "my share" / "local" / "home", mounts) == ""
    assert network_file_system(tmp_path / "my", mounts) == ""
    assert network_file_system(tmp_path, tmp_path / "missing") == ""


def test_sqlite_on_a_network_file_system_is_refused(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite on NFS is refused, and the remedy names PostgreSQL."""
    monkeypatch.setattr(engine, "network_file_system", lambda _path: "nfs4")
    with pytest.raises(StorageUnavailable, match="nfs4") as caught:
        open_inventory(f"sqlite:///{tmp_path}/inventory.db", clock)
    assert "PostgreSQL" in str(caught.value)


def test_journal_follows_the_library(inventory: Inventory, url: str) -> None:
    """WAL is used, since the library that comes along has no WAL-reset bug; an older one gets PERSIST."""
    assert inventory.journal_mode_in_use() == ("wal" if url.startswith("sqlite") else "")
    assert engine.preferred_journal_mode((3, 51, 2)) == "persist"
    assert engine.preferred_journal_mode((3, 51, 3)) == "wal"


def test_write_inside_write_is_refused(inventory: Inventory, url: str) -> None:
    """A thread that writes already is told so, where it would wait for itself for ever."""
    if not url.startswith("sqlite"):
        pytest.skip("PostgreSQL runs both")
    with inventory.write() as writer:
        with pytest.raises(RuntimeError), inventory.write():
            pass
        writer.add_provider("Still here")
    with inventory.read() as reader:
        assert [each.name for each in reader.providers(EVERYTHING)] == ["Still here"]


def test_threads_share_an_inventory(inventory: Inventory) -> None:
    """Eight threads that write and read with one inventory lose nothing."""

    def add(number: int) -> None:
        for each in range(5):
            with inventory.write() as writer:
                writer.add_provider(f"{number}-{each}")
            with inventory.read() as reader:
                reader.providers(EVERYTHING)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    with inventory.read() as reader:
        assert len(reader.providers(EVERYTHING)) == 40


def _child(inventory: Inventory, number: int) -> None:
    with inventory.write() as writer:
        writer.add_provider(f"Child {number}")
    with inventory.read() as reader:
        assert reader.providers(EVERYTHING)
    inventory.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_inventory_survives_a_fork(inventory: Inventory) -> None:
    """Children of a fork use the inventory that they inherit, and the parent's connection lives on."""
    with inventory.write() as writer:
        writer.add_provider("Parent")
    processes = multiprocessing.get_context("fork")
    children = [processes.Process(target=_child, args=(inventory, number)) for number in range(4)]
    with inventory.read() as reader:
        for each in children:
            each.start()
        for each in children:
            each.join()
        assert [each.exitcode for each in children] == [0] * 4
        assert len(reader.providers(EVERYTHING)) == 5


def _add_and_raise(inventory: Inventory, name: str, error: type[BaseException]) -> None:
    with inventory.write() as writer:
        writer.add_provider(name)
        raise error


def test_nothing_of_a_failed_block_stays(inventory: Inventory) -> None:
    """A block of `write()` that raises leaves nothing behind, whatever raised."""
    for name, error in (("Gone", KeyboardInterrupt), ("Gone too", ValueError)):
        with pytest.raises(error):
            _add_and_raise(inventory, name, error)
    with inventory.read() as reader:
        assert reader.providers(EVERYTHING) == []


def test_a_file_that_was_put_in_place_is_read(tmp_path: Path) -> None:
    """Connections that are kept for reading follow a backup that takes the place of the file."""
    place, backup = tmp_path / "inventory.db", tmp_path / "backup.db"
    for path, name in ((place, "old"), (backup, "restored")):
        with open_inventory(f"sqlite:///{path}", FakeClock()) as made, made.write() as writer:
            writer.add_provider(name)
    with Inventory(f"sqlite:///{place}", FakeClock()) as opened:
        with opened.read() as reader:
            assert [each.name for each in reader.providers(EVERYTHING)] == ["old"]
        backup.replace(place)
        with opened.read() as reader:
            assert [each.name for each in reader.providers(EVERYTHING)] == ["restored"]


def test_reading_keeps_its_connections_and_never_runs_out(tmp_path: Path) -> None:
    """One question after the other uses one connection; as many at once as there are askers get an answer."""
    with open_inventory(f"sqlite:///{tmp_path / 'inventory.db'}", FakeClock()) as opened:
        drivers = []
        for _ in range(3):
            with opened.read() as reader:
                drivers.append(reader.connection.connection.dbapi_connection)
        assert all(each is drivers[0] for each in drivers)
        with ExitStack() as stack:
            readers = [stack.enter_context(opened.read()) for _ in range(40)]
            assert [each.identities() for each in readers] == [[]] * 40
