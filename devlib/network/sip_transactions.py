"""Client transactions for requests other than INVITE (RFC 3261 §17.1.2), over UDP.

One sweep serves the timers of all of them: a request that is answered costs no timer of its own. An answer
is matched by the branch of its topmost Via and the method of its CSeq, looked for in the bytes; only what is
read of an answer is parsed.
"""

import asyncio
import heapq
import re
from dataclasses import dataclass, field
from functools import cached_property

from devlib.network.sip import SipMessage, parse_message

T1, T2 = 0.5, 4.0  # seconds, RFC 3261 §17.1.1.1
TIMER_F = 64  # times T1
NO_ANSWER, NO_TRANSPORT = 408, 503  # RFC 3261 §8.1.3.1
_FIRST_FINAL = 200
_STATUS = re.compile(rb"SIP/2\.0 ([1-6][0-9][0-9])(?: ([^\r\n]*))?\r?\n", re.IGNORECASE)
_BRANCH = re.compile(
    rb"(?:\n)(?:via|v)[ \t]*:[^\r\n]*?;[ \t]*branch[ \t]*=[ \t]*([^;,\s\"]{1,256})", re.IGNORECASE
)
_METHOD = re.compile(rb"\ncseq[ \t]*:[ \t]*[0-9]{1,10}[ \t]+([A-Za-z]{1,32})", re.IGNORECASE)

Address = tuple[str, int]


@dataclass(frozen=True)
class SipAnswer:
    """The final answer to a request.

    Args:
        status: 200 to 699; 408 where none came in time, 503 where the request could not be sent.
        reason: text beside it, hostile.
        raw: the answer as it came; empty where there was none.
        seconds: from sending to the answer.
    """

    status: int
    reason: str = ""
    raw: bytes = field(default=b"", repr=False)
    seconds: float = 0.0

    @cached_property
    def message(self) -> SipMessage | None:
        """The answer, read; `None` where there was none."""
        return parse_message(self.raw) if self.raw else None

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Lower-case full names and values of its headers."""
        return self.message.headers if self.message else ()


@dataclass(slots=True)
class _Pending:
    answer: asyncio.Future[SipAnswer]
    method: bytes
    data: bytes
    address: Address
    started: float
    end: float
    interval: float


class Transactions(asyncio.DatagramProtocol):
    """A UDP socket with its transactions.

    Args:
        t1: estimate of a round trip in seconds; the first repetition comes after it.
    """

    def __init__(self, t1: float = T1) -> None:
        self._t1 = t1
        self._t2 = T2 * t1 / T1
        self._loop = asyncio.get_running_loop()
        self._pending: dict[bytes, _Pending] = {}
        self._due: list[tuple[float, bytes]] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self._transport = transport  # type: ignore[assignment]  # asyncio gives a DatagramTransport here

    @property
    def port(self) -> int:
        """The port that is bound; 0 where the socket is closed."""
        return int(self._transport.get_extra_info("sockname")[1]) if self._transport else 0

    async def ask(self, branch: str, method: str, data: bytes, address: Address, limit: float) -> SipAnswer:
        """Send until a final answer comes (timer E) or the limit is over (timer F).

        Args:
            branch: names the transaction.
            method: of the request.
            data: the request.
            address: IP address and port.
            limit: seconds.
        """
        now = self._loop.time()
        answer: asyncio.Future[SipAnswer] = self._loop.create_future()
        key = branch.encode()
        self._pending[key] = _Pending(answer, method.encode(), data, address, now, now + limit, self._t1)
        try:
            self._send(data, address)
            self._wake(now + min(self._t1, limit), key)
            return await answer
        finally:
            self._pending.pop(key, None)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Give an answer to what waits for it; anything else is let fall, repetitions too (timer K)."""
        status = _STATUS.match(data)
        branch = _BRANCH.search(data) if status else None
        pending = self._pending.get(branch[1]) if branch else None
        if status is None or pending is None or addr[0] != pending.address[0] or pending.answer.done():
            return
        method = _METHOD.search(data)
        if method is None or method[1].upper() != pending.method:
            return
        code = int(status[1])
        if code < _FIRST_FINAL:
            pending.interval = self._t2  # from now on it is repeated each T2 only
            return
        reason = (status[2] or b"").decode("utf-8", "replace")
        pending.answer.set_result(SipAnswer(code, reason, bytes(data), self._loop.time() - pending.started))

    def error_received(self, exc: Exception) -> None:
        """Let an ICMP error fall: which request it belongs to is not told; timer F ends it."""

    def close(self) -> None:
        """End what still waits, as not sent, and give the port back; calling twice is harmless."""
        if self._sweep is not None:
            self._sweep.cancel()
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_result(SipAnswer(NO_TRANSPORT, "closed"))
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _send(self, data: bytes, address: Address) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, address)

    def _wake(self, when: float, key: bytes) -> None:
        heapq.heappush(self._due, (when, key))
        if self._sweep is None or when < self._sweep.when():
            self._schedule()

    def _schedule(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        self._sweep = self._loop.call_at(self._due[0][0], self._look) if self._due else None

    def _look(self) -> None:
        self._sweep = None
        now = self._loop.time()
        while self._due and self._due[0][0] <= now:
            _, key = heapq.heappop(self._due)
            pending = self._pending.get(key)
            if pending is None or pending.answer.done():
                continue
            if now >= pending.end:
                seconds = now - pending.started
                pending.answer.set_result(SipAnswer(NO_ANSWER, "Request Timeout", b"", seconds))
                continue
            self._send(pending.data, pending.address)
            pending.interval = min(2 * pending.interval, self._t2)
            heapq.heappush(self._due, (min(now + pending.interval, pending.end), key))
        self._schedule()
