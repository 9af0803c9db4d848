"""Client transactions for requests other than INVITE (RFC 3261 §17.1.2), whatever carries them.

One sweep serves the timers of all of them: a request that is answered costs no timer of its own. An answer
is matched by the branch of its topmost Via, looked for in the bytes, so that what nobody waits for costs no
parsing; only then is it read, and must be whole, for us alone, and of the method that was asked.
"""

import asyncio
import heapq
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from devlib.language import Message, message
from devlib.network.sip import parse_message, to_bytes
from devlib.network.sip_answer import NO_ANSWER, SipAnswer, quick_look

T1, T2 = 0.5, 4.0  # seconds, RFC 3261 §17.1.1.1
MOST_AT_ONCE = 8192  # requests under way; more are refused, so that memory stays bounded
_FIRST_FINAL = 200
_BRANCH = re.compile(
    rb"\n[Vv](?:[Ii][Aa])?[ \t]*:[^\r\n]*?;[ \t]*[Bb][Rr][Aa][Nn][Cc][Hh][ \t]*=[ \t]*([^;,\s\"]{1,256})"
)
_LONGEST_LOOK = 4096  # bytes in which the topmost Via must stand

Address = tuple[str, int]
"""IP address and port."""

Send = Callable[[bytes, Address], None]

_TIMED_OUT = message("No answer came in time.")
_CLOSED = message("The connection was closed meanwhile.")
_TOO_MANY = message("Too many requests are under way.")


@dataclass(slots=True)
class _Pending:
    answer: asyncio.Future[SipAnswer]
    key: bytes
    cseq: tuple[int, str]
    line: bytes
    data: bytes
    address: Address
    resend: Send | None
    started: float
    end: float
    interval: float


