"""Processes that are killed, stopped and cancelled at any instant break no limit and hang nobody.

`DEVLIB_TORTURE_SECONDS` (default 4) and `DEVLIB_TORTURE_PROCESSES` (default 20) set the size.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TORTURE = Path(__file__).with_name("torture.py")
SECONDS = os.environ.get("DEVLIB_TORTURE_SECONDS", "4")
PROCESSES = os.environ.get("DEVLIB_TORTURE_PROCESSES", "20")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_no_limit_breaks_under_fire(request, tmp_path, kind, record_property):
    """At most three run and ten wait, one real export of a key, no hang, and real exports go on."""
    url = "sqlite:///inventory.db"
    if kind == "postgresql":
        url = request.getfixturevalue("postgresql").new_database()
    command = [sys.executable, TORTURE, url, tmp_path, PROCESSES, SECONDS, "1"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=280)
    figures = json.loads(told.stdout)
    print(kind, figures)  # noqa: T201 - the figures are wanted, see `pytest -s`
    record_property("figures", figures)
    assert figures["faults"] == []
    assert figures["real"] >= 10
    assert figures["kills"] >= 5
