"""The questions on a small lake whose answers were worked out by hand."""

from datetime import timedelta

import pandas as pd
import pytest
from lake_histories import HOUR, PROVIDER, START, Event, lake_of, write

from devlib import analytics
from devlib.errors import UsageError
from devlib.model import (
    AGED_LINES,
    COMPARISON,
    FLAPPING_LINES,
    LINE_HISTORY,
    OUTAGES,
    STATE_CHANGES,
    STATES_AT,
    SUNBURST,
    LineState,
    Scope,
)
from devlib.storage import periods

EVERYTHING = Scope()
LYON, NICE = ("A", "Lyon"), ("A", "Nice")
R, A, U, X = "registered", "aged", "unregistered", "unknown"

# Hour by hour; lines 1 to 4 at Lyon, line 5 at Nice. Line 5 is removed at 6 and comes back at 7.
LINES = {
    1: (LYON, (R, R, A, A, R, R, R, R, R)),
    2: (LYON, (R, R, R, A, U, R, R, R, R)),
    3: (LYON, (R, R, A, A, A, A, A, A, A)),
    4: (LYON, (R, X, R, R, R, X, A, R, A)),
    5: (NICE, (U, U, U, U, U, U, None, R, R)),
}


def hour(number):
    return START + number * HOUR


@pytest.fixture(scope="module")
def lake():
    events = [
        Event(hour(n), (None, None, None), False,
              tuple((line, place, states[n]) for line, (place, states) in LINES.items() if states[n]))
        for n in range(9)
    ]  # fmt: skip
    with lake_of(events) as (made, _):
        yield made


def values(frame, *names):
    """Return rows of some columns; moments as hours since the start."""
    rows = frame[list(names)].astype(object).where(frame[list(names)].notna(), None).to_numpy().tolist()
    start = pd.Timestamp(START.replace(tzinfo=None))
    return [[(c - start) / HOUR if isinstance(c, pd.Timestamp) else c for c in row] for row in rows]


def test_changes_skip_what_was_unknown(lake):
    """Line 4 did not change while it was unknown in hour 1, and fell after hour 5; returns count too."""
    found = analytics.state_changes(lake, EVERYTHING)
    assert list(found.columns) == list(STATE_CHANGES.names)
    rows = values(found, "changed_at", "line_key", "state_before", "state", "evidence", "seen_before_at")
    assert rows == [
        [2, 1, R, A, "expired", 1], [2, 3, R, A, "expired", 1], [3, 2, R, A, "expired", 2],
        [4, 1, A, R, "live", 3], [4, 2, A, U, "vanished", 3], [5, 2, U, R, "live", 4],
        [6, 4, R, A, "expired", 4], [7, 4, A, R, "live", 6], [8, 4, R, A, "expired", 7],
    ]  # fmt: skip
    only = analytics.state_changes(lake, EVERYTHING, hour(4), hour(6), states=(LineState.AGED,))
    assert values(only, "changed_at", "line_key") == [[6, 4]]


def test_states_at_a_moment(lake):
    """Between two observations the earlier one holds; a removed line is not there; the last one holds."""
    found = analytics.states_at(lake, EVERYTHING, hour(6) + timedelta(minutes=59))
    assert list(found.columns) == list(STATES_AT.names)
    assert values(found, "line_key", "state", "state_since") == [[1, R, 4], [2, R, 5], [3, A, 2], [4, A, 6]]
    assert values(analytics.states_at(lake, EVERYTHING, hour(99)), "line_key", "state") == [
        [1, R], [2, R], [3, A], [4, A], [5, R],
    ]  # fmt: skip
    assert analytics.states_at(lake, EVERYTHING, hour(-1)).empty


def test_the_life_of_a_line(lake):
    """Spans in order, with their length; the last goes on; a removed line ends and begins anew."""
    found = analytics.line_history(lake, EVERYTHING, "5@X.example")
    assert list(found.columns) == list(LINE_HISTORY.names)
    assert values(found, "state", "since", "until", "seconds", "ended") == [
        [U, 0, 6, 21_600, "removed"], [R, 7, None, 3_600, None],
    ]  # fmt: skip
    of_device = analytics.line_history(lake, EVERYTHING, "80:5E:C0:00:00:01", hour(3))
    assert values(of_device, "state", "since", "until") == [[A, 3, 4], [R, 4, None]]
    assert analytics.line_history(lake, Scope(PROVIDER, "B"), "5@x.example").empty


