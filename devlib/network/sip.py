"""SIP messages as bytes and as values (RFC 3261 §7): reading never raises, writing never breaks a line."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_DATAGRAM = 65_535
_MAX_HEADERS = 256
_MAX_DIGITS = 10

# RFC 3261 §7.3.3 and the IANA list of compact forms that phones really use.
_COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
}
_FOLDED = re.compile(r"\r?\n[ \t]+")
_LINE_END = re.compile(r"\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: (.*))?", re.IGNORECASE)
_REQUEST_LINE = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]{1,32}) (\S{1,4096}) SIP/2\.0", re.IGNORECASE)
_HEADER = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]{1,128})[ \t]*:[ \t]*(.*)", re.DOTALL)
_BRANCH = re.compile(r";\s*branch\s*=\s*([^;,\s]+)", re.IGNORECASE)
_ADDRESS = re.compile(r"<\s*([^>]*)>")


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One request or response.

    Args:
        headers: lower-case full name and value, in the order of the message.
        method: of a request, upper case; empty in a response.
        uri: of a request.
        status: of a response, 100 to 699; 0 in a request.
        reason: of a response.
        body: what follows the empty line, cut to Content-Length.
    """

    headers: tuple[tuple[str, str], ...]
    method: str = ""
    uri: str = ""
    status: int = 0
    reason: str = ""
    body: bytes = b""

    def header(self, name: str) -> str:
        """Return the first value of the header `name` (lower case), or empty text."""
        return next((value for each, value in self.headers if each == name), "")

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of the header `name` (lower case), in order."""
        return tuple(value for each, value in self.headers if each == name)

    @property
    def branch(self) -> str:
        """The branch of the topmost Via: the name of the transaction (RFC 3261 §17.1.3)."""
        found = _BRANCH.search(self.header("via"))
        return found.group(1) if found else ""

    @property
    def cseq(self) -> tuple[int, str]:
        """Number and method of CSeq; `(0, "")` where it is missing or nonsense."""
        number, _, method = self.header("cseq").partition(" ")
        if number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS:
            return int(number), method.strip().upper()
        return 0, ""


def parse_message(data: bytes) -> SipMessage | None:
    """Return the message that one datagram holds, or `None` where it holds none.

    Folded lines and compact names are read (RFC 3261 §7.3); headers that are no headers are left out.

    Args:
        data: any bytes.
    """
    if len(data) > MAX_DATAGRAM:
        return None
    end = _HEAD_END.search(data)
    head, body = (data[: end.start()], data[end.end() :]) if end else (data, b"")
    # `surrogateescape` gives every byte back unchanged when a header is echoed.
    text = _FOLDED.sub(" ", head.decode("utf-8", "surrogateescape").lstrip("\r\n"))
    start, *lines = _LINE_END.split(text, _MAX_HEADERS + 1)
    headers = tuple(_read_headers(lines[:_MAX_HEADERS]))
    if status := _STATUS_LINE.fullmatch(start):
        return SipMessage(headers, status=int(status[1]), reason=status[2] or "", body=_cut(body, headers))
    if request := _REQUEST_LINE.fullmatch(start):
        return SipMessage(headers, method=request[1].upper(), uri=request[2], body=_cut(body, headers))
    return None


def _read_headers(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        if found := _HEADER.fullmatch(line):
            name = found[1].lower()
            yield _COMPACT.get(name, name), found[2].rstrip()


def _cut(body: bytes, headers: tuple[tuple[str, str], ...]) -> bytes:
    length = next((value for name, value in headers if name == "content-length"), "")
    if length.isascii() and length.isdigit() and len(length) <= _MAX_DIGITS:
        return body[: int(length)]
    return body


def write_request(method: str, uri: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """Return the bytes of a request; Content-Length is added.

    Args:
        method: for example `REGISTER`.
        uri: the Request-URI.
        headers: name and value, in order; a line break in a value becomes a blank.
        body: what follows.
    """
    return _write(f"{method} {uri} SIP/2.0", headers, body)


def write_response(
    request: SipMessage,
    status: int,
    reason: str,
    to_tag: str,
    more: Iterable[tuple[str, str]] = (),
) -> bytes:
    """Return the bytes of a response to `request` (RFC 3261 §8.2.6): Via, From, To, Call-ID, CSeq come back.

    Args:
        request: what is answered.
        status: 100 to 699.
        reason: text beside it.
        to_tag: tag that is added to To where it has none.
        more: names and values of further headers.
    """
    headers = [("Via", via) for via in request.all("via")]
    to = request.header("to")
    if "tag=" not in to.lower():
        to += f";tag={to_tag}"
    headers += [
        ("From", request.header("from")),
        ("To", to),
        ("Call-ID", request.header("call-id")),
        ("CSeq", request.header("cseq")),
        *more,
    ]
    return _write(f"SIP/2.0 {status} {reason}", headers, b"")


def _write(start: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(body)}"]
    clean = (line.replace("\r", " ").replace("\n", " ") for line in lines)
    return ("\r\n".join(clean) + "\r\n\r\n").encode("utf-8", "surrogateescape") + body


def uri_in(value: str) -> str:
    """Return the URI of a name-addr such as `"Anne" <sip:a@b>;tag=1`; the value itself without brackets."""
    found = _ADDRESS.search(value)
    return found.group(1) if found else value.partition(";")[0].strip()
