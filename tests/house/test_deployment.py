"""The files of deploy/, without starting anything: what they call is there, and they agree."""

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from devlib.api.export_routes import LONGEST_WAIT
from devlib.cli import COMMANDS
from devlib.cli.command import build_parser
from devlib.collect import parse_distance
from devlib.config import Settings, load_settings
from devlib.config.bucket import BUCKET_VARIABLES, read_bucket

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
SHELL = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")  # ${NAME:?why} and ${NAME:-default} of compose
FOR_LIBPQ = {"PGPASSFILE"}
PORT = 8600


def parsed(words):
    """Parse the words of a command line as `devlib` does; wrong ones end the process."""
    return build_parser(COMMANDS, "en").parse_args(words)


def compose():
    return yaml.safe_load((DEPLOY / "compose.yml").read_text(encoding="utf-8"))


def own_services():
    return {name: each for name, each in compose()["services"].items() if each["image"] == "devlib:latest"}


class Asked(dict):
    """Variables of an environment that know which of them were asked for."""

    def __init__(self, *given):
        super().__init__(*given)
        self.names = set()

    def get(self, name, default=None):
        """Note the name."""
        self.names.add(name)
        return super().get(name, default)


def filled(environment):
    """Return the environment as compose hands it over, with an address in the place of what is asked for."""
    return {
        name: SHELL.sub(lambda found: found[3] if found[2] == "-" else "https://s3.example", str(value))
        for name, value in environment.items()
    }


def seconds(text):
    found = re.fullmatch(r"(\d+)(s|m|)", text)
    return int(found[1]) * (60 if found[2] == "m" else 1)


def unit(path):
    """Return the values of a systemd unit by section and key, in their order."""
    found, section = {}, {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = found.setdefault(header[1], {})
        else:
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return found


def started(path):
    """Return the command that a unit starts, as `devlib` reads it."""
    [line] = unit(path)["Service"]["ExecStart"]
    program, *words = shlex.split(line)
    if words[:2] == ["-m", "devlib.api"]:
        # What `devlib serve` starts, with the same words.
        assert program == "/opt/devlib/.venv/bin/python"
        return parsed(["serve", *words[2:]])
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert program.startswith("/opt/devlib/.venv/bin/")
    assert Path(program).name in scripts
    return parsed(words)


def test_the_commands_of_compose_are_commands():
    """Each service of the suite calls `devlib` with words that its own parser takes."""
    commands = {name: shlex.split(each["command"]) for name, each in own_services().items()}
    assert {words[0] for words in commands.values()} == {"devlib"}
    found = {name: parsed(words[1:]) for name, words in commands.items()}
    assert (found["worker"].command, found["worker"].port) == ("serve", PORT)
    collectors = [each for each in found.values() if each.command == "collect"]
    assert len(collectors) == 2
    assert len({parse_distance(each.every) for each in collectors}) == 1


def test_the_environment_of_compose_is_read(tmp_path):
    """Each variable is one that devlib, the AWS libraries or libpq read, and means what it should."""
    for service in own_services().values():
        # A home of the test: that of the deployment may be there, and not to be read.
        given = Asked(filled(service["environment"]) | {"DEVLIB_HOME": str(tmp_path)})
        settings = load_settings(given)
        bucket = read_bucket(settings.lake, settings.bucket, settings.home, given)
        assert given.keys() <= given.names | BUCKET_VARIABLES | FOR_LIBPQ
        assert settings.home == tmp_path
        assert settings.database_url == given["DEVLIB_DATABASE"]
        assert bucket.address == given["DEVLIB_LAKE"]


def test_what_compose_asks_for_is_said():
    """A variable that has no default says what it is, and the documentation names all of them."""
    asked = SHELL.findall((DEPLOY / "compose.yml").read_text(encoding="utf-8"))
    assert asked
    assert all(text for _, _, text in asked)
    documentation = (ROOT / "docs" / "several-machines.md").read_text(encoding="utf-8")
    assert [name for name, *_ in asked if name not in documentation] == []


def test_the_database_of_compose_is_the_one_that_is_asked():
    """Account, database, host and password file of the two sides are the same."""
    file = compose()
    [host] = {urlsplit(each["environment"]["DEVLIB_DATABASE"]) for each in own_services().values()}
    server = file["services"][host.hostname]["environment"]
    assert host.scheme == "postgresql"
    assert (host.username, host.path[1:]) == (server["POSTGRES_USER"], server["POSTGRES_DB"])
    line = f"{host.hostname}:5432:{host.path[1:]}:{host.username}:"
    assert line in (DEPLOY / "compose.yml").read_text(encoding="utf-8")


def test_volumes_and_secrets_of_compose_are_there():
    """What is mounted is declared, each home is kept in a volume of its own, and no secret is in git."""
    file = compose()
    homes, mounted, secrets = [], set(), set()
    for name, service in file["services"].items():
        places = dict(each.split(":") for each in service["volumes"])
        mounted |= set(places)
        secrets |= set(service["secrets"])
        files = [str(value) for value in service["environment"].values() if "/run/secrets/" in str(value)]
        assert {each.removeprefix("/run/secrets/") for each in files} == set(service["secrets"])
        if name in own_services():
            assert places == {name: service["environment"]["DEVLIB_HOME"]}
            homes.append(name)
        assert set(service.get("depends_on", {})) <= set(file["services"])
    assert (mounted, secrets) == (set(file["volumes"]), set(file["secrets"]))
    assert len(homes) == 3
    for each in file["secrets"].values():
        place = (DEPLOY / each["file"]).relative_to(ROOT)
        # Neither in the repository nor in an image that is built from a checkout.
        for list_of_ignored in (".gitignore", ".dockerignore"):
            assert f"{place.parent}" in (ROOT / list_of_ignored).read_text(encoding="utf-8").replace(
                "/\n", "\n"
            )


def test_the_image_of_compose_can_be_built_from_a_checkout():
    """The build's folder is the repository, what it names is there, and the home belongs to its account."""
    [build] = {yaml.dump(each["build"]) for each in own_services().values()}
    build = yaml.safe_load(build)
    lines = build["dockerfile_inline"].splitlines()
    assert (DEPLOY / build["context"]).resolve() == ROOT
    python = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "requires-python"
    ]
    assert lines[0].split(":")[1].startswith(python.split(",")[0].removeprefix(">="))
    [constraints] = re.findall(r"--constraint (\S+)", build["dockerfile_inline"])
    assert (ROOT / constraints).is_file()
    assert "useradd --create-home devlib" in build["dockerfile_inline"]
    assert "install -d -o devlib -g devlib -m 700 /data" in build["dockerfile_inline"]
    assert lines[-1] == "USER devlib"


