"""The event feed of a Kamailio (module evapi): netstrings of JSON, one for each REGISTER and each expiry.

`rc` of a REGISTER is the result of `save()`: 1 new, 2 refreshed, 3 removed (SIP study, section 3). Every text
in an event is hostile: what makes no sense is left out and counted, and never ends the feed.
"""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

from devlib.clock import Clock
from devlib.language import Message, message
from devlib.model import Binding
from devlib.network.hostile import USER_AGENT_LIMIT, clean_integer, clean_moment, clean_text
from devlib.network.protocol import Change, ChangeKind, FeedBack, FeedEvent, FeedLost, is_line_port
from devlib.network.sip import uri_in

_MOST_BYTES = 64 << 10  # of one event; Kamailio's own messages end at 64 kB
_LENGTH = re.compile(rb"[0-9]{1,6}")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0  # seconds between two attempts to connect
_EXPIRES = re.compile(r";\s*expires\s*=\s*\"?([0-9]{1,9})", re.IGNORECASE)
_INSTANCE = re.compile(r"\+sip\.instance\s*=\s*\"<?([^\">]{1,255})>?\"", re.IGNORECASE)
_KINDS = {1: ChangeKind.REGISTERED, 2: ChangeKind.REFRESHED, 3: ChangeKind.SIGNED_OFF}
_QUIET_SECONDS = 15  # then the kernel asks whether the other end is still there


class EventFeed:
    """One connection to an event feed, made again whenever it breaks off.

    Args:
        address: host:port of evapi.
        registrar: name of the network.
        clock: the time.
        seconds: limit of connecting.
    """

    def __init__(self, address: str, registrar: str, clock: Clock, seconds: float) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._registrar = registrar
        self._clock = clock
        self._seconds = seconds
        self.nonsense = 0
        """Events that made no sense so far."""

    async def events(self) -> AsyncIterator[FeedEvent]:
        """Yield what happens, for ever; `FeedBack` each time the feed is connected, `FeedLost` when not."""
        pause, told = _FIRST_PAUSE, False
        while True:
            try:
                async with asyncio.timeout(self._seconds):
                    reader, writer = await asyncio.open_connection(self._host, self._port, limit=_MOST_BYTES)
            except (OSError, TimeoutError) as error:
                if not told:
                    yield FeedLost(self._clock.now(), _reason(error))
                told = True
            else:
                _keep_alive(writer)
                yield FeedBack(self._clock.now())
                pause, told = _FIRST_PAUSE, True
                try:
                    async for change in self._read(reader):
                        yield change
                finally:
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()
                yield FeedLost(self._clock.now(), message("The event feed broke off."))
            await self._clock.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _read(self, reader: asyncio.StreamReader) -> AsyncIterator[Change]:
        while (payload := await _netstring(reader)) is not None:
            change = self._change(payload)
            if change is None:
                self.nonsense += 1
            else:
                yield change

    def _change(self, payload: bytes) -> Change | None:
        try:
            event = json.loads(payload)
        except (ValueError, RecursionError):
            return None
        if not isinstance(event, dict):
            return None
        line_port = event.get("aor")
        if not isinstance(line_port, str) or not is_line_port(line_port):
            return None
        if event.get("ev") == "reg":
            return self._registered(event, line_port)
        return self._expired(event, line_port) if event.get("ev") == "expired" else None

    def _registered(self, event: dict[str, Any], line_port: str) -> Change | None:
        result = event.get("rc")
        kind = _KINDS.get(result) if isinstance(result, int) else None
        at = clean_moment(event.get("ts")) or self._clock.now()
        said = clean_text(event.get("ct"), 1024) or ""
        seconds = _granted(said, event.get("exp"))
        if kind is None:
            return None
        source = clean_text(event.get("src"), 128)
        instance = _INSTANCE.search(said)
        binding = Binding(
            line_port,
            clean_text(uri_in(said)) or "",
            at if seconds is None or kind is ChangeKind.SIGNED_OFF else at + timedelta(seconds=seconds),
            at,
            clean_text(event.get("ua"), USER_AGENT_LIMIT),
            f"sip:{source.partition(':')[2]}" if source else None,
            clean_text(event.get("ci")),
            clean_integer(event.get("cseq")),
            instance[1] if instance else None,
            None,
            self._registrar,
        )
        return Change(kind, line_port, at, binding)

    def _expired(self, event: dict[str, Any], line_port: str) -> Change | None:
        expires_at = clean_moment(event.get("exp"))
        if expires_at is None:
            return None
        binding = Binding(
            line_port,
            clean_text(event.get("addr")) or "",
            expires_at,
            clean_moment(event.get("mod")),
            clean_text(event.get("ua"), USER_AGENT_LIMIT),
            registrar=self._registrar,
        )
        return Change(ChangeKind.EXPIRED, line_port, self._clock.now(), binding)


def _granted(contact: str, header: object) -> int | None:
    """Return the seconds asked for: of the contact, else of the Expires header (RFC 3261 §10.2.1.1)."""
    if found := _EXPIRES.search(contact):
        return int(found[1])
    if isinstance(header, str) and header.isascii() and header.isdigit() and len(header) <= len("999999999"):
        return int(header)
    return None


async def _netstring(reader: asyncio.StreamReader) -> bytes | None:
    """Return the next payload, or `None` where the stream ended or is no netstring any more."""
    try:
        length = (await reader.readuntil(b":"))[:-1]
        if not _LENGTH.fullmatch(length) or int(length) > _MOST_BYTES:
            return None
        payload = await reader.readexactly(int(length) + 1)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        return None
    return payload[:-1] if payload.endswith(b",") else None


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    # A registrar that lost its power says no goodbye: without this its feed would look quiet for ever.
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", _QUIET_SECONDS), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _reason(error: Exception) -> Message:
    if isinstance(error, TimeoutError):
        return message("The event feed does not answer.")
    reason = getattr(error, "strerror", None) or type(error).__name__
    return message("The event feed cannot be connected: {error}", error=reason)