class Transactions:
    """The requests that wait for their answers.

    Args:
        t1: estimate of a round trip in seconds; the first repetition comes after it.
    """

    def __init__(self, t1: float = T1) -> None:
        self._t1 = t1
        self._t2 = T2 * t1 / T1
        self._loop = asyncio.get_running_loop()
        self._pending: dict[bytes, _Pending] = {}
        self._first: deque[tuple[float, bytes]] = deque()  # first repetitions, in the order of time
        self._due: list[tuple[float, bytes]] = []  # the others, as a heap
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._pending)

    def ask(
        self,
        branch: str,
        cseq: tuple[int, str],
        data: bytes,
        address: Address,
        limit: float,
        *,
        send: Send,
        reliable: bool = False,
    ) -> "asyncio.Future[SipAnswer]":
        """Send until a final answer comes (timer E) or the limit is over (timer F).

        Args:
            branch: names the transaction.
            cseq: number and method of the request.
            data: the request.
            address: where it goes.
            limit: seconds.
            send: sends it; what it raises as `OSError` ends the transaction.
            reliable: whether the transport repeats what is lost by itself (TCP).

        Returns:
            What will be the answer; it may be cancelled.
        """
        now = self._loop.time()
        answer: asyncio.Future[SipAnswer] = self._loop.create_future()
        if self._closed or len(self._pending) >= MOST_AT_ONCE:
            answer.set_result(SipAnswer.unsent(_CLOSED if self._closed else _TOO_MANY))
            return answer
        key = branch.encode("ascii", "replace")
        resend = None if reliable else send
        self._pending[key] = _Pending(
            answer, key, cseq, _line(cseq), data, address, resend, now, now + limit, self._t1
        )
        try:
            send(data, address)
        except OSError as error:
            self._end(self._pending[key], SipAnswer.unsent(why_unsent(error)))
            return answer
        if reliable or limit <= self._t1:
            self._wake(now + limit, key)
        else:
            self._first.append((now + self._t1, key))
            if self._sweep is None:
                self._schedule()
        return answer

    def received(self, data: bytes, host: str) -> None:
        """Give an answer to what waits for it; anything else is let fall, repetitions too (timer K).

        Args:
            data: what came, hostile.
            host: IP address from which it came.
        """
        if (seen := quick_look(data)) is not None:
            status, reason, branch = seen
            pending = self._pending.get(branch)
            if pending is not None and pending.line in data:
                self._answered(pending, SipAnswer(status, reason.decode("utf-8", "replace"), data), host)
            return
        found = _BRANCH.search(data, 0, _LONGEST_LOOK)
        if found and found[1] not in self._pending:
            return
        answer = parse_message(data)
        if answer is None or not answer.status or not answer.has_one_via:
            return
        # The bytes found are only a hint: what counts is what the parser reads.
        pending = self._pending.get(to_bytes(answer.branch))
        if pending is not None and answer.cseq == pending.cseq:
            self._answered(pending, SipAnswer(answer.status, answer.reason, data), host)

    def _answered(self, pending: _Pending, answer: SipAnswer, host: str) -> None:
        if host != pending.address[0]:
            return
        if answer.status < _FIRST_FINAL:
            pending.interval = self._t2  # from now on it is repeated each T2 only
            return
        answer.seconds = self._loop.time() - pending.started
        self._end(pending, answer)

    def fail(self, sent: bytes, why: Message) -> None:
        """End the request of which `sent` is a copy or its beginning: its network says that nobody is there.

        Args:
            sent: as an ICMP error gives it back.
            why: for people.
        """
        found = _BRANCH.search(sent, 0, _LONGEST_LOOK)
        if found and (pending := self._pending.get(found[1])) is not None:
            self._end(pending, SipAnswer.unsent(why))

    def fail_all(self, address: Address | None = None, why: Message = _CLOSED) -> None:
        """End the requests that wait for an answer over a connection that broke; all of them without one."""
        for pending in tuple(self._pending.values()):
            if address is None or (pending.resend is None and pending.address == address):
                self._end(pending, SipAnswer.unsent(why))

    def close(self) -> None:
        """End what still waits, and whatever is asked from now on; calling twice is harmless."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        self._due.clear()
        self._first.clear()
        self.fail_all()

    def _end(self, pending: _Pending, answer: SipAnswer) -> None:
        del self._pending[pending.key]
        if not pending.answer.done():
            pending.answer.set_result(answer)

    def _wake(self, when: float, key: bytes) -> None:
        heapq.heappush(self._due, (when, key))
        if self._sweep is None or when < self._sweep.when():
            self._schedule()

    def _schedule(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        nearest = [times[0][0] for times in (self._first, self._due) if times]
        self._sweep = self._loop.call_at(min(nearest), self._look) if nearest else None

    def _look(self) -> None:
        self._sweep = None
        now = self._loop.time()
        while self._first and self._first[0][0] <= now:
            self._expire(self._first.popleft()[1], now)
        while self._due and self._due[0][0] <= now:
            self._expire(heapq.heappop(self._due)[1], now)
        self._schedule()

    def _expire(self, key: bytes, now: float) -> None:
        pending = self._pending.get(key)
        if pending is None:
            return
        if pending.answer.done():  # whoever waited was cancelled
            del self._pending[key]
        elif now >= pending.end or pending.resend is None:
            seconds = now - pending.started
            self._end(pending, SipAnswer(NO_ANSWER, "Request Timeout", b"", seconds, _TIMED_OUT))
        else:
            self._repeat(pending, pending.resend, now, key)

    def _repeat(self, pending: _Pending, resend: Send, now: float, key: bytes) -> None:
        try:
            resend(pending.data, pending.address)
        except OSError as error:
            self._end(pending, SipAnswer.unsent(why_unsent(error)))
            return
        # After a 1xx it is repeated each T2; before that the distance doubles (RFC 3261 §17.1.2.2).
        heapq.heappush(self._due, (min(now + self._next(pending), pending.end), key))

    def _next(self, pending: _Pending) -> float:
        pending.interval = min(2 * pending.interval, self._t2)
        return pending.interval


@lru_cache(64)
def _line(cseq: tuple[int, str]) -> bytes:
    """Return the CSeq line of an answer in its usual form."""
    return f"\r\nCSeq: {cseq[0]} {cseq[1]}\r\n".encode("ascii", "replace")


def why_unsent(error: OSError) -> Message:
    """Return why a request could not be sent, for people."""
    if isinstance(error, ConnectionRefusedError):
        return message("Nothing listens there: the connection is refused.")
    return message("It cannot be sent: {error}", error=error.strerror or type(error).__name__)
