"""The command: its words, its exit codes, JSON for programs, both languages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from portal_home import PROVIDER, home, mac_of

from devlib.cli import COMMANDS, main
from devlib.cli.output import Output
from devlib.errors import StorageUnavailable
from devlib.language import message

__all__ = ["home"]


@pytest.fixture
def run(home, monkeypatch, capsys):
    """Run the command on the small home; gives exit code, standard output and standard error."""
    (home.folder / "devlib.toml").write_text(
        '[[networks]]\nkind = "simulator"\nname = "simulator"\nseed = 7\ngaps = false\n'
    )
    monkeypatch.setenv("DEVLIB_HOME", str(home.folder))
    monkeypatch.setenv("DEVLIB_LANGUAGE", "en")

    def call(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_the_words_of_the_issue_are_there():
    """Every word that operators were promised is a command with a help text."""
    promised = {
        "demo", "collect", "sites", "types", "devices", "status", "reboot", "add", "remove", "assign",
        "release", "template", "import", "export", "sql", "doctor",
    }  # fmt: skip
    assert promised <= {command.name for command in COMMANDS}


def test_a_fleet_from_an_empty_folder(tmp_path, monkeypatch, capsys):
    """From nothing to a report with commands alone, as in the README."""
    monkeypatch.setenv("DEVLIB_HOME", str(tmp_path / "new"))
    (tmp_path / "new").mkdir()
    # The command reads the real time, at which a simulated registrar may be unreachable.
    steady = '[[networks]]\nkind = "simulator"\ngaps = false\n'
    (tmp_path / "new" / "devlib.toml").write_text(steady)
    monkeypatch.setenv("DEVLIB_LANGUAGE", "en")
    steps = [
        ["provider", "My Telecom"],
        ["provider", "My Telecom", "--export", "on"],
        ["customer", "Bakery", "--provider", "My Telecom"],
        ["site", "Lyon", "--approve", "Yealink T46S", "--approve", "CP-8851"],
        ["add", "00:15:65:12:34:56", "--site", "Lyon", "--type", "SIP-T46S"],
        [
            "assign",
            "001565123456",
            "--user",
            "alice",
            "--line-port",
            "2001@lyon.example",
            "--phone",
            "+33400000000",
        ],
        ["collect"],
        ["export", "--folder", str(tmp_path / "out")],
    ]
    for words in steps:
        assert main(words) == 0, (words, capsys.readouterr())
    (report,) = (tmp_path / "out").glob("*.csv")
    assert "2001@lyon.example" in report.read_text()


def test_devices_as_table_and_as_json(run):
    """The four columns of the article on the screen, records for programs."""
    code, out, _ = run("devices", "--customer", "Bakery", "--site", "Lyon")
    assert code == 0
    assert out.splitlines()[0].split("  ")[0] == "MAC Address"
    code, out, _ = run("--json", "devices", "--search", "80-5e-c0-00-00-03")
    assert json.loads(out) == [
        {"mac": str(mac_of(3)), "device_type": "Snom M700", "available_lines": 998, "site": "Lyon"}
    ]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["status", "no-mac"], 2),
        (["status", "00:15:65:00:00:99"], 1),
        (["remove", "00:15:65:00:00:99"], 1),
        (["add", "00:15:65:00:00:01", "--site", "Nowhere", "--type", "8851", "--customer", "Bakery"], 1),
        (["add", "80:5E:C0:00:00:01", "--site", "Nice", "--type", "8851"], 1),
        (["sql", "SELEC 1"], 2),
        (["export", "--customer", "Bakery", "--where", "nothing > 1"], 2),
        (["export", "--customer", "Nobody"], 1),
        (["import", "missing.csv", "--customer", "Bakery"], 1),
        (["collect", "--every", "sometimes"], 2),
        (["nonsense"], 2),
        (["--as", "nobody", "devices"], 3),
    ],
)
def test_exit_codes_for_scripts(run, words, code):
    """1 failed, 2 wrong usage, 3 refused; the text says what to do and never shows a traceback."""
    found, _, err = run(*words)
    assert found == code
    assert err
    assert "Traceback" not in err


def test_errors_as_json(run):
    """With --json an error is an object with what, where and remedy."""
    code, out, err = run("--json", "status", "1.57E+09")
    assert (code, out) == (2, "")
    problem = json.loads(err)
    assert problem["error"] == "MacInvalid"
    assert "spreadsheet" in problem["what"]
    assert problem["remedy"]


def test_the_viewer_is_refused(run):
    """A stored viewer may look and not change."""
    assert run("identity", "eve", "--role", "viewer", "--customer", "Bakery", "--provider", PROVIDER)[0] == 0
    assert run("--as", "eve", "devices")[0] == 0
    code, _, err = run("--as", "eve", "remove", mac_of(1))
    assert code == 3
    assert "eve" in err
    assert run("--as", "eve", "--json", "sql", "SELECT count(*) AS n FROM devices")[1].strip() == '[{"n": 6}]'


def test_status_shows_the_station_for_dect_and_for_no_other(run):
    """Multicell station ID and chain ID only for DECT bases (article)."""
    _, out, _ = run("status", mac_of(3))
    assert "Multicell station ID: RPN3" in out
    assert "Chain ID: 1356802345" in out
    _, out, _ = run("status", mac_of(1))
    assert "station" not in out.lower()
    assert "chain" not in out.lower()
    assert not {"multicell_station_id", "chain_id"} & json.loads(run("--json", "status", mac_of(1))[1]).keys()
    base = json.loads(run("--json", "status", mac_of(3))[1])
    assert (base["multicell_station_id"], base["chain_id"]) == ("RPN3", "1356802345")


def test_general_options_stand_anywhere(run):
    """--json and --language work before and after the command's word."""
    before = run("--json", "devices", "--customer", "Bakery")
    assert before == run("devices", "--customer", "Bakery", "--json")
    assert run("--language", "fr", "sites") == run("sites", "--language=fr")


