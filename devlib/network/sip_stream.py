"""SIP messages out of a TCP stream, by Content-Length (RFC 3261 §18.3)."""

import re

MOST_HEAD = 64 << 10
MOST_BODY = 256 << 10
_END = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(rb"(?im)^(?:content-length|l)[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)")
_NUMBER = re.compile(rb"[0-9]{1,9}")
_OVERLAP = 2  # bytes of an end that may lie before what is new


class StreamBroken(ValueError):
    """The stream holds what cannot be a SIP message; where the next one begins is not known any more."""


class SipStream:
    """Gathers what a connection brings, and gives whole messages; its memory is bounded."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._searched = 0  # bytes in which the head does not end
        self._whole = 0  # length of the message that has begun; 0 while its head is not there

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of their message."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that `data` completes, in order.

        Args:
            data: the next bytes of the stream.

        Raises:
            StreamBroken: the head of a message is longer than 64 KiB, or its body than 256 KiB; or it has no
                Content-Length, several, or one that is no number.
        """
        self._held += data
        found: list[bytes] = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> bytes | None:
        held = self._held
        if not self._whole:
            self._skip_keep_alives()
            end = _END.search(held, max(0, self._searched - _OVERLAP), MOST_HEAD)
            if end is None:
                if len(held) >= MOST_HEAD:
                    raise StreamBroken("head")
                self._searched = len(held)
                return None
            self._whole = end.end() + _body_length(bytes(held[: end.start() + 1]))
        if len(held) < self._whole:
            return None
        message = bytes(held[: self._whole])
        del held[: self._whole]
        self._whole = self._searched = 0
        return message

    def _skip_keep_alives(self) -> None:
        """Drop empty lines before a message (RFC 5626 §3.5.1)."""
        held = self._held
        if held.startswith((b"\r", b"\n")):
            del held[: len(held) - len(held.lstrip(b"\r\n"))]
            self._searched = 0


def _body_length(head: bytes) -> int:
    lengths = {value.strip() for value in _LENGTH.findall(head)}
    if len(lengths) != 1 or not _NUMBER.fullmatch(length := lengths.pop()):
        # RFC 3261 §20.14: over a stream it must be there; a guess could read a body as the next message.
        raise StreamBroken("length")
    if int(length) > MOST_BODY:
        raise StreamBroken("body")
    return int(length)