def test_time_in_state(lake):
    """Unknown time is told and left out of the share; a removed line has no time at all."""
    found = analytics.time_in_state(lake, EVERYTHING, by="line")
    names = ("line_key", "registered_seconds", "aged_seconds", "unregistered_seconds", "unknown_seconds")
    hours = {row[0]: [each / 3_600 for each in row[1:]] for row in values(found, *names)}
    assert hours == {1: [6, 2, 0, 0], 2: [6, 1, 1, 0], 3: [2, 6, 0, 0], 4: [5, 1, 0, 2], 5: [1, 0, 6, 0]}
    shares = dict(values(found, "line_key", "share"))
    assert shares[4] == pytest.approx(5 / 6)
    assert found["line_key"].tolist()[0] == 5  # the worst first
    whole = analytics.time_in_state(lake, EVERYTHING, hour(4), hour(6), by="all")
    assert values(whole, "lines", "registered_seconds", "unknown_seconds") == [[5, 14_400, 3_600]]


def test_availability_over_time(lake):
    """Line-seconds of each span and site; a line that changes within a span counts for both parts."""
    found = analytics.availability(lake, EVERYTHING, hour(1), hour(5), by="site", bucket=2 * HOUR)
    rows = values(found, "site", "bucket", "registered_seconds", "aged_seconds", "unknown_seconds")
    lyon = [[*row[1:2], *(each / 3_600 for each in row[2:])] for row in rows if row[0] == "Lyon"]
    # Spans are whole ones of UTC: the window begins within the first and ends within the last.
    assert lyon == [[0, 3, 0, 1], [2, 3, 5, 0], [4, 2, 1, 0]]
    with pytest.raises(UsageError, match="too short"):
        analytics.availability(lake, EVERYTHING, bucket=timedelta(seconds=1))


def test_flapping_and_aged_lines(lake):
    """Lines by number of changes; each time that a line aged, and when it was registered again."""
    found = analytics.flapping_lines(lake, EVERYTHING, changes=3)
    assert list(found.columns) == list(FLAPPING_LINES.names)
    rows = values(found, "line_key", "changes", "falls", "state", "changed_at")
    assert rows == [[2, 3, 1, R, 5], [4, 3, 2, A, 8]]
    aged = analytics.aged_lines(lake, EVERYTHING)
    assert list(aged.columns) == list(AGED_LINES.names)
    assert values(aged, "line_key", "aged_at", "state", "registered_at") == [
        [1, 2, R, 4], [3, 2, A, None], [2, 3, R, 5], [4, 6, A, 7], [4, 8, A, None],
    ]  # fmt: skip


def test_outages(lake):
    """Falls within the tolerance are one outage, of so many lines of those that were registered."""
    found = analytics.outages(lake, EVERYTHING, least=2, tolerance=HOUR)
    assert list(found.columns) == list(OUTAGES.names)
    names = ("site", "began_at", "fell_until", "ended_at", "lines", "site_lines", "share", "recovered")
    assert values(found, *names) == [["Lyon", 2, 3, None, 3, 4, 0.75, 2]]
    short = analytics.outages(lake, EVERYTHING, least=2, tolerance=timedelta(minutes=59))
    assert values(short, "began_at", "lines", "share") == [[2, 2, 0.5]]
    assert analytics.outages(lake, EVERYTHING, least=2, share=0.8, tolerance=HOUR).empty
    until = analytics.outages(lake, EVERYTHING, None, hour(2), least=2)
    assert values(until, "began_at", "lines", "recovered") == [[2, 2, 0]]
    with pytest.raises(UsageError):
        analytics.outages(lake, EVERYTHING, share=50)


