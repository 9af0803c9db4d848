"""The two demonstrations, whole, as `make demo` runs them (smaller)."""

import csv
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from kamailio_fixture import kamailio

from devlib.clock import SystemClock
from devlib.config import load_settings
from devlib.demo.fleet import demo_fleet
from devlib.demo.real import Cast
from devlib.demo.seeding import history_moments
from devlib.model import load_catalogue
from devlib.portal import connect

__all__ = ["kamailio"]


def play(home, *words):
    """Run the demonstration with its own home; return what it printed."""
    environment = os.environ | {"DEVLIB_HOME": str(home), "NO_BROWSER": "1", "DEVLIB_LANGUAGE": "en"}
    command = [sys.executable, "-m", "devlib.demo", *words]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=280)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_fleet_is_the_same_for_the_same_seed():
    """Three customers, forty sites, about as many lines as asked for, each line port once."""
    catalogue = load_catalogue()
    fleet = list(demo_fleet(catalogue, 2000))
    assert fleet == list(demo_fleet(catalogue, 2000))
    assert fleet != list(demo_fleet(catalogue, 2000, seed=2))
    assert len({site.customer for site in fleet}) == 3
    assert len(fleet) == 40
    ports = [line.line_port for site in fleet for _, lines in site.devices for line in lines]
    assert 1900 <= len(ports) <= 2100
    assert len(set(ports)) == len(ports)


def test_the_history_is_thirty_days():
    """Observed every six hours, and every hour in the last three days, in order."""
    now = datetime(2026, 11, 22, 21, 46, tzinfo=UTC)
    moments = history_moments(now)
    assert moments == sorted(moments)
    assert now - moments[0] > timedelta(days=29, hours=23)
    assert sum(now - each < timedelta(days=3) for each in moments) >= 71


def test_the_simulated_demonstration(tmp_path):
    """It ends with a report whose counts are those of SQL over the same snapshot, and 30 days to question."""
    home = tmp_path / "home"
    out = play(home, "--lines", "120")
    assert "report and SQL agree" in out
    (report,) = (home / "reports").glob("*.csv")
    assert str(report) in out
    with report.open(encoding="utf-8", newline="") as file:
        counted = Counter(row["State"] for row in csv.DictReader(file))
    with connect(settings=load_settings({"DEVLIB_HOME": str(home)}), clock=SystemClock()) as portal:
        found = portal.sql(
            "SELECT state, count(*) AS n FROM line_states WHERE customer = 'Boulangeries Martin' GROUP BY 1"
        )
        days = portal.sql("SELECT count(DISTINCT observed_at::DATE) AS days FROM observations")["days"][0]
    assert dict(counted) == dict(zip(found["state"], found["n"], strict=True))
    assert days >= 30


def test_an_earlier_demonstration_is_moved_aside(tmp_path, monkeypatch, capsys):
    """What somebody left in an earlier demonstration is kept; an empty folder is used as it is."""
    from devlib.demo.__main__ import _own_home

    monkeypatch.setenv("DEVLIB_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    first = _own_home("en")
    (first / "my-work.csv").write_text("precious")
    assert list(_own_home("fr").iterdir()) == [first / ".devlib-demo"]
    (aside,) = tmp_path.glob("home-before-*")
    assert (aside / "my-work.csv").read_text() == "precious"
    assert str(aside) in capsys.readouterr().out


def test_a_folder_of_somebody_else_is_not_touched(tmp_path):
    """Where the home holds anything that the demonstration did not make, it stops and changes nothing."""
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(AssertionError, match="did not make"):
        play(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.kamailio
def test_the_demonstration_with_real_phones(tmp_path, kamailio):
    """Real registrations: exactly the silent lines age, exactly those that signed off are unregistered."""
    out = play(tmp_path / "home", "--network", "kamailio", "--phones", "60")
    assert "Exactly the silent lines are aged" in out


def test_every_line_port_has_one_part():
    """A third falls silent, a tenth of the rest signs off."""
    cast = Cast.of([str(number) for number in range(500)])
    assert len(cast.silent) == 167
    assert len(cast.leaving) == 34
    assert len({*cast.faithful, *cast.silent, *cast.leaving}) == 500
