"""An analyst's SQL: what it can see, and everything that it cannot reach."""

from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pytest

from devlib.config import QueryLimits
from devlib.errors import QueryRefused, QueryTimeout
from devlib.model import OBSERVATIONS, Scope
from devlib.storage import Collected, Newest, Snapshot, Source, observations, run_query, to_frame

LIMITS = QueryLimits(seconds=20.0, memory="500MB", threads=2, rows=1000)
ROW = ", ".join(f"NULL::{column.type} AS {column.name}" for column in OBSERVATIONS)


@pytest.fixture
def files(tmp_path):
    """Two snapshot files: an older one of two customers, a newer one of one site."""
    made = []
    for name, rows in (
        (
            "old",
            [("A", "Lyon", 1, "registered", 1), ("A", "Nice", 2, "aged", 1), ("B", "Kiel", 3, "aged", 1)],
        ),
        ("new", [("A", "Lyon", 1, "aged", 2)]),
    ):
        selects = " UNION ALL ".join(
            f"SELECT * REPLACE ('P' AS provider, '{c}' AS customer, '{s}' AS site, {k} AS line_key, "
            f"'{state}' AS state, TIMESTAMP '2026-11-0{day}' AS observed_at) FROM (SELECT {ROW})"
            for c, s, k, state, day in rows
        )
        duckdb.sql(f"COPY ({selects}) TO '{tmp_path / name}.parquet' (FORMAT parquet)")
        made.append(tmp_path / f"{name}.parquet")
    return made


PROVIDER = Scope("P")
NOW = datetime(2026, 11, 4, tzinfo=UTC)
SNAPSHOTS = [
    Snapshot(number, "", Collected(*place, datetime(2026, 11, day, tzinfo=UTC)), NOW, 1, 1)
    for number, place, day in ((1, (None, None, None), 1), (2, ("P", "A", "Lyon"), 2))
]


def ask(files, sql, scope=PROVIDER, limits=LIMITS):
    sources = [
        Source("line_states", lambda: Newest(observations(files, scope), SNAPSHOTS[: len(files)])),
        Source("observations", lambda: observations(files, scope)),
    ]
    return to_frame(run_query(sql, sources, limits))


def test_newest_rows_and_all_rows(files):
    """`line_states` shows each line once, `observations` every row."""
    newest = ask(files, "SELECT line_key, state FROM line_states ORDER BY ALL")
    assert newest.values.tolist() == [[1, "aged"], [2, "aged"], [3, "aged"]]
    assert ask(files, "SELECT count(*) AS n FROM observations")["n"].tolist() == [4]


def test_a_removed_line_is_not_shown(files):
    """A line of a site that a newer snapshot covers without it is gone from `line_states`."""
    nice = Snapshot(3, "", Collected("P", "A", "Nice", datetime(2026, 11, 3, tzinfo=UTC)), NOW, 0, 0)
    source = Source("line_states", lambda: Newest(observations(files, PROVIDER), [nice, *SNAPSHOTS]))
    found = run_query("SELECT line_key FROM line_states ORDER BY 1", [source], LIMITS)
    assert found.column("line_key").to_pylist() == [1, 3]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope("P", "A"), [1, 2]),
        (Scope("P", "A", frozenset({"Nice"})), [2]),
        (Scope("P", "A", frozenset()), []),
        (Scope("other"), []),
        (Scope(), [1, 2, 3]),
    ],
)
def test_only_rows_of_the_scope_exist(files, scope, expected):
    """Whatever the SQL says, rows outside of the scope are not there."""
    found = ask(files, "SELECT DISTINCT line_key FROM observations ORDER BY 1", scope)
    assert found["line_key"].tolist() == expected


def test_the_tables_can_be_listed_and_described(files):
    """An analyst finds the tables and all their columns."""
    assert {"line_states", "observations"} <= set(ask(files, "SHOW TABLES")["name"])
    assert ask(files, "DESCRIBE line_states")["column_name"].tolist() == list(OBSERVATIONS.names)


def test_an_empty_answer_has_its_columns(files):
    """No rows still are a frame with the columns asked for."""
    found = ask(files, "SELECT site, expires_at, port FROM line_states WHERE false")
    assert found.columns.tolist() == ["site", "expires_at", "port"]
    assert len(found) == 0


