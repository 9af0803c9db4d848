"""Notebooks: every output is compared by nbval; French does not fail; index and runbooks are whole."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from devlib import connect
from devlib.demo.practice import build_practice_home

ROOT = Path(__file__).parents[2]
EXPLORE = sorted((ROOT / "notebooks" / "explore").glob("*.ipynb"))
RUNBOOKS = sorted((ROOT / "notebooks" / "runbooks").glob("*.ipynb"))
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.ipynb"))
FAILS_ON_PURPOSE = "nbval-raises-exception"
# Plugins of no use to nbval that take seconds to load.
LEAN = ["-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:hypothesispytest", "-c", os.devnull]


@pytest.fixture(scope="session")
def practice(tmp_path_factory):
    """The home for practice, made once."""
    home = tmp_path_factory.mktemp("practice") / "home"
    build_practice_home(home)
    return home


def under_nbval(paths, practice, *options):
    """Start nbval on notebooks; two of these keep both cores busy."""
    environment = os.environ | {"DEVLIB_PRACTICE_HOME": str(practice), "PYTHONPATH": str(ROOT)}
    words = ["--nbval", "--nbval-sanitize-with", "notebooks/sanitize.cfg", "--nbval-cell-timeout=60"]
    words += [*LEAN, "--rootdir", str(ROOT), "-q", *options]
    command = [sys.executable, "-m", "pytest", *words, *map(str, paths)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_output_is_what_the_notebook_shows(practice):
    """In the home for practice, every cell of every notebook gives exactly the output that is stored."""
    books = [*EXPLORE, *RUNBOOKS]
    started = [under_nbval(half, practice) for half in (books[::2], books[1::2])]
    ended = [each.communicate(timeout=280)[0] for each in started]
    assert [each.returncode for each in started] == [0, 0], "\n".join(ended)[-6000:]


def shown(path):
    """Yield source and tags of each code cell."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"]), cell["metadata"].get("tags", [])


def play(path, names):
    """Run the cells of a notebook in this process, and show what each would show."""
    for source, tags in shown(path):
        body = ast.parse(source).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), path.name, "exec"), names)
        if last is not None and FAILS_ON_PURPOSE not in tags:
            value = eval(compile(ast.Expression(last.value), path.name, "eval"), names)
            yield repr(value) + str(getattr(value, "_repr_html_", str)())


@pytest.mark.parametrize("path", [*EXPLORE, *RUNBOOKS], ids=lambda path: path.stem)
def test_in_french(path, practice, tmp_path, monkeypatch):
    """No cell fails in French, and each shows something or nothing on purpose."""
    shutil.copytree(practice, tmp_path / "home")
    monkeypatch.setenv("DEVLIB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DEVLIB_LANGUAGE", "fr")
    monkeypatch.chdir(path.parent)
    # The language that a notebook starts with is the process's: other tests must not inherit it.
    monkeypatch.setattr("devlib.ui.notebook._Desk.language", None)
    assert list(play(path, {}))


@pytest.mark.parametrize("name", ["history", "outages", "sql-cookbook", "your-own-csv"])
def test_answers_stay_when_days_are_compacted(name, practice, tmp_path, monkeypatch):
    """Every answer about the past is the same before and after the compactor; plans of files may differ."""
    path = ROOT / "notebooks" / "explore" / f"{name}.ipynb"
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("DEVLIB_LANGUAGE", "en")
    monkeypatch.setattr("devlib.ui.notebook._Desk.language", None)
    answers = []
    for place in ("as collected", "compacted"):
        shutil.copytree(practice, tmp_path / place)
        monkeypatch.setenv("DEVLIB_HOME", str(tmp_path / place))
        if answers:
            with connect() as portal:
                assert portal.compact().files
        answers.append([each for each in play(path, {}) if "EXPLAIN" not in each])
    assert answers[0]
    assert answers[0] == answers[1]


def test_dashboards_run(practice, tmp_path):
    """The cells of the dashboards run in a kernel of their own, outside of their server too."""
    shutil.copytree(practice, tmp_path / "home")
    environment = os.environ | {"DEVLIB_HOME": str(tmp_path / "home"), "DEVLIB_LANGUAGE": "fr"}
    options = ["--nbval-lax", "--nbval-cell-timeout=60", *LEAN, "-q"]
    command = [sys.executable, "-m", "pytest", *options, *map(str, DASHBOARDS)]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=280, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_index_lists_every_notebook():
    """notebooks/README.md names each notebook with its question and its seconds, and no other."""
    text = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (.+?) \| \[.+?\]\(((?:explore|runbooks)/[a-z-]+\.ipynb)\) \| (\d+) \|$", text, re.MULTILINE
    )
    there = {str(path.relative_to(ROOT / "notebooks")) for path in [*EXPLORE, *RUNBOOKS]}
    assert sorted(name for _, name, _ in rows) == sorted(there)
    assert all(question.rstrip("*").endswith("?") and int(seconds) < 20 for question, _, seconds in rows)


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_runbooks_have_their_parts(path):
    """A runbook has Goal, Before you start, Steps, Check and Undo in this order, parameters, and a check."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    parts = ["Goal", "Before you start", "Steps", "Check", "Undo"]
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == parts
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1
    after = text_after_check(cells)
    assert re.search(r"^ui\.check_\w+\(", after, re.MULTILINE)


def text_after_check(cells):
    """Return the code between the headings Check and Undo."""
    place = next(n for n, cell in enumerate(cells) if "".join(cell["source"]).startswith("## Check"))
    return "\n".join("".join(cell["source"]) for cell in cells[place:] if cell["cell_type"] == "code")


@pytest.mark.parametrize("path", [*EXPLORE, *RUNBOOKS], ids=lambda path: path.stem)
def test_stored_outputs_are_complete(path):
    """Every notebook was run from top to bottom: counts 1 to n, no error but those on purpose."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    failed = [c for c in code if any(o["output_type"] == "error" for o in c["outputs"])]
    assert failed == [c for c in code if FAILS_ON_PURPOSE in c["metadata"].get("tags", [])]
