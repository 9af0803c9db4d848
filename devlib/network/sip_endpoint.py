"""One UDP socket that speaks SIP: requests sent until they are answered, and others' requests handed on."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from devlib.network.sip import SipMessage, parse_message, write_response

TIMEOUT_STATUS = 408

_T1, _T2 = 0.5, 4.0  # seconds, RFC 3261 §17.1.1.1
_FINAL = 200
_REQUESTS_KEPT = 4096
_REASONS = {200: "OK", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed"}

Address = tuple[str, int]


class SipEndpoint(asyncio.DatagramProtocol):
    """A socket on the host of its registrar.

    Args:
        registrar: whom to ask.
        limit_seconds: seconds after which a request counts as unanswered (timer F of RFC 3261).
        serve: gets each request that arrives, and where it came from.
    """

    def __init__(
        self, registrar: Address, limit_seconds: float, serve: Callable[[SipMessage, Address], None]
    ) -> None:
        self._registrar = registrar
        self._limit = limit_seconds
        self._serve = serve
        self._waiting: dict[tuple[str, str], asyncio.Future[int]] = {}
        self._heard: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        """Bind a free port."""
        loop = asyncio.get_running_loop()
        # The registrar's own host: its loopback may be 127.0.0.1 or another one of the block.
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(self._registrar[0], 0)
        )

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

    async def ask(self, method: str, branch: str, data: bytes) -> int:
        """Send until a final answer comes (timer E) or the limit is over (timer F).

        Args:
            method: of the request.
            branch: names its transaction.
            data: the request.

        Returns:
            The SIP status; 408 where there was none.
        """
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
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
        return TIMEOUT_STATUS

    def answer(self, request: SipMessage, status: int, address: Address) -> None:
        """Answer `request`, which came from `address`."""
        reason = _REASONS.get(status, "No")
        self._send(write_response(request, status, reason, to_tag="phone"), address)

    def first_time(self, request: SipMessage) -> bool:
        """Return whether `request` is new, and no repetition (RFC 3261 §17.2.2); remember it."""
        key = (request.branch, request.header("call-id"))
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
            answer.set_result(heard.status)

    def _send(self, data: bytes, address: Address) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, address)
