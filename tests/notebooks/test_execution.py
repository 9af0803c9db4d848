"""Every notebook and dashboard runs from top to bottom, in a kernel of its own, on a seeded home."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devlib.clock import SystemClock
from devlib.config import load_settings
from devlib.demo.seeding import seed_fleet
from devlib.portal import connect

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted([*ROOT.glob("notebooks/**/*.ipynb"), *ROOT.glob("dashboards/*.ipynb")])


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """A home with a small fleet and one snapshot."""
    folder = tmp_path_factory.mktemp("home") / "devlib"
    settings = load_settings({"DEVLIB_HOME": str(folder), "DEVLIB_LANGUAGE": "en"})
    with connect(settings=settings, clock=SystemClock()) as portal:
        seed_fleet(portal.services.inventory, portal.services.catalogue, 300)
        portal.collect()
    return folder


@pytest.mark.parametrize("language", ["en", "fr"])
def test_all_notebooks_run(seeded, language):
    """No cell of any notebook fails, in either language (nbval, outputs not compared)."""
    environment = os.environ | {"DEVLIB_HOME": str(seeded), "DEVLIB_LANGUAGE": language}
    options = ["--nbval-lax", "--nbval-cell-timeout=60", "-p", "no:cacheprovider", "-c", os.devnull, "-q"]
    command = [sys.executable, "-m", "pytest", *options, *map(str, NOTEBOOKS)]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=110, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert NOTEBOOKS
