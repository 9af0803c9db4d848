"""Values on the wire: what one end writes, the other one reads as the same value."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devlib import errors
from devlib.api.export_record import ExportRecord, JobState
from devlib.api.problems import problem_values
from devlib.errors import DevlibError, MacInvalid
from devlib.export import ReportFile, ReportRequest
from devlib.language import Message, message
from devlib.model import Identity, LineState, Mac, Role, Scope
from devlib.portal.routes import ROUTES
from devlib.portal.wire import decode, encode, schema
from devlib.portal.wire_errors import decoded_error


@dataclass(frozen=True)
class Everything:
    """One field of each kind that the portal uses."""

    mac: Mac
    at: datetime | None
    long: timedelta
    where: Path
    state: LineState
    counts: dict[LineState, int]
    names: frozenset[str]
    rows: tuple[int, ...]
    said: Message
    any: Any


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MOMENTS = st.integers(0, 4_000_000_000_000_000).map(
    lambda n: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=n)
)
MESSAGES = st.builds(
    lambda given, inner: message("{given} of {inner}", given=given, inner=message("{inner}", inner=inner)),
    TEXT, st.integers(-5, 5),
)  # fmt: skip
VALUES = st.builds(
    Everything,
    mac=st.integers(1, (1 << 40) - 1).map(Mac), at=st.none() | MOMENTS,
    long=st.timedeltas(timedelta(0), timedelta(days=9)), where=st.just(Path("a/b.csv")),
    state=st.sampled_from(LineState), counts=st.dictionaries(st.sampled_from(LineState), st.integers()),
    names=st.frozensets(TEXT), rows=st.lists(st.integers()).map(tuple), said=MESSAGES,
    any=st.none() | TEXT | st.booleans() | st.lists(st.integers()),
)  # fmt: skip


@given(VALUES)
def test_every_value_comes_back(value):
    """Encoding, JSON and decoding give the same value, with its texts in both languages."""
    found = decode(Everything, json.loads(json.dumps(encode(value))))
    assert found == value
    assert found.said.in_language("fr") == value.said.in_language("fr")


KINDS = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, DevlibError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_comes_back(kind):
    """An error that went through a problem is of the same kind, with text, place, remedy and time."""
    what, remedy = message("{n} is wrong", n=message("{a}", a="<b>")), message("Mend it.")
    error = MacInvalid("MAC_MANGLED", what, remedy) if kind is MacInvalid else kind(
        what, where="a.csv:3", remedy=remedy, retry_after=2.5
    )  # fmt: skip
    found = decoded_error(json.loads(json.dumps(problem_values(error, "fr", "n1"))), kind.http_status)
    assert type(found) is kind
    for language in ("en", "fr"):
        assert found.in_language(language) == error.in_language(language)
    assert (found.retry_after, getattr(found, "code", "")) == (error.retry_after, getattr(error, "code", ""))


@pytest.mark.parametrize(
    "values",
    [{}, {"error": "SystemExit"}, {"error": 7}, {"what": {"text": "{0.__class__}", "values": {}}},
     {"what": "x"}, {"what": {"text": "{a", "values": {}}},
     {"error": "Message"}, {"retry_after": "soon", "what": None}],
)  # fmt: skip
def test_a_problem_of_a_stranger_is_still_an_error(values):
    """Whatever a wrong proxy sends becomes an error of the tree that can be read, and nothing else."""
    error = decoded_error(values, 503)
    assert isinstance(error, DevlibError)
    assert "503" in str(error)


def test_every_answer_has_a_schema():
    """The type of each act's answer can be described."""
    named = {}
    for route in ROUTES:
        if not route.gives_frame:
            assert schema(route.answer, named)
    assert {"Device", "DeviceStatus", "ImportReport"} - {"ImportReport"} <= set(named)


def test_a_record_of_an_export_comes_back(tmp_path):
    """What the service writes down of an export is read again as it was."""
    from devlib.api.export_record import load, save

    path = tmp_path / "x.csv"
    path.write_text("a\n")
    now = datetime(2026, 11, 2, tzinfo=UTC)
    report = ReportFile(
        path, 1, dict.fromkeys(LineState, 0), now, Scope("P", "C", frozenset({"s"})), shared=True
    )
    who = Identity("a", Role.VIEWER, Scope("P", "C"))
    record = ExportRecord(
        "x", who, "token", True, ReportRequest("C"), False, "k", now, JobState.DONE, now, report
    )
    save(record, tmp_path / "x")
    assert load(tmp_path / "x") == record
    path.unlink()
    assert load(tmp_path / "x").state is JobState.WAITING
    (tmp_path / "x" / "export.json").write_text("{")
    assert load(tmp_path / "x") is None
