"""The client: what it refuses to do with a token, and what it makes of strange answers."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import devlib
from devlib.errors import CapabilityMissing, DevlibError, NetworkUnreachable, UsageError
from devlib.portal import Portal
from devlib.ui import check_health, overview


@pytest.mark.parametrize(
    "address",
    ["http://devlib.example", "ftp://127.0.0.1", "https://", "https://user:hush@host", "https://host/?token=hush",
     "devlib.example", "https://host:99999", "https://host:0", "http://[::2]:80"],
)  # fmt: skip
def test_a_token_does_not_travel_in_clear(address):
    """Addresses without TLS on another machine, with a password, or that are none, are refused unseen."""
    with pytest.raises(UsageError) as caught:
        devlib.connect(address, token="devlib_secret")
    assert "hush" not in str(caught.value)
    assert "devlib_secret" not in str(caught.value)


def test_the_token_shows_nowhere(monkeypatch):
    """Neither `repr` of the portal nor a token with odd characters shows the secret."""
    monkeypatch.setenv("DEVLIB_TOKEN", "devlib_hush")
    with devlib.connect("http://127.0.0.1:9/") as portal:
        assert isinstance(portal, Portal)
        assert "hush" not in repr(portal) + repr(vars(portal))
        with pytest.raises(CapabilityMissing, match="not done over HTTP"):
            portal.follow(lambda _: False)
    with pytest.raises(UsageError) as caught:
        devlib.connect("http://127.0.0.1:9", token="hush\n…")
    assert "hush" not in str(caught.value)


class Stranger(BaseHTTPRequestHandler):
    """Answers everything with what the test wants."""

    answer = (200, "text/html", b"<p>hello</p>", {})

    def do_GET(self):
        """Answer."""
        status, kind, body, more = self.answer
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def stranger():
    """A server that is no service of devlib."""
    server = HTTPServer(("127.0.0.1", 0), Stranger)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "answer",
    [
        (200, "text/html", b"<p>hello</p>", {}),
        (200, "application/json", b"{", {}),
        (302, "text/html", b"", {"Location": "http://127.0.0.1:9/steal"}),
        (502, "text/html", b"<h1>Bad Gateway</h1>", {}),
        (500, "application/json", json.dumps(["x"]).encode(), {}),
        (404, "application/json", json.dumps({"error": "NotFound", "what": "x"}).encode(), {}),
    ],
)
def test_strange_answers_are_errors_of_the_tree(stranger, monkeypatch, answer):
    """A proxy's page, a redirect or broken JSON is an error that says so; the token goes nowhere else."""
    monkeypatch.setattr(Stranger, "answer", answer)
    with devlib.connect(stranger, token="x") as portal:
        for act in (portal.customers, portal.devices):
            with pytest.raises(DevlibError):
                act()


def test_nobody_there_is_said_so(monkeypatch):
    """Where nothing listens, the error names the address and what to do."""
    with (
        devlib.connect("http://127.0.0.1:9", token="x") as portal,
        pytest.raises(NetworkUnreachable) as caught,
    ):
        portal.devices()
    assert "127.0.0.1:9" in str(caught.value)
    assert "devlib serve" in str(caught.value)


def test_what_notebooks_show_works_with_a_service(service):
    """Overview and health check need nothing of a portal that a service does not give."""
    service.home.portal().collect()
    near = overview("en", service.home.portal())
    with devlib.connect(service.url, token=service.token()) as portal:
        assert (portal.language, portal.simulated) == ("en", True)
        far = overview("en", portal)
        assert repr(far) == repr(near)
        assert "simulator" in far._repr_html_()
        assert "sites" in str(check_health(portal, least=0.0, oldest_minutes=10**6))
