"""The line-state report and the device list: columns, filters, formulas, whole files."""

import csv
import io
import re
import signal
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from portal_home import PROVIDER, mac_of

from devlib.errors import NotFound, QueryRefused, StorageUnavailable, UsageError
from devlib.export import ReportRequest, file_name
from devlib.model import DEVICE_LIST, LINE_STATES, LineState, Role, Scope
from devlib.storage import LineFilter, csv_expression, write_whole
from devlib.validation import neutralise_text, restore_text

FORMULAS = ["=cmd|' /C calc'!A0", "@SUM(1+1)", "-2+3", "+1+1", "\t=1", "\r=1", "'=1", "''=1"]


def read(report):
    with report.path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def export(home, tmp_path, portal=None, **request):
    wanted = ReportRequest(**{"customer": "Bakery"} | request)
    return (portal or home.portal()).export_line_states(wanted, tmp_path / "out")


def test_the_report_has_the_22_columns_in_both_languages(home, tmp_path):
    """Headers are those of the study, in order, in English or French."""
    assert len(LINE_STATES.columns) == 22
    for language in ("en", "fr"):
        report = export(home, tmp_path, language=language)
        assert list(read(report)[0]) == [column.header(language) for column in LINE_STATES]
    assert list(read(report)[0])[:2] == ["Site", "Adresse MAC"]


def test_the_report_holds_each_line_of_the_scope_once(home, tmp_path):
    """All sites of a customer, or one; sorted by site, MAC and port; counts by state add up."""
    whole = export(home, tmp_path)
    rows = read(whole)
    assert [(r["Site"], r["MAC Address"], r["Port"]) for r in rows] == sorted(
        (r["Site"], r["MAC Address"], r["Port"]) for r in rows
    )
    assert whole.rows == len(rows) == 12 == sum(whole.states.values())
    assert {r["Site"] for r in read(export(home, tmp_path, site="nice"))} == {"Nice"}


def test_counts_equal_sql_over_the_same_snapshot(home, tmp_path):
    """The report's counts by state are those of SQL over `line_states`."""
    home.clock.advance(40_000)
    report = export(home, tmp_path)
    found = home.portal().sql(
        "SELECT state, count(*) AS n FROM line_states WHERE customer = 'Bakery' GROUP BY 1"
    )
    by_sql = dict(zip(found["state"], found["n"], strict=True))
    assert by_sql == {state.value: n for state, n in report.states.items() if n}


def test_filters_apply_before_export(home, tmp_path):
    """State, type, text and SQL condition cut the rows; the name of the file tells that it is filtered."""
    home.simulator.register("11@lyon.bakery.example", expires=60)
    home.simulator.fall_silent("11@lyon.bakery.example")
    home.portal().collect("Bakery")
    home.clock.advance(120)
    report = export(home, tmp_path, line_filter=LineFilter(states=(LineState.AGED,), search="11@lyon"))
    assert [row["Line Port"] for row in read(report)] == ["11@lyon.bakery.example"]
    assert "part-" in report.path.name
    condition = LineFilter(condition="site = 'Nice' AND port = 1")
    assert {(r["Site"], r["Port"]) for r in read(export(home, tmp_path, line_filter=condition))} == {
        ("Nice", "1")
    }


@pytest.mark.parametrize(
    "condition", ["nonsense", "1=1; DROP TABLE x", "(SELECT 1", "1 = (SELECT 1 FROM '/etc')"]
)
def test_a_wrong_condition_is_refused_and_nothing_is_written(home, tmp_path, condition):
    """A condition that is no SQL condition over the columns gives an error, and no file."""
    with pytest.raises(QueryRefused):
        export(home, tmp_path, line_filter=LineFilter(condition=condition))
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_a_condition_cannot_widen_the_scope(home, tmp_path):
    """Brackets and OR in a condition never show a row of another customer or site."""
    portal = home.portal(Role.VIEWER, Scope(PROVIDER, "Bakery", frozenset({"Lyon"})))
    widening = LineFilter(condition="1 = 0) OR (1 = 1")
    rows = read(export(home, tmp_path, portal, line_filter=widening))
    assert {row["Site"] for row in rows} == {"Lyon"}
    assert len(rows) == 6


def test_columns_on_request(home, tmp_path):
    """Any columns of the observations can be asked for; an unknown one is named."""
    report = export(home, tmp_path, columns=("line_port", "state", "evidence", "network"))
    assert list(read(report)[0]) == ["Line Port", "State", "Evidence", "Network"]
    with pytest.raises(UsageError, match="no_such"):
        export(home, tmp_path, columns=("no_such",))


def test_a_phone_cannot_plant_a_formula(home, tmp_path):
    """User agents and contacts that begin like formulas get an apostrophe, which reading takes away again."""
    agents = dict(zip([f"{n}1@lyon.bakery.example" for n in (1, 2, 3)], FORMULAS[:3], strict=True))
    for line_port, agent in agents.items():
        home.simulator.register(line_port, expires=3600, user_agent=agent)
    rows = {row["Line Port"]: row["User Agent"] for row in read(export(home, tmp_path))}
    for line_port, agent in agents.items():
        assert rows[line_port] == "'" + agent
        assert restore_text(rows[line_port]) == agent


