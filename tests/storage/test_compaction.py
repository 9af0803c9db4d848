"""Compaction: on both databases no row is lost or doubled, whatever happens meanwhile."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from datetime import timedelta

import duckdb
import pytest
from lake_histories import HOUR, START, Event, add_places, write

from devlib.clock import FakeClock
from devlib.config import QueryLimits
from devlib.errors import StorageUnavailable
from devlib.model import EVERYTHING, OBSERVATIONS, Scope
from devlib.storage import (
    Compactor,
    DayFileKind,
    Lake,
    Source,
    newest_observations,
    run_query,
    state_periods,
)

DAY = 24 * HOUR
LYON, NICE, KIEL = ("A", "Lyon"), ("A", "Nice"), ("B", "Kiel")


@pytest.fixture
def clock():
    return FakeClock(START)


@pytest.fixture
def lake(fitting_place, inventory, clock):
    add_places(inventory)
    made = Lake(fitting_place, inventory, clock)
    yield made
    made.close()


def event(hours, *rows, scope=(None, None, None), changes=False):
    return Event(START + hours * HOUR, scope, changes, rows)


WHOLE = [(1, LYON, "registered"), (2, NICE, "registered"), (3, KIEL, "aged")]
TWO_DAYS = (
    event(1, *WHOLE),
    event(2, (1, LYON, "aged"), scope=("P", "A", "Lyon")),
    event(3, (2, NICE, "aged"), scope=("P", "A", None), changes=True),
    event(4, (2, NICE, "registered"), scope=("P", "A", None), changes=True),
    event(5, *WHOLE),
    event(6, *WHOLE[:2]),
    event(25, *WHOLE[:2]),
    event(26, *WHOLE[:2]),
)


def fill(lake, clock, events=TWO_DAYS):
    for each in events:
        write(lake, clock, each)


def entries(lake):
    with lake.inventory.read() as reader:
        return list(reader.manifest(EVERYTHING))


def observed(lake, snapshots=None):
    found = entries(lake) if snapshots is None else snapshots
    with lake.connection() as cursor:
        sql = f"SELECT line_key, observed_at, site, state FROM {lake.relation(found)} ORDER BY ALL"
        return cursor.sql(sql).fetchall()


def files(lake):
    return sorted(path for path in lake.folder.rglob("*") if path.is_file())


def test_a_closed_day_becomes_one_file_for_each_scope(lake, clock):
    """Entries keep number, moment and rows; only days that have ended are touched; sorting is by line."""
    fill(lake, clock)
    before, rows = entries(lake), observed(lake)
    done = Compactor(lake, clock).run()
    after = entries(lake)
    assert [(e.id, e.collected, e.rows) for e in after] == [(e.id, e.collected, e.rows) for e in before]
    assert observed(lake) == rows
    moved = [each for each in after if each.in_day_file]
    # Three whole ones; two of the feed; the one of Lyon is alone of its scope.
    assert [each.observed_at for each in moved] == [START + hours * HOUR for hours in (6, 5, 4, 3, 1)]
    assert len({each.path for each in moved}) == 2
    assert done.snapshots == 5
    kinds = Counter(each.kind for each in done.files)
    assert kinds == {DayFileKind.OBSERVATIONS: 2, DayFileKind.PERIODS: 1}
    whole = duckdb.sql(f"SELECT line_key, observed_at FROM '{lake.path(moved[0])}'").fetchall()
    assert whole == sorted(whole)
    again = Compactor(lake, clock).run()
    assert (again.files, again.snapshots) == ((), 0)


def test_single_snapshots_are_told_apart_in_a_day_file(lake, clock):
    """Whoever asks for one snapshot of a compacted day gets its rows and no others, as SQL does too."""
    fill(lake, clock)
    expected = {each.id: observed(lake, [each]) for each in entries(lake)}
    clock.advance(48 * 3_600)
    Compactor(lake, clock).run()
    assert {each.id: observed(lake, [each]) for each in entries(lake)} == expected
    for moment in (START + 2 * HOUR, START + 5 * HOUR):
        chosen = lake.current(EVERYTHING, moment)
        source = Source("line_states", lambda chosen=chosen: newest_observations(lake, chosen, Scope("P")))
        sql = "SELECT line_key, state FROM line_states ORDER BY 1"
        found = run_query(sql, [source], QueryLimits()).to_pylist()
        states = [row["state"] for row in found]
        aged = ["aged", "registered", "aged"]
        assert states == (aged if moment == START + 2 * HOUR else ["registered", "registered", "aged"])


@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)  # of a bucket: test_bucket.py
def test_replaced_files_go_after_an_hour(lake, clock):
    """The own files stay for the readers that have them, and are swept later; nothing else is."""
    fill(lake, clock)
    old = {lake.path(each) for each in entries(lake)}
    for path in old:
        os.utime(path, (START.timestamp(), START.timestamp()))
    Compactor(lake, clock).run()
    held = entries(lake)
    rows = observed(lake)
    assert lake.sweep() == []
    clock.advance(3_601)
    swept = set(lake.sweep())
    assert len(swept) == 5
    assert swept < old
    assert observed(lake, held) == rows
    assert lake.sweep() == []


def test_a_late_snapshot_is_seen_at_once(lake, clock):
    """An entry for a closed day makes its periods and later ones untrue: they are made anew, and now."""
    fill(lake, clock)
    clock.advance(2 * 24 * 3_600)
    Compactor(lake, clock).run()
    assert _states(lake, START + 8 * HOUR) == {1: "registered", 2: "registered"}
    write(lake, clock, event(7, (1, LYON, "unregistered"), scope=("P", "A", "Lyon")))
    assert _states(lake, START + 8 * HOUR) == {1: "unregistered", 2: "registered"}
    clock.advance(3 * 24 * 3_600)
    assert DayFileKind.PERIODS in {each.kind for each in Compactor(lake, clock).run().files}
    assert _states(lake, START + 8 * HOUR) == {1: "unregistered", 2: "registered"}
    with lake.inventory.read() as reader:
        assert len(reader.period_files()) == 3


def _states(lake, moment):
    found = state_periods(lake, EVERYTHING, moment, moment, at_moment=True)
    with lake.connection(found.inputs) as cursor:
        return dict(cursor.sql(f"SELECT line_key, state FROM {found.sql}").fetchall())


def test_a_missing_file_of_periods_is_made_anew(lake, clock):
    """A day file that is gone costs time, not truth."""
    fill(lake, clock)
    Compactor(lake, clock).run()
    with lake.inventory.read() as reader:
        lake.files.remove([reader.period_files()[0].path])
    assert _states(lake, START + 2 * HOUR) == {1: "aged", 2: "registered", 3: "aged"}
    assert len(Compactor(lake, clock).run().files) == 1


def test_older_layouts_are_unified(lake, clock):
    """Files that lack the columns that came later are compacted with these empty."""
    fill(lake, clock)
    rows = observed(lake)
    first = entries(lake)[-1]
    path = lake.path(first)
    names = ", ".join(OBSERVATIONS.names[:32])
    duckdb.sql(f"COPY (SELECT {names} FROM '{path}') TO '{path}.short' (FORMAT parquet)")
    path.with_name(f"{path.name}.short").replace(path)
    with lake.inventory.write() as writer:
        from sqlalchemy import text

        writer.connection.execute(text(f"UPDATE snapshots SET layout = 1 WHERE id = {first.id}"))
    Compactor(lake, clock).run()
    assert observed(lake) == rows
    assert {each.layout for each in entries(lake)} == {2}


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_a_day_larger_than_the_memory_is_sorted_in_slices(lake, clock, monkeypatch, rows):
    """Whatever the size of a slice, the file has each row once, in the order of the whole."""
    fill(lake, clock)
    expected = observed(lake)
    monkeypatch.setattr("devlib.storage.day_sorting.SLICE", rows)
    Compactor(lake, clock).run()
    assert observed(lake) == expected
    for path in {lake.path(each) for each in entries(lake) if each.in_day_file}:
        found = duckdb.sql(f"SELECT customer, line_key, observed_at FROM '{path}'").fetchall()
        assert found == sorted(found)


def test_two_compactors_at_once_do_it_once(lake, clock, tmp_path):
    """Where another one was faster, the second discards its file and nothing is there twice."""
    fill(lake, clock)
    rows = observed(lake)
    second = Compactor(lake, clock)
    days = second._scope_days()
    Compactor(lake, clock).run()
    before = files(lake)
    assert [second._move(each) for each in days] == [None, None]
    assert files(lake) == before
    assert observed(lake) == rows


def test_a_feed_that_is_put_together_later_loses_nothing(lake, clock):
    """Entries of a feed are put together within one day only, and never those that a day file has."""
    for minute in range(40):
        at = START + 23 * HOUR + timedelta(minutes=2 * minute)
        write(
            lake, clock, Event(at, ("P", "A", None), True, ((1, LYON, ("aged", "registered")[minute % 2]),))
        )
    assert len(observed(lake)) == 40
    assert len(entries(lake)) == 24  # of the first day 17 in one and 13 more, of the next 10
    assert all(len({at.date() for _, at, *_ in observed(lake, [each])}) == 1 for each in entries(lake))
    rows = observed(lake)
    Compactor(lake, clock).run()
    assert observed(lake) == rows


def test_retention_takes_whole_days_and_leaves_the_present(lake, clock):
    """Old days go, except for the last snapshot of a place that is asked no more; answers stay true."""
    kiel = event(1, (3, KIEL, "aged"), scope=("P", "B", None))
    lyon = [event(h, (1, LYON, "registered"), scope=("P", "A", None)) for h in (2, 3, 30, 31, 100, 101)]
    fill(lake, clock, [kiel, *lyon])
    clock.advance(24 * 3_600)
    done = Compactor(lake, clock).run(keep=3 * DAY)
    assert done.expired == 4
    left = {each.observed_at for each in entries(lake)}
    assert left == {START + hours * HOUR for hours in (1, 100, 101)}
    assert _states(lake, clock.now()) == {1: "registered", 3: "aged"}
    with lake.inventory.read() as reader:
        assert len(reader.period_files()) == 5
    assert Compactor(lake, clock).run(keep=3 * DAY).expired == 0
    clock.advance(3_700)
    for path in files(lake):
        os.utime(path, (START.timestamp(), START.timestamp()))
    lake.sweep()
    assert _states(lake, clock.now()) == {1: "registered", 3: "aged"}
    assert len(observed(lake)) == 3


def test_hours_of_today_are_made_ahead(lake, clock):
    """Full hours of today get their periods, one after the other; the whole day takes their place later."""
    fill(lake, clock, TWO_DAYS[:5])
    compactor = Compactor(lake, clock)
    assert compactor.advance().until == START + 5 * HOUR
    assert compactor.advance() is None
    before = _states(lake, START + 5 * HOUR)
    fill(lake, clock, TWO_DAYS[5:6])
    clock.advance(60)
    second = compactor.advance()
    assert (second.since, second.until) == (START + 5 * HOUR, START + 6 * HOUR)
    assert _states(lake, START + 5 * HOUR) == before == {1: "registered", 2: "registered", 3: "aged"}
    assert _states(lake, START + 3 * HOUR) == {1: "aged", 2: "aged", 3: "aged"}
    clock.advance(24 * 3_600)
    assert compactor.advance() is None
    compactor.run()
    with lake.inventory.read() as reader:
        assert [each.until for each in reader.period_files()] == [START + DAY]
    assert _states(lake, START + 3 * HOUR) == {1: "aged", 2: "aged", 3: "aged"}


def test_what_cannot_be_compacted_is_a_passing_error(lake, clock):
    """Broken files are told with their folder; a collector goes on after that."""
    fill(lake, clock)
    lake.path(entries(lake)[-1]).write_bytes(b"PAR1 broken PAR1")
    rows_left = len(entries(lake))
    with pytest.raises(StorageUnavailable):
        Compactor(lake, clock).run()
    assert len(entries(lake)) == rows_left
    assert not any(path.name.endswith(".writing") for path in files(lake))


_LOOP = """
    from datetime import UTC, datetime
    from devlib.clock import FakeClock
    from devlib.config import load_settings
    from devlib.portal import lake_place
    from devlib.storage import Compactor, Lake, open_inventory

    clock, settings = FakeClock(datetime(2026, 11, 9, tzinfo=UTC)), load_settings()
    with open_inventory(settings.database_url, clock) as inventory:
        lake = Lake(lake_place(settings, clock), inventory, clock)
        print("ready", flush=True)
        Compactor(lake, clock).run()
        print("done", flush=True)