def test_french(run):
    """Help, results, headers and errors speak French."""
    assert "afficher" in run("--language", "fr", "--help")[1].lower()
    assert "Adresse MAC" in run("--language", "fr", "devices", "--customer", "Bakery")[1]
    _, _, err = run("--language", "fr", "status", "00:15:65:00:00:99")
    assert "Que faire" in err


def test_an_import_names_every_problem(run, tmp_path):
    """A file with faults: exit code 1, each fault with its row, a result file, and nothing imported."""
    path = tmp_path / "devices.csv"
    path.write_text(
        "Site;Device Type;MAC Address\n"
        "Lyon;T46S;1.57E+09\nLyon;Unknown 1;001565000001\nLyon;8851;001565000002\n"
    )
    result = tmp_path / "result.csv"
    code, out, _ = run("--json", "import", path, "--customer", "Bakery", "--result", result)
    assert code == 1
    assert json.loads(out)
    assert len(result.read_text(encoding="utf-8").splitlines()) == 4
    assert "MAC_MANGLED" in result.read_text(encoding="utf-8")
    assert json.loads(run("--json", "devices", "--search", "001565000002")[1]) == []
    assert run("import", path, "--customer", "Bakery", "--valid-rows")[0] == 1
    assert len(json.loads(run("--json", "devices", "--search", "001565000002")[1])) == 1
    assert run("import", path, "--check", "--valid-rows")[0] == 2


def test_template_import_assign_release_remove(run, tmp_path):
    """The bulk way of the article: template, fill, check, import, assign; then the way back."""
    assert run("template", tmp_path / "t", "--customer", "Bakery")[0] == 0
    filled = tmp_path / "t" / "devices_template.csv"
    with filled.open("a", encoding="utf-8") as file:
        file.write("Nice,Yealink T46S,0015-65-00-00-07,Desk 7,\n".replace("0015-65", "00-15-65"))
    code, out, _ = run("import", filled, "--customer", "Bakery", "--check")
    assert code == 0
    assert "nothing was changed" in out
    assert run("import", filled, "--customer", "Bakery")[0] == 0
    assert run("assign", "001565000007", "--user", "u", "--line-port", "7@nice.bakery.example")[0] == 0
    assert run("release", "001565000007", "--port", 1)[0] == 0
    assert run("remove", "001565000007")[0] == 0


def test_hostile_text_reaches_the_terminal_as_text(run, home):
    """Escape sequences in a name are written out, and rich markup is not read."""
    assert run(
        "add", "00:15:65:00:00:08", "--site", "Nice", "--type", "8851", "--name", "[red]x[/red]"
    )[0] == 0  # fmt: skip
    _, out, _ = run("devices", "--columns", "mac,name", "--search", "001565000008")
    assert "[red]x[/red]" in out
    _, out, _ = run("sql", "SELECT chr(27) || '[31mred' AS x")
    assert "\x1b" not in out
    assert "\\x1b[31mred" in out


def test_doctor_tells_what_works(run):
    """Doctor looks at home, database, lake, networks and programs."""
    code, out, _ = run("--json", "doctor")
    subjects = {each["subject"] for each in json.loads(out)}
    assert code == 0
    assert {"DEVLIB_HOME", "database", "lake", "network simulator", "kamailio"} <= subjects


