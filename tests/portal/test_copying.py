"""Moving a fleet to other machines, backups and what comes back: equal in every row, number and file."""

from datetime import timedelta

import pytest
from bucket_fixture import BucketServer, bucket_server
from portal_home import Home, home, mac_of
from postgresql_fixture import PostgresqlServer, postgresql

from devlib.config import Settings
from devlib.errors import Conflict, NotAllowed, NotFound, StorageUnavailable
from devlib.model import EVERYTHING, Identity, Role, Scope, User
from devlib.portal import lake_place, restore
from devlib.storage import NewLine, open_inventory
from devlib.storage.copy_tables import TABLES, checksum
from devlib.storage.copying import living_files

__all__ = ["bucket_server", "home", "postgresql"]

pytestmark = [pytest.mark.here, pytest.mark.postgresql, pytest.mark.bucket]


@pytest.fixture(autouse=True)
def reachable(bucket_server, monkeypatch):
    """The bucket is found as on any machine: by the environment."""
    for name, value in bucket_server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def full(home: Home) -> Home:
    """A home with three days of snapshots, the first two compacted, and something in every kind of table."""
    portal = home.portal()
    for _ in range(6):
        portal.collect()
        home.clock.advance(12 * 3_600)
    portal.compact()
    with home.services.inventory.write() as writer:
        writer.put_identity(
            Identity("ann", Role.VIEWER, Scope("Test Telecom", "Bakery", frozenset({"Lyon"})))
        )
    portal.new_token("ann")
    portal.remove(mac_of(12))  # the largest number of a device and of its lines is gone
    return home


@pytest.fixture
def target(postgresql: PostgresqlServer, bucket_server: BucketServer) -> dict[str, str]:
    """An empty database and an empty place in a bucket."""
    return {"database": postgresql.new_database(), "lake": bucket_server.new_address()}


def settings_of(folder, **given):
    return Settings(home=folder, account="tester", **given)


def contents(settings, clock):
    """Return what a store holds: digests of all tables, and the bytes of all files that are read."""
    files = lake_place(settings, clock)
    with open_inventory(settings.database_url, clock) as inventory, inventory.frozen() as connection:
        tables = {table.name: checksum(connection, table) for table in TABLES}
        names = living_files(connection)
    assert files.present(names) == names
    files.bring(names)
    return tables, {name: (files.folder / name).read_bytes() for name in names}


def but_audit(found):
    tables, files = found
    return {name: value for name, value in tables.items() if not name.startswith("audit")}, files


def test_a_moved_fleet_is_equal_and_goes_on(full, target, tmp_path):
    """Every row and file is there, the audit's chain holds, and no number is given a second time."""
    old = contents(full.settings, full.clock)
    done = full.portal().migrate(**target)
    assert (done.missing, done.files) == (0, len(old[1]))
    assert done.rows == sum(count for count, _ in old[0].values())
    new = settings_of(tmp_path / "new", **target)
    assert contents(new, full.clock) == old
    assert but_audit(contents(full.settings, full.clock)) == but_audit(old)  # the source was only read
    line = NewLine("new@lyon.bakery.example", User("new"), port=1)
    numbers = []
    for url in (full.settings.database_url, target["database"]):
        with open_inventory(url, full.clock) as inventory, inventory.write() as writer:
            assert writer.check_audit().whole
            writer.remove_device(EVERYTHING, mac_of(1))
            device = writer.add_device(EVERYTHING, "Bakery", _device(200))
            writer.assign_lines(EVERYTHING, full.services.catalogue, [(mac_of(200), line)])
            numbers.append((device.id, writer.device(EVERYTHING, mac_of(200)).lines[0].key))
    assert numbers[0] == numbers[1]
    assert numbers[0] > (12, 24)


def _device(number):
    from devlib.model import NewDevice

    return NewDevice(mac_of(number), "Yealink T46S", "Lyon")


class _Interrupted(BaseException):
    """As a kill would, it passes everything that expects errors."""


def test_an_interrupted_move_goes_on_and_ends_equal(full, target, tmp_path, monkeypatch):
    """Interrupted at each step in turn, the same call always comes to an equal end."""
    monkeypatch.setattr("devlib.storage.copy_tables.BATCH", 5)
    steps, last = 0, 0
    while True:
        seen = 0

        def tell(_, limit=last):
            nonlocal seen
            seen += 1
            if seen > limit:
                raise _Interrupted

        try:
            full.portal().migrate(**target, tell=tell)
        except _Interrupted:
            steps, last = steps + 1, last + 1 + last // 3
        else:
            break
    assert steps > 6
    new = contents(settings_of(tmp_path / "new", **target), full.clock)
    assert but_audit(new) == but_audit(contents(full.settings, full.clock))


def test_what_is_in_use_is_never_overwritten(full, target, tmp_path):
    """A finished move is not repeated, and a database that holds something else is refused."""
    full.portal().migrate(**target)
    with pytest.raises(Conflict, match="in use"):
        full.portal().migrate(**target)
    other = {"database": full.settings.database_url, "lake": str(tmp_path / "elsewhere")}
    with pytest.raises(Conflict, match="in use"):
        full.portal().migrate(**other)


