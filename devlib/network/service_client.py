"""HTTP to a service of devlib: one connection pool, a token that never leaves in clear, streams to files."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit

import httpx

from devlib.errors import NetworkUnreachable, UsageError
from devlib.language import message, visible

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_CONNECT_SECONDS = 10.0
_PIECE = 1 << 20
_MOST_PROBLEM = 1 << 20


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """One answer of the service.

    Args:
        status: HTTP status.
        headers: with lower-case names.
        body: everything that came, already uncompressed; empty where it went into a file.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def good(self) -> bool:
        """Whether the service did what it was asked for."""
        return self.status < 300  # noqa: PLR2004 - RFC 9110 §15

    def values(self) -> Any:  # noqa: ANN401 - JSON
        """Return the body as JSON.

        Raises:
            NetworkUnreachable: it is none: something else than a service of devlib answered.
        """
        try:
            return json.loads(self.body)
        except ValueError:
            raise NetworkUnreachable(
                message("What answered ({status}) is no service of devlib.", status=self.status),
                remedy=message("Check the address, and the proxy in between."),
            ) from None


class ServiceClient:
    """Sends requests to one service, as the bearer of one token.

    Args:
        address: `https://host[:port][/path]`; `http://` only on this machine, since a token travels with it.
        token: the secret; sent in a header, written nowhere.
        language: in which the service should speak.
        seconds: longest silence of the service.

    Raises:
        UsageError: the address is none, or would send the token in clear over a network.
    """

    def __init__(self, address: str, token: str, *, language: str = "en", seconds: float = 180.0) -> None:
        self.address = checked_address(address)
        self._where = urlsplit(self.address).netloc
        on_this_machine = urlsplit(self.address).hostname in _LOOPBACK
        headers = {"Accept-Language": language, "User-Agent": "devlib"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            self._http = httpx.Client(
                base_url=self.address,
                headers=headers,
                timeout=httpx.Timeout(seconds, connect=_CONNECT_SECONDS),
                follow_redirects=False,  # a token is for the one address that was named
                trust_env=not on_this_machine,
            )
        except (UnicodeEncodeError, ValueError):
            # The text of the error would hold the token.
            raise UsageError(message("The token holds characters that no token has.")) from None

    def __repr__(self) -> str:
        return f"ServiceClient({self.address!r})"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(
        self,
        verb: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        values: Any = None,  # noqa: ANN401 - JSON
        body: BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ServiceAnswer:
        """Send a request and return the whole answer, good or not.

        Args:
            verb: HTTP method.
            path: below the address, quoted.
            query: parameters.
            values: sent as JSON.
            body: sent as it is, piece by piece.
            headers: more of them.

        Raises:
            NetworkUnreachable: the service does not answer.
        """
        content = None if body is None else iter(lambda: body.read(_PIECE), b"")
        with self._translated():
            answer = self._http.request(
                verb,
                path,
                params=None if query is None else dict(query),
                json=values,
                content=content,
                headers=dict(headers or {}),
            )
        return ServiceAnswer(answer.status_code, answer.headers, answer.content)

    def fetch(self, path: str, target: Path, query: Mapping[str, Any] | None = None) -> ServiceAnswer:
        """Write the body of a good answer into `target`, piece by piece; return the answer without it.

        Raises:
            NetworkUnreachable: the service does not answer, or breaks off.
            OSError: the file cannot be written.
        """
        asked = None if query is None else dict(query)
        with self._translated(), self._http.stream("GET", path, params=asked) as answer:
            if answer.status_code != httpx.codes.OK:
                body = b"".join(_first(answer.iter_bytes(_PIECE), _MOST_PROBLEM))
                return ServiceAnswer(answer.status_code, answer.headers, body)
            with target.open("wb") as file:
                for piece in answer.iter_bytes(_PIECE):
                    file.write(piece)
            return ServiceAnswer(answer.status_code, answer.headers, b"")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise NetworkUnreachable(
                message("The service does not answer: {error}", error=visible(str(error), 200)),
                where=self._where,
                remedy=message("Check the address, and that the service runs: devlib serve"),
                retry_after=5.0,
            ) from None


def checked_address(address: str) -> str:
    """Return an address without the slash at its end.

    Raises:
        UsageError: it is none, holds a password, or is `http` on another machine.
    """
    remedy = message("Write https://HOST, or http://127.0.0.1:PORT for a service on this machine.")
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or port == 0
        or parts.query
        or parts.fragment
    ):
        raise UsageError(message("This is no address of a service."), remedy=remedy)
    if parts.username or parts.password:
        # The address itself is not shown: it holds a secret.
        raise UsageError(message("A token or password does not belong into an address."), remedy=remedy)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise UsageError(
            message("Over http the token could be read on its way."), where=parts.netloc, remedy=remedy
        )
    return address.rstrip("/")


def _first(pieces: Iterator[bytes], limit: int) -> Iterator[bytes]:
    left = limit
    for piece in pieces:
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return
