"""The rule of the three states: its cases, and the SQL that must say the same."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devlib.collect import Evidence, Known, Verdict, judge, newest, states_sql
from devlib.collect.alignment import Alignment
from devlib.collect.answers import ASKED, HELD
from devlib.model import OBSERVATIONS, Binding, LineState
from devlib.storage import arrow_schema
from devlib.storage.line_table import LINES

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def binding(seconds: float | None, contact: str = "sip:2001@192.0.2.1") -> Binding:
    """Return a binding that ends `seconds` after NOW; permanent for `None`."""
    return Binding("2001@a.example", contact, None if seconds is None else NOW + timedelta(seconds=seconds))


def known(state: LineState, seconds: float | None) -> Known:
    """Return what was known before, with an expiry `seconds` after NOW."""
    return Known(state, None if seconds is None else NOW + timedelta(seconds=seconds))


CASES = [
    ("a live binding", [binding(60)], None, LineState.REGISTERED, Evidence.LIVE),
    ("a permanent binding", [binding(None)], None, LineState.REGISTERED, Evidence.PERMANENT),
    ("one live of two", [binding(-5), binding(9)], None, LineState.REGISTERED, Evidence.LIVE),
    ("never seen", [], None, LineState.UNREGISTERED, Evidence.NEVER_SEEN),
    ("expired a minute ago", [], known(LineState.REGISTERED, -60), LineState.AGED, Evidence.EXPIRED),
    ("expired and still listed", [binding(-60)], None, LineState.AGED, Evidence.EXPIRED),
    ("expired within the slack", [], known(LineState.REGISTERED, 1), LineState.AGED, Evidence.EXPIRED),
    ("signed off", [], known(LineState.REGISTERED, 600), LineState.UNREGISTERED, Evidence.VANISHED),
    ("permanent one gone", [], known(LineState.REGISTERED, None), LineState.UNREGISTERED, Evidence.VANISHED),
    ("still aged", [], known(LineState.AGED, -3600), LineState.AGED, Evidence.EXPIRED),
    (
        "aged for too long",
        [],
        known(LineState.AGED, -86401),
        LineState.UNREGISTERED,
        Evidence.RETENTION_OVER,
    ),
    (
        "signed off, and then its old expiry passes",
        [],
        Known(LineState.UNREGISTERED, NOW - timedelta(minutes=5), Evidence.VANISHED),
        LineState.UNREGISTERED,
        Evidence.VANISHED,
    ),
    (
        "signed off as the feed said",
        [],
        Known(LineState.UNREGISTERED, NOW + timedelta(hours=1), Evidence.SIGNED_OFF),
        LineState.UNREGISTERED,
        Evidence.SIGNED_OFF,
    ),
    (
        "expired as the feed said, by a clock ahead of ours",
        [],
        Known(LineState.AGED, NOW + timedelta(seconds=9), Evidence.EXPIRY_REPORTED),
        LineState.AGED,
        Evidence.EXPIRY_REPORTED,
    ),
    (
        "expired as the feed said, for too long",
        [],
        Known(LineState.AGED, NOW - timedelta(days=2), Evidence.EXPIRY_REPORTED),
        LineState.UNREGISTERED,
        Evidence.RETENTION_OVER,
    ),
    ("not asked", None, known(LineState.REGISTERED, 600), LineState.UNKNOWN, Evidence.NOT_ASKED),
    ("back again", [binding(30)], known(LineState.UNREGISTERED, -90), LineState.REGISTERED, Evidence.LIVE),
]


@pytest.mark.parametrize(
    ("what", "bindings", "before", "state", "evidence"), CASES, ids=[c[0] for c in CASES]
)
def test_each_case_of_the_rule(what, bindings, before, state, evidence):
    """Every case that the design names gives the state that it names."""
    verdict = judge(bindings, before, NOW, DAY)
    assert (verdict.state, verdict.evidence) == (state, evidence)


@pytest.mark.parametrize(
    ("what", "before", "restarted", "state", "evidence"),
    [
        ("before the look", (LineState.REGISTERED, 600, -60), -90, LineState.UNREGISTERED, Evidence.VANISHED),
        ("since the look", (LineState.REGISTERED, 600, -60), -30, LineState.UNKNOWN, Evidence.FORGOTTEN),
        ("in its second", (LineState.REGISTERED, 600, -60), -61, LineState.UNKNOWN, Evidence.FORGOTTEN),
        ("permanent", (LineState.REGISTERED, None, -60), -30, LineState.UNKNOWN, Evidence.FORGOTTEN),
        ("and it expired since", (LineState.REGISTERED, -5, -60), -30, LineState.AGED, Evidence.EXPIRED),
        ("was aged", (LineState.AGED, -90, -60), -30, LineState.AGED, Evidence.EXPIRED),
        ("was gone", (LineState.UNREGISTERED, 600, -60), -30, LineState.UNREGISTERED, Evidence.VANISHED),
    ],
)
def test_a_registrar_that_restarted_has_forgotten(what, before, restarted, state, evidence):
    """A memory that began after the last look makes a line unknown that would be gone, and no other."""
    past_state, expires, looked = before
    past = Known(past_state, _moment(expires), None, _moment(looked))
    verdict = judge([], past, NOW, DAY, knows_since=_moment(restarted))
    assert (verdict.state, verdict.evidence) == (state, evidence)


@pytest.mark.parametrize(
    ("told", "state"),
    [(Evidence.SIGNED_OFF, LineState.UNREGISTERED), (Evidence.EXPIRY_REPORTED, LineState.AGED)],
)
def test_what_the_feed_told_is_exact(told, state):
    """What the feed told counts, whatever the last look had expected; a live binding counts more."""
    assert judge([], known(LineState.REGISTERED, 600), NOW, DAY, told=told) == Verdict(state, told)
    assert judge([binding(5)], None, NOW, DAY, told=told).state is LineState.REGISTERED


@pytest.mark.parametrize(
    ("what", "known_at", "registered", "read_at", "stays"),
    [
        ("told before the answer came", -5, -60, 9, False),
        ("told after it", 5, -60, 9, True),
        ("told in the second before, of the binding that the answer has", -1, -60, 9, True),
        ("told in the second before, and registered again since", -2, -1, 9, False),
        ("told in the second before, of the other phone on the line", -1, -60, 9, False),
        ("told by a clock that was set back since", 5, -60, 3, False),
        ("told after it, but nothing newer is wanted", 5, -60, None, False),
    ],
)
def test_an_answer_does_not_undo_what_was_told_after_it(what, known_at, registered, read_at, stays):
    """A phone that signs off after its line was asked stays signed off when the answer is written."""
    contact = "sip:other@h" if "other phone" in what else "sip:2001@192.0.2.1"
    before = Known(LineState.UNREGISTERED, _moment(600), Evidence.SIGNED_OFF, _moment(known_at), contact)
    held = [Binding("2001@a.example", "sip:2001@192.0.2.1", _moment(600), _moment(registered))]
    verdict = judge(held, before, NOW, DAY, read_at=_moment(read_at))
    live = LineState.REGISTERED, Evidence.LIVE
    expected = (before.state, before.evidence) if stays else live
    assert (verdict.state, verdict.evidence) == expected


def test_a_handset_is_where_it_registered_last():
    """Of a DECT line's contacts the one that registered last speaks, not the one that ends last."""
    old = Binding("1@a", "sip:old", _moment(3000), _moment(-600))
    new = Binding("1@a", "sip:new", _moment(300), _moment(-10))
    gone = Binding("1@a", "sip:gone", _moment(-1), _moment(-5))
    assert newest([new, old], NOW) is old
    assert newest([new, old, gone], NOW, dect=True) is new