def test_two_moments_compared(lake):
    """Changed, removed and added lines; the summary counts them."""
    found = analytics.compare(lake, EVERYTHING, hour(1), hour(6))
    assert list(found.columns) == list(COMPARISON.names)
    assert values(found, "line_key", "first_state", "second_state", "change") == [
        [3, R, A, "changed"], [4, X, A, "changed"], [5, U, None, "removed"], [1, R, R, "same"],
        [2, R, R, "same"],
    ]  # fmt: skip
    summary = analytics.comparison_summary(lake, EVERYTHING, hour(6), hour(8))
    assert values(summary, "change", "first_state", "second_state", "lines") == [
        ["added", None, R, 1], ["same", A, A, 2], ["same", R, R, 2],
    ]  # fmt: skip


def test_counts_now_and_then(lake):
    """Lines by state in the newest snapshots, by any of the columns; of all lines in one row."""
    now = analytics.state_counts(lake, EVERYTHING)
    assert values(now, "site", "lines", R, A, "share") == [["Lyon", 4, 2, 2, 0.5], ["Nice", 1, 1, 0, 1.0]]
    then = analytics.state_counts(lake, EVERYTHING, (), at=hour(5))
    assert values(then, "lines", R, A, U, X, "share") == [[5, 2, 1, 1, 1, 0.5]]
    with pytest.raises(UsageError, match="state_before"):
        analytics.state_counts(lake, EVERYTHING, ("state_before",))
    rings = analytics.sunburst(lake, Scope(PROVIDER, "A", frozenset({"Lyon"})))
    assert list(rings.columns) == list(SUNBURST.names)
    assert values(rings, "state", "lines") == [[A, 2], [R, 2]]


def test_an_empty_lake_has_every_column(tmp_path):
    """Each question answers with its columns where nothing was ever observed."""
    with lake_of([]) as (lake, _):
        for ask, table in (
            (analytics.state_changes, STATE_CHANGES), (analytics.flapping_lines, FLAPPING_LINES),
            (analytics.aged_lines, AGED_LINES), (analytics.outages, OUTAGES), (analytics.sunburst, SUNBURST),
        ):  # fmt: skip
            found = ask(lake, EVERYTHING)
            assert (len(found), list(found.columns)) == (0, list(table.names))
        assert analytics.availability(lake, EVERYTHING).empty
        assert analytics.time_in_state(lake, EVERYTHING, by="all").empty
        assert analytics.states_at(lake, EVERYTHING, START).empty
        assert analytics.state_counts(lake, EVERYTHING, ()).empty


def test_a_window_that_ends_before_it_begins_is_refused(lake):
    """Both ends are told apart; a window after all that is known is empty."""
    with pytest.raises(UsageError, match="before it begins"):
        analytics.state_changes(lake, EVERYTHING, hour(3), hour(2))
    assert analytics.state_changes(lake, EVERYTHING, hour(50)).empty


def test_todays_spans_are_made_once_and_again_after_a_snapshot(monkeypatch):
    """Questions over the same entries share what was made of them; a new entry is never overlooked."""
    made, compute = [], periods.compute_periods

    def counted(*given):
        made.append(given)
        return compute(*given)

    monkeypatch.setattr(periods, "compute_periods", counted)
    with lake_of([Event(hour(0), (None, None, None), False, ((1, LYON, R),))]) as (lake, clock):
        for _ in range(2):
            assert analytics.time_in_state(lake, EVERYTHING, by="line")["line_key"].tolist() == [1]
            assert len(analytics.state_changes(lake, EVERYTHING)) == 0
        assert len(made) == 1
        write(lake, clock, Event(hour(1), (None, None, None), False, ((1, LYON, A),)))
        assert values(analytics.state_changes(lake, EVERYTHING), "changed_at", "state") == [[1, A]]
        assert analytics.state_changes(lake, Scope(PROVIDER, "nobody")).empty
    assert len(made) == 3


def test_a_line_that_moved_has_a_row_for_each_place():
    """Time in state by line is told at each place with the device of that place, also where it left."""
    events = [
        Event(hour(n), (None, None, None), False, ((1, place, R),))
        for n, place in enumerate((LYON, NICE, NICE))
    ]
    with lake_of(events) as (lake, _):
        found = analytics.time_in_state(lake, EVERYTHING, by="line")
    assert sorted(values(found, "site", "line_key", "registered_seconds", "lines")) == [
        ["Lyon", 1, 3600.0, 1],
        ["Nice", 1, 3600.0, 1],
    ]
    assert found["mac"].notna().all()
