"""The final answer to a request, and the quick look at those that have the usual form."""

import re

from devlib.language import Message
from devlib.network.sip import SipMessage, parse_message

NO_ANSWER, NO_TRANSPORT = 408, 503  # RFC 3261 §8.1.3.1

# One Via without blanks, quotes of no meaning here; its first branch, in any case, as the parser reads it.
_START = re.compile(
    rb"SIP/2\.0 ([1-6][0-9][0-9]) ([^\r\n]*)\r\nVia: SIP/2\.0/[A-Z]+ "
    rb"[!-+\--~]*?;[bB][rR][aA][nN][cC][hH]=([!-+\--:<-~]+)(?:;[!-+\--~]*)?\r\n"
)
# Beginnings of lines that decide how the whole is read: Via, CSeq, Content-Length in any spelling, a folded
# line, the end of the head.
_TELLING = re.compile(rb"\n(?:[vVlL \t\n]|[cC][sS][eE]|[cC][oO][nN][tT][eE][nN][tT]-[lL]|\r\n)")
_VIA, _CSEQ, _LENGTH, _END = b"\nV", b"\nCSe", b"\nContent-L", b"\n\r\n"
_USUAL = ([_VIA, _CSEQ, _LENGTH, _END], [_VIA, _LENGTH, _CSEQ, _END], [_VIA, _CSEQ, _END])
_NO_BODY = b"\nContent-Length: 0\r\n"


class SipAnswer:
    """The final answer to a request; it is read only where somebody wants more than its status.

    Args:
        status: 200 to 699; 408 where none came in time, 503 where the request could not be sent.
        reason: text beside it, hostile.
        raw: the answer as it came; empty where there was none, so that status is our own word.
        seconds: from sending to the answer.
        failure: why there was none.
    """

    __slots__ = ("_message", "failure", "raw", "reason", "seconds", "status")

    def __init__(
        self,
        status: int,
        reason: str = "",
        raw: bytes = b"",
        seconds: float = 0.0,
        failure: Message | None = None,
    ) -> None:
        self.status = status
        self.reason = reason
        self.raw = raw
        self.seconds = seconds
        self.failure = failure
        self._message: SipMessage | None = None

    def __repr__(self) -> str:
        return f"SipAnswer({self.status} {self.reason!r}, {len(self.raw)} bytes, {self.seconds:.3f} s)"

    @property
    def came(self) -> bool:
        """Whether somebody answered at all."""
        return bool(self.raw)

    @property
    def message(self) -> SipMessage | None:
        """The answer, read; `None` where there was none."""
        if self._message is None and self.raw:
            self._message = parse_message(self.raw)
        return self._message

    @classmethod
    def unsent(cls, why: Message) -> "SipAnswer":
        """Return what stands for an answer where the request could not be sent."""
        return cls(NO_TRANSPORT, "Service Unavailable", failure=why)


def quick_look(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Return status, reason and branch of a response that has the usual form; `None` says nothing.

    The usual form: Via first and alone, one CSeq, no folded lines, no body. Whatever is accepted here,
    `parse_message` reads in the same way, or refuses for a header twice; a test holds them together.

    Args:
        data: any bytes.
    """
    found = _START.match(data)
    if found is None or not data.endswith(b"\r\n\r\n"):
        return None
    lines = _TELLING.findall(data)
    if lines not in _USUAL or (_LENGTH in lines and _NO_BODY not in data):
        return None
    status, reason, branch = found.groups()
    return int(status), reason, branch
