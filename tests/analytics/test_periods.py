"""State periods: on random histories they say what the observations say, compacted or not."""

import os
from collections import defaultdict
from datetime import timedelta

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lake_histories import DAYS, HOUR, PROVIDER, START, Period, expected, histories, lake_of, rows_of

from devlib import analytics
from devlib.clock import FakeClock
from devlib.model import EVERYTHING, Scope
from devlib.storage import Compactor, Lake, naive, state_periods, utc
from devlib.storage.periods import ASKED, PERIOD_SCHEMA, apply_rule, open_periods

EXAMPLES = int(os.environ.get("DEVLIB_HISTORIES", "4"))
SLOWLY = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
DAY = 24 * HOUR


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """A lake that only runs queries."""
    lake = Lake(tmp_path_factory.mktemp("lake"), None, FakeClock())
    yield lake
    lake.close()


@settings(max_examples=15 * EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories(most_lines=5, most_events=20), st.booleans())
def test_the_rule_says_what_the_observations_say(engine, events, by_day):
    """Periods equal those worked out line by line; also where each day is made from the day before."""
    end = events[-1].at
    days = [START + number * DAY for number in range(DAYS)] if by_day else [START]
    carry, found = PERIOD_SCHEMA.empty_table(), []
    for day in days:
        until = min(day + DAY, end) if by_day else end
        last = day == days[-1] or end < day + DAY
        of_day = [each for each in events if day <= each.at and (last or each.at < until)]
        table = made(engine, of_day, carry, day, until)
        found.append(table)
        if last:
            break
        carry = open_periods(table)
    assert put_together(pa.concat_tables(found).to_pylist()) == expected(events)


def made(engine, events, carry, since, until):
    told = [each for each in events if each.changes]
    whole = [each for each in events if not each.changes]
    asked = [dict(zip(ASKED.names, (naive(each.at), *each.scope), strict=True)) for each in whole]
    rows = "SELECT *, true AS told FROM news UNION ALL SELECT *, false FROM seen"
    inputs = {"news": rows_of(told), "seen": rows_of(whole), "carry": carry}
    inputs["asked"] = pa.Table.from_pylist(asked, ASKED)
    return apply_rule(engine, rows, inputs, since, until)


def put_together(rows):
    """Return periods in which spans that midnight cut are one again."""
    whole = {}
    for row in sorted(rows, key=lambda each: (each["line_key"], each["since"], each["until"])):
        earlier = whole.get((row["line_key"], row["state_since"]))
        began, since = (
            (row["began"], utc(row["since"])) if earlier is None else (earlier.began, earlier.since)
        )
        whole[row["line_key"], row["state_since"]] = Period(
            row["line_key"], (row["customer"], row["site"]), row["state"], since, utc(row["until"]),
            row["state_before"], began, row["ended"],
        )  # fmt: skip
    return list(whole.values())


def periods_of(lake, scope=EVERYTHING, since=None, until=None):
    """Return what the lake says."""
    found = state_periods(lake, scope, since, until)
    with lake.connection(found.inputs) as cursor:
        return put_together(cursor.sql(f"SELECT * FROM {found.sql}").to_arrow_table().to_pylist())


def clipped(periods, since, until):
    """Return the part of periods that lies in a window."""
    for each in periods:
        still = each.ended is None or each.until > until
        if each.since <= until and (each.until > since or still):
            yield Period(
                each.line, each.place, each.state, max(each.since, since), min(each.until, until),
                each.before, "carried" if each.since < since else each.began, None if still else each.ended,
            )  # fmt: skip


@SLOWLY
@given(histories(), st.integers(0, 24 * DAYS), st.integers(0, 24 * DAYS), st.integers(0, DAYS))
def test_intervals_say_what_the_observations_say(events, first, second, closed):
    """Periods equal those worked out line by line, for any window and scope, before and after compaction."""
    true, last = expected(events), events[-1].at
    since, until = (START + each * HOUR for each in sorted((first, second)))
    known = [each.at for each in events if each.at <= until]
    with lake_of(events) as (lake, clock):
        for _ in range(2):
            assert periods_of(lake) == true
            found = periods_of(lake, EVERYTHING, since, until)
            if known and known[-1] >= since:
                assert found == list(clipped(true, max(since, known[0]), known[-1]))
            else:
                assert found == []
            theirs = Scope(PROVIDER, "A", frozenset({"Nice"}))
            seen = [each for each in events if each.scope[1:] in ((None, None), ("A", None), ("A", "Nice"))]
            if seen:
                nice = clipped(expected_within_a(events), seen[0].at, seen[-1].at)
                assert periods_of(lake, theirs) == [each for each in nice if each.place == ("A", "Nice")]
            clock.advance((max(START + closed * 24 * HOUR, last) - clock.now()).total_seconds())
            Compactor(lake, clock).run()
            Compactor(lake, clock).advance()