"""


@pytest.mark.long
@pytest.mark.torture
def test_readers_never_see_a_lost_or_doubled_row_when_compactors_are_killed(
    lake, clock, url, bucket_server, tmp_path
):
    """Compactors killed with -9 at random moments: every reading in between has each row exactly once."""
    fill(lake, clock, [event(h, *WHOLE) for h in range(1, 72, 6)])
    rows = observed(lake)
    command = [sys.executable, "-c", textwrap.dedent(_LOOP)]
    environment = os.environ | bucket_server.environment | {
        "DEVLIB_HOME": str(tmp_path / "other"), "DEVLIB_DATABASE": url, "DEVLIB_LAKE": lake.files.address,
    }  # fmt: skip
    ended = False
    for attempt in range(25):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout.readline() == "ready\n"
            # Each one lives longer than the one before, so that the last one comes to its end.
            deadline = time.monotonic() + 0.1 * 1.35**attempt
            while time.monotonic() < deadline and process.poll() is None:
                assert observed(lake) == rows
            process.send_signal(signal.SIGKILL)
            ended = "done" in process.stdout.read()
        assert observed(lake) == rows
        if ended:
            break
    assert ended
    assert all(each.in_day_file for each in entries(lake))
    with lake.inventory.read() as reader:
        assert len(reader.period_files()) == 7
