"""A real service over a home of the tests: uvicorn in a thread, on a free port of 127.0.0.1."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from portal_home import Home

from devlib.api import create_application
from devlib.model import EVERYTHING, Identity, Role, Scope
from devlib.portal import Portal


class Service:
    """A running service.

    Args:
        home: what it serves.
        port: where it listens.
    """

    def __init__(self, home: Home, port: int) -> None:
        self.home = home
        self.url = f"http://127.0.0.1:{port}"

    def token(self, role: Role = Role.SERVICE_PROVIDER, scope: Scope = EVERYTHING, name: str = "") -> str:
        """Store an identity and return a new token for it."""
        principal = name or role.value
        with self.home.services.inventory.write() as writer:
            writer.put_identity(Identity(principal, role, scope))
        boss = Portal(Identity("token maker", Role.SERVICE_PROVIDER), self.home.services)
        return boss.new_token(principal).text

    def client(self, *who, **named) -> httpx.Client:
        """Return an HTTP client with a token for an identity of this role and scope."""
        headers = {"Authorization": f"Bearer {self.token(*who, **named)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)


@contextmanager
def running(home: Home) -> Iterator[Service]:
    """Run a service over a home until the block ends."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)  # whoever comes early waits
    config = uvicorn.Config(
        create_application(home.services), log_config=None, access_log=False, lifespan="on",
        timeout_graceful_shutdown=30, ws="none",
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield Service(home, listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(timeout=60)
        assert not thread.is_alive()