def expected_within_a(events):
    return [each for each in expected(events) if each.place[0] == "A"]


QUESTIONS = (
    lambda lake, at: analytics.states_at(lake, EVERYTHING, at),
    lambda lake, at: analytics.state_changes(lake, EVERYTHING, at - timedelta(hours=20), at),
    lambda lake, at: analytics.state_changes(lake, Scope(PROVIDER, "A"), None, at),
    lambda lake, at: analytics.time_in_state(lake, EVERYTHING, None, at, by="line"),
    lambda lake, at: analytics.availability(lake, EVERYTHING, None, at, by="site", bucket=7 * HOUR),
    lambda lake, at: analytics.flapping_lines(lake, EVERYTHING, None, at, changes=1),
    lambda lake, at: analytics.aged_lines(lake, EVERYTHING, None, at),
    lambda lake, at: analytics.outages(lake, EVERYTHING, None, at, share=0.1, least=1),
    lambda lake, at: analytics.compare(lake, EVERYTHING, at - timedelta(hours=30), at),
    lambda lake, at: analytics.line_history(lake, EVERYTHING, "1@X.example", None, at),
    lambda lake, at: analytics.state_counts(lake, EVERYTHING, at=at),
    lambda lake, at: analytics.state_counts(lake, Scope(PROVIDER, "A", frozenset({"Lyon"})), ("evidence",)),
)


@SLOWLY
@given(histories(), st.integers(0, 24 * DAYS))
def test_no_answer_changes_by_compaction(events, hour):
    """Every question answers the same before and after, and every observation is still there, once."""
    moment = START + hour * HOUR
    with lake_of(events) as (lake, clock):
        before = [ask(lake, moment) for ask in QUESTIONS]
        rows = observations(lake)
        clock.advance((START + (DAYS + 1) * 24 * HOUR - clock.now()).total_seconds())
        Compactor(lake, clock).run()
        for ask, earlier in zip(QUESTIONS, before, strict=True):
            pd.testing.assert_frame_equal(ask(lake, moment), earlier)
        assert observations(lake) == rows
        clock.advance(3 * 3_600)
        lake.sweep()
        assert observations(lake) == rows


def observations(lake):
    with lake.inventory.read() as reader:
        found = list(reader.manifest(EVERYTHING))
    with lake.connection() as cursor:
        names = "line_key, observed_at, customer, site, state"
        return cursor.sql(f"SELECT {names} FROM {lake.relation(found)} ORDER BY ALL").fetchall()


@SLOWLY
@given(histories())
def test_time_adds_up(events):
    """The seconds of each line are those of its true periods, unknown time apart from the share."""
    seconds = defaultdict(lambda: defaultdict(float))
    for each in expected(events):
        seconds[each.line][each.state] += (each.until - each.since).total_seconds()
    with lake_of(events) as (lake, _):
        found = analytics.time_in_state(lake, EVERYTHING, by="line")
        series = analytics.availability(lake, EVERYTHING, by="all", bucket=5 * HOUR)
    totals = defaultdict(float)
    for line_key, rows in found.groupby("line_key"):
        for state in ("registered", "aged", "unregistered", "unknown"):
            total = rows[f"{state}_seconds"].sum()
            assert total == seconds[line_key][state]
            totals[state] += total
    for state, total in totals.items():
        assert abs(series[f"{state}_seconds"].sum() - total) <= len(series)
    known = found["registered_seconds"] + found["aged_seconds"] + found["unregistered_seconds"]
    shares = found["registered_seconds"] / known.where(known > 0)
    assert shares.isna().equals(found["share"].isna())
    assert ((shares - found["share"]).abs().fillna(0) < 1e-9).all()
