"""Questions to a registrar over aiohttp: a few keep-alive connections, bounded in time and size."""

import asyncio
import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import (
    ClientConnectionError,
    ClientConnectorError,
    ClientError,
    ClientPayloadError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    ServerDisconnectedError,
    StreamReader,
    TCPConnector,
)

from devlib.config import KamailioSettings
from devlib.errors import NetworkUnreachable
from devlib.language import Message, message
from devlib.network.json_rpc import RpcAnswer, read_answer

ANSWER_LIMIT = 1 << 20  # bytes; ten contacts are about 7 kB

_IDLE_SECONDS = 15.0  # how long a connection is kept that nobody uses
_NOT_SENT = ("Accept", "Accept-Encoding", "User-Agent")  # nothing reads them, and no answer is unpacked


class NoAnswerInTime(NetworkUnreachable):
    """The time limit was over; the connection itself may be sound."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one question may cost.

    Args:
        timeout: of connecting, and of everything together.
        answer_bytes: most bytes of the answer.
    """

    timeout: ClientTimeout
    answer_bytes: int = ANSWER_LIMIT

    @classmethod
    def of(cls, seconds: float, answer_bytes: int = ANSWER_LIMIT) -> "Limits":
        """Return limits in which nothing takes longer than `seconds`.

        The total holds for each read too; a limit of its own would be two more timers for each question.
        """
        return cls(ClientTimeout(total=seconds, connect=seconds), answer_bytes)


class RpcClient:
    """Asks one registrar; opens itself inside the running event loop, and must be closed there.

    Args:
        settings: where and how to ask; credentials stand in no representation of the client.

    Attributes:
        where: host and port, for error texts.
    """

    def __init__(self, settings: KamailioSettings) -> None:
        self._settings = settings
        parts = urlsplit(settings.rpc_url)
        self._url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self.where = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        self._limits = Limits.of(settings.seconds)
        self._sessions: dict[bool, ClientSession] = {}

    async def call(
        self, method: str, params: Sequence[object], *, limits: Limits | None = None, once: bool = False
    ) -> RpcAnswer:
        """Ask one question; see `post`.

        Raises:
            NetworkUnreachable: there was no answer in time, or none that can be read.
        """
        question = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        status, body = await self.post(json.dumps(question).encode("ascii"), limits=limits, once=once)
        return read_answer(status, body, self.where)

    async def post(
        self, question: bytes, *, limits: Limits | None = None, once: bool = False
    ) -> tuple[int, bytes]:
        """Send `question` and return HTTP status and body.

        Args:
            question: of JSON-RPC.
            limits: by default those of the settings.
            once: it may not reach the registrar twice: it is sent on a connection of its own. Any other
                question is asked again, once, where a kept connection turns out to be closed.

        Raises:
            NetworkUnreachable: there was no answer in time, or none that is HTTP.
        """
        limits = limits or self._limits
        try:
            try:
                status, body = await self._exchange(question, limits, keep=not once)
            except ClientConnectionError as error:
                if once or isinstance(error, (ClientConnectorError, TimeoutError)):
                    raise
                # The registrar gave up an idle connection: that says nothing about this question.
                status, body = await self._exchange(question, limits, keep=False)
        except TimeoutError:
            raise NoAnswerInTime(
                message("The registrar did not answer within {seconds} s.", seconds=limits.timeout.total),
                where=self.where,
            ) from None
        except (ClientError, OSError) as error:
            raise self._unreachable(_why(error)) from None
        if len(body) > limits.answer_bytes:
            raise self._unreachable(_NO_HTTP)
        return status, body

    async def close(self) -> None:
        """Close all connections; calling twice is harmless."""
        sessions, self._sessions = self._sessions, {}
        await asyncio.gather(*(session.close() for session in sessions.values()))

    async def _exchange(self, question: bytes, limits: Limits, *, keep: bool) -> tuple[int, bytes]:
        session = self._sessions.get(keep) or self._open(keep)
        async with session.post(
            self._url, data=question, allow_redirects=False, timeout=limits.timeout
        ) as response:
            return response.status, await _read(response.content, limits.answer_bytes + 1)

    def _open(self, keep: bool) -> ClientSession:
        settings = self._settings
        headers = {"Content-Type": "application/json"}
        if settings.rpc_user is not None:
            password = settings.rpc_password.reveal() if settings.rpc_password else ""
            login = base64.b64encode(f"{settings.rpc_user}:{password}".encode()).decode("ascii")
            headers["Authorization"] = f"Basic {login}"
        connector = (
            TCPConnector(limit=settings.connections, keepalive_timeout=_IDLE_SECONDS)
            if keep
            else TCPConnector(limit=settings.connections, force_close=True)
        )
        session = self._sessions[keep] = ClientSession(
            connector=connector,
            headers=headers,
            skip_auto_headers=_NOT_SENT,
            cookie_jar=DummyCookieJar(),
            timeout=self._limits.timeout,
            auto_decompress=False,
            trust_env=False,
        )
        return session

    def _unreachable(self, why: Message) -> NetworkUnreachable:
        return NetworkUnreachable(
            why,
            where=self.where,
            remedy=message("Check that the registrar runs and that rpc_url in devlib.toml leads to it."),
        )


async def _read(content: StreamReader, most: int) -> bytes:
    """Return the body, or its first `most` bytes; the usual answer comes in one piece."""
    data = await content.read(most)
    if content.at_eof():
        return data
    parts, size = [data], len(data)
    while size < most and (part := await content.read(most - size)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


_NO_HTTP = message("The registrar's answer is no HTTP, or too long.")


def _why(error: Exception) -> Message:
    if isinstance(error, ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError):
        return message("The registrar refuses the connection.")
    if isinstance(error, (ServerDisconnectedError, ClientPayloadError)):
        return message("The registrar broke off its answer.")
    if isinstance(error, OSError):
        return message("The registrar cannot be reached.")
    return _NO_HTTP
