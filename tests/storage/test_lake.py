"""The lake: whole files or none, the fewest snapshots, and sweeping."""

import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from devlib.clock import FakeClock
from devlib.config import QueryLimits
from devlib.errors import StorageUnavailable
from devlib.model import EVERYTHING, OBSERVATIONS, Customer, Scope
from devlib.storage import Collected, Lake, Snapshot, Source, observations, open_inventory, run_query
from devlib.storage.manifest import fewest

START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
ROW = ", ".join(f"NULL::{column.type} AS {column.name}" for column in OBSERVATIONS)


@pytest.fixture
def clock():
    return FakeClock(START)


@pytest.fixture
def inventory(tmp_path, clock):
    with open_inventory(f"sqlite:///{tmp_path / 'inventory.db'}", clock) as opened:
        with opened.write() as writer:
            writer.add_provider("P")
            for name in ("A", "B"):
                writer.add_customer("P", name)
                for site in ("Lyon", "Nice"):
                    writer.add_site(EVERYTHING, name, site, ["Yealink T46S"])
        yield opened


@pytest.fixture
def folder_lake(tmp_path, inventory, clock):
    """A lake in a folder, for what only a folder can show."""
    made = Lake(tmp_path / "lake", inventory, clock)
    yield made
    made.close()


@pytest.fixture
def lake(place, inventory, clock):
    made = Lake(place, inventory, clock)
    yield made
    made.close()


def collected(customer=None, site=None, minutes=0):
    provider = None if customer is None else "P"
    return Collected(provider, customer, site, START + timedelta(minutes=minutes))


def one_row(key=1, site="Lyon", state="registered", minutes=0):
    """Return SQL of one observation."""
    at = (START + timedelta(minutes=minutes)).replace(tzinfo=None)
    return (
        f"SELECT * REPLACE ({key} AS line_key, 'P' AS provider, 'A' AS customer, '{site}' AS site, "
        f"'{state}' AS state, TIMESTAMP '{at}' AS observed_at) FROM (SELECT {ROW})"
    )


def rows_of(lake, snapshots, columns="line_key, state"):
    with lake.connection() as cursor:
        return cursor.execute(
            f"SELECT {columns} FROM {lake.current_relation(snapshots)} ORDER BY ALL"
        ).fetchall()


def test_a_snapshot_is_entered_with_its_file_and_counts(lake):
    """A written snapshot is in the manifest with rows and bytes, and its file has every declared column."""
    snapshot = lake.write(one_row(), {}, {}, collected())
    assert snapshot.rows == 1
    assert snapshot.bytes == lake.path(snapshot).stat().st_size
    found = duckdb.sql(f"DESCRIBE SELECT * FROM '{lake.path(snapshot)}'").fetchall()
    assert [name for name, *_ in found] == list(OBSERVATIONS.names)


def test_a_failed_query_leaves_no_file_and_no_entry(lake, inventory):
    """A collection whose join fails writes nothing."""
    with pytest.raises(duckdb.Error):
        lake.write(one_row().replace("'P'", "error('broken')"), {}, {}, collected())
    assert [path for path in lake.folder.rglob("*") if path.is_file()] == []
    with inventory.read() as reader:
        assert list(reader.manifest(EVERYTHING)) == []


def test_an_unwritable_folder_is_told_with_its_remedy(lake):
    """Where the folder cannot be written, the error names the folder and what to do."""
    lake.folder.mkdir()
    (lake.folder / "2026-11").write_text("a file where a folder should be")
    with pytest.raises(StorageUnavailable, match="Make room") as caught:
        lake.write(one_row(), {}, {}, collected())
    assert str(lake.folder) in str(caught.value)


def test_no_snapshot_is_an_empty_relation_with_all_columns(lake):
    """Questions to an empty lake get no rows, but every column."""
    with lake.connection() as cursor:
        described = cursor.execute(f"DESCRIBE SELECT * FROM {lake.relation([])}").fetchall()
    assert [name for name, *_ in described] == list(OBSERVATIONS.names)
    assert rows_of(lake, []) == []


def test_the_newest_row_of_each_site_counts(lake):
    """A newer snapshot of one site wins there; the older whole one still answers for the other sites."""
    lake.write(f"{one_row(1)} UNION ALL {one_row(2, 'Nice')}", {}, {}, collected("A"))
    lake.write(one_row(1, state="aged", minutes=5), {}, {}, collected("A", "Lyon", 5))
    snapshots = lake.current(Scope("P", "A"))
    assert [each.collected.site for each in snapshots] == ["Lyon", None]
    assert rows_of(lake, snapshots) == [(1, "aged"), (2, "registered")]


