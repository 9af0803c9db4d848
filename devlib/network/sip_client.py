"""A small SIP client: requests other than INVITE, over UDP and TCP, IPv4 and IPv6, with digest.

Whatever comes back is hostile: it never raises out of the client, never hangs it, and is bounded in memory.
Failure is an answer: 408 where nobody answered in time, 503 where the request could not be sent
(RFC 3261 §8.1.3.1).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from devlib.language import message
from devlib.network.sip_answer import SipAnswer
from devlib.network.sip_digest import Credentials, answer_challenge, is_stale, strongest
from devlib.network.sip_hop import Resolver, bracketed
from devlib.network.sip_request import Attempt, SipRequest, write_attempt
from devlib.network.sip_tcp import TcpConnections
from devlib.network.sip_transactions import T1, Address, Transactions, why_unsent
from devlib.network.sip_udp import UdpSocket

MOST_DATAGRAM = 1300  # bytes; a longer request goes over TCP (RFC 3261 §18.1.1)
_MOST_SENDINGS = 4  # of one request: two challenges (proxy and phone), each with one stale nonce
_CHALLENGES = {  # status: header of the challenge, header of the answer (RFC 3261 §22)
    401: ("www-authenticate", "Authorization"),
    407: ("proxy-authenticate", "Proxy-Authorization"),
}
_REPEATABLE = frozenset({"OPTIONS"})  # may arrive twice without harm
_NO_FAMILY = message("The host has no address of the family of `own_host`.")


class SipClient:
    """Sends requests from one address of this machine; it belongs to the event loop in which it is made.

    Args:
        own_host: IP address from which it sends; its family decides between IPv4 and IPv6.
        token: gives text that nobody can guess, another one at each call (`devlib.config.fresh_token`).
        t1: estimate of a round trip in seconds.

    Raises:
        OSError: `own_host` is no address of this machine.
    """

    def __init__(self, own_host: str, token: Callable[[], str], *, t1: float = T1) -> None:
        found = socket.getaddrinfo(own_host, 0, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
        family, own = found[0][0], str(found[0][4][0])
        self._own = bracketed(own)
        self._token = token
        self._loop = asyncio.get_running_loop()
        self._transactions = Transactions(t1)
        self._resolver = Resolver(family)
        received = self._transactions.received
        self._udp = UdpSocket(own, family, received, self._transactions.fail)
        self._tcp = TcpConnections(own, received, self._transactions.fail_all)
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def under_way(self) -> int:
        """Number of requests that wait for their answer."""
        return len(self._transactions)

    async def close(self) -> None:
        """End what waits, as not sent, and close sockets; calling twice is harmless."""
        self._closed = True
        self._transactions.close()
        self._udp.close()
        self._tcp.close()
        # The transports of asyncio close at the next turn of the loop.
        await asyncio.sleep(0)

    async def request(
        self, asked: SipRequest, limit: float, credentials: Credentials | None = None
    ) -> SipAnswer:
        """Send a request and return the final answer; a challenge is answered where that is possible.

        It is one transaction; only a challenge, with which nothing was done yet, makes another one of it.

        Args:
            asked: what, and where it is sent.
            limit: seconds for all of it.
            credentials: for a digest challenge of the proxy (407) or the phone (401).

        Returns:
            The answer; its own 401 or 407 where a challenge cannot be answered or the answer was refused.
        """
        now = self._loop.time()
        end = now + limit
        try:
            known = self._resolver.known(asked.hop, now)
            address = known or await self._resolver.address(asked.hop, limit)
        except (TimeoutError, OSError) as error:
            none = isinstance(error, socket.gaierror)
            return SipAnswer.unsent(_NO_FAMILY if none else why_unsent(error))
        attempt = Attempt.first(self._token())
        answer = await self._carry(asked, attempt, address, limit)
        if credentials is None:
            return answer
        for _ in range(_MOST_SENDINGS - 1):
            left = end - self._loop.time()
            proof = self._prove(asked, answer, attempt, credentials)
            if left <= 0 or proof is None:
                break
            attempt = attempt.next(proof)
            answer = await self._carry(asked, attempt, address, left)
        return answer

    def _prove(
        self, asked: SipRequest, answer: SipAnswer, attempt: Attempt, credentials: Credentials
    ) -> dict[str, str] | None:
        """Return the header that proves what `answer` asks for; `None` where asking again makes no sense."""
        names = _CHALLENGES.get(answer.status)
        if names is None or answer.message is None:
            return None
        offered, given = names
        challenge = strongest(answer.message.all(offered))
        if challenge is None or (given in attempt.proofs and not is_stale(challenge)):
            return None
        proof = answer_challenge(challenge, asked.method, asked.uri, credentials, cnonce=self._token())
        return None if proof is None else {given: proof}

    def _carry(
        self, asked: SipRequest, attempt: Attempt, address: Address, limit: float
    ) -> Awaitable[SipAnswer]:
        if asked.hop.transport == "tcp":
            return self._over_tcp(asked, attempt, address, limit)
        data = write_attempt(asked, attempt, "UDP", self._own, self._udp.port)
        if len(data) > MOST_DATAGRAM:
            return self._too_long(asked, attempt, data, address, limit)
        return self._over_udp(asked, attempt, data, address, limit)

    def _over_udp(
        self, asked: SipRequest, attempt: Attempt, data: bytes, address: Address, limit: float
    ) -> Awaitable[SipAnswer]:
        cseq = (attempt.cseq, asked.method)
        return self._transactions.ask(attempt.branch, cseq, data, address, limit, send=self._udp.send)

    async def _too_long(
        self, asked: SipRequest, attempt: Attempt, data: bytes, address: Address, limit: float
    ) -> SipAnswer:
        try:
            await self._tcp.to(address, limit)
        except ConnectionRefusedError:
            # Nothing was sent: then RFC 3261 §18.1.1 lets it go over UDP.
            return await self._over_udp(asked, attempt, data, address, limit)
        except OSError as error:
            return SipAnswer.unsent(why_unsent(error))
        return await self._over_tcp(asked, attempt, address, limit)

    async def _over_tcp(
        self, asked: SipRequest, attempt: Attempt, address: Address, limit: float
    ) -> SipAnswer:
        end = self._loop.time() + limit
        for again in (False, True):
            left = max(end - self._loop.time(), 0.0)
            try:
                connection = await self._tcp.to(address, left)
            except OSError as error:
                return SipAnswer.unsent(why_unsent(error))
            kept = connection.used
            data = write_attempt(asked, attempt, "TCP", self._own, connection.port)
            answer = await self._transactions.ask(
                attempt.branch,
                (attempt.cseq, asked.method),
                data,
                address,
                left,
                send=connection.send,
                reliable=True,
            )
            # A kept connection that turns out to be closed says nothing about this request.
            broke = answer.failure is not None and not connection.open and not self._closed
            if again or not (broke and kept and asked.method in _REPEATABLE):
                break
            attempt = attempt.next({})
        return answer
