"""Pooled TCP connections for SIP requests (RFC 3261 §18): opened when needed, kept, given up when broken."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import cast

from devlib.network.sip_stream import SipStream, StreamBroken
from devlib.network.sip_transactions import Address

MOST_CONNECTIONS = 64
_MOST_UNSENT = 256 << 10  # bytes that may wait for a peer that does not read


class _Connection(asyncio.Protocol):
    """One connection; what it brings is hostile."""

    def __init__(self, address: Address, pool: "TcpConnections") -> None:
        self._address = address
        self._pool = pool
        self._stream = SipStream()
        self._transport: asyncio.Transport | None = None
        self.used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Hand on whole messages; a stream that makes no sense is given up."""
        try:
            for found in self._stream.feed(data):
                self._pool.received(found, self._address[0])
        except StreamBroken:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls it
        """Let the pool forget it."""
        self._transport = None
        self._pool.lost(self._address, self)

    def send(self, data: bytes, address: Address) -> None:
        """Send a request.

        Raises:
            OSError: the connection is gone, or the peer does not read.
        """
        transport = self._transport
        if transport is None or transport.is_closing() or address != self._address:
            raise ConnectionResetError("closed")
        if transport.get_write_buffer_size() > _MOST_UNSENT:
            self.abort()
            raise ConnectionAbortedError("the peer does not read")
        self.used = True
        transport.write(data)

    @property
    def port(self) -> int:
        """Our own port."""
        name = self._transport.get_extra_info("sockname") if self._transport else None
        return int(name[1]) if name else 0

    @property
    def open(self) -> bool:
        """Whether something can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()


class TcpConnections:
    """The connections of one client, one for each address.

    Args:
        own: IP address from which they are opened.
        received: gets each message and the IP address that it came from.
        broken: gets the address to which a connection broke.
    """

    def __init__(
        self, own: str, received: Callable[[bytes, str], None], broken: Callable[[Address], None]
    ) -> None:
        self.received = received
        self._own = own
        self._broken = broken
        self._open: OrderedDict[Address, _Connection] = OrderedDict()
        self._opening: dict[Address, asyncio.Task[_Connection]] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._open)

    async def to(self, address: Address, limit: float) -> _Connection:
        """Return a connection to `address`, which several requests share.

        Args:
            address: IP address and port.
            limit: seconds to wait for it.

        Raises:
            OSError: it is refused, or nobody answers in time.
        """
        if self._closed:
            raise ConnectionAbortedError("closed")
        if (known := self._open.get(address)) is not None and known.open:
            self._open.move_to_end(address)
            return known
        task = self._opening.get(address)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._connect(address))
            self._opening[address] = task
            task.add_done_callback(lambda done: self._opened(address, done))
        # Several wait for it: one that is cancelled must not take it from the others.
        done, _ = await asyncio.wait({task}, timeout=limit)
        if not done:
            raise TimeoutError(0, "no connection in time")
        if task.cancelled():
            raise ConnectionAbortedError("closed")
        return task.result()

    def lost(self, address: Address, connection: _Connection) -> None:
        """Forget a connection that is closed."""
        if self._open.get(address) is connection:
            del self._open[address]
            self._broken(address)

    def close(self) -> None:
        """Close all, and open no more; calling twice is harmless."""
        self._closed = True
        for task in self._opening.values():
            task.cancel()
        for connection in tuple(self._open.values()):
            connection.abort()

    async def _connect(self, address: Address) -> _Connection:
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(
            lambda: _Connection(address, self), address[0], address[1], local_addr=(self._own, 0)
        )
        while len(self._open) >= MOST_CONNECTIONS:
            # The one that was longest unused goes; who still waits there is told.
            oldest = next(iter(self._open))
            self._open[oldest].abort()
            self.lost(oldest, self._open[oldest])
        self._open[address] = made
        return made

    def _opened(self, address: Address, done: "asyncio.Task[_Connection]") -> None:
        self._opening.pop(address, None)
        if not done.cancelled():
            done.exception()  # told to those who wait, or to nobody: then there is nothing to tell