def test_no_file_at_all_is_an_empty_table(tmp_path):
    """Before the first snapshot the tables are there, and empty."""
    assert ask([], "SELECT count(*) AS n FROM line_states")["n"].tolist() == [0]


REACHES = [
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/hostname')",
    "SELECT * FROM glob('/**')",
    "SELECT * FROM '{file}'",
    "SELECT * FROM read_parquet('{file}')",
    "COPY (SELECT 1) TO '{out}'",
    "COPY line_states TO '{out}' (FORMAT parquet)",
    "WITH x AS (COPY (SELECT 1) TO '{out}') SELECT 1",
    "EXPORT DATABASE '{out}'",
    "ATTACH '{out}' AS other",
    "ATTACH 'http://192.0.2.1/x.db' AS other",
    "SELECT * FROM read_csv('http://192.0.2.1/x.csv')",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "RESET enable_external_access",
    "SET max_execution_time = 0",
    "SET memory_limit = '100GB'",
    "PRAGMA enable_profiling = 'json'; SELECT 1",
    "SET profiling_output = '{out}'",
    "SELECT * FROM duckdb_secrets()",
    "SELECT getenv('HOME')",
    "SELECT 1; SELECT 2",
    "",
    "SELEC 1",
    "SELECT nothing FROM line_states",
]


@pytest.mark.parametrize("sql", REACHES)
def test_what_reaches_outside_is_refused(files, tmp_path, sql):
    """Files, networks, extensions and settings are out of reach, each with an error that says what to do."""
    out = tmp_path / "stolen"
    with pytest.raises(QueryRefused) as caught:
        ask(files, sql.format(file=files[0], out=out))
    assert caught.value.remedy is not None
    assert not out.exists()


def test_a_relation_of_the_caller_is_not_visible(files):
    """Python variables of the process cannot be named from SQL."""
    secret = pa.table({"password": ["x"]})
    with pytest.raises(QueryRefused):
        ask(files, "SELECT * FROM secret")
    assert secret.num_rows == 1


def test_changing_the_tables_changes_nothing_that_is_kept(files):
    """DELETE and UPDATE are refused, also inside of a WITH; the files stay as they were."""
    before = [path.read_bytes() for path in files]
    for sql in (
        "DELETE FROM observations",
        "UPDATE observations SET state = 'registered'",
        "WITH d AS (DELETE FROM observations RETURNING *) SELECT * FROM d",
    ):
        with pytest.raises(QueryRefused):
            ask(files, sql)
    assert [path.read_bytes() for path in files] == before


def test_a_query_without_end_is_stopped(files):
    """A query that runs too long ends with an error that names the limit."""
    limits = LIMITS.model_copy(update={"seconds": 0.3})
    with pytest.raises(QueryTimeout, match=r"0\.3 s") as caught:
        ask(files, "SELECT count(*) FROM range(1000000000000) AS a, range(1000000) AS b", limits=limits)
    assert caught.value.http_status == 503


def test_a_query_that_needs_too_much_memory_is_stopped(files):
    """A query over the memory limit ends with an error, not with the process."""
    limits = LIMITS.model_copy(update={"memory": "50MB"})
    with pytest.raises(QueryTimeout, match="memory"):
        ask(files, "SELECT list(i) AS l, list(i::VARCHAR) AS t FROM range(30000000) AS r(i)", limits=limits)


def test_too_many_rows_are_refused_not_cut(files):
    """An answer over the row limit is an error: a silently cut answer would be a wrong one."""
    with pytest.raises(QueryRefused, match="1000"):
        ask(files, "SELECT * FROM range(1001)")
    assert len(ask(files, "SELECT * FROM range(1000)")) == 1000


def test_moments_are_utc_whatever_the_machine_says(files, monkeypatch):
    """Time zone of the machine does not shift moments."""
    monkeypatch.setenv("TZ", "America/New_York")
    found = ask(files, "SELECT max(observed_at) AS at FROM observations")
    assert found["at"][0].to_pydatetime().replace(tzinfo=UTC) == datetime(2026, 11, 2, tzinfo=UTC)
