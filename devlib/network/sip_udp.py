"""One UDP socket for many SIP requests: read in bursts, and told by ICMP where nobody listens."""

import asyncio
import os
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from devlib.language import Message
from devlib.network.sip import MAX_DATAGRAM
from devlib.network.sip_transactions import Address, why_unsent

_BURST = 64  # datagrams between two turns of the event loop
_BUFFER = 4 << 20  # bytes that may wait while the loop does something else; the system may grant less
_RECVERR = {
    socket.AF_INET: (socket.IPPROTO_IP, 11),  # IP_RECVERR of <linux/in.h>, which Python 3.11 does not name
    socket.AF_INET6: (socket.IPPROTO_IPV6, 25),  # IPV6_RECVERR of <linux/in6.h>
}
_EXTENDED_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err of <linux/errqueue.h>
_TIME_EXCEEDED = {(2, 11), (3, 3)}  # origin and type; RFC 3261 §18.4: to be ignored
_COPY = 2048  # bytes of a request that an ICMP error gives back


class UdpSocket:
    """A bound socket that hands on what it hears.

    Args:
        own: IP address to bind; the port is free-chosen.
        family: of that address.
        received: gets each datagram and the IP address that it came from.
        failed: gets the beginning of a datagram that did not arrive, and why (RFC 3261 §18.4).

    Raises:
        OSError: the address cannot be bound.
    """

    def __init__(
        self,
        own: str,
        family: socket.AddressFamily,
        received: Callable[[bytes, str], None],
        failed: Callable[[bytes, Message], None],
    ) -> None:
        self._received = received
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray(MAX_DATAGRAM)
        self._unsent: deque[tuple[bytes, Address]] = deque()
        self._socket = made = socket.socket(family, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            with suppress(OSError):
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            if sys.platform == "linux":
                made.setsockopt(*_RECVERR[family], 1)
            made.bind((own, 0))
        except BaseException:
            made.close()
            raise
        self.port: int = made.getsockname()[1]
        self._loop.add_reader(made.fileno(), self._read)

    def send(self, data: bytes, address: Address) -> None:
        """Send one datagram, together with the others of this turn of the event loop.

        One by one each would wake up the other side, which costs more than the sending; what cannot arrive
        is told to `failed`.
        """
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append((data, address))

    def _flush(self) -> None:
        unsent, send = self._unsent, self._socket.sendto
        if self._socket.fileno() < 0:
            return
        while unsent:
            data, address = unsent[0]
            try:
                send(data, address)
            except BlockingIOError:
                self._loop.add_writer(self._socket.fileno(), self._room)
                return
            except OSError as error:
                # It may be the error of an earlier datagram, told at this one, which is then tried again.
                if self._read_errors():
                    continue
                self._failed(data, why_unsent(error))
            unsent.popleft()

    def _room(self) -> None:
        self._loop.remove_writer(self._socket.fileno())
        self._flush()

    def close(self) -> None:
        """Give the port back; calling twice is harmless."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()

    def _read(self) -> None:
        receive, buffer, received = self._socket.recvfrom_into, self._buffer, self._received
        for _ in range(_BURST):
            try:
                size, address = receive(buffer)
            except BlockingIOError:
                return
            except OSError:
                if not self._read_errors():
                    return
                continue
            received(bytes(buffer[:size]), address[0])
            if self._socket.fileno() < 0:
                return  # closed by what was just heard

    def _read_errors(self) -> bool:
        """Hand on what ICMP told of earlier datagrams; return whether there was anything."""
        found = False
        while sys.platform == "linux":
            try:
                sent, extras, _, _ = self._socket.recvmsg(_COPY, 512, socket.MSG_ERRQUEUE)
            except OSError:
                break
            found = True
            for _, _, raw in extras:
                if len(raw) >= _EXTENDED_ERROR.size:
                    number, origin, kind, *_ = _EXTENDED_ERROR.unpack_from(raw)
                    if (origin, kind) not in _TIME_EXCEEDED:
                        self._failed(sent, why_unsent(OSError(number, os.strerror(number))))
        return found
