"""What a JSON-RPC answer over HTTP says: a result, a fault, or nothing that can be read."""

import json
from dataclasses import dataclass

from devlib.errors import NetworkUnreachable
from devlib.language import message
from devlib.network.hostile import clean_text

_LOGIN_REFUSED = (401, 403)
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True)
class RpcAnswer:
    """What the registrar said: a result, or a fault with its text."""

    result: object = None
    fault: str | None = None


def read_answer(status: int, body: bytes, where: str) -> RpcAnswer:
    """Return what a JSON-RPC answer says.

    Args:
        status: of HTTP; Kamailio answers 500 to every fault, so it decides only what JSON does not.
        body: any bytes.
        where: host and port, for the error.

    Raises:
        NetworkUnreachable: it is no JSON-RPC answer, or the login was refused.
    """
    try:
        # A phone's user agent may hold bytes that are no UTF-8; they must not hide its line.
        answer: object = _DECODER.decode(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        if "result" in answer:
            return RpcAnswer(answer["result"])
        fault = answer.get("error")
        if isinstance(fault, dict):
            return RpcAnswer(fault=clean_text(fault.get("message"), 200) or "?")
    if status in _LOGIN_REFUSED:
        raise NetworkUnreachable(
            message("The registrar refuses the login (HTTP {status}).", status=status),
            where=where,
            remedy=message("Correct rpc_user and rpc_password in devlib.toml."),
        )
    raise NetworkUnreachable(
        message("The registrar's answer cannot be read (HTTP {status}).", status=status),
        where=where,
        remedy=message("Check that rpc_url in devlib.toml leads to Kamailio's `jsonrpcs`."),
    )
