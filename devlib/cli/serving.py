"""Commands of the HTTP service: start it, and keep the tokens that open it."""

import subprocess
import sys
from datetime import datetime

import pandas as pd

from devlib.cli.command import Call, Command, argument
from devlib.config import MOST_WORKERS
from devlib.errors import UsageError
from devlib.language import message
from devlib.storage import ApiToken


def serve(call: Call) -> int:
    """Hand over to the service, which is a door of its own."""
    given = call.arguments
    if not 1 <= given.workers <= MOST_WORKERS:
        raise UsageError(
            message("The service cannot run with {count} workers.", count=given.workers),
            remedy=message("Give a number from 1 to {most}.", most=MOST_WORKERS),
        )
    command = [sys.executable, "-m", "devlib.api", "--host", given.host, "--port", str(given.port)]
    command += ["--workers", str(given.workers)]
    # In our own place: a signal to this process must reach the service itself.
    with subprocess.Popen(command) as service:  # noqa: S603 - our own module
        while True:
            try:
                return service.wait()
            except KeyboardInterrupt:
                service.terminate()


def token(call: Call) -> None:
    """Make, list or revoke tokens."""
    _TOKEN_ACTS[call.arguments.action](call)


def _new(call: Call) -> None:
    given = call.arguments
    with call.open_portal() as portal:
        issued = portal.new_token(_named(call), label=given.label, days=given.days)
    text = message(
        "Token {number} for {principal}, good until {until}. It is shown this once:\n{text}",
        number=issued.token.id,
        principal=issued.token.principal,
        until=_moment(issued.token.expires_at),
        text=issued.text,
    )
    call.out.record({**_values(issued.token), "token": issued.text}, text)


def _list(call: Call) -> None:
    with call.open_portal() as portal:
        rows = [_values(each) for each in portal.tokens()]
    call.out.frame(pd.DataFrame(rows, columns=list(_NAMES), dtype=object))


def _revoke(call: Call) -> None:
    number = _named(call)
    with call.open_portal() as portal:
        portal.revoke_token(number)
    call.out.record(
        {"revoked": number}, message("The token {number} is worth nothing any more.", number=number)
    )


def _named(call: Call) -> str:
    if not call.arguments.name:
        raise UsageError(
            message("A name is missing."),
            remedy=message("devlib token new PRINCIPAL, or devlib token revoke NUMBER"),
        )
    return str(call.arguments.name)


def _values(each: ApiToken) -> dict[str, object]:
    return {
        "number": each.id,
        "principal": each.principal,
        "label": each.label,
        "created_by": each.created_by,
        "expires_at": _moment(each.expires_at),
        "revoked_at": _moment(each.revoked_at),
        "last_used_at": _moment(each.last_used_at),
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


_NAMES = ("number", "principal", "label", "created_by", "expires_at", "revoked_at", "last_used_at")
_TOKEN_ACTS = {"new": _new, "list": _list, "revoke": _revoke}

COMMANDS = (
    Command(
        "serve",
        message("the portal over HTTP, for programs; see docs/api.md"),
        serve,
        (
            argument("--host", default="127.0.0.1", help=message("address to listen at")),
            argument("--port", type=int, default=8600, help=message("port to listen at; 0 for any free one")),
            argument(
                "--workers",
                type=int,
                default=1,
                help=message("processes that answer, about one for each core; they share the home"),
            ),
        ),
    ),
    Command(
        "token",
        message("make, list or revoke tokens of the HTTP service"),
        token,
        (
            argument("action", choices=tuple(_TOKEN_ACTS), help=message("what to do")),
            argument("name", nargs="?", help=message("the identity for a new token, or the token to revoke")),
            argument("--label", default="", help=message("what it is for")),
            argument("--days", type=int, default=90, help=message("days for which it is good, at most 366")),
        ),
    ),
)
