"""Checks that nbval notices changed rules of devlib: `python tests/notebooks/mutants.py`.

Each mutant is one changed line in a copy of the package; the notebook that answers the question is run on it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """A changed rule, and the notebook that must notice it."""

    name: str
    path: str
    before: str
    after: str
    notebook: str


MUTANTS = (
    Mutant(
        "unregistered time does not count against the share registered",
        "devlib/analytics/availability.py",
        "nullif(registered_us + aged_us + unregistered_us, 0)",
        "nullif(registered_us + aged_us, 0)",
        "explore/outages.ipynb",
    ),
    Mutant(
        "an outage needs more than the fewest lines",
        "devlib/analytics/incidents.py",
        "HAVING count(DISTINCT line_key) >= $least",
        "HAVING count(DISTINCT line_key) > $least",
        "explore/outages.ipynb",
    ),
    Mutant(
        "every change counts as a fall",
        "devlib/analytics/incidents.py",
        "count(*) FILTER (state_before = 'registered') AS falls",
        "count(*) AS falls",
        "explore/history.ipynb",
    ),
    Mutant(
        "a table of one's own may stand in for one of the suite's",
        "devlib/analytics/questions.py",
        "if name.casefold() in there or not name.isidentifier():",
        "if not name.isidentifier():",
        "explore/your-own-csv.ipynb",
    ),
)


def nbval(notebook: str, package: Path, home: Path) -> tuple[int, str]:
    """Run a notebook on a copy of the package; return nbval's exit code and its last line."""
    environment = os.environ | {"PYTHONPATH": str(package), "DEVLIB_PRACTICE_HOME": str(home)}
    words = ["--nbval", "--nbval-sanitize-with", "notebooks/sanitize.cfg", "-p", "no:cacheprovider"]
    words += ["-c", os.devnull, "--rootdir", str(ROOT), "-q", f"notebooks/{notebook}"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, (ended.stdout.strip() or ended.stderr.strip()).splitlines()[-1]


def changed(mutant: Mutant, folder: Path) -> Path:
    """Return a folder with a copy of the package in which the rule is changed."""
    shutil.copytree(ROOT / "devlib", folder / "devlib", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / mutant.path
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.before) != 1:
        raise SystemExit(f"{mutant.name}: the rule is not where it was; mend this file")
    path.write_text(text.replace(mutant.before, mutant.after), encoding="utf-8")
    return folder


def main() -> int:
    """Judge all mutants; return how many survive."""
    from devlib.demo.practice import build_practice_home

    survivors = 0
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        build_practice_home(home)
        for number, mutant in enumerate(MUTANTS):
            began = time.monotonic()
            code, last = nbval(mutant.notebook, changed(mutant, Path(name) / str(number)), home)
            # 1: outputs differ. Anything else (nothing collected, a crash of pytest) is no verdict.
            survivors += code != 1
            told = "caught  " if code == 1 else "SURVIVED"
            print(f"{told} {time.monotonic() - began:5.1f} s  {mutant.name}: {last}", flush=True)  # noqa: T201
    print(f"{len(MUTANTS) - survivors} of {len(MUTANTS)} mutants caught")  # noqa: T201
    return survivors


if __name__ == "__main__":
    sys.exit(min(main(), 1))
