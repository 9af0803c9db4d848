"""The page about the admission tells the truth."""

import re
from pathlib import Path

import pytest

from devlib.config import ExportPolicy
from devlib.export.admission import TicketState

PAGE = Path(__file__).parents[3] / "docs" / "export-admission.md"


def shown_limits():
    """Return limit and default of each row of the table of limits."""
    text = PAGE.read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `([a-z_]+)` \| (\S+) \|", text, re.MULTILINE))


def test_every_limit_is_explained():
    """The table holds the fields of `ExportPolicy`, all of them and in their order."""
    assert list(shown_limits()) == list(ExportPolicy.model_fields)


@pytest.mark.parametrize("name", list(ExportPolicy.model_fields))
def test_the_defaults_are_those_of_the_configuration(name):
    """Each default is the one that the configuration has."""
    default = getattr(ExportPolicy(), name)
    words = {None: "none", False: "no", True: "yes"}
    wanted = words[default] if default is None or isinstance(default, bool) else str(default)
    assert shown_limits()[name] == wanted


def test_every_state_is_drawn():
    """The drawing names all states."""
    text = PAGE.read_text(encoding="utf-8")
    assert all(state.name in text for state in TicketState)