def test_phone_numbers_keep_their_plus_sign(home, tmp_path):
    """An E.164 number is no formula and is written as it is."""
    assert all(row["Phone Number"].startswith("+33") for row in read(export(home, tmp_path)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)))
def test_sql_neutralises_like_the_function(texts):
    """The writer's SQL and `neutralise_text` agree on every text, and `restore_text` gives it back."""
    import duckdb
    import pyarrow as pa

    column = DEVICE_LIST.column("name")
    connection = duckdb.connect()
    connection.register("t", pa.table({"name": pa.array(texts, pa.string())}))
    found = [row[0] for row in connection.execute(f"SELECT {csv_expression(column, 'en')} FROM t").fetchall()]
    connection.close()
    for text, written in zip(texts, found, strict=True):
        assert (written or "") == neutralise_text(text)
        assert restore_text(written or "") == text


def test_the_device_list_imports_again(home, tmp_path):
    """An exported device list is a bulk file: importing it changes nothing and refuses nothing."""
    written = home.portal().export_devices(tmp_path, "Bakery", columns=DEVICE_LIST.names)
    report = home.portal().import_devices(written.path, customer="Bakery")
    assert report.refused == 0
    assert len(home.portal().devices("Bakery")) == 6


def test_the_device_list_has_the_four_columns_of_the_article(home, tmp_path):
    """Without a wish: MAC address, device type, available lines, site."""
    written = home.portal().export_devices(tmp_path, "Bakery", "Nice", language="fr")
    with written.path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["Adresse MAC", "Type d’appareil", "Lignes disponibles", "Site"]
    assert rows[1] == [str(mac_of(4)), "Yealink T46S", "14", "Nice"]
    with pytest.raises(UsageError):
        home.portal().export_devices(tmp_path, "Bakery", columns=("nothing",))


def test_names_tell_customer_site_and_data_time(home, tmp_path):
    """The name of a file holds plain letters of customer and site and the time of its data."""
    report = export(home, tmp_path, site="Lyon")
    assert report.path.name == "line-states_bakery_lyon_20261102T080000Z.csv"
    hostile = file_name("x", "../..//étc é", "=1", report.observed_at)
    assert re.fullmatch(r"x_etc-e-[0-9a-f]{6}_1-[0-9a-f]{6}_20261102T080000Z\.csv", hostile)


def test_different_reports_never_share_a_name(home, tmp_path):
    """Look-alike sites, names without Latin letters, columns, filters and languages: a file each."""
    at = home.clock.now()
    sites = [
        "Paris 1",
        "Paris-1",
        "Paris_1",
        "パリ",
        "東京",
        "all sites",
        "All-Sites",
        None,
        "x" * 80,
        "x" * 81,
    ]
    assert len({file_name("x", "C", site, at) for site in sites}) == len(sites)
    reports = [
        export(home, tmp_path),
        export(home, tmp_path, language="fr"),
        export(home, tmp_path, columns=("state",)),
        export(home, tmp_path, line_filter=LineFilter(search="lyon")),
    ]
    assert len({report.path for report in reports}) == 4


def test_the_newest_snapshot_can_be_taken_without_asking(home, tmp_path):
    """`from_snapshot` asks nobody; with no snapshot at all it says how to get one."""
    request = ReportRequest("Bakery")
    with pytest.raises(NotFound, match="devlib collect"):
        home.portal().export_line_states(request, tmp_path, from_snapshot=True)
    home.portal().collect()
    home.clock.advance(600)
    report = home.portal().export_line_states(request, tmp_path, from_snapshot=True)
    assert (home.clock.now() - report.observed_at).total_seconds() == 600


def test_a_killed_export_leaves_no_half_file(tmp_path):
    """kill -9 while a file is written: the name never appears."""
    script = f"""
        import os, signal
        from pathlib import Path
        from devlib.storage import write_whole

        def write(path):
            path.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

        write_whole(Path("{tmp_path / "report.csv"}"), write)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "report.csv").exists()


def test_a_failed_export_leaves_the_old_file(tmp_path):
    """Where writing fails, the file of that name stays as it was and no other is left."""
    target = tmp_path / "report.csv"
    target.write_text("old")

    def write(path):
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(StorageUnavailable, match="disk full"):
        write_whole(target, write)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.csv"]


def test_the_report_is_readable_by_the_csv_module(home, tmp_path):
    """Quotes, commas and line breaks in names survive."""
    home.simulator.register("11@lyon.bakery.example", expires=3600, user_agent='a "b", c;d')
    text = export(home, tmp_path).path.read_text(encoding="utf-8")
    agents = [row["User Agent"] for row in csv.DictReader(io.StringIO(text, newline=""))]
    assert 'a "b", c;d' in agents


def test_a_folder_that_cannot_be_written_is_told(home, tmp_path):
    """Where a folder is asked for and a file stands there, the error names it and what to do."""
    (tmp_path / "out").write_text("a file")
    with pytest.raises(StorageUnavailable, match="Choose a folder") as caught:
        export(home, tmp_path)
    assert str(tmp_path / "out") in str(caught.value)
