"""Each notebook under nbval starts in a fresh copy of the home for practice: `pytest --nbval notebooks`.

The home is made once for each run of pytest; with DEVLIB_PRACTICE_HOME, one that was made before is copied.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from devlib.demo.practice import build_practice_home

_FOLDER = pytest.StashKey[Path]()
_NOW = pytest.StashKey[Path]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Make the home for practice."""
    folder = Path(tempfile.mkdtemp(prefix="devlib-notebooks-"))
    session.config.stash[_FOLDER] = folder
    os.environ["DEVLIB_LANGUAGE"] = "en"
    # The plans of DuckDB and the widths of frames must not depend on the terminal.
    os.environ["COLUMNS"] = "80"
    made = os.environ.get("DEVLIB_PRACTICE_HOME")
    if made:
        shutil.copytree(made, folder / "seed")
    else:
        build_practice_home(folder / "seed")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give each notebook a home of its own, before nbval starts its kernel."""
    stash = item.config.stash
    if stash.get(_NOW, None) != item.path:
        stash[_NOW] = item.path
        home = stash[_FOLDER] / f"{item.path.parent.name}-{item.path.stem}"
        shutil.copytree(stash[_FOLDER] / "seed", home)
        os.environ["DEVLIB_HOME"] = str(home)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Take the homes away."""
    shutil.rmtree(session.config.stash[_FOLDER], ignore_errors=True)
