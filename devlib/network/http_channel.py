"""One TCP connection that carries HTTP questions, one at a time."""

import asyncio

from devlib.network.http_answer import HttpAnswer


class Channel(asyncio.Protocol):
    """A connection, made by `create_connection`, that carries one question at a time.

    One timer watches all its questions, since a timer for each would cost a third of the asking.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closed = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._answer = HttpAnswer(0)
        self._waiter: asyncio.Future[HttpAnswer] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.heard = False

    @property
    def usable(self) -> bool:
        """Whether another question can be asked."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, data: bytes, seconds: float, limit: int) -> HttpAnswer:
        """Send `data` and return the whole answer; the connection is closed where that fails.

        Args:
            data: a whole request.
            seconds: limit; the same in all calls, since one timer watches them.
            limit: most bytes of the answer's body.

        Raises:
            TimeoutError: the limit is over.
            EOFError: the connection ended before the answer did.
            OSError: it broke.
            ValueError: the answer is no HTTP, or too long.
        """
        if self._transport is None:
            raise EOFError
        self.heard = False
        self._answer = HttpAnswer(limit)
        waiter: asyncio.Future[HttpAnswer] = self._loop.create_future()
        self._waiter = waiter
        self._deadline = self._loop.time() + seconds
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._watch)
        self._transport.write(data)
        try:
            answer = await waiter
        except BaseException:
            # Cancelled, too late or unreadable: what still comes would answer the next question.
            self._transport.abort()
            raise
        finally:
            self._waiter = None
        if answer.closing:
            self._transport.abort()
        return answer

    async def close(self) -> None:
        """Close the connection and wait until it is."""
        if self._transport is not None:
            self._transport.abort()
            await self._closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to write."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Add to the answer; what nobody asked for ends the connection."""
        self.heard = True
        if self._waiter is None or self._waiter.done():
            if self._transport is not None:
                self._transport.abort()
            return
        try:
            if self._answer.feed(data):
                self._waiter.set_result(self._answer)
        except ValueError as error:
            self._waiter.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """End what still waits."""
        if self._timer is not None:
            self._timer.cancel()
        self._closed.set_result(None)
        if self._waiter is not None and not self._waiter.done():
            if exc is None and self._answer.end():
                self._waiter.set_result(self._answer)
            else:
                self._waiter.set_exception(exc if isinstance(exc, OSError) else EOFError())

    def _watch(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() >= self._deadline:
            self._waiter.set_exception(TimeoutError())
        else:
            self._timer = self._loop.call_at(self._deadline, self._watch)
