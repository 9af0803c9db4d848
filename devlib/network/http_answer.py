"""One HTTP/1.1 answer out of the bytes of a connection (RFC 9112); what is no HTTP is a `ValueError`."""

import re
from dataclasses import dataclass

HEAD_LIMIT = 1 << 16

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,12})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked", re.IGNORECASE)
_CLOSING = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]{0,256})?\r\n")
_CHUNK_HEAD_LIMIT = 300


@dataclass(slots=True)
class HttpAnswer:
    """An answer while it arrives.

    Args:
        limit: most bytes of its body.
    """

    limit: int
    status: int = 0
    body: bytes = b""
    closing: bool = False
    _buffer: bytes = b""
    _start: int = 0
    _length: int | None = None
    _chunked: bool = False

    def feed(self, data: bytes) -> bool:
        """Take more bytes; return whether the answer is complete.

        Raises:
            ValueError: this is no HTTP, or the body is longer than the limit.
        """
        self._buffer = self._buffer + data if self._buffer else data
        if not self._start and not self._read_head():
            return False
        if self._length is not None:
            end = self._start + self._length
            if len(self._buffer) < end:
                return False
            return self._finish(self._buffer[self._start : end], end)
        if self._chunked:
            return self._read_chunks()
        self._bound(len(self._buffer) - self._start)
        return False

    def end(self) -> bool:
        """Note that the connection has ended; return whether that completes the answer."""
        if not self._start or self._length is not None or self._chunked:
            return False
        return self._finish(self._buffer[self._start :], len(self._buffer))

    def _read_head(self) -> bool:
        buffer = self._buffer
        place = buffer.find(b"\r\n\r\n", 0, HEAD_LIMIT)
        if place < 0:
            if len(buffer) >= HEAD_LIMIT:
                raise ValueError("head")
            return False
        status = _STATUS.match(buffer)
        if status is None:
            raise ValueError("status")
        self._start = place + 4
        self.status = int(status[1])
        self.closing = _CLOSING.search(buffer, 0, self._start) is not None
        if length := _LENGTH.search(buffer, 0, self._start):
            self._length = int(length[1])
            self._bound(self._length)
        else:
            self._chunked = _CHUNKED.search(buffer, 0, self._start) is not None
            self.closing = self.closing or not self._chunked
        return True

    def _read_chunks(self) -> bool:
        buffer, place, size = self._buffer, self._start, 0
        parts: list[bytes] = []
        while True:
            line = _CHUNK.match(buffer, place)
            if line is None:
                if len(buffer) - place > _CHUNK_HEAD_LIMIT or b"\r\n" in buffer[place:]:
                    raise ValueError("chunk")
                return False
            length = int(line[1], 16)
            size += length
            self._bound(size)
            if length == 0:
                return self._read_trailers(b"".join(parts), line.end())
            place = line.end() + length + 2
            if len(buffer) < place:
                return False
            parts.append(buffer[line.end() : place - 2])

    def _read_trailers(self, body: bytes, place: int) -> bool:
        if self._buffer.startswith(b"\r\n", place):
            return self._finish(body, place + 2)
        end = self._buffer.find(b"\r\n\r\n", place)
        if end < 0:
            self._bound(len(self._buffer) - place)
            return False
        return self._finish(body, end + 4)

    def _finish(self, body: bytes, end: int) -> bool:
        self.body = body
        # Bytes after the answer belong to no question: that connection is not asked again.
        self.closing = self.closing or len(self._buffer) > end
        return True

    def _bound(self, size: int) -> None:
        if size > self.limit:
            raise ValueError("size")
