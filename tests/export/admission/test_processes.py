"""The article's limits with real processes and the real five seconds; all plans run at the same time."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

CREW = Path(__file__).with_name("crew.py")


def one_session():
    """Two parallel exports of one session."""
    return {"workers": [
        {"session": "s1", "customer": "c1"},
        {"session": "s1", "customer": "c2", "after": 0.05},
    ]}  # fmt: skip


def same_site():
    """Service provider and operator ask for the same site; a third one comes when it is over."""
    site = {"customer": "c1", "site": "north"}
    return {"workers": [
        {"session": "provider", **site},
        {"session": "operator", **site, "after": 0.1},
        {"session": "third", **site, "after": 2.0},
    ]}  # fmt: skip


def twenty():
    """Twenty sessions of twenty customers at once."""
    return {"workers": [{"session": f"s{n}", "customer": f"c{n}"} for n in range(20)]}


def slow():
    """Sixteen at once, exports of four seconds, two seconds of patience."""
    workers = [{"session": f"s{n}", "customer": f"c{n}", "seconds": 4.0} for n in range(16)]
    return {"policy": {"queue_timeout": 2.0}, "workers": workers}


def failing():
    """The network fails for the first; three share his fate; one comes a period later."""
    late = {"session": "late", "customer": "c1", "after": 5.1}
    followers = [{"session": f"f{n}", "customer": "c1", "after": 0.3} for n in range(3)]
    return {"workers": [{"session": "s1", "customer": "c1", "fails": True}, *followers, late]}


PLANS = (one_session, same_site, twenty, slow, failing)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def reports(request, tmp_path_factory):
    """What the workers of each plan met, by plan and session in the order of their answers."""
    crews = {}
    for plan in PLANS:
        folder = tmp_path_factory.mktemp(plan.__name__)
        url = "sqlite:///inventory.db"
        if request.param == "postgresql":
            url = request.getfixturevalue("postgresql").new_database()
        crew = subprocess.Popen(
            [sys.executable, CREW], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        crew.stdin.write(json.dumps(plan() | {"url": url, "folder": str(folder)}))
        crew.stdin.close()
        crews[plan.__name__] = crew
    return {name: _told(crew) for name, crew in crews.items()}


def _told(crew):
    with crew.stdout as lines:
        told = [json.loads(line) for line in lines]
    assert crew.wait(timeout=60) == 0
    return told


def test_the_second_parallel_export_of_a_session_starts_five_seconds_later(reports):
    """S1: not before 5.0 s after the first, and not after 5.3 s."""
    first, second = sorted(reports["one_session"], key=lambda report: report["began"])
    assert 5.0 <= second["granted"] - first["granted"] <= 5.3
    # The processes see it a few milliseconds later, and not the same number for both.
    assert 4.8 <= second["began"] - first["began"] <= 5.3
    assert first["real"]
    assert second["real"]


def test_two_users_of_one_site_make_one_real_export(reports):
    """S3: the first is real, the second shares it, and the third is answered from the cache at once."""
    by = {report["session"]: report for report in reports["same_site"]}
    assert [by[name]["real"] for name in ("provider", "operator", "third")] == [True, False, False]
    assert {report["ref"] for report in by.values()} == {"provider"}
    assert by["third"]["answered"] - by["third"]["asked"] < 0.5


def test_of_twenty_at_once_thirteen_are_answered(reports):
    """S4 and S5: three run, ten wait, seven are refused with a time to come back."""
    assert Counter(report["http"] for report in reports["twenty"]) == {200: 13, 429: 7}
    refused = [report for report in reports["twenty"] if report["http"] == 429]
    assert all(report["retry_after"] >= 1 for report in refused)
    assert all(report["answered"] - report["asked"] < 1.0 for report in refused)


def test_who_waits_too_long_gets_408(reports):
    """Three are answered, ten give up after the queue's timeout, three are refused."""
    assert Counter(report["http"] for report in reports["slow"]) == {200: 3, 408: 10, 429: 3}
    waited = [r["answered"] - r["asked"] for r in reports["slow"] if r["http"] == 408]
    assert all(2.0 <= seconds < 3.5 for seconds in waited)


def test_a_failing_network_is_500_for_all_who_waited_on_it(reports):
    """Nothing is cached: the next request is a real export."""
    by = {report["session"]: report for report in reports["failing"]}
    assert [by[name]["http"] for name in ("s1", "f0", "f1", "f2")] == [500] * 4
    assert (by["late"]["http"], by["late"]["real"]) == (200, True)
