"""What every request passes: a number, limits of size and time, one line in the log, one count.

Nothing of a request that may be secret is written down: no header, no query, no body; of the address only
the pattern that it fits.
"""

import asyncio
import json
import logging
import re
import secrets
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from devlib.api.metrics import Metrics
from devlib.api.problems import plain_problem
from devlib.clock import Clock
from devlib.config import ApiSettings
from devlib.language import message

LOG = logging.getLogger("devlib.api")
_LONGEST_NUMBER = 19
_NUMBER = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class TooLarge(Exception):
    """The body is larger than allowed."""


class TooSlow(Exception):
    """The body did not come in time."""


class Intake:
    """ASGI middleware around the whole application.

    Args:
        application: what answers.
        settings: the limits.
        metrics: counts.
        clock: the time.
    """

    def __init__(self, application: ASGIApp, settings: ApiSettings, metrics: Metrics, clock: Clock) -> None:
        self._application = application
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._under_way = 0

    @property
    def routes(self) -> list[Any]:
        """The routes of the application within."""
        return list(getattr(self._application, "routes", ()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let the framework start and stop."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        scope["devlib.id"] = _number(scope)
        visit = _Visit(scope, send, self._clock.monotonic())
        self._under_way += 1
        try:
            await self._answer(scope, receive, visit)
        finally:
            self._under_way -= 1
            self._note(scope, visit)

    async def _answer(self, scope: Scope, receive: Receive, visit: "_Visit") -> None:
        request = Request(scope)
        if self._under_way > self._settings.requests and scope["path"].startswith("/v1/"):
            what = message("The service has too much to do.")
            refused = plain_problem(
                request, HTTPStatus.SERVICE_UNAVAILABLE, what, {"Retry-After": "1"}, error="TryLater"
            )
            await refused(scope, receive, visit.send)
            return
        limit = self._settings.file_bytes if scope["path"] == "/v1/imports" else self._settings.body_bytes
        if _announced(scope) > limit:
            await _refusal(request, TooLarge())(scope, receive, visit.send)
            return
        taking = _limited(receive, visit, limit, self._settings.body_seconds)
        try:
            await self._application(scope, taking, visit.send)
        except (TooLarge, TooSlow):
            if visit.status:
                raise
        if visit.excess is not None and not visit.status:
            await _refusal(request, visit.excess)(scope, receive, visit.finish)

    def _note(self, scope: Scope, visit: "_Visit") -> None:
        seconds = self._clock.monotonic() - visit.begun
        route = getattr(scope.get("route"), "path", "-")
        self._metrics.count(scope["method"], route, visit.status, seconds)
        entry = {
            "event": "request",
            "id": scope["devlib.id"],
            "method": scope["method"],
            "route": route,
            "status": visit.status,
            "ms": round(seconds * 1000, 1),
            "bytes": visit.bytes,
            "principal": scope.get("devlib.principal", ""),
        }
        LOG.info(json.dumps(entry, ensure_ascii=True))


class _Visit:
    """One request under way: adds the number to the answer and remembers what was sent."""

    def __init__(self, scope: Scope, send: Send, begun: float) -> None:
        self._send = send
        self._number = scope["devlib.id"].encode()
        self.begun = begun
        self.excess: Exception | None = None
        self.status = 0
        self.bytes = 0

    async def send(self, event: Message) -> None:
        """Pass a part of the answer on; nothing of it once the body was too much, for that is the answer."""
        if self.excess is None or self.status:
            await self.finish(event)

    async def finish(self, event: Message) -> None:
        """Pass a part of the answer on in any case."""
        if event["type"] == "http.response.start":
            self.status = event["status"]
            given = [(name, value) for name, value in event["headers"] if name.lower() != b"x-request-id"]
            event = {**event, "headers": [*given, (b"x-request-id", self._number), *_GUARDS]}
        elif event["type"] == "http.response.body":
            self.bytes += len(event.get("body", b""))
        await self._send(event)


# Nothing of the service is a page: no browser is to guess, frame or run what it sends.
_GUARDS = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]


def _number(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if _NUMBER.fullmatch(given) else secrets.token_hex(8)


def _announced(scope: Scope) -> int:
    given = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(given) if given.isdigit() and len(given) < _LONGEST_NUMBER else 0


def _limited(receive: Receive, visit: _Visit, limit: int, seconds: float) -> Receive:
    taken = 0
    whole = False

    def give_up(error: Exception) -> Exception:
        # The framework may turn what is raised here into an answer of its own; this one counts.
        visit.excess = error
        return error

    async def take() -> Message:
        nonlocal taken, whole
        if whole:
            return await receive()  # only the end of the connection can follow
        try:
            async with asyncio.timeout(seconds):
                event = await receive()
        except TimeoutError:
            raise give_up(TooSlow()) from None
        taken += len(event.get("body", b""))
        whole = not event.get("more_body", False)
        if taken > limit:
            raise give_up(TooLarge())
        return event

    return take


def _refusal(request: Request, error: Exception) -> Any:  # noqa: ANN401 - an answer
    close = {"Connection": "close"}
    if isinstance(error, TooSlow):
        return plain_problem(
            request, HTTPStatus.REQUEST_TIMEOUT, message("The body did not come in time."), close
        )
    what = message("The body is too large.")
    return plain_problem(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, what, close)
