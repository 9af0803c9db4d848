"""Random histories of lines in a lake, and what must be said of them, worked out one line at a time."""

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from hypothesis import strategies as st

from devlib.clock import FakeClock
from devlib.model import EVERYTHING, OBSERVATIONS
from devlib.storage import Collected, Lake, arrow_schema, open_inventory

START = datetime(2026, 11, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAYS = 3
PROVIDER = "P"
PLACES = (("A", "Lyon"), ("A", "Nice"), ("B", "Kiel"))
SCOPES = ((None, None, None), ("P", None, None), ("P", "A", None), ("P", "A", "Lyon"), ("P", "A", "Nice"),
          ("P", "B", None))  # fmt: skip
EVIDENCE = {"registered": "live", "aged": "expired", "unregistered": "vanished", "unknown": "not asked"}
STATES = tuple(EVIDENCE)


@dataclass(frozen=True)
class Event:
    """One entry of the lake: when, what was asked, and the rows as (line, place, state)."""

    at: datetime
    scope: tuple
    changes: bool
    rows: tuple

    def covers(self, place):
        """Return whether a line at `place` without a row is gone."""
        return not self.changes and _holds(self.scope, place)


@dataclass(frozen=True)
class Period:
    """A span as it must come out."""

    line: int
    place: tuple
    state: str
    since: datetime
    until: datetime
    before: str | None
    began: str
    ended: str | None


def _holds(scope, place):
    return all(asked in (None, had) for asked, had in zip(scope, (PROVIDER, *place), strict=True))


@st.composite
def histories(draw, most_lines=4, most_events=14):
    """Lines that are added, moved within their customer, removed and come back; scopes of all sizes."""
    hours = draw(
        st.lists(st.integers(0, 24 * DAYS - 1), min_size=1, max_size=most_events, unique=True).map(sorted)
    )
    lines = range(1, draw(st.integers(1, most_lines)) + 1)
    home = {line: draw(st.sampled_from(PLACES)) for line in lines}
    events = []
    for hour in hours:
        scope, changes = draw(st.sampled_from(SCOPES)), draw(st.sampled_from((False, False, True)))
        rows = []
        for line in lines:
            what = draw(st.sampled_from(("there", "there", "there", "there", "gone", "moved")))
            if what == "moved" and home[line][0] == "A":
                home[line] = draw(st.sampled_from(PLACES[:2]))
            if what != "gone" and _holds(scope, home[line]) and not (changes and draw(st.booleans())):
                rows.append((line, home[line], draw(st.sampled_from(STATES))))
        minutes = draw(st.sampled_from((0, 0, 17)))
        events.append(Event(START + hour * HOUR + timedelta(minutes=minutes), scope, changes, tuple(rows)))
    return events


def expected(events):
    """Return the periods of all lines, line by line, open ones until the last event."""
    found = []
    for line in sorted({row[0] for event in events for row in event.rows}):
        found += _of_line(line, events)
    return found


def _of_line(line, events):
    end, done, now, known = events[-1].at, [], None, None
    for event in events:
        row = next((each for each in event.rows if each[0] == line), None)
        if row is None:
            if now is not None and event.covers(now["place"]):
                done.append(Period(line, until=event.at, ended="removed", **now))
                now, known = None, None
            continue
        _, place, state = row
        if now is not None and (now["place"], now["state"]) == (place, state):
            continue
        began = "added" if now is None else "moved" if now["place"] != place else "changed"
        if now is not None:
            done.append(Period(line, until=event.at, ended=began, **now))
            known = now["state"] if now["state"] != "unknown" else known
        now = {"place": place, "state": state, "since": event.at, "before": known, "began": began}
    return done if now is None else [*done, Period(line, until=end, ended=None, **now)]


@contextmanager
def lake_of(events, url=None):
    """Give a lake in which the events happened; its clock stands at the last of them."""
    with TemporaryDirectory() as folder:
        clock = FakeClock(START)
        with open_inventory(url or f"sqlite:///{folder}/inventory.db", clock) as inventory:
            add_places(inventory)
            lake = Lake(Path(folder) / "lake", inventory, clock)
            for event in events:
                write(lake, clock, event)
            yield lake, clock
            lake.close()


def add_places(inventory):
    """Put the provider, the customers and the sites into an empty inventory."""
    with inventory.write() as writer:
        writer.add_provider(PROVIDER)
        for customer in ("A", "B"):
            writer.add_customer(PROVIDER, customer)
        for customer, site in PLACES:
            writer.add_site(EVERYTHING, customer, site)


def write(lake, clock, event):
    """Let one event happen."""
    clock.advance((event.at - clock.now()).total_seconds())
    collected = Collected(*event.scope, event.at)
    put = lake.append if event.changes else lake.write
    return put("SELECT * FROM given", {"given": rows_of([event])}, {}, collected)


def rows_of(events):
    """Return the observations of events as the lake has them."""
    rows = [
        {
            "provider": PROVIDER, "customer": place[0], "site": place[1], "mac": f"80:5E:C0:00:00:{line:02X}",
            "device_type": "Yealink T46S", "port": 1, "line_port": f"{line}@x.example", "line_key": line,
            "state": state, "evidence": EVIDENCE[state], "observed_at": event.at.replace(tzinfo=None),
        }
        for event in events
        for line, place, state in event.rows
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, arrow_schema(OBSERVATIONS))
