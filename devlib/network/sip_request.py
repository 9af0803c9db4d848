"""A request of the SIP client, and its bytes (RFC 3261 §8.1.1)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from devlib.network.sip import one_line, to_bytes
from devlib.network.sip_hop import Hop

_TAG = 16  # characters of the token that are the tag
_TCP = ";transport=tcp"


class SipRequest(NamedTuple):
    """What is asked, out of any dialog.

    Args:
        method: for example `OPTIONS`; not INVITE, whose transactions are others.
        uri: Request-URI; also the address in To.
        hop: where it is sent.
        headers: name and value of further headers.
        body: what follows.
        sender: URI in From; by default `sip:devlib@` with the own address.
    """

    method: str
    uri: str
    hop: Hop
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    sender: str = ""


@dataclass(slots=True)
class Attempt:
    """What changes from one sending of a request to the next (RFC 3261 §8.1.3.5).

    Args:
        token: nobody can guess it; names the call, its tag and its transactions.
        cseq: number of the sending, from 1.
        proofs: headers that answer challenges, by name.
    """

    token: str
    cseq: int = 1
    proofs: dict[str, str] = field(default_factory=dict)

    @property
    def branch(self) -> str:
        """The name of this sending's transaction (RFC 3261 §8.1.1.7)."""
        return f"z9hG4bK{self.token}{self.cseq}"


def write_attempt(asked: SipRequest, attempt: Attempt, transport: str, own: str, port: int) -> bytes:
    """Return the bytes of one sending.

    Args:
        asked: what.
        attempt: which sending of it.
        transport: `UDP` or `TCP`.
        own: own host as a URI writes it.
        port: own port, to which the answer comes.
    """
    here, token, uri = f"{own}:{port}", attempt.token, one_line(asked.uri)
    sender = one_line(asked.sender) or f"sip:devlib@{own}"
    further = [*asked.headers, *attempt.proofs.items()]
    more = "".join([f"{name}: {one_line(value)}\r\n" for name, value in further]) if further else ""
    text = (
        f"{asked.method} {uri} SIP/2.0\r\n"
        f"Via: SIP/2.0/{transport} {here};rport;branch={attempt.branch}\r\n"
        "Max-Forwards: 70\r\n"
        f"From: <{sender}>;tag={token[:_TAG]}\r\n"
        f"To: <{uri}>\r\n"
        f"Call-ID: {token}\r\n"
        f"CSeq: {attempt.cseq} {asked.method}\r\n"
        f"Contact: <sip:devlib@{here}{_TCP if transport == 'TCP' else ''}>\r\n"
        f"User-Agent: devlib\r\n{more}"
        f"Content-Length: {len(asked.body)}\r\n\r\n"
    )
    return to_bytes(text) + asked.body