moments = st.none() | st.integers(-200_000, 200_000)
near = st.none() | st.integers(-200_000, 200_000) | st.integers(-5, 5)
bindings_of_one = st.none() | st.lists(st.tuples(moments, near), max_size=3)
REASONS = {
    LineState.REGISTERED: (None, Evidence.LIVE, Evidence.PERMANENT),
    LineState.AGED: (None, Evidence.EXPIRED, Evidence.EXPIRY_REPORTED),
    LineState.UNREGISTERED: (
        None, Evidence.SIGNED_OFF, Evidence.VANISHED, Evidence.RETENTION_OVER, Evidence.NEVER_SEEN,
    ),
}  # fmt: skip
whys = st.sampled_from([(state, why) for state, found in REASONS.items() for why in found])
befores = st.none() | st.tuples(whys, moments, st.booleans(), near)
KNOWN_CONTACT, KNOWN_BINDINGS, KNOWN_GHOSTS = "sip:0@h", 7, 5
READ_AT = NOW + timedelta(seconds=3)  # while other lines were asked
tolds = st.sampled_from([None, None, Evidence.SIGNED_OFF, Evidence.EXPIRY_REPORTED])
line = st.fixed_dictionaries(
    {"held": bindings_of_one, "before": befores, "told": tolds, "knows_since": near, "dect": st.booleans()}
)