def test_a_removed_line_does_not_come_back(lake):
    """Where a newer snapshot asked for a site and holds no row of a line, the line is gone."""
    lake.write(f"{one_row(1)} UNION ALL {one_row(2, 'Nice')}", {}, {}, collected("A"))
    lake.write(f"{one_row(1, minutes=5)} LIMIT 0", {}, {}, collected("A", "Lyon", 5))
    assert rows_of(lake, lake.current(Scope("P", "A"))) == [(2, "registered")]


def test_a_moved_device_shows_once(lake):
    """A line that was collected at its new site has no second row at its old one."""
    lake.write(one_row(1), {}, {}, collected("A"))
    lake.write(one_row(1, "Nice", "aged", minutes=5), {}, {}, collected("A", "Nice", 5))
    found = rows_of(lake, lake.current(Scope("P", "A")), "line_key, site, state")
    assert found == [(1, "Nice", "aged")]


def test_the_name_of_a_folder_is_no_column(tmp_path, inventory, clock):
    """A lake below a folder called `customer=B` still tells A's rows as A's."""
    lake = Lake(tmp_path / "customer=B" / "lake", inventory, clock)
    for minutes in (0, 5):
        lake.write(one_row(minutes=minutes), {}, {}, collected("A", "Lyon" if minutes else None, minutes))
    snapshots = lake.current(Scope("P", "A"))
    assert rows_of(lake, snapshots, "customer") == [("A",)]
    table = observations(map(lake.path, snapshots), Scope("P", "A")).to_table()
    assert table.column("customer").to_pylist() == ["A", "A"]
    lake.close()


def test_tables_make_one_snapshot_in_their_order(lake):
    """Tables lie one after another in the file; a snapshot of none is whole, and empty."""
    written = lake.write_tables(iter([_rows(2, 1), _rows(3)]), collected())
    assert written.rows == 3
    file = str(lake.local([written.path])[0])
    assert duckdb.execute("SELECT line_key FROM read_parquet(?)", [file]).fetchall() == [(2,), (1,), (3,)]
    empty = lake.write_tables(iter([]), collected(minutes=5))
    assert (empty.rows, rows_of(lake, lake.current(EVERYTHING))) == (0, [])


def test_a_table_that_cannot_be_made_leaves_nothing(folder_lake):
    """The error is that of whoever makes the tables; no file and no entry are left."""

    def tables():
        yield _rows(1)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        folder_lake.write_tables(tables(), collected())
    assert [each for each in folder_lake.folder.rglob("*") if each.is_file()] == []
    assert folder_lake.current(EVERYTHING) == []


def _rows(*keys):
    sql = " UNION ALL ".join(one_row(key) for key in keys)
    return duckdb.sql(sql).to_arrow_table()


def test_a_missing_file_is_left_out(lake):
    """The rows of a missing file come from the snapshot before; with none left that is told."""
    first = lake.write(one_row(), {}, {}, collected())
    second = lake.write(one_row(state="aged", minutes=5), {}, {}, collected(minutes=5))
    lake.files.remove([second.path])
    assert rows_of(lake, lake.current(EVERYTHING)) == [(1, "registered")]
    lake.files.remove([first.path])
    with pytest.raises(StorageUnavailable, match="missing"):
        lake.current(EVERYTHING)
    third = lake.write(f"SELECT * FROM {lake.last_relation(EVERYTHING)}", {}, {}, collected(minutes=6))
    assert lake.current(EVERYTHING) == [third]


@pytest.mark.parametrize("content", [None, b"no parquet", b"PAR1 cut off PAR1"])
def test_a_broken_file_is_told_with_its_name(folder_lake, content):
    """A file that is missing or broken when it is read is an error with its name and a remedy."""
    lake = folder_lake
    snapshot = lake.write(one_row(), {}, {}, collected())
    path = lake.path(snapshot)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    source = Source("observations", lambda: observations([path], EVERYTHING))
    for read in (
        lambda: rows_of(lake, [snapshot]),
        lambda: run_query("SELECT * FROM observations", [source], QueryLimits()),
    ):
        with pytest.raises(StorageUnavailable, match="collect again") as caught:
            read()
        assert str(path) in str(caught.value)


def test_the_past_can_be_asked(lake):
    """With a moment given, later snapshots are as if not there."""
    lake.write(one_row(), {}, {}, collected())
    lake.write(one_row(state="aged", minutes=60), {}, {}, collected(minutes=60))
    assert rows_of(lake, lake.current(EVERYTHING, START + timedelta(minutes=30))) == [(1, "registered")]