def test_only_the_service_is_published_and_on_loopback_only():
    """One port is reachable from outside of compose: the worker's, on loopback; its health is asked there."""
    published = {name: each["ports"] for name, each in compose()["services"].items() if "ports" in each}
    assert published == {"worker": [f"127.0.0.1:{PORT}:{PORT}"]}
    check = " ".join(own_services()["worker"]["healthcheck"]["test"])
    assert f"http://127.0.0.1:{PORT}/ready" in check
    compile(own_services()["worker"]["healthcheck"]["test"][-1], "healthcheck", "exec")


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_units_start_commands(path, tmp_path):
    """Each unit starts a command whose words the parser takes, as an account of its own, in its home."""
    service = unit(path)["Service"]
    command = started(path)
    assert (
        command.command
        == {
            "devlib": "serve",
            "devlib-collect": "collect",
            "devlib-follow": "follow",
            "devlib-backup": "backup",
        }[path.stem]
    )
    assert service["User"] == service["Group"] == ["devlib"]
    environment = dict(each.split("=", 1) for each in service["Environment"])
    given = Asked(environment | {"DEVLIB_HOME": str(tmp_path)})
    load_settings(given)
    assert given.keys() <= given.names
    assert environment["DEVLIB_HOME"] == f"/var/lib/{service['StateDirectory'][0]}"
    assert service["EnvironmentFile"] == ["-/etc/devlib/environment"]
    # What is written beside the home must be let through ProtectSystem=strict.
    written = [each for each in [getattr(command, "folder", None)] if each]
    assert [Path(each).parent for each in written] == [
        Path(each) for each in service.get("ReadWritePaths", [])
    ]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_units_leave_time_to_stop_in_order(path):
    """A signal that the command takes as Ctrl+C ends it, and it may end what it promised."""
    service = unit(path)["Service"]
    assert service.get("KillSignal", ["SIGTERM"])[0] in {"SIGTERM", "SIGINT"}
    if path.stem == "devlib":
        # Running exports get their time, and once more when they are told that it is over.
        needed = 2 * Settings(home=Path()).api.drain_seconds
        assert seconds(service["TimeoutStopSec"][0]) > needed
        assert seconds(own_services()["worker"]["stop_grace_period"]) > needed
    if path.stem != "devlib-backup":
        assert service["Restart"][0] in {"always", "on-failure"}


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*.timer")), ids=lambda path: path.stem)
def test_timers_have_their_unit(path):
    """A timer starts a unit of the same name that runs once, and is enabled with the timers."""
    assert unit(path.with_suffix(".service"))["Service"]["Type"] == ["oneshot"]
    assert unit(path)["Install"]["WantedBy"] == ["timers.target"]


