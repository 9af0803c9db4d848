"""SIP messages out of a TCP stream, by Content-Length (RFC 3261 §18.3)."""

import re

MOST_HEAD = 64 << 10
MOST_BODY = 256 << 10
_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*([0-9]{1,9})[ \t]*\r?$")


class StreamBroken(ValueError):
    """The stream holds what cannot be a SIP message; where the next one begins is not known any more."""


class SipStream:
    """Gathers what a connection brings, and gives whole messages; its memory is bounded."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that `data` completes, in order.

        Args:
            data: the next bytes of the stream.

        Raises:
            StreamBroken: the head of a message is longer than 64 KiB, or its body than 256 KiB.
        """
        self._held += data
        found: list[bytes] = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> bytes | None:
        held = self._held
        # Empty lines before a message are keep-alives (RFC 5626 §3.5.1).
        while held.startswith((b"\r", b"\n")):
            del held[:1]
        end = _END.search(held, 0, MOST_HEAD)
        if end is None:
            if len(held) >= MOST_HEAD:
                raise StreamBroken("head")
            return None
        length = _LENGTH.search(held, 0, end.start() + 1)
        size = int(length[1]) if length else 0
        if size > MOST_BODY:
            raise StreamBroken("body")
        whole = end.end() + size
        if len(held) < whole:
            return None
        message = bytes(held[:whole])
        del held[:whole]
        return message