def test_orphans_are_swept_when_old_and_only_then(folder_lake, clock):
    """A file that no manifest row names goes after an hour; named files and other people's stay."""
    lake = folder_lake
    kept = lake.write(one_row(), {}, {}, collected())
    folder = lake.path(kept).parent
    orphan = folder / ".20261102T080000-0123456789ab.parquet.writing"
    others = [folder / "notes.parquet", lake.folder / "README.md", folder / ".x.parquet.writing"]
    for path in (orphan, *others):
        path.write_bytes(b"half a file")
    for path in (orphan, *others, lake.path(kept)):
        os.utime(path, (START.timestamp(), START.timestamp()))
    assert lake.sweep() == []
    clock.advance(3_601)
    assert lake.sweep() == [orphan]
    assert all(path.exists() for path in (lake.path(kept), *others))


def test_a_killed_writer_leaves_nothing_that_a_reader_sees(tmp_path, folder_lake, inventory):
    """kill -9 after the rename and before the manifest: the manifest is empty, the file an orphan."""
    lake = folder_lake
    script = f"""
        import os, signal
        from datetime import UTC, datetime
        from pathlib import Path
        from devlib.clock import SystemClock
        from devlib.storage import Collected, Lake, open_inventory

        inventory = open_inventory("sqlite:///{tmp_path / "inventory.db"}", SystemClock())
        lake = Lake(Path("{lake.folder}"), inventory, SystemClock())
        inventory.write = lambda: os.kill(os.getpid(), signal.SIGKILL)
        lake.write({one_row()!r}, {{}}, {{}}, Collected(None, None, None, datetime(2026, 11, 2, tzinfo=UTC)))
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert len(list(lake.folder.rglob("*.parquet"))) == 1
    with inventory.read() as reader:
        assert list(reader.manifest(EVERYTHING)) == []
    assert lake.current(EVERYTHING) == []


def snapshot(number, customer, site, minutes):
    return Snapshot(number, f"{number}", collected(customer, site, minutes), START, 1, 1)


def test_no_more_snapshots_are_read_than_needed():
    """Reading stops at the newest snapshot that covers every customer asked about."""
    customers = [Customer(1, "A", "P"), Customer(2, "B", "P")]
    newest_first = [
        snapshot(5, "A", None, 50),
        snapshot(4, "A", "Lyon", 40),
        snapshot(3, "B", "Nice", 30),
        snapshot(2, None, None, 20),
        snapshot(1, None, None, 10),
    ]
    read = []
    chosen = fewest((read.append(each.id) or each for each in newest_first), customers)
    assert [each.id for each in chosen] == [5, 3, 2]
    assert read == [5, 4, 3, 2, 1][: len(read)]
    assert max(len(read), 4) <= 5


def test_snapshots_of_one_site_do_not_pile_up():
    """Of each site only the newest snapshot is needed; who asks for one site reads no further."""
    customers = [Customer(1, "A", "P")]
    of_site = [snapshot(n, "A", "Lyon" if n % 2 else "Nice", n) for n in range(9, 1, -1)]
    whole = snapshot(1, "A", None, 1)
    assert [each.id for each in fewest([*of_site, whole], customers)] == [9, 8, 1]
    read = []
    newest_first = (read.append(each.id) or each for each in of_site)
    chosen = fewest(newest_first, customers, frozenset({"Nice"}))
    assert ([each.id for each in chosen], read[:2]) == ([8], [9, 8])
    assert len(read) <= 3


def test_a_forked_child_gets_its_own_engine(folder_lake):
    """A child of a fork can question the lake although the parent has used it."""
    lake = folder_lake
    lake.write(one_row(), {}, {}, collected())
    assert rows_of(lake, lake.current(EVERYTHING)) == [(1, "registered")]
    script = f"""
        import os, sys
        from pathlib import Path
        from devlib.clock import SystemClock
        from devlib.model import EVERYTHING
        from devlib.storage import Lake, open_inventory

        inventory = open_inventory("sqlite:///{lake.folder.parent / "inventory.db"}", SystemClock())
        lake = Lake(Path("{lake.folder}"), inventory, SystemClock())
        def count():
            with lake.connection() as cursor:
                sql = f"SELECT count(*) FROM {{lake.relation(lake.current(EVERYTHING))}}"
                return cursor.execute(sql).fetchone()[0]
        assert count() == 1
        child = os.fork()
        if child == 0:
            os._exit(0 if count() == 1 else 1)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, timeout=60)
    assert ended.returncode == 0


def test_a_question_that_needs_more_than_memory_has_a_place_to_spill(lake):
    """The folder above the one that DuckDB makes for spilling is there once the lake is used."""
    with lake.connection() as cursor:
        spill = Path(cursor.execute("SELECT current_setting('temp_directory')").fetchone()[0])
    assert spill.parent.is_dir()
