"""The line index: whatever is filtered, sorted or looked at, it shows what the snapshots themselves show."""

from datetime import UTC, datetime
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devlib.clock import FakeClock
from devlib.config import QueryLimits
from devlib.errors import UsageError
from devlib.model import EVERYTHING, OBSERVATIONS, LineState, Scope
from devlib.portal import VIEW_COLUMNS
from devlib.storage import (
    Collected,
    IndexPages,
    IndexShelf,
    Lake,
    LineFilter,
    Order,
    Pages,
    ScopeIndex,
    arrow_schema,
    choose_lines,
    open_inventory,
    table_kinds,
)

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
LIMITS = QueryLimits.model_construct()
KINDS = table_kinds(OBSERVATIONS, VIEW_COLUMNS)
# Few letters, so that searches find something; among them what is special to SQL, CSV, HTML and lower case.
TEXTS = st.none() | st.text("aAbÉé%_'\" :-.0123ßİ<", max_size=6)
MACS = st.integers(0, 2**20).map(lambda n: f"00:15:{n >> 16 & 255:02X}:{n >> 8 & 255:02X}:{n & 255:02X}:AB")
MOMENTS = st.none() | st.datetimes(datetime(2026, 10, 1), datetime(2026, 11, 2))  # noqa: DTZ001 - as in the lake
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "provider": st.sampled_from(["P", "Q"]), "customer": st.sampled_from(["C", "D'"]),
            "site": st.sampled_from(["lyon", "Nice", "É"]), "mac": MACS, "device_name": TEXTS,
            "device_type": st.sampled_from(["8851", "T46S"]), "port": st.integers(1, 4), "line_port": TEXTS,
            "user_id": TEXTS, "first_name": TEXTS, "last_name": TEXTS, "phone_number": TEXTS,
            "extension": TEXTS, "state": st.sampled_from([each.value for each in LineState]),
            "last_registered_at": MOMENTS, "expires_at": MOMENTS, "user_agent": TEXTS,
            "firmware": st.none() | st.sampled_from(["", "1.0", "2.0"]),
        }
    ),
    max_size=30,
)  # fmt: skip
FILTERS = st.builds(
    LineFilter,
    states=st.lists(st.sampled_from(LineState), max_size=2).map(tuple),
    device_types=st.lists(st.sampled_from(["8851", "T46S", "none"]), max_size=2).map(tuple),
    search=st.text("aAbÉé%_'\" :-.0123ßİ<\x1f", max_size=3) | MACS.map(lambda mac: mac[3:8]),
    firmware=st.lists(st.sampled_from(["1.0", "2.0", "3.0"]), max_size=2).map(tuple),
    seen_before=MOMENTS.map(lambda at: None if at is None else at.replace(tzinfo=UTC)),
)
SCOPES = st.sampled_from(
    [EVERYTHING, Scope("P"), Scope("P", "C"), Scope("Q", "D'", frozenset({"lyon", "É"})), Scope("P", "none"),
     Scope("P", "C", frozenset())]
)  # fmt: skip


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A lake and a shelf beside it."""
    folder = tmp_path_factory.mktemp("index")
    with open_inventory(f"sqlite:///{folder}/inventory.db", FakeClock()) as inventory:
        with inventory.write() as writer:
            for provider in ("P", "Q"):
                writer.add_provider(provider, line_state_export=True)
                for customer in ("C", "D'"):
                    writer.add_customer(provider, customer)
        yield Lake(folder / "lake", inventory, FakeClock()), IndexShelf(folder / "line-index")


def written(lake, shelf, rows):
    """Write a snapshot of these rows; return its entry and the index of it."""
    keyed = [row | {"line_key": key, "observed_at": NOW.replace(tzinfo=None)} for key, row in enumerate(rows)]
    table = pa.Table.from_pylist(keyed, arrow_schema(OBSERVATIONS))
    sql = "SELECT * FROM given ORDER BY provider, customer, site, mac, port, line_key"
    snapshot = lake.write(sql, {"given": table}, {}, Collected(None, None, None, NOW))
    shelf.write(lake, [snapshot], ("provider", *VIEW_COLUMNS), NOW)
    return snapshot, shelf.newest()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, FILTERS, SCOPES, st.none() | st.builds(Order, st.sampled_from(VIEW_COLUMNS), st.booleans()))
def test_the_index_shows_what_the_snapshots_show(shelf, rows, line_filter, scope, order):
    """Lines, their order, their values, counts and choices are those that the files give."""
    lake, shelf = shelf
    snapshot, index = written(lake, shelf, rows)
    chosen = choose_lines(lake, [snapshot], scope, line_filter, LIMITS)
    files = Pages(KINDS, chosen.sql, "line_key", lambda: lake.connection(chosen.inputs))
    lines = ScopeIndex(index, scope, lake)
    found = lines.choose(line_filter)
    pages = IndexPages(KINDS, lines, found.places, lambda: None)
    total = files.choose()
    assert pages.choose() == total == sum(found.counts.values()) == len(found.places)
    listed = files.rows(0, 100)
    assert pages.rows(0, 100) == listed
    place = VIEW_COLUMNS.index("state")
    assert found.counts == {state: sum(row[place] == state for row in listed) for state in LineState}
    assert (found.oldest is None) == (total == 0)
    types = {row[VIEW_COLUMNS.index("device_type")] for row in listed}
    assert line_filter != LineFilter() or lines.values("device_type", 200) == sorted(types)
    if order is not None:
        files.choose(order), pages.choose(order)
        column = VIEW_COLUMNS.index(order.column)
        assert [r[column] for r in pages.rows(0, 100)] == [r[column] for r in files.rows(0, 100)]
        # Equal values stay in the order of the list.
        key = VIEW_COLUMNS.index("line_key")
        where = {row[key]: at for at, row in enumerate(listed)}
        shown = [(row[column], where[row[key]]) for row in pages.rows(0, 100)]
        assert all(a[1] < b[1] for a, b in pairwise(shown) if a[0] == b[0])


ROW = {"provider": "P", "customer": "C", "site": "Lyon", "mac": "00:15:65:00:00:01", "port": 1,
       "device_type": "8851", "state": "aged"}  # fmt: skip


def test_a_replaced_index_stays_with_whoever_reads_it(shelf):
    """A newer index removes the file of the older one; who has that mapped reads on, others get the newer."""
    lake, shelf = shelf
    _, first = written(lake, shelf, [ROW] * 3)
    _, second = written(lake, shelf, [ROW] * 5)
    assert (len(first), len(second)) == (3, 5)
    assert len(list(shelf.folder.iterdir())) == 1
    state = VIEW_COLUMNS.index("state")
    assert [row[state] for row in first.rows(first.numbers("line_key"), VIEW_COLUMNS)] == ["aged"] * 3
    assert shelf.newest() is second
    shelf.clear()
    assert shelf.newest() is None


def test_only_this_account_reads_it(shelf):
    """The file has the rows of all customers: nobody else of the machine may open it."""
    lake, shelf = shelf
    written(lake, shelf, [ROW])
    assert [path.stat().st_mode & 0o077 for path in (shelf.folder, *shelf.folder.iterdir())] == [0, 0]


def test_a_broken_index_is_none(shelf):
    """What is no index is left alone: pages are read from the snapshots then."""
    _, shelf = shelf
    shelf.folder.mkdir(exist_ok=True)
    (shelf.folder / "999999999999-broken.lines").write_bytes(b"half a file")
    assert shelf.newest() is None
    shelf.clear()


def test_only_columns_that_are_shown_sort(shelf):
    """A column that is not shown is an error that names those that are, and the order stays."""
    lake, shelf = shelf
    _, index = written(lake, shelf, [ROW])
    lines = ScopeIndex(index, EVERYTHING, lake)
    pages = IndexPages(KINDS, lines, lines.choose(LineFilter()).places, lambda: None)
    with pytest.raises(UsageError, match="device_name"):
        pages.choose(Order("searched_of_devlib"))
    assert len(pages.rows(0, 100)) == 1