def test_doctor_names_a_dead_network(run, home):
    """A registrar that does not answer is a FAIL with a reason, and the exit code says so."""
    (home.folder / "devlib.toml").write_text(
        '[[networks]]\nkind = "kamailio"\nname = "dead"\nrpc_url = "http://127.0.0.1:9/RPC"\n'
        'rpc_user = "u"\nrpc_password = "hunter2"\n'
    )
    code, out, err = run("doctor")
    assert code == 1
    assert "FAIL" in out
    assert "hunter2" not in out + err


def test_wrong_settings_are_named(run, home):
    """A wrong value in devlib.toml: which one, where, and exit code 2; a password is not shown."""
    (home.folder / "devlib.toml").write_text(
        '[[networks]]\nkind = "kamailio"\nname = "x"\nrpc_url = "nonsense"\nrpc_password = "hunter2"\n'
    )
    code, _, err = run("devices")
    assert code == 2
    assert "rpc_url" in err
    assert "hunter2" not in err


def test_a_closed_pipe_is_no_traceback(home):
    """`devlib … | head` ends quietly."""
    command = f"{sys.executable} -c 'from devlib.cli import main; main()' types | head -1"
    ended = subprocess.run(
        ["/bin/sh", "-c", command],
        env={"DEVLIB_HOME": str(home.folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert "Traceback" not in ended.stderr


def test_sites_of_an_identity_need_their_customer(run):
    """`identity --site` without a customer is wrong usage, not a traceback."""
    code, _, err = run("identity", "bob", "--role", "viewer", "--site", "Lyon")
    assert code == 2
    assert "--customer" in err


def test_an_import_does_not_overwrite_its_source(run, tmp_path):
    """`import f --result f` is wrong usage, and the file stays."""
    path = tmp_path / "f.csv"
    path.write_text("Site;Device Type;MAC Address\nNice;8851;001565000002\n")
    assert run("import", path, "--customer", "Bakery", "--result", path)[0] == 2
    assert "001565000002" in path.read_text()
    assert json.loads(run("--json", "devices", "--search", "001565000002")[1]) == []


def test_doctor_looks_at_exports_and_the_lake(run, home):
    """An export folder or a lake that cannot be used is a FAIL with its name."""
    assert "ok    exports" in run("doctor")[1]
    (home.folder / "exports").rename(home.folder / "exports.away")
    (home.folder / "exports").write_text("no folder")
    (home.folder / "snapshots").rename(home.folder / "snapshots.away")
    (home.folder / "snapshots").write_text("no folder")
    code, out, _ = run("doctor")
    assert code == 1
    assert "FAIL  exports" in out
    assert "FAIL  lake" in out


def test_doctor_for_nobody_is_refused(run):
    """An unknown identity is told so, not that the database is broken."""
    code, out, err = run("--as", "nobody", "doctor")
    assert code == 3
    assert "nobody" in err
    assert "FAIL" not in out


def test_an_error_says_when_to_try_again(capsys):
    """Seconds that the remedy does not name are printed; those that it names are not repeated."""
    out = Output("en", as_json=False)
    out.fail(StorageUnavailable(message("Away."), remedy=message("Wait."), retry_after=6.2))
    assert "Try again in 7 s." in capsys.readouterr().err
    remedy = message("Try again in {seconds} s.", seconds=6)
    out.fail(StorageUnavailable(message("Away."), remedy=remedy, retry_after=6.2))
    assert capsys.readouterr().err.count("Try again") == 1


def test_a_collector_stops_in_order_at_sigterm(home):
    """SIGTERM ends `collect --every` as Ctrl+C does: exit code 0, and the end is in the audit."""
    command = [sys.executable, "-c", "import sys; from devlib.cli import main; sys.exit(main())"]
    with subprocess.Popen(
        [*command, "collect", "--every", "1h"],
        env={"DEVLIB_HOME": str(home.folder), "PATH": "/usr/bin:/bin", "DEVLIB_LANGUAGE": "en"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    ) as running:  # fmt: skip
        assert "Snapshot" in running.stdout.readline()
        running.terminate()
        out, err = running.communicate(timeout=30)
    assert running.returncode == 0
    assert "Traceback" not in err
    assert "Stopped" in out
    with home.services.inventory.read() as reader:
        assert [each.outcome for each in reader.audit_entries(limit=3)] == ["stopped", "done", "started"]


def test_simulated_states_are_named_as_such(run):
    """What shows states of the simulator says so, beside the result."""
    for words in (["collect"], ["status", mac_of(1)], ["sql", "SELECT 1 AS one"]):
        _, out, err = run(*words)
        assert "simulator" in err, words
        assert "not from phones" not in out
    assert "not from phones" not in run("devices")[2]


def test_providers_differ_by_more_than_case(run):
    """A second provider that differs only by capitals is refused."""
    assert run("provider", PROVIDER.upper())[0] == 1
