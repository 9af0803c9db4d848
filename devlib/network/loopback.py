"""What trials need of this machine's own loopback: free ports, and whether something answers there."""

import http.client
import ipaddress
import json
import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

from devlib.errors import UsageError
from devlib.language import message

_LOCALHOST = "127.0.0.1"


def free_ports(count: int) -> tuple[int, ...]:
    """Return `count` ports of 127.0.0.1 that were free for UDP and TCP a moment ago.

    Another process may take one before it is used: whoever binds it must be ready to ask again.
    """
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            tcp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            tcp.bind((_LOCALHOST, 0))
            port: int = tcp.getsockname()[1]
            udp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            try:
                udp.bind((_LOCALHOST, port))
            except OSError:
                continue
            ports.append(port)
    return tuple(ports)


def require_loopback(host: str) -> None:
    """Make sure that `host` is an address of this machine only.

    Raises:
        UsageError: it is a name or another machine's address; simulated phones must never reach one.
    """
    try:
        inside = ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise UsageError(
            message("Simulated phones may only speak to this machine."),
            where=host[:80],
            remedy=message("Give a loopback address such as 127.0.0.1."),
        )


def takes_connections(port: int) -> bool:
    """Return whether somebody listens on a TCP port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.settimeout(1.0)
        return trial.connect_ex((_LOCALHOST, port)) == 0


def answers_rpc(rpc_url: str, seconds: float, process: int | None = None) -> bool:
    """Return whether a Kamailio answers `core.ps` at `rpc_url` within `seconds`.

    Args:
        rpc_url: on this machine.
        seconds: limit of connecting and of each read.
        process: number that its main process must have; by default any Kamailio will do.
    """
    parts = urlsplit(rpc_url)
    question = json.dumps({"jsonrpc": "2.0", "method": "core.ps", "params": [], "id": 1})
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.request("POST", parts.path, question)
        processes = json.loads(connection.getresponse().read(1 << 16))["result"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False
    finally:
        connection.close()
    return isinstance(processes, list) and (process is None or process in processes)
