"""The tree of errors."""

import copy
import inspect
import pickle
import re

import pytest

from devlib import errors
from devlib.errors import DevlibError, MacInvalid
from devlib.language import message

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, DevlibError) and kind.__module__ == errors.__name__
]
DRAWN = re.findall(r"^([ │├└─]*)(\w+) +(?:(\d{3}) +)?\S", errors.__doc__, re.MULTILINE)


def made(kind):
    """An error of a kind, with everything that it carries."""
    if kind is MacInvalid:
        return MacInvalid("MAC_INVALID", message("{text} is wrong", text="x"), message("Look again."))
    return kind(message("{n} is wrong", n=1), where="a.csv:3", remedy=message("Mend it."), retry_after=2.5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_drawn_tree_is_the_tree(kind):
    """Every error stands in the module's drawing with its HTTP status."""
    drawn = {name: status for _, name, status in DRAWN if name in vars(errors)}
    assert kind.__name__ in drawn
    if kind is not DevlibError:
        assert int(drawn[kind.__name__]) == kind.http_status
    assert kind.exit_code in {1, 2, 3}


def test_nothing_is_drawn_that_does_not_exist():
    """Every name in the drawing is an error, under the parent under which it is drawn."""
    path = []
    for indent, name, _status in DRAWN:
        if name not in vars(errors):
            continue
        depth = len(indent) // 4 - 1
        path[depth:] = [name]
        if depth:
            assert vars(errors)[name].__bases__[0].__name__ == path[depth - 1]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_cross_process_borders(kind):
    """Pickling and copying keep everything that an error carries."""
    error = made(kind)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is kind
        assert str(twin) == str(error)
        assert twin.what == error.what
        assert (twin.where, twin.remedy, twin.retry_after) == (error.where, error.remedy, error.retry_after)
    assert getattr(error, "code", None) == getattr(pickle.loads(pickle.dumps(error)), "code", None)


def test_the_text_says_where_what_and_what_to_do():
    """The text holds place, fault and remedy; parts that are missing leave nothing behind."""
    assert str(made(DevlibError)) == "a.csv:3: 1 is wrong\nWhat to do: Mend it."
    assert str(DevlibError(message("Wrong."))) == "Wrong."
    assert "Copy the twelve" in str(MacInvalid("MAC_INVALID", message("Wrong.")))