@settings(max_examples=80, deadline=None)
@given(st.lists(line, min_size=1, max_size=25))
def test_the_sql_says_what_the_function_says(lines):
    """For any bindings and any past, the join of a collection and `judge` agree on state and evidence."""
    found = by_sql(lines)
    for key, each in enumerate(lines):
        held = None if each["held"] is None else _bindings(each["held"])
        verdict = judge(
            held,
            None if each["before"] is None else _known(*each["before"]),
            NOW,
            DAY,
            knows_since=_moment(each["knows_since"]),
            told=each["told"],
            read_at=READ_AT,
            dect=each["dect"],
        )
        row = found[key]
        assert (row["state"], row["evidence"]) == (verdict.state.value, verdict.evidence.value)
        if _stayed(row, each["before"]):
            continue
        last = newest(held or [], NOW, dect=each["dect"])
        if last is not None:
            assert row["contact"] == last.contact
        live = sum(b.live(NOW) for b in held or [])
        ghosts = max(live - 1, 0) if each["dect"] else 0
        asked = held is not None
        assert (row["bindings"], row["ghosts"]) == ((live - ghosts, ghosts) if asked else (None, None))


def _stayed(row, before):
    """Return whether a row is what was known before the answer; then nothing of it is the answer's."""
    if row["contact"] != KNOWN_CONTACT or row["bindings"] != KNOWN_BINDINGS:
        return False
    assert row["ghosts"] == KNOWN_GHOSTS
    assert row["state_known_at"] == _naive(_moment(before[3]))
    assert row["expires_at"] == _naive(_moment(before[1]))
    return True


def _bindings(moments_of_one):
    return [
        Binding("2001@a.example", f"sip:{n}@h", _moment(ends), _moment(registered))
        for n, (ends, registered) in enumerate(moments_of_one)
    ]


def _moment(seconds):
    return None if seconds is None else NOW + timedelta(seconds=seconds)


def _known(why, seconds, asked, known_at):
    state, evidence = why
    return Known(state, _moment(seconds), evidence, _moment(known_at), KNOWN_CONTACT)


def _naive(moment):
    return None if moment is None else moment.replace(tzinfo=None)


def by_sql(lines):
    """Return the rows of `states_sql` by line key, for lines as the property test makes them."""
    ports = [f"{key}@a.example" for key in range(len(lines))]
    texts = [name for name in LINES.names if pa.types.is_string(LINES.field(name).type)]
    table = {name: [""] * len(lines) for name in texts} | {"vendor": [""] * len(lines)}
    table |= {"line_key": list(range(len(lines))), "line_port": ports, "port": [1] * len(lines)}
    table["kind"] = ["dect_base" if each["dect"] else "desk" for each in lines]
    asked = [
        {
            "line_key": key,
            "line_port": ports[key],
            "part": 0,
            "answered": each["held"] is not None,
            "asked_at": _naive(NOW),
            "knows_since": _naive(_moment(each["knows_since"])),
            "told": each["told"].value if each["told"] else None,
        }
        for key, each in enumerate(lines)
    ]
    held = [
        {"part": part, "line_port": port.upper().replace("@A.EXAMPLE", "@A.example")}
        | {"contact": b.contact, "expires_at": _naive(b.expires_at), "registered_at": _naive(b.registered_at)}
        for port, each in zip(ports, lines, strict=True)
        for b in _bindings(each["held"] or ())
        for part in (0, 7)  # a binding of another part is no line's of this one
    ]
    previous = [_previous_row(n, *each["before"]) for n, each in enumerate(lines) if each["before"]]
    # Asking began long before the answers: expiries are compared with the answers' moment only.
    sql = states_sql(NOW - timedelta(days=9), DAY.total_seconds(), 2.0, READ_AT)
    with Engine() as engine:
        aligned = Alignment(
            engine,
            pa.table(table),
            pa.Table.from_pylist(asked, ASKED),
            pa.Table.from_pylist(held, HELD),
            pa.Table.from_pylist(previous, arrow_schema(OBSERVATIONS)),
        )
        found = {}
        for part in aligned.parts(3):
            with engine.connection({"aligned": part}) as connection:
                rows = connection.sql(sql).to_arrow_table()
            assert rows.column_names == list(OBSERVATIONS.names)
            found |= {row["line_key"]: row for row in rows.to_pylist()}
    return found


class Engine:
    """DuckDB without a lake."""

    def __enter__(self):
        self._connection = duckdb.connect()
        return self

    def __exit__(self, *_):
        self._connection.close()

    @contextmanager
    def connection(self, inputs):
        """Give a cursor in which tables can be read."""
        with self._connection.cursor() as cursor:
            for name, relation in inputs.items():
                cursor.register(name, relation)
            yield cursor


def _previous_row(key, known_as, seconds, asked, known_at):
    state, evidence = known_as
    # Where the last snapshot could not ask, its own state is unknown and what it knew stands beside it.
    why = evidence.value if evidence else None
    return {
        "line_key": key,
        "state": state.value if asked else "unknown",
        "state_before": state.value,
        "evidence": why if asked else "not asked",
        "evidence_before": why,
        "expires_at": _naive(_moment(seconds)),
        "state_known_at": _naive(_moment(known_at)),
        "contact": KNOWN_CONTACT,
        "bindings": KNOWN_BINDINGS,
        "ghosts": KNOWN_GHOSTS,
    }
