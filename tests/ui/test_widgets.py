"""Widgets without a browser: what they answer, what they refuse, and what stands for them elsewhere."""

import json
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from devlib import ui
from devlib.clock import FakeClock
from devlib.errors import NotAllowed, UsageError
from devlib.language import message
from devlib.storage import frame_pages
from devlib.ui.actions import Actions, Button, Field
from devlib.ui.downloads import Download, csv_of
from devlib.ui.forms import Form, choice
from devlib.ui.grid import Grid
from devlib.ui.server.tickets import Tickets, link_key, new_ticket
from devlib.ui.session import claims_of, signed
from devlib.ui.uploads import LARGEST, Upload

DAY = pd.Timedelta(days=1)
EVIL = "<script>alert(1)</script>"
FRAME = pd.DataFrame(
    {
        "line_port": ["1@x", "1@x", "2@x"],
        "state": ["registered", "aged", "unregistered"],
        "observed_at": pd.to_datetime(["2026-11-01", "2026-11-02", "2026-11-01"]),
        "site": [EVIL, "A", "B"],
        "lines": [1, 2, 3],
    }
)


@pytest.fixture(autouse=True)
def english(monkeypatch, tmp_path):
    """Notebook widgets speak English here, whatever the machine's settings are."""
    from devlib.ui.notebook import _Desk

    monkeypatch.setattr(_Desk, "language", "en")


class Wire:
    """Records what a widget sends."""

    def __init__(self, widget, monkeypatch):
        self.sent = []
        monkeypatch.setattr(
            widget, "send", lambda content, buffers=None: self.sent.append((content, buffers))
        )
        self.say = lambda content, buffers=(): widget._received(widget, content, list(buffers))

    def _send(self, content, buffers=None):
        self.sent.append((content, buffers))

    @property
    def last(self):
        """The last message."""
        return self.sent[-1][0]


def made():
    """Return one of each widget of the notebooks."""
    return [
        ui.table(FRAME, "Lines"),
        ui.line_timeline(FRAME),
        ui.heat_map(FRAME, x="state", y="site", value="lines"),
        ui.sunburst(FRAME, path=("site", "state")),
        ui.form(days=7, customer=choice("A", ["A", "B"])),
        ui.download(FRAME, "lines.csv"),
    ]


def test_what_stands_for_a_widget_is_the_same_each_time():
    """Text and HTML do not depend on the moment, the object or the run, and hostile names are inert."""
    for one, other in zip(made(), made(), strict=True):
        first, second = one._repr_mimebundle_(), other._repr_mimebundle_()
        assert first.pop("application/vnd.jupyter.widget-view+json")["model_id"]
        assert {**first} == {name: second[name] for name in first}
        assert len(first) == 2
        assert not any("0x" in each for each in first.values())
        assert not any(EVIL in first.get(kind, "") for kind in ("text/html", "image/svg+xml"))
    assert "&lt;script&gt;" in made()[0].html()


def test_a_chart_is_an_image_where_no_script_runs():
    """A whole SVG image with title and description, and not HTML, of which a code host keeps the words."""
    for chart in made()[1:4]:
        bundle = chart._repr_mimebundle_()
        drawing = ET.fromstring(bundle["image/svg+xml"])
        assert "text/html" not in bundle
        assert drawing.attrib["aria-label"] == chart.alt
        assert drawing[0].text == chart.label
        assert len(drawing.findall(".//*")) > 3


def test_a_span_that_goes_on_is_drawn_until_the_end_of_what_is_known():
    """The last state of a line has its bar: without it the state before would look like the present one."""
    since = pd.Timestamp("2026-11-01")
    states = {"line_port": ["a@b"] * 2, "state": ["aged", "registered"], "since": [since, since + DAY]}
    frame = pd.DataFrame(states | {"until": [since + DAY, pd.NaT], "seconds": [86_400, 7_200]})
    bars = {each["marker"]["color"]: each["x"] for each in ui.line_timeline(frame).figure["data"]}
    assert bars == {"theme:aged": [86_400_000], "theme:registered": [7_200_000]}


def test_an_error_in_a_notebook_is_told_without_a_traceback(capsys, monkeypatch):
    """IPython shows what is wrong and what to do, in the notebook's language, and no line of our code."""
    monkeypatch.setattr(UsageError, "notebook_language", "fr")
    shell = InteractiveShell()
    shell.user_ns["error"] = UsageError(message("The window ends before it begins."), where="here")
    assert not shell.run_cell("raise error").success
    assert capsys.readouterr().out.strip() == "UsageError: here: La fenêtre se termine avant de commencer."


