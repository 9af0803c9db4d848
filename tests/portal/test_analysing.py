"""Questions over history through the portal and the command: scope, audit, the daily compaction."""

import json
from datetime import timedelta

import pandas as pd
import pytest
from portal_home import PROVIDER, home

from devlib.cli import main
from devlib.errors import NotAllowed, UsageError
from devlib.model import Role, Scope

__all__ = ["home"]

HOUR = timedelta(hours=1)


def collect_days(home, hours=30):
    for _ in range(0, hours, 6):
        home.portal().collect()
        home.clock.advance(6 * 3_600)


def test_a_viewer_sees_its_own_lines_only(home):
    """Every question, and the table of periods, holds nothing of other customers or sites."""
    collect_days(home)
    home.portal().compact()
    viewer = home.portal(Role.VIEWER, Scope(PROVIDER, "Clinic", frozenset({"Lyon"})))
    answers = [
        viewer.states_at(home.clock.now()), viewer.time_in_state(), viewer.heat_map(), viewer.capacity(),
        viewer.sunburst(), viewer.compare(home.clock.now() - 20 * HOUR, home.clock.now()),
        viewer.sql("SELECT customer, site FROM state_periods"),
    ]  # fmt: skip
    for each in answers:
        assert set(map(tuple, each[["customer", "site"]].to_numpy().tolist())) == {("Clinic", "Lyon")}
    assert viewer.line_history("11@lyon.bakery.example").empty
    assert len(viewer.states_at(home.clock.now())) == 6
    with pytest.raises(NotAllowed):
        viewer.compact()


def test_questions_are_audited(home):
    """Who asked what is in the audit, also where it failed."""
    portal = home.portal()
    portal.outages(home.clock.now() - HOUR, customer="Bakery")
    with pytest.raises(UsageError):
        portal.state_counts(["nothing"])
    with home.services.inventory.read() as reader:
        failed, done = reader.audit_entries(2)
    assert (done.act, done.outcome) == ("see", "done")
    assert "outages" in done.target
    assert "Bakery" in done.target
    assert (failed.outcome, "nothing" in failed.target) == ("failed", True)


def test_a_collector_compacts_the_day_that_ended(home):
    """`keep_collecting` compacts after the first collection of the next day, and the audit has it."""
    results = []

    def tell(result):
        results.append(result)
        return len(results) < 6

    home.portal().keep_collecting(timedelta(hours=6), tell)
    with home.services.inventory.read() as reader:
        entries = reader.audit_entries(20)
        first, *of_today = reader.period_files()
    assert first.until - first.since == timedelta(days=1)
    assert [each.since for each in of_today][:1] == [first.until]
    compacted = [each for each in entries if each.act == "compact"]
    assert [(each.outcome, each.target) for each in compacted] == [("done", "2026-11-02")]
    assert "3 snapshots" in compacted[0].detail


def test_the_commands(home, monkeypatch, capsys, tmp_path):
    """The words of the questions are commands: JSON, CSV, local times, and errors that say what to write."""
    (home.folder / "devlib.toml").write_text('[[networks]]\nkind = "simulator"\nname = "simulator"\n')
    monkeypatch.setenv("DEVLIB_HOME", str(home.folder))
    monkeypatch.setenv("DEVLIB_LANGUAGE", "en")
    monkeypatch.setattr("devlib.portal.connecting.SystemClock", lambda: home.clock)
    collect_days(home)

    def run(*words):
        code = main([str(word) for word in words])
        return code, capsys.readouterr().out

    for words in (
        ["changes", "--since", "7d", "--state", "aged"], ["outages", "--since", "2d", "--share", "10"],
        ["flapping", "--changes", "1"], ["aged", "--since", "2026-11-01"], ["states", "--by", "device_type"],
        ["compare", "1d", "now"], ["compare", "1d", "--lines", "--all"], ["census"],
        ["census", "--user-agents"],
        ["capacity"], ["availability", "--by", "all"], ["availability", "--every", "6h"],
        ["history", "11@lyon.bakery.example", "--since", "7d"], ["states", "--lines", "--at", "2h"],
        ["compact"],
    ):  # fmt: skip
        code, out = run(*words, "--json")
        assert code == 0, words
        json.loads(out)
        code, out = run(*words)
        assert code == 0, words
    code, out = run("capacity", "--csv", tmp_path / "capacity.csv")
    assert code == 0
    assert len(pd.read_csv(tmp_path / "capacity.csv")) == len(home.portal().capacity())
    assert run("changes", "--since", "yesterday")[0] != 0
    assert run("availability", "--every", "0h")[0] != 0
