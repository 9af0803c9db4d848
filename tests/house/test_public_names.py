"""The package's public face."""

import subprocess
import sys

import devlib


def test_every_public_name_is_there():
    """Each name of `__all__` can be had, and is where the package says."""
    assert dir(devlib) == sorted(devlib.__all__)
    for name in devlib.__all__:
        assert getattr(devlib, name) is not None
    assert set(devlib._FLOORS) == set(devlib.__all__)


def test_an_unknown_name_is_an_attribute_error():
    """A misspelt name is an AttributeError, so that `hasattr` and completion work."""
    assert not hasattr(devlib, "conect")


def test_the_rules_do_not_load_the_databases():
    """Importing model or validation loads neither DuckDB nor pandas nor SQLAlchemy."""
    script = (
        "import sys, devlib.validation, devlib.model; "
        "print(sorted({'duckdb', 'pandas', 'sqlalchemy', 'pyarrow', 'aiohttp'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