def test_rings_name_states_in_the_language(monkeypatch):
    """The states of a sunburst are words of the notebook's language, as in its other charts."""
    monkeypatch.setattr("devlib.ui.notebook._Desk.language", "fr")
    frame = pd.DataFrame({"site": ["Kiel", "Kiel"], "state": ["registered", "aged"], "lines": [3, 1]})
    labels = ui.sunburst(frame, path=("site", "state"), value="lines").figure["data"][0]["labels"]
    assert sorted(labels) == ["Kiel", "enregistré", "âgé"]


def test_a_heat_map_leaves_empty_what_is_not_known():
    """Hours are on an axis of time; an hour without a share has no colour, and is not the best one."""
    hours = pd.date_range("2026-11-01", periods=3, freq="h")
    frame = pd.DataFrame({"hour": [*hours, *hours], "site": ["Kiel"] * 3 + ["Celle"] * 3})
    frame["down"] = [0.5, None, 0.0, 1.0, None, 0.25]
    figure = ui.heat_map(frame, x="hour", y="site", value="down").figure
    assert figure["data"][0]["z"] == [[1.0, None, 0.25], [0.5, None, 0.0]]
    assert figure["data"][0]["x"][1] == "2026-11-01 01:00"
    assert figure["layout"]["xaxis"]["type"] == "date"
    assert not ui.heat_map(frame.iloc[:0], x="hour", y="site", value="down").figure["data"]


def test_a_browser_sets_no_trait():
    """State that comes from a browser is dropped."""
    for widget in made():
        before = {name: widget.trait_values()[name] for name in ("texts", "lang", "busy")}
        widget.set_state({"texts": {"x": EVIL}, "lang": "xx", "busy": 9})
        assert {name: widget.trait_values()[name] for name in before} == before


def test_the_grid_answers_rows_and_orders(monkeypatch):
    """Rows come for the present version only; an order or a search makes a new one; a pick has its values."""
    picked = []
    grid = Grid(frame_pages(FRAME), "en", label="Lines", columns=["state", "lines"], on_pick=picked.append)
    wire = Wire(grid, monkeypatch)
    wire.say({"kind": "rows", "version": 1, "first": 0, "count": 2})
    assert wire.last["rows"] == [["registered", 1.0], ["aged", 2.0]]
    wire.say({"kind": "sort", "column": "lines", "descending": True})
    assert grid.view["version"] == 2
    sent = len(wire.sent)
    wire.say({"kind": "rows", "version": 1, "first": 0, "count": 2})
    assert len(wire.sent) == sent
    wire.say({"kind": "pick", "version": 2, "row": 0})
    assert picked[0]["line_port"] == "2@x"
    wire.say({"kind": "search", "text": "AGED"})
    assert grid.view["total"] == 1
    wire.say({"kind": "sort", "column": "nothing", "descending": False})
    assert wire.last["kind"] == "error"
    assert grid.view["total"] == 1


@pytest.mark.parametrize(
    "content", [None, 5, [], {}, {"kind": "unknown"}, {"kind": ["rows"]}, {"kind": None}]
)
def test_messages_of_no_kind_are_dropped(monkeypatch, content):
    """What is no message of the widget does nothing and raises nothing."""
    wire = Wire(ui.table(FRAME), monkeypatch)
    wire.say(content)
    assert wire.sent == []


def test_a_form_holds_values_of_their_kind(monkeypatch):
    """What is written in a field comes as the kind of its first value; nonsense is told, nothing changes."""
    form = Form({"days": 7, "share": 0.5, "dry": True, "who": choice("A", ["A", "B"])}, "en")
    wire = Wire(form, monkeypatch)
    for name, text in (("days", "9"), ("share", "0,25"), ("dry", "false"), ("who", "1")):
        wire.say({"kind": "set", "name": name, "value": text})
    assert dict(form.values) == {"days": 9, "share": 0.25, "dry": False, "who": "B"}
    assert form["days"] == 9
    for name, text in (("days", "x"), ("who", "7"), ("nobody", "1"), ("dry", "maybe")):
        wire.say({"kind": "set", "name": name, "value": text})
        assert wire.last["kind"] == "error"
    assert dict(form.values) == {"days": 9, "share": 0.25, "dry": False, "who": "B"}