@pytest.mark.parametrize("path", [*UNITS, *DEPLOY.glob("*.timer")], ids=lambda path: path.name)
def test_systemd_takes_the_units(path, tmp_path):
    """Where systemd is installed, its own check has nothing to say but that devlib is not in /opt."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed here")
    for each in DEPLOY.glob("devlib*"):
        text = re.sub(
            r"^ExecStart=\S+", "ExecStart=/bin/true", each.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
        (tmp_path / each.name).write_text(text, encoding="utf-8")
    command = ["systemd-analyze", "verify", str(tmp_path / path.name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def nginx():
    """Return the directives of nginx.conf with the blocks in which they stand."""
    text = re.sub(r"#[^\n]*", "", (DEPLOY / "nginx.conf").read_text(encoding="utf-8"))
    blocks, found = [], []
    for words, end in re.findall(r"((?:'[^']*'|\"[^\"]*\"|[^;{}'\"])*)([;{}])", text):
        name, _, rest = words.strip().partition(" ")
        if end == "{":
            blocks.append(words.strip())
        elif end == "}":
            assert not words.strip(), f"no semicolon: {words}"
            blocks.pop()
        else:
            found.append((tuple(blocks), name, rest.strip()))
    assert blocks == []
    return found


def test_nginx_says_everything_where_it_may():
    """Formats and zones stand outside of the server, for nginx takes them nowhere else; names are known."""
    directives = nginx()
    at_top = {name for blocks, name, _ in directives if blocks == ()}
    assert at_top == {"limit_req_zone", "log_format"}
    assert {"limit_req_zone", "log_format"} & {name for blocks, name, _ in directives if blocks} == set()
    [zone] = [re.search(r"zone=(\w+):", rest)[1] for _, name, rest in directives if name == "limit_req_zone"]
    assert all(f"zone={zone}" in rest for _, name, rest in directives if name == "limit_req")
    [log] = [rest.split()[0] for _, name, rest in directives if name == "log_format"]
    assert all(rest.split()[-1] == log for _, name, rest in directives if name == "access_log")


def test_nginx_stands_before_the_service():
    """It hands on to the port of the unit, takes the largest file, waits longest, and logs no secrets."""
    directives = nginx()
    service = started(DEPLOY / "devlib.service")
    assert (service.host, service.port) == ("127.0.0.1", PORT)
    assert {rest for _, name, rest in directives if name == "proxy_pass"} == {f"http://127.0.0.1:{PORT}"}
    values = {name: rest for _, name, rest in directives}
    assert int(values["client_max_body_size"].removesuffix("m")) << 20 == Settings(home=Path()).api.file_bytes
    assert seconds(values["proxy_read_timeout"]) > LONGEST_WAIT
    [form] = [rest for _, name, rest in directives if name == "log_format"]
    assert not re.search(r"\$(request\b|request_uri|args|query_string|http_)", form)
    watched = [(blocks, rest) for blocks, name, rest in directives if name in {"allow", "deny"}]
    assert [rest for _, rest in watched] == ["127.0.0.1", "all"]
    assert {blocks[-1] for blocks, _ in watched} == {"location ~ ^/(metrics|ready)$"}


def test_every_file_of_the_deployment_is_described():
    """The documentation names each file of deploy/, and each name there is a file."""
    text = "\n".join(each.read_text(encoding="utf-8") for each in (ROOT / "docs").glob("*.md"))
    named = set(re.findall(r"deploy/([\w.-]+\.\w+)", text))
    files = {each.name for each in DEPLOY.iterdir() if each.is_file()}
    assert named <= files
    # The unit that a timer starts comes with it.
    assert files - named <= {each.with_suffix(".service").name for each in DEPLOY.glob("*.timer")}
