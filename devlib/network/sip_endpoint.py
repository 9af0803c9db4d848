"""One UDP socket that speaks SIP: requests sent until they are answered, and others' requests handed on."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable

from devlib.network.sip import SipMessage, parse_message, write_response

TIMEOUT_STATUS = 408

_T1, _T2 = 0.5, 4.0  # seconds, RFC 3261 §17.1.1.1
_FINAL = 200
_REQUESTS_KEPT = 4096
_REASONS = {200: "OK", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed", 489: "Bad Event"}

Address = tuple[str, int]
_Key = tuple[str, str, str, str]


class SipEndpoint(asyncio.DatagramProtocol):
    """A socket that asks one registrar or proxy.

    Args:
        registrar: whom to ask.
        limit_seconds: seconds after which a request counts as unanswered (timer F of RFC 3261).
        serve: gets each request that arrives, and where it came from.
        own_host: address of this machine to speak from; by default the registrar's own.
    """

    def __init__(
        self,
        registrar: Address,
        limit_seconds: float,
        serve: Callable[[SipMessage, Address], None],
        own_host: str | None = None,
    ) -> None:
        self._registrar = registrar
        self._own_host = own_host or registrar[0]
        self._limit = limit_seconds
        self._serve = serve
        self._waiting: dict[tuple[str, str], asyncio.Future[SipMessage]] = {}
        self._heard: OrderedDict[_Key, tuple[int, bytes] | None] = OrderedDict()
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        """Bind a free port."""
        loop = asyncio.get_running_loop()
        # The registrar's own host: its loopback may be 127.0.0.1 or another one of the block.
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self._own_host, 0))

    def close(self) -> None:
        """Give the port back; calling twice is harmless."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    @property
    def port(self) -> int:
        """The port that is bound."""
        if self._transport is None:
            raise RuntimeError("the fleet is used outside its `async with`")
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    async def ask(self, method: str, branch: str, data: bytes) -> SipMessage:
        """Send until a final answer comes (timer E) or the limit is over (timer F).

        Args:
            method: of the request.
            branch: names its transaction.
            data: the request.

        Returns:
            The answer; one with status 408 and nothing else where there was none.
        """
        answer: asyncio.Future[SipMessage] = asyncio.get_running_loop().create_future()
        self._waiting[branch, method] = answer
        left, interval = self._limit, _T1
        try:
            while left > 0:
                self._send(data, self._registrar)
                await asyncio.wait({answer}, timeout=min(interval, left))
                if answer.done():
                    return answer.result()
                left, interval = left - interval, min(2 * interval, _T2)
        finally:
            del self._waiting[branch, method]
        return SipMessage((), status=TIMEOUT_STATUS)

    def answer(
        self, request: SipMessage, status: int, address: Address, more: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Answer `request`, which came from `address`; a retransmission gets the same answer again."""
        reason = _REASONS.get(status, "No")
        data = write_response(request, status, reason, to_tag="phone", more=more)
        if (key := _key(request)) in self._heard:
            self._heard[key] = status, data
        self._send(data, address)

    def answer_again(self, request: SipMessage, address: Address) -> int | None:
        """Send the answer that `request` got before (RFC 3261 §17.2.2).

        Returns:
            Its status; `None` where it got none.
        """
        before = self._heard.get(_key(request))
        if before is None:
            return None
        self._send(before[1], address)
        return before[0]

    def first_time(self, request: SipMessage) -> bool:
        """Return whether `request` is new, and no repetition (RFC 3261 §17.2.2); remember it."""
        key = _key(request)
        if not request.branch:
            return True  # RFC 2543: nothing tells a repetition
        if key in self._heard:
            return False
        self._heard[key] = None
        if len(self._heard) > _REQUESTS_KEPT:
            self._heard.popitem(last=False)
        return True

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Match an answer with what waits for it, and hand a request on."""
        heard = parse_message(data)
        if heard is None:
            return
        if not heard.status:
            self._serve(heard, addr)
            return
        answer = self._waiting.get((heard.branch, heard.cseq[1]))
        if answer is not None and heard.status >= _FINAL and not answer.done():
            answer.set_result(heard)

    def _send(self, data: bytes, address: Address) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, address)


def _key(request: SipMessage) -> _Key:
    return request.branch, request.header("call-id"), request.method, request.uri
