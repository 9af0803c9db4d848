"""Runbooks run by the portal and the command: parameters, what is kept, what is audited, the exit code."""

import asyncio
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from kamailio_fixture import kamailio

from devlib.clock import SystemClock
from devlib.config import KamailioSettings, Settings, load_settings
from devlib.errors import NotFound, UsageError
from devlib.model import EVERYTHING, Mac, NewDevice, User
from devlib.network import Phone, PhoneFleet
from devlib.portal import connect, open_services
from devlib.portal.runbook_file import given_parameters, runbook, runbook_folder, runbooks, with_parameters
from devlib.storage import NewLine

__all__ = ["kamailio"]

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks" / "runbooks"
COMMAND = "import sys; from devlib.cli import main; raise SystemExit(main(sys.argv[1:]))"
MAC = Mac(0x805EC0 << 24 | 1)
LINE_PORT = "2001@lab.example"


def written(folder, source, tags=("parameters",)):
    """Write a runbook with one cell of parameters and one that checks; return its folder."""
    cells = [
        nbformat.v4.new_markdown_cell("# A trial"),
        nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)}),
        nbformat.v4.new_code_cell("assert good, why"),
    ]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "trial.ipynb")
    return folder


TRIAL = "good = True\nwhy = 'so'\ncount = 3\nshare = 0.5\nmacs = ['a', 'b']\nlogin_token = ''"


def test_parameters_are_of_the_kind_that_the_runbook_has(tmp_path):
    """Text becomes what the parameter is: a switch, a number, a list, a text."""
    book = runbook(written(tmp_path, TRIAL), "trial")
    texts = {"good": "no", "why": "1", "count": "7", "share": "0.25", "macs": "c, d"}
    assert given_parameters(book, texts) == {
        "good": False, "why": "1", "count": 7, "share": 0.25, "macs": ["c", "d"],
    }  # fmt: skip
    assert book.title == "A trial"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("good", "maybe", "does not fit"),
        ("count", "x", "does not fit"),
        ("other", "1", "has no parameter"),
        ("login_token", "abc", "looks like a secret"),
        ("Password", "abc", "looks like a secret"),
    ],
)
def test_a_wrong_parameter_is_refused(tmp_path, name, text, says):
    """A value of another kind, an unknown name and the name of a secret are refused, and say why."""
    book = runbook(written(tmp_path, TRIAL), "trial")
    with pytest.raises(UsageError, match=says):
        given_parameters(book, {name: text})


def test_a_value_is_never_code(tmp_path):
    """What is written as a parameter stands in the notebook as a value, whatever it holds."""
    book = runbook(written(tmp_path, TRIAL), "trial")
    hostile = 'x\'; import os; os.abort() #\n"""'
    notebook = with_parameters(book, given_parameters(book, {"why": hostile}))
    names = {}
    exec(notebook.cells[2].source, names)
    assert names["why"] == hostile
    assert notebook.cells[2].metadata["tags"] == ["injected-parameters"]


@pytest.mark.parametrize("name", ["nothing", "../explore/first-look", "/etc/passwd", ""])
def test_only_runbooks_of_the_folder_are_found(name):
    """A name that is none, or that leads elsewhere, is not found."""
    with pytest.raises(NotFound):
        runbook(FOLDER, name)


def test_a_notebook_without_parameters_is_no_runbook(tmp_path):
    """A notebook without the tagged cell is refused by name."""
    with pytest.raises(UsageError, match=r"trial\.ipynb"):
        runbooks(written(tmp_path, TRIAL, tags=()))


def test_the_runbooks_of_the_project_are_found_from_anywhere(tmp_path, monkeypatch):
    """Installed from the checkout, the runbooks are found in any working folder."""
    monkeypatch.chdir(tmp_path)
    assert {each.name for each in runbooks(runbook_folder(None))} == {
        each.stem for each in FOLDER.glob("*.ipynb")
    }


def command(home, *words):
    """Run `devlib runbook` with a home; return exit code and what it printed as JSON."""
    environment = os.environ | {"DEVLIB_HOME": str(home), "DEVLIB_LANGUAGE": "en", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", COMMAND, "--json", "runbook", *words],
        env=environment, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    return ended.returncode, json.loads(ended.stdout or "null"), ended.stderr


def test_a_run_is_kept_and_audited(tmp_path):
    """Exit code by the Check; the executed notebook is kept for this account only; the audit has it all."""
    (tmp_path / "books").mkdir()
    books = str(written(tmp_path / "books", TRIAL))
    home = tmp_path / "home"
    code, passed, errors = command(home, "trial", "--folder", books)
    assert (code, passed["passed"]) == (0, True), errors
    code, failed, _ = command(home, "trial", "--folder", books, "--param", "good=no", "--param", "why=ill")
    assert (code, failed["passed"], failed["failure"]) == (1, False, "AssertionError: ill")
    kept = Path(failed["notebook"])
    assert kept.parent == home / "runbooks"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "good = False\nwhy = 'ill'" in [cell.source for cell in nbformat.read(kept, as_version=4).cells]
    with connect(settings=load_settings({"DEVLIB_HOME": str(home)})) as portal:
        found = [(e.act, e.target, e.outcome, e.detail) for e in portal.audit(10) if e.act == "runbook"]
    assert [each[2] for each in found] == ["done", "started", "done", "started"]
    assert found[0][3] == f"good=False, why='ill'; failed: AssertionError: ill; {kept.name}"


@pytest.mark.kamailio
@pytest.mark.slow
def test_a_runbook_on_a_real_registrar(kamailio, tmp_path):
    """The phone that registered is found talking; after it signed off, the same runbook fails."""
    home = tmp_path / "home"
    home.mkdir()
    text = f'[[networks]]\nkind = "kamailio"\nname = "lab"\nrpc_url = "{kamailio.rpc_url}"\n'
    (home / "devlib.toml").write_text(text, encoding="utf-8")
    network = KamailioSettings(kind="kamailio", name="lab", rpc_url=kamailio.rpc_url)
    services = open_services(Settings(home=home, networks=(network,)), SystemClock())
    with services.inventory.write() as writer:
        writer.add_provider("P")
        writer.add_customer("P", "C")
        writer.add_site(EVERYTHING, "C", "S", ["Yealink T46S"])
        writer.add_device(EVERYTHING, "C", NewDevice(MAC, "Yealink T46S", "S"))
        writer.assign_lines(EVERYTHING, services.catalogue, [(MAC, NewLine(LINE_PORT, User("ann"), port=1))])
    services.close()
    with connect(settings=load_settings({"DEVLIB_HOME": str(home)})) as portal:
        portal.collect()
    asyncio.run(talks_then_leaves(kamailio, home))


async def talks_then_leaves(registrar, home):
    words = ("is-this-phone-talking", "--param", f"mac={MAC}")
    async with PhoneFleet(registrar.address, SystemClock()) as fleet:
        phone = Phone(LINE_PORT, user_agent="Yealink SIP-T46S 66.85.0.5", expires=60)
        assert (await fleet.register([phone]))[LINE_PORT] == 200
        code, told, errors = await asyncio.to_thread(command, home, *words)
        assert code == 0, (told, errors)
        await fleet.sign_off([LINE_PORT])
        code, told, _ = await asyncio.to_thread(command, home, *words)
        assert code == 1
        assert "1 of 1 lines are not registered" in told["failure"]
    shutil.rmtree(home / "runbooks")
