"""Errors back out of problems: the client raises what the service met, with everything it carried."""

import inspect
from collections.abc import Mapping
from typing import Any

from devlib import errors
from devlib.errors import DevlibError, ExportRejected, MacInvalid
from devlib.language import Message, message, visible
from devlib.portal.wire import decoded_message

_KINDS: Mapping[str, type[DevlibError]] = {
    name: kind
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, DevlibError) and kind.__module__ == errors.__name__
}
_BY_STATUS: Mapping[int, str] = {
    400: "UsageError", 401: "NotSignedIn", 403: "NotAllowed", 404: "NotFound", 408: "TryLater",
    409: "Conflict", 413: "UsageError", 422: "UsageError", 429: "TryLater", 502: "TryLater",
    503: "TryLater", 504: "TryLater",
}  # fmt: skip


def decoded_error(values: Mapping[str, Any], status: int = 500) -> DevlibError:
    """Return the error of a problem.

    Args:
        values: the members of the problem; what is missing is made up from the status.
        status: of the answer.
    """
    name = values.get("error")
    kind = _KINDS.get(name if isinstance(name, str) else "")
    if kind in (None, DevlibError):
        kind = _KINDS[_BY_STATUS.get(status, "DevlibError")]
    what, remedy = _text(values.get("what")), _text(values.get("remedy"))
    if what is None:
        what = message("The service answered {status}: {title}", status=status, title=_title(values))
    if kind is MacInvalid:
        return MacInvalid(str(values.get("code", "MAC_INVALID")), what, remedy)
    assert kind is not None  # noqa: S101 - looked up above
    again = values.get("retry_after")
    where = visible(str(values.get("where", "")), 300)
    error = kind(
        what, where=where, remedy=remedy, retry_after=again if isinstance(again, int | float) else None
    )
    if isinstance(error, ExportRejected):
        error.code = str(values.get("code", error.code))
    return error


def _text(value: object) -> Message | None:
    if not isinstance(value, dict):
        return None
    try:
        found = decoded_message(value)
        found.in_language("en")  # places without values would fail only when somebody reads it
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return None
    return found


def _title(values: Mapping[str, Any]) -> str:
    return visible(str(values.get("title", "")), 200)
