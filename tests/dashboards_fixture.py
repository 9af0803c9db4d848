"""The real dashboards' server on a seeded home, with three identities; started once for all tests."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

import pytest
import requests
import websocket

from devlib.clock import SystemClock
from devlib.config import load_settings
from devlib.demo.seeding import seed_fleet
from devlib.model import Identity, Role, Scope
from devlib.portal import connect
from devlib.ui.server.tickets import link_key, new_ticket

ROOT = Path(__file__).parents[1]
PROXY_SECRET = "between the proxy and us"
SETTINGS = f"""
[dashboards]
user_header = "X-Remote-User"
proxy_secret = {{ text = "{PROXY_SECRET}" }}
max_kernels = 60

[[networks]]
kind = "simulator"
name = "simulator"
gaps = false
"""
ALICE, BOB, OLGA = "alice", "bob", "olga"
OF_ALICE, OF_BOB = "Boulangeries Martin", "Nordlicht Kliniken"
IDENTITIES = (
    Identity(ALICE, Role.VIEWER, Scope("Demo Telecom", OF_ALICE)),
    Identity(BOB, Role.VIEWER, Scope("Demo Telecom", OF_BOB)),
    Identity(OLGA, Role.OPERATOR, Scope("Demo Telecom")),
)
LINES = 400


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Served:
    """A running server."""

    home: Path
    port: int
    process: subprocess.Popen

    @property
    def base(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its home, for `devlib` as a command."""
        return os.environ | {"DEVLIB_HOME": str(self.home), "DEVLIB_LANGUAGE": "en"}

    def link(self, principal: str) -> str:
        """Return a link that signs in."""
        ticket = new_ticket(principal, link_key(self.home), SystemClock())
        return f"{self.base}sign-in?ticket={ticket}"

    def portal(self, principal: str | None = None):
        """Return a portal on its home."""
        settings = load_settings({"DEVLIB_HOME": str(self.home)})
        return connect(principal=principal, settings=settings)

    def exported(self, folder: Path, *options: str) -> Path:
        """Return what `devlib export` of the operator writes of the newest snapshot."""
        words = ["--as", OLGA, "export", *options, "--from-snapshot", "--folder", str(folder)]
        command = [sys.executable, "-c", "import sys; from devlib.cli import main; sys.exit(main())", *words]
        ended = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert ended.returncode == 0, ended.stderr
        return next(folder.glob("*.csv"))

    def signed_in(self, principal: str) -> requests.Session:
        """Return an HTTP session that is signed in."""
        session = requests.Session()
        assert session.get(self.link(principal), allow_redirects=False, timeout=20).status_code == 302
        return session

    def page(self, session: requests.Session, name: str = "lines", query: str = "lang=en") -> "OpenPage":
        """Open a page without a browser."""
        answer = session.get(f"{self.base}{name}?{query}", timeout=60)
        assert answer.status_code == 200, answer.text
        return OpenPage(self, session, answer.text)


class OpenPage:
    """A page that was fetched, and the channel to its kernel."""

    def __init__(self, served: Served, session: requests.Session, html: str) -> None:
        self.served, self.session, self.html = served, session, html
        self.kernel = re.search(r'"kernelId": "([0-9a-f-]+)"', html)[1]
        self.word = re.search(r'name="devlib-session" content="([^"]+)"', html)[1]
        self.sent = uuid4().hex

    def channel(self, session: requests.Session | None = None) -> "Channel":
        """Open the kernel's channel, with the cookies of a session."""
        cookies = (session or self.session).cookies
        return Channel(self.served.port, self.kernel, "; ".join(f"{c.name}={c.value}" for c in cookies))


class Channel:
    """A websocket to a kernel, as a browser (or an attacker) has it."""

    def __init__(self, port: int, kernel: str, cookie: str) -> None:
        self.session = uuid4().hex
        address = f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels?session_id={self.session}"
        self.socket = websocket.create_connection(
            address, cookie=cookie, origin=f"http://127.0.0.1:{port}", timeout=30
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, kind: str, content: dict, channel: str = "shell", version: str = "1.0.0") -> str:
        """Send one message; return its number."""
        number = uuid4().hex
        header = {
            "msg_id": number, "msg_type": kind, "session": self.session, "username": "", "version": "5.3",
            "date": "2026-11-02T08:00:00Z",
        }  # fmt: skip
        message = {
            "header": header,
            "parent_header": {},
            "metadata": {"version": version},
            "content": content,
        }
        self.socket.send(json.dumps(message | {"channel": channel, "buffers": []}))
        return number

    def receive(self, seconds: float = 20.0) -> Iterator[dict]:
        """Yield what comes, until `seconds` have passed."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                data = self.socket.recv()
            except websocket.WebSocketTimeoutException:
                return
            if isinstance(data, bytes):  # A message with buffers: its JSON is the first part.
                start, stop = (int.from_bytes(data[4 * i : 4 * i + 4], "big") for i in (1, 2))
                data = data[start:stop].decode()
            yield json.loads(data)

    def states(self) -> dict[str, dict]:
        """Return the state of every widget of the kernel, by comm."""
        comm = uuid4().hex
        self.send("comm_open", {"comm_id": comm, "target_name": "jupyter.widget.control", "data": {}})
        self.send("comm_msg", {"comm_id": comm, "data": {"method": "request_states"}})
        for each in self.receive():
            data = each["content"].get("data", {})
            if each["content"].get("comm_id") == comm and data.get("method") == "update_states":
                return {number: state["state"] for number, state in data["states"].items()}
        raise AssertionError("the kernel told no states")

    def custom(self, comm: str, content: dict) -> None:
        """Send a widget a message of its own."""
        self.send("comm_msg", {"comm_id": comm, "data": {"method": "custom", "content": content}})

    def told(self, comm: str, seconds: float = 20.0) -> Iterator[dict]:
        """Yield what a widget tells: its own messages, and updates of its state as `{"update": …}`."""
        for each in self.receive(seconds):
            content = each["content"]
            if content.get("comm_id") != comm:
                continue
            data = content.get("data", {})
            if data.get("method") == "custom":
                yield data["content"]
            elif data.get("method") == "update":
                yield {"kind": "update", "update": data["state"]}


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server, ready to be asked."""
    home = tmp_path_factory.mktemp("dashboards") / "home"
    home.mkdir()
    (home / "devlib.toml").write_text(SETTINGS)
    settings = load_settings({"DEVLIB_HOME": str(home)})
    with connect(settings=settings) as portal:
        seed_fleet(portal.services.inventory, portal.services.catalogue, LINES)
        portal.collect()
        for each in IDENTITIES:
            portal.put_identity(each)
    port = free_port()
    command = [sys.executable, "-P", "-m", "devlib.ui.server", "--port", str(port), "--no-browser"]
    # What the server knows and a kernel must not.
    environment = os.environ | {
        "DEVLIB_HOME": str(home),
        "DEVLIB_LANGUAGE": "en",
        "SECRET_OF_SERVER": "s3cret",
    }
    log = (home.parent / "server.log").open("w")
    process = subprocess.Popen(
        [*command, "--folder", str(ROOT / "dashboards")],
        env=environment, stdout=log, stderr=log, start_new_session=True, cwd=home.parent,
    )  # fmt: skip
    running = Served(home, port, process)
    try:
        _wait_until_up(running, home.parent / "server.log")
        yield running
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
        log.close()


def _wait_until_up(served: Served, log: Path) -> None:
    for _ in range(600):
        assert served.process.poll() is None, log.read_text()
        try:
            requests.get(f"{served.base}assets/devlib.css", timeout=5)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text())
