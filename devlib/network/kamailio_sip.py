"""SIP through a registrar's proxy: NOTIFY and OPTIONS to its phones, and what the answers mean."""

from collections.abc import Mapping

from pydantic import SecretStr

from devlib.config import KamailioSettings, fresh_tokens
from devlib.errors import NetworkUnreachable
from devlib.language import Message, message
from devlib.network.hostile import clean_text
from devlib.network.protocol import RestartAnswer, RestartOutcome, network_form
from devlib.network.rpc_client import RpcClient
from devlib.network.sip_answer import NO_ANSWER, SipAnswer
from devlib.network.sip_client import SipClient
from devlib.network.sip_digest import Credentials
from devlib.network.sip_hop import Hop
from devlib.network.sip_request import SipRequest

_SUCCESS_CLASS = 2  # RFC 3261 §21.2
_OUTCOMES: Mapping[int, RestartOutcome] = {
    401: RestartOutcome.AUTH_NEEDED,
    407: RestartOutcome.AUTH_NEEDED,
    408: RestartOutcome.NO_ANSWER,
    404: RestartOutcome.UNROUTABLE,
    410: RestartOutcome.UNROUTABLE,
    430: RestartOutcome.UNROUTABLE,
    478: RestartOutcome.UNROUTABLE,
    480: RestartOutcome.UNROUTABLE,
    503: RestartOutcome.UNROUTABLE,
}
_DEAF = message("The proxy answers no SIP request.")
_NO_PROXY = message("`sip_proxy` in devlib.toml leads nowhere.")


def restart_outcome(status: int) -> RestartOutcome:
    """Return what a SIP status says of a restart."""
    if status // 100 == _SUCCESS_CLASS:
        return RestartOutcome.ACCEPTED
    return _OUTCOMES.get(status, RestartOutcome.REFUSED)


class ProxyPath:
    """The way to phones through the proxy of one registrar; opened when it is first used.

    Args:
        settings: names the proxy.
        rpc: asks the registrar whether it still lives.
        proxy: `sip_proxy` of the settings.
    """

    def __init__(self, settings: KamailioSettings, rpc: RpcClient, proxy: str) -> None:
        self._settings = settings
        self._rpc = rpc
        self._proxy = proxy
        self._client: SipClient | None = None
        self._heard = False
        self._greeting: str | None = None

    async def notify(self, line_port: str, event: str, limit_seconds: float) -> RestartAnswer:
        """Send one NOTIFY; a phone's challenge is answered where the settings hold a login.

        Args:
            line_port: any line of the device.
            event: value of the Event header.
            limit_seconds: seconds to wait.
        """
        headers = (("Event", event), ("Subscription-State", "terminated"))
        answer = await self._ask("NOTIFY", line_port, limit_seconds, headers)
        if answer.came:
            reason = clean_text(answer.reason, 200) or ""
            return RestartAnswer(line_port, restart_outcome(answer.status), answer.status, reason)
        if answer.status == NO_ANSWER and (dead := await self.silence()) is None:
            return RestartAnswer(line_port, RestartOutcome.NO_ANSWER, answer.status)
        why = dead if answer.status == NO_ANSWER else answer.failure
        return RestartAnswer(line_port, RestartOutcome.UNREACHABLE, reason=str(why or ""))

    async def options(self, line_port: str) -> SipAnswer:
        """Ask the phone behind `line_port` whether it answers."""
        return await self._ask("OPTIONS", line_port, self._settings.probe_seconds, _ACCEPT)

    async def greet(self) -> str | None:
        """Return what the proxy calls itself, `None` where it does not tell; asked once."""
        if not self._heard:
            try:
                hop = Hop.parse(self._proxy)
            except ValueError:
                return None
            await self._send(SipRequest("OPTIONS", hop.uri, hop, _ACCEPT), self._settings.probe_seconds)
        return self._greeting

    async def silence(self) -> Message | None:
        """Return why the last silence may be the network's own; `None` where it is the phone's.

        The registrar must answer now, and its proxy must have answered SIP at some time: by a phone behind
        it or to a request for itself.
        """
        try:
            await self._rpc.call("core.version", [])
        except NetworkUnreachable as error:
            return error.what
        await self.greet()
        return None if self._heard else _DEAF

    async def close(self) -> None:
        """Close the sockets; calling twice is harmless."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _ask(
        self, method: str, line_port: str, limit: float, headers: tuple[tuple[str, str], ...]
    ) -> SipAnswer:
        try:
            hop = Hop.parse(self._proxy)
        except ValueError:
            return SipAnswer.unsent(_NO_PROXY)
        address = network_form(line_port)
        sender = f"sip:devlib@{address.rpartition('@')[2]}"
        asked = SipRequest(method, f"sip:{address}", hop, headers, b"", sender)
        return await self._send(asked, limit, self._login() if method == "NOTIFY" else None)

    async def _send(
        self, asked: SipRequest, limit: float, credentials: Credentials | None = None
    ) -> SipAnswer:
        if self._client is None:
            try:
                self._client = SipClient(self._settings.own_host, fresh_tokens().__next__)
            except OSError as error:
                return SipAnswer.unsent(
                    message(
                        "SIP cannot be sent from {own_host}: {error}",
                        own_host=self._settings.own_host,
                        error=error.strerror or type(error).__name__,
                    )
                )
        answer = await self._client.request(asked, limit, credentials)
        if answer.came:
            self._heard = True
            if asked.uri == asked.hop.uri:
                self._greeting = said_by(answer)
        return answer

    def _login(self) -> Credentials | None:
        settings = self._settings
        if settings.notify_user is None or settings.notify_password is None:
            return None
        return Credentials(settings.notify_user, SecretStr(settings.notify_password.reveal()))


_ACCEPT = (("Accept", "application/sdp"),)  # RFC 3261 §11.1


def said_by(answer: SipAnswer) -> str | None:
    """Return what the sender of an answer calls itself, cleaned (RFC 3261 §20.35, §20.41)."""
    found = answer.message
    if found is None:
        return None
    return clean_text(found.header("user-agent") or found.header("server"), 255)
