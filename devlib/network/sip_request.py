"""A request of the SIP client, and its bytes (RFC 3261 §8.1.1)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from devlib.network.sip import one_line, to_bytes
from devlib.network.sip_hop import Hop

_TAG = 16  # characters of the token that are the tag
_TCP = ";transport=tcp"
_NO_PROOFS: Mapping[str, str] = {}


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


class Attempt(NamedTuple):
    """What changes from one sending of a request to the next (RFC 3261 §8.1.3.5).

    Args:
        token: nobody can guess it; names the call and its tag.
        branch: the name of this sending's transaction (RFC 3261 §8.1.1.7).
        cseq: number of the sending, from 1.
        proofs: headers that answer challenges, by name.
    """

    token: str
    branch: str
    cseq: int
    proofs: Mapping[str, str]

    @classmethod
    def first(cls, token: str) -> "Attempt":
        """Return the first sending of a request."""
        return cls(token, f"z9hG4bK{token}1", 1, _NO_PROOFS)

    def next(self, proofs: Mapping[str, str]) -> "Attempt":
        """Return the sending after this one, with further proofs."""
        cseq = self.cseq + 1
        return Attempt(self.token, f"z9hG4bK{self.token}{cseq}", cseq, {**self.proofs, **proofs})


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
    more = ""
    if asked.headers or attempt.proofs:
        further = [*asked.headers, *attempt.proofs.items()]
        more = "".join([f"{name}: {one_line(value)}\r\n" for name, value in further])
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
