"""Errors as HTTP answers: `application/problem+json` (RFC 9457) out of the one tree of errors.

A problem carries everything of the error (what, where, remedy, when to try again) twice: as text in the
reader's language, and as values from which the client makes the same error again.
"""

import json
import math
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from devlib.errors import (
    DevlibError,
    ExportFailed,
    ExportQueueTimeout,
    ExportRejected,
    MacInvalid,
    NotSignedIn,
    TryLater,
)
from devlib.language import Language, Message, choose_language, message, visible
from devlib.portal.wire import encode

PROBLEM = "application/problem+json"
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
REDUCED = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
_TYPES: Mapping[type[DevlibError], str] = {
    ExportRejected: QUOTA_EXCEEDED,
    ExportQueueTimeout: "urn:devlib:problem:export-queue-timeout",
    ExportFailed: "urn:devlib:problem:export-failed",
}
_LATER_SECONDS = 5.0
_MOST_FAULTS = 20
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)


def language_of(request: Request) -> Language:
    """Return the language that a request wishes for (RFC 9110 §12.5.4); English where it names none."""
    wishes: list[tuple[float, int, str]] = []
    for place, part in enumerate(request.headers.get("accept-language", "")[:200].split(",")):
        tag, _, weight = part.strip().partition(";q=")
        wishes.append((-_weight(weight), place, tag.lower()))
    for order, _, tag in sorted(wishes):
        if order < 0 and (tag.startswith(("fr", "en")) or tag == "*"):
            return choose_language(tag)
    return "en"


def _weight(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0


def problem_values(error: DevlibError, language: Language, request_id: str) -> dict[str, Any]:
    """Return the members of the problem for an error."""
    kind = type(error)
    values: dict[str, Any] = {
        "type": _TYPES.get(kind) or f"urn:devlib:problem:{_dashed(kind.__name__)}",
        "title": error.what.in_language(language),
        "status": error.http_status,
        "detail": error.in_language(language),
        "instance": f"urn:devlib:request:{request_id}",
        "error": kind.__name__,
        "what": encode(error.what, language),
        "where": error.where,
        "remedy": encode(error.remedy, language),
    }
    if error.retry_after is not None:
        values["retry_after"] = error.retry_after
    if isinstance(error, MacInvalid):
        values["code"] = error.code
    return values


def problem(request: Request, error: DevlibError, **more: Any) -> Response:  # noqa: ANN401 - JSON members
    """Return the answer for an error.

    Args:
        request: gives language and request id.
        error: what happened.
        more: further members of the problem.
    """
    language = language_of(request)
    values = {**problem_values(error, language, request.scope.get("devlib.id", "")), **more}
    headers = {"Cache-Control": "no-store", "Content-Language": language}
    if isinstance(error, NotSignedIn):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TryLater) or error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or _LATER_SECONDS)))
    return Response(as_json(values), error.http_status, headers, PROBLEM)


def plain_problem(
    request: Request, status: int, what: Message, headers: Mapping[str, str] | None = None, **more: object
) -> Response:
    """Return the answer for what HTTP itself refuses: no such address, method, kind or size of body."""
    language = language_of(request)
    name = HTTPStatus(status).name.lower().replace("_", "-")
    values = {
        "type": f"urn:devlib:problem:{name}",
        "title": what.in_language(language),
        "status": status,
        "detail": what.in_language(language),
        "instance": f"urn:devlib:request:{request.scope.get('devlib.id', '')}",
        "error": "DevlibError",
        "what": encode(what, language),
        "where": "",
        "remedy": None,
        **more,
    }
    given = {"Cache-Control": "no-store", "Content-Language": language, **(headers or {})}
    return Response(as_json(values), status, given, PROBLEM)


def as_json(value: object) -> bytes:
    """Return JSON as UTF-8."""
    return _ENCODER.encode(value).encode("utf-8", "backslashreplace")


async def on_devlib_error(request: Request, error: Exception) -> Response:
    """Answer an error of the tree."""
    assert isinstance(error, DevlibError)  # noqa: S101 - registered for no other
    return problem(request, error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses by itself."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for no other
    what = _REFUSALS.get(error.status_code, _OTHER)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return plain_problem(request, error.status_code, what, headers)


def _methods(request: Request) -> set[str]:
    """Return the methods that the address knows (RFC 9110 §10.2.1), of all routes that share it."""
    found: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return found


async def on_accident(request: Request, _: Exception) -> Response:
    """Answer what should never happen: the number of the request, under which the log tells what it was."""
    what = message("The service failed; its log tells why under the number of this request.")
    return plain_problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, what)


def wrong_request(request: Request, error: RequestValidationError) -> Response:
    """Answer a request whose parameters or body are not as the schema says; what was sent is not repeated."""
    faults = [
        {
            "where": "/".join(visible(str(part), 60) for part in each["loc"][:8]),
            "what": visible(str(each["msg"]), 200),
        }
        for each in error.errors()[:_MOST_FAULTS]
    ]
    first = faults[0] if faults else {"where": "", "what": ""}
    what = message("The request is not as the interface says: {where}: {what}", **first)
    return plain_problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, what, faults=faults)


def _dashed(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


_OTHER = message("The request cannot be answered.")
_REFUSALS: Mapping[int, Message] = {
    HTTPStatus.NOT_FOUND: message("There is nothing at this address."),
    HTTPStatus.METHOD_NOT_ALLOWED: message("This address does not know this method."),
    HTTPStatus.BAD_REQUEST: message("The body cannot be read as JSON."),
}
