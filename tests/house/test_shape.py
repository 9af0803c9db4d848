"""The shape of the house: sizes, names, and who may use what."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "devlib").rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}


@cache
def trees():
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in MODULES]


@cache
def nodes(tree):
    return list(ast.walk(tree))


def function_lengths():
    for path, tree in trees():
        for node in nodes(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                documented = ast.get_docstring(node, clean=False)
                body = node.end_lineno - node.lineno + 1
                yield body - (len(documented.split("\n")) if documented else 0), f"{path.name}:{node.name}"


def test_functions_are_short():
    """Nine functions in ten have at most 25 lines without their docstring, none more than 50."""
    lengths = sorted(function_lengths())
    assert lengths[-1][0] <= 50, lengths[-1]
    assert lengths[int(len(lengths) * 0.9)][0] <= 25


def test_modules_are_short():
    """No module has more than 400 lines."""
    for path in MODULES:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path


def test_no_drawer_for_everything():
    """No module is called utils, common or helpers."""
    assert not [path for path in MODULES if FORBIDDEN_NAMES & {path.stem, path.parent.name}]


def imported(tree):
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


def floors_importing(*names):
    return {
        path.relative_to(ROOT / "devlib").parts[0].removesuffix(".py")
        for path, tree in trees()
        if any(module.split(".")[0] in names for module in imported(tree))
    }


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        (("duckdb",), {"storage", "analytics"}),
        (("plotly", "ipywidgets", "anywidget"), {"ui"}),
        (("aiohttp",), {"network", "api"}),
        (("httpx",), {"network", "api"}),
        (("fastapi", "starlette", "uvicorn", "prometheus_client", "jwt", "zstandard"), {"api"}),
        # The export queue reads the URL of its database as SQLAlchemy does.
        (("sqlalchemy", "alembic"), {"storage", "export"}),
        (("rich",), {"cli", "demo"}),
        # The service and the dashboards' server are processes of their own, with a command line of their own.
        (("argparse",), {"cli", "demo", "api", "ui"}),
    ],
)
def test_libraries_stay_on_their_floor(names, allowed):
    """Each library is imported only by the floors that the design names."""
    assert floors_importing(*names) <= allowed


def test_sockets_are_opened_on_their_floor():
    """Only network (and api) open sockets; the export's loopback doorbell is the one exception."""
    users = {str(path.relative_to(ROOT)) for path, tree in trees() if "socket" in set(imported(tree))}
    assert {name for name in users if not name.startswith(("devlib/network/", "devlib/api/"))} <= {
        "devlib/export/doorbell.py",
        "devlib/demo/registrar.py",
    }


def test_model_and_validation_know_no_frames():
    """model and validation import neither pandas nor duckdb nor pyarrow."""
    assert not {"model", "validation"} & floors_importing("pandas", "duckdb", "pyarrow")


def calls(tree):
    for node in nodes(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name):
                yield f"{owner.id}.{node.func.attr}"


def test_time_and_environment_are_read_on_their_floors():
    """Only clock, config and demo read the time and the environment; other floors are given a clock."""
    reads = {"datetime.now", "datetime.utcnow", "time.time", "time.monotonic", "os.getenv", "random.random"}
    for path, tree in trees():
        floor = path.relative_to(ROOT / "devlib").parts[0].removesuffix(".py")
        if floor not in {"clock", "config", "demo"}:
            assert not reads & set(calls(tree)), path
            names = {
                f"{node.value.id}.{node.attr}"
                for node in nodes(tree)
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            }
            assert "os.environ" not in names, path


def test_every_public_thing_says_what_it_is():
    """Every module and every public class and function of the package has a docstring."""
    for path, tree in trees():
        assert ast.get_docstring(tree), path
        for node in nodes(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}: {node.name}"


def test_every_test_says_what_must_hold():
    """Every test has a docstring."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                assert ast.get_docstring(node), f"{path}: {node.name}"