def test_a_download_comes_in_pieces_and_without_formulas(monkeypatch):
    """The pieces are the whole file; texts that a spreadsheet would run are made harmless."""
    content = bytes(range(256)) * 10_000
    wire = Wire(Download(content, "a.bin", "en"), monkeypatch)
    wire.say({"kind": "begin"})
    count = -(-len(content) // wire.last["piece"])
    for place in range(count):
        wire.say({"kind": "piece", "place": place})
    assert b"".join(buffers[0] for _, buffers in wire.sent[1:]) == content
    wire.say({"kind": "piece", "place": 10**9})
    assert wire.last["kind"] == "error"
    assert csv_of(pd.DataFrame({"a": ["=1+1", "x"]})) == b"a\n'=1+1\nx\n"


def test_an_upload_takes_what_was_announced(monkeypatch, tmp_path):
    """A file arrives whole; one that is too large, or longer than it said, is refused."""
    arrived = []
    upload = Upload("en", "File", lambda path, name: arrived.append((path.read_bytes(), name)))
    wire = Wire(upload, monkeypatch)
    wire.say({"kind": "begin", "name": "a.csv", "size": 5})
    wire.say({"kind": "piece"}, [memoryview(b"abc")])
    wire.say({"kind": "piece"}, [memoryview(b"de")])
    assert arrived == [(b"abcde", "a.csv")]
    wire.say({"kind": "begin", "name": "a.csv", "size": LARGEST + 1})
    assert wire.last["kind"] == "error"
    wire.say({"kind": "begin", "name": "a.csv", "size": 2})
    wire.say({"kind": "piece"}, [memoryview(b"abc")])
    assert wire.last["kind"] == "error"
    wire.say({"kind": "piece"}, [memoryview(b"a")])
    assert wire.last["kind"] == "error"
    assert len(arrived) == 1


def test_only_offered_acts_are_done(monkeypatch):
    """An act that is not offered, or fields that are none, do nothing."""
    done = []
    acts = Actions("en", "Device", lambda name, values: done.append((name, dict(values))))
    acts.offer([Button("status", "Status")], [Field("port", "Port")])
    wire = Wire(acts, monkeypatch)
    wire.say({"kind": "act", "name": "status", "values": {"port": " 1 ", "evil": "x"}})
    assert done == [("status", {"port": "1"})]
    wire.say({"kind": "act", "name": "remove", "values": {"port": "1"}})
    assert acts.said["kind"] == "fault"
    wire.say({"kind": "act", "name": "status", "values": {"port": 5}})
    wire.say({"kind": "act", "name": "status", "values": "x"})
    assert len(done) == 1


def test_a_missing_column_is_told():
    """A figure of a frame that lacks a column names the column and those that there are."""
    with pytest.raises(UsageError, match=r"observed_at.*\n.*nothing"):
        ui.line_timeline(pd.DataFrame({"nothing": [1], "line_port": ["a"], "state": ["aged"]}))


def test_signed_words_hold_what_they_say_for_a_while():
    """A word is worth nothing with another key, another purpose, a changed letter, or too late."""
    clock = FakeClock()
    until = FakeClock()
    until.advance(60)
    word = signed("session", {"principal": "ann"}, b"key", until.now())
    assert claims_of("session", word, b"key", clock.now())["principal"] == "ann"
    body, mac = word.split(".")
    for wrong in (f"{body}.{mac[:-2]}AA", f"{body[:-2]}AA.{mac}", body, "", "a.b.c", "é.é", f".{mac}"):
        with pytest.raises(NotAllowed):
            claims_of("session", wrong, b"key", clock.now())
    for purpose, key in (("sign in", b"key"), ("session", b"other")):
        with pytest.raises(NotAllowed):
            claims_of(purpose, word, key, clock.now())
    clock.advance(61)
    with pytest.raises(NotAllowed):
        claims_of("session", word, b"key", clock.now())


def test_a_ticket_is_taken_once(tmp_path):
    """A ticket signs in once, within its time; the key of a home is made once and is its owner's alone."""
    clock = FakeClock()
    key = link_key(tmp_path)
    assert link_key(tmp_path) == key
    assert (tmp_path / "dashboards.key").stat().st_mode & 0o077 == 0
    tickets = Tickets(key, clock)
    first, late = new_ticket("ann", key, clock), new_ticket("ann", key, clock)
    assert tickets.take(first) == "ann"
    with pytest.raises(NotAllowed):
        tickets.take(first)
    clock.advance(16 * 60)
    with pytest.raises(NotAllowed):
        tickets.take(late)


def test_a_stuck_question_never_overwrites_a_newer_one(monkeypatch):
    """Only the answer to the last question of a panel is shown."""
    grid = ui.table(FRAME)
    first, second = grid.wait(), grid.wait()
    assert not grid.waits_for(first)
    assert grid.waits_for(second)
    assert json.dumps(grid.view)
