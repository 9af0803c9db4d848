"""Requests that Kamailio sends itself: `tm.t_uac_wait`, the second path to phones (SIP study §4)."""

from devlib.config import KamailioSettings
from devlib.errors import NetworkUnreachable
from devlib.language import Message
from devlib.network.hostile import clean_integer, clean_text
from devlib.network.json_rpc import RpcAnswer, read_answer
from devlib.network.kamailio_answers import next_hop
from devlib.network.kamailio_lookup import UNREADABLE, Place
from devlib.network.protocol import network_form
from devlib.network.rpc_client import Limits, NoAnswerInTime, RpcClient
from devlib.network.sip import to_bytes
from devlib.network.sip_answer import NO_ANSWER, SipAnswer

_MOST_REASON = 200
_LAST_STATUS = 699


async def send_by_rpc(
    client: RpcClient, method: str, line_port: str, hop: str | None, headers: str, limit_seconds: float
) -> RpcAnswer:
    """Let the registrar send one request to a line port, through its own routing to all contacts.

    Args:
        client: asks the registrar.
        method: of the request.
        line_port: where it goes.
        hop: the registrar's own SIP address; `None` where it is not known.
        headers: further ones, each with its line end.
        limit_seconds: seconds to wait.

    Raises:
        NetworkUnreachable: the registrar did not answer; whether it sent the request is not known.
    """
    address = network_form(line_port)
    sender = f"From: <sip:devlib@{address.rpartition('@')[2]}>\r\nTo: <sip:{address}>\r\n"
    params = [method, f"sip:{address}", hop or ".", ".", sender + headers]
    return await client.call("tm.t_uac_wait", params, limits=Limits.of(limit_seconds), once=True)


def read_uac(result: object) -> tuple[int, str, str] | None:
    """Return status, reason and headers in the result of `tm.t_uac_wait`: an array of changing length.

    Args:
        result: any JSON.

    Returns:
        `None` where it makes no sense; the headers may be empty.
    """
    if not isinstance(result, list) or not result:
        return None
    status = clean_integer(result[0])
    if status is None or not 0 < status <= _LAST_STATUS:
        return None
    reason = clean_text(result[1], _MOST_REASON) if len(result) > 1 else None
    headers = result[-1] if len(result) > 2 and isinstance(result[-1], str) else ""  # noqa: PLR2004
    return status, reason or "", headers


class RpcPath:
    """OPTIONS to phones by `tm.t_uac_wait`, where no proxy is set.

    Args:
        place: of the registrar.
        settings: its time limits.
    """

    def __init__(self, place: Place, settings: KamailioSettings) -> None:
        self._place = place
        self._settings = settings

    async def options(self, line_port: str) -> SipAnswer:
        """Ask one phone, through the address at which its binding arrived."""
        place, client = self._place, self._place.client
        try:
            status, body = await place.ask(network_form(line_port))
            hop = next_hop(read_answer(status, body, client.where).result)
            start = place.clock.monotonic()
            limit = self._settings.probe_seconds
            answer = await send_by_rpc(client, "OPTIONS", line_port, hop, "", limit)
            seconds = place.clock.monotonic() - start
        except NoAnswerInTime:
            return SipAnswer(NO_ANSWER)
        except NetworkUnreachable as error:
            return SipAnswer.unsent(error.what)
        said = read_uac(answer.result)
        if said is None:
            return SipAnswer.unsent(UNREADABLE)
        code, reason, headers = said
        # The registrar gives the head of the answer without its first line, or nothing of it.
        raw = to_bytes(f"SIP/2.0 {code} {reason}\r\n{headers.strip()}\r\n\r\n")
        return SipAnswer(code, reason, raw, seconds)

    async def greet(self) -> str | None:
        """Return nothing: the registrar speaks for itself."""
        return None

    async def silence(self) -> Message | None:
        """Return why the registrar itself is silent; `None` where it answers, so that the phone is."""
        try:
            await self._place.client.call("core.version", [])
        except NetworkUnreachable as error:
            return error.what
        return None