def test_a_copy_that_is_not_equal_is_told_and_mended(full, target, bucket_server):
    """A file that came out wrong is noticed by its digest; the next attempt copies it again."""
    with_wrong = []

    def tell(step):
        if step.part == "files" and step.done == step.total and not with_wrong:
            with_wrong.append(bucket_server.names(target["lake"])[0])
            bucket_server.put(target["lake"], with_wrong[0], b"wrong")

    with pytest.raises(StorageUnavailable, match="not equal"):
        full.portal().migrate(**target, tell=tell)
    assert full.portal().migrate(**target, tell=tell).missing == 0


def test_a_missing_file_is_counted_and_does_not_stop_the_move(full, target):
    """What the manifest names and nobody has is as missing there as here."""
    snapshot = full.portal().collect().snapshot
    full.services.lake.files.remove([snapshot.path])
    assert full.portal().migrate(**target).missing == 1


def test_backups_into_one_folder_bring_the_news_and_come_back_equal(full, target, tmp_path):
    """A second backup holds what is there now and nothing that is gone; restored elsewhere it is equal."""
    folder = tmp_path / "backup"
    (full.settings.home / "device-types.csv").write_text("mine", encoding="utf-8")
    first = full.portal().back_up(folder)
    steps = []
    full.portal().collect()
    full.portal().remove(mac_of(2))
    with full.services.inventory.write() as writer:
        # Two lines that swap what must be there once only.
        keys = [
            writer.device(EVERYTHING, mac_of(3)).lines[0].key,
            writer.device(EVERYTHING, mac_of(4)).lines[0].key,
        ]
        names = dict(writer.connection.exec_driver_sql("SELECT id, line_port FROM lines").all())
        for key, name in [(keys[0], "x"), (keys[1], names[keys[0]]), (keys[0], names[keys[1]])]:
            writer.connection.exec_driver_sql("UPDATE lines SET line_port = ? WHERE id = ?", (name, key))
    now = contents(full.settings, full.clock)
    second = full.portal().back_up(folder, steps.append)
    assert second.files == first.files + 1
    assert [(each.part, each.done) for each in steps if each.part.startswith("files")] == [
        ("files", 1), ("files compared", 1),
    ]  # fmt: skip
    assert (folder / "device-types.csv").read_text() == "mine"
    assert folder.stat().st_mode & 0o077 == 0
    new = settings_of(tmp_path / "new", **target)
    done = restore(new, folder, full.clock)
    assert done.files == second.files
    assert but_audit(contents(new, full.clock)) == but_audit(now)
    with open_inventory(new.database_url, full.clock) as inventory, inventory.read() as reader:
        assert reader.check_audit().whole
        assert reader.audit_entries(1)[0].act == "copy"
    with pytest.raises(Conflict, match="in use"):
        restore(new, folder, full.clock)


def test_no_backup_is_told(tmp_path, home):
    """A folder without a backup is named, and nothing is made of it."""
    with pytest.raises(NotFound, match="no backup"):
        restore(settings_of(tmp_path / "new"), tmp_path, home.clock)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("role", "scope"),
    [(Role.OPERATOR, EVERYTHING), (Role.VIEWER, EVERYTHING), (Role.SERVICE_PROVIDER, Scope("Test Telecom"))],
)
def test_only_who_may_do_everything_copies(home, tmp_path, role, scope):
    """Others are refused before anything is made, and that is audited."""
    portal = home.portal(role, scope)
    for act in (
        lambda: portal.back_up(tmp_path / "b"),
        lambda: portal.migrate(f"sqlite:///{tmp_path}/b/x.db", str(tmp_path / "b")),
    ):
        with pytest.raises(NotAllowed):
            act()
    assert not (tmp_path / "b").exists()
    with home.services.inventory.read() as reader:
        assert [(each.act, each.outcome) for each in reader.audit_entries(2)] == [("copy", "refused")] * 2


def test_a_part_of_the_fleet_cannot_be_compacted(home):
    """Compaction touches every customer's days: an operator of one customer is refused."""
    home.clock.advance(timedelta(days=1).total_seconds())
    with pytest.raises(NotAllowed):
        home.portal(Role.OPERATOR, Scope("Test Telecom", "Bakery")).compact()


def test_what_a_killed_copy_left_is_removed_and_what_a_living_one_uses_is_not(home):
    """The private copy of a SQLite inventory goes at the latest when the next one is made."""
    left = home.folder / ".copy-killed"
    left.mkdir()
    (left / "lock").touch()
    inventory = home.services.inventory
    with inventory.frozen():
        assert not left.exists()
        mine = set(home.folder.glob(".copy-*"))
        with inventory.frozen():
            assert mine < set(home.folder.glob(".copy-*"))
    assert not set(home.folder.glob(".copy-*"))
