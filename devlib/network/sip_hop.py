"""Where a SIP request goes next: transport, host and port, and the addresses behind a name."""

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass

from devlib.network.sip_transactions import Address

_HOP = re.compile(r"(udp|tcp):(\[[0-9A-Fa-f:.%\w]+\]|[A-Za-z0-9.\-]+):([0-9]{1,5})")
_KEPT_SECONDS = 60.0  # how long the address of a name is believed
_MOST_KEPT = 1024
_LAST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Hop:
    """The next hop of a request.

    Args:
        transport: `udp` or `tcp`.
        host: name or IP address, without brackets.
        port: 1 to 65535.
    """

    transport: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Hop":
        """Return the hop that `udp:host:port` or `tcp:[address]:port` means, as `devlib.toml` writes it.

        Raises:
            ValueError: it has not that form.
        """
        found = _HOP.fullmatch(text)
        if found is None or not 0 < int(found[3]) <= _LAST_PORT:
            raise ValueError("not of the form udp:host:port")
        return cls(found[1], found[2].strip("[]"), int(found[3]))

    @property
    def uri(self) -> str:
        """The SIP URI of the hop itself."""
        return f"sip:{bracketed(self.host)}:{self.port};transport={self.transport}"


def bracketed(host: str) -> str:
    """Return `host` as a URI writes it: an IPv6 address in brackets (RFC 3261 §19.1.1)."""
    return f"[{host}]" if ":" in host else host


class Resolver:
    """Finds the IP address of a hop, of one family, and remembers it for a minute.

    Args:
        family: `AF_INET` or `AF_INET6`: that of the own address.
    """

    def __init__(self, family: socket.AddressFamily) -> None:
        self._family = family
        self._loop = asyncio.get_running_loop()
        self._known: dict[tuple[str, int], tuple[Address, float]] = {}

    def known(self, hop: Hop, now: float) -> Address | None:
        """Return IP address and port, if they were found within the last minute of the loop's time."""
        known = self._known.get((hop.host, hop.port))
        return known[0] if known is not None and now < known[1] else None

    async def address(self, hop: Hop, limit: float) -> Address:
        """Return IP address and port.

        Args:
            hop: where to.
            limit: seconds that the look-up of a name may take.

        Raises:
            OSError: the name is unknown, or has no address of this family.
        """
        loop = self._loop
        key = (hop.host, hop.port)
        if _is_numeric(hop.host):
            # No name server is asked, so that nothing is waited for.
            found = socket.getaddrinfo(
                *key, family=self._family, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
            )
        else:
            asking = loop.getaddrinfo(*key, family=self._family, type=socket.SOCK_DGRAM)
            found = await asyncio.wait_for(asking, limit)
        address = (str(found[0][4][0]), hop.port)
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        self._known[key] = (address, loop.time() + _KEPT_SECONDS)
        return address


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
