"""The rule of the three states: its cases, and the SQL that must say the same."""

from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devlib.collect import STATES_SQL, Evidence, Known, judge
from devlib.model import Binding, LineState

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


moments = st.none() | st.integers(-200_000, 200_000)
bindings_of_one = st.none() | st.lists(moments, max_size=3)
befores = st.none() | st.tuples(
    st.sampled_from([LineState.REGISTERED, LineState.AGED, LineState.UNREGISTERED]),
    moments,
    st.none() | st.sampled_from([Evidence.VANISHED, Evidence.NEVER_SEEN, Evidence.RETENTION_OVER]),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(bindings_of_one, befores), min_size=1, max_size=25))
def test_the_sql_says_what_the_function_says(lines):
    """For any bindings and any past, the join of a collection and `judge` agree on state and evidence."""
    found = dict(_by_sql(lines))
    for key, (seconds, before) in enumerate(lines):
        held = None if seconds is None else [binding(each, f"sip:{n}@h") for n, each in enumerate(seconds)]
        past = None if before is None else _known(*before)
        verdict = judge(held, past, NOW, DAY)
        assert found[key] == (verdict.state.value, verdict.evidence.value)


def _moment(seconds):
    return None if seconds is None else NOW + timedelta(seconds=seconds)


def _known(state, seconds, evidence, asked):
    return Known(state, _moment(seconds), evidence if asked else None)


def _naive(moment):
    return None if moment is None else moment.replace(tzinfo=None)


def _by_sql(lines):
    text, number, when = pa.string(), pa.int64(), pa.timestamp("us")
    ports = [f"{key}@a.example" for key in range(len(lines))]
    names = [
        "provider", "customer", "site", "mac", "device_name", "device_type", "line_type", "user_id",
        "first_name", "last_name", "phone_number", "extension", "base_station_id", "vendor", "kind",
        "chain_id",
    ]  # fmt: skip
    table = {name: pa.array([""] * len(lines), text) for name in names}
    table |= {"line_key": pa.array(range(len(lines)), number), "line_port": pa.array(ports, text)}
    table |= {"port": pa.array([1] * len(lines), number)}
    held = [
        (port, f"sip:{n}@h", None, None, _naive(_moment(each)), None)
        for port, (seconds, _) in zip(ports, lines, strict=True)
        for n, each in enumerate(seconds or ())
    ]
    previous = [_previous_row(key, *before) for key, (_, before) in enumerate(lines) if before is not None]
    texts = ["line_port", "contact", "user_agent", "received"]
    connection = duckdb.connect()
    connection.register("lines", pa.table(table))
    connection.register(
        "asked",
        pa.table(
            {
                "line_key": pa.array(range(len(lines)), number),
                "network": pa.array(["n"] * len(lines), text),
                "answered": pa.array([seconds is not None for seconds, _ in lines], pa.bool_()),
                "asked_at": pa.array([_naive(NOW)] * len(lines), pa.timestamp("us")),
            }
        ),
    )
    connection.register(
        "held",
        _table(held, texts, ["expires_at", "registered_at"]),
    )
    connection.register(
        "previous",
        pa.Table.from_pylist(
            previous,
            pa.schema(
                [("line_key", number), ("state", text), ("state_before", text), ("evidence", text)]
                + [(name, text) for name in ("contact", "user_agent", "public_address", "private_address")]
                + [(name, when) for name in ("expires_at", "last_registered_at", "state_known_at")]
            ),
        ),
    )
    # Asking began long before the answers: expiries are compared with the answers' moment only.
    values = {"now": _naive(NOW - timedelta(days=9)), "retention": DAY.total_seconds(), "slack": 2.0}
    rows = connection.execute(f"SELECT line_key, state, evidence FROM ({STATES_SQL})", values).fetchall()
    connection.close()
    return [(key, (state, evidence)) for key, state, evidence in rows]


def _table(rows, texts, moments_):
    schema = pa.schema([(n, pa.string()) for n in texts] + [(n, pa.timestamp("us")) for n in moments_])
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _previous_row(key, state, seconds, evidence, asked):
    # Where the last snapshot could not ask, its own state is unknown and what it knew stands beside it.
    return {
        "line_key": key,
        "state": state.value if asked else "unknown",
        "state_before": state.value,
        "evidence": (evidence.value if evidence else None) if asked else "not asked",
        "expires_at": _naive(_moment(seconds)),
    }
