"""SIP messages as bytes and as values (RFC 3261 §7): reading never raises, writing never breaks a line."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_DATAGRAM = 65_535
_MAX_HEADERS = 256
_MAX_DIGITS = 10
_CSEQ_END = 2**31  # RFC 3261 §8.1.1.5

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
# The usual spellings, so that most names cost no more than one look.
_NAMES = _COMPACT | {
    spelling: name.lower()
    for name in (
        "Via", "From", "To", "Call-ID", "CSeq", "Contact", "Content-Length", "Content-Type", "Max-Forwards",
        "User-Agent", "Server", "Allow", "Supported", "Accept", "Event", "Expires", "Record-Route",
        "WWW-Authenticate", "Proxy-Authenticate", "Warning", "Date",
    )
    for spelling in (name, name.lower())
}  # fmt: skip
# What stands twice here means something else to each reader (RFC 4475 §3.3.8 and §3.3.9).
_ONCE = frozenset({"from", "to", "call-id", "cseq", "max-forwards", "content-length"})
_FOLDED = re.compile(r"\r?\n[ \t]+")
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: (.*))?", re.IGNORECASE | re.DOTALL)
_REQUEST_LINE = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]{1,128}) ([^\s<>\"]{1,4096}) SIP/2\.0", re.IGNORECASE)
_NAME = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]{1,128})[ \t]*")
_TOPMOST = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*"?)*', re.DOTALL)
_BRANCH = re.compile(r";\s*branch\s*=\s*([^;,\s]+)", re.IGNORECASE)
_ADDRESS = re.compile(r"<\s*([^>]*)>")


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One request or response.

    Args:
        headers: lower-case full name and value, in the order of the message.
        method: of a request, as it was written; empty in a response (RFC 3261 §7.1: case tells).
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
        for each, value in self.headers:
            if each == name:
                return value
        return ""

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of the header `name` (lower case), in order."""
        return tuple([value for each, value in self.headers if each == name])

    @property
    def branch(self) -> str:
        """The branch of the topmost Via: the name of the transaction (RFC 3261 §17.1.3)."""
        found = _BRANCH.search(_topmost(self.header("via")))
        return found.group(1) if found else ""

    @property
    def has_one_via(self) -> bool:
        """Whether exactly one Via is there: a response with more is for somebody else (RFC 3261 §8.1.3.3)."""
        vias = self.all("via")
        return len(vias) == 1 and _topmost(vias[0]) == vias[0]

    @property
    def cseq(self) -> tuple[int, str]:
        """Number and method of CSeq; `(0, "")` where it is missing or nonsense."""
        number, *method = self.header("cseq").split(None, 1)[:2] or ("",)
        if method and number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS:
            return (int(number), method[0].strip()) if int(number) < _CSEQ_END else (0, "")
        return 0, ""


def _topmost(value: str) -> str:
    """Return the first of several values in one header."""
    if "," not in value:
        return value
    found = _TOPMOST.match(value)
    return found[0] if found else value


def parse_message(data: bytes) -> SipMessage | None:
    """Return the message that one datagram holds, or `None` where it holds none that can be trusted.

    Folded lines and compact names are read (RFC 3261 §7.3); lines that are no headers are left out. Refused
    is what two readers would understand differently: a header twice that may stand once, a body shorter than
    its Content-Length (§18.3), a Content-Length that is no number.

    Args:
        data: any bytes.
    """
    if len(data) > MAX_DATAGRAM:
        return None
    head, body = _halves(data.lstrip(b"\r\n"))
    # `surrogateescape` gives every byte back unchanged when a header is echoed.
    text = head.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    if "\n " in text or "\n\t" in text:
        text = _FOLDED.sub(" ", text)
    start, *lines = text.split("\n", _MAX_HEADERS + 1)
    headers = _read_headers(lines)
    body_read = None if headers is None else _cut(body, headers)
    if headers is None or body_read is None:
        return None
    if status := _STATUS_LINE.fullmatch(start):
        return SipMessage(headers, status=int(status[1]), reason=status[2] or "", body=body_read)
    if request := _REQUEST_LINE.fullmatch(start):
        return SipMessage(headers, method=request[1], uri=request[2], body=body_read)
    return None


def _halves(data: bytes) -> tuple[bytes, bytes]:
    """Return head and body: the first empty line parts them, however its lines end."""
    ends = [(at, size) for mark, size in ((b"\n\r\n", 3), (b"\n\n", 2)) if (at := data.find(mark)) >= 0]
    if not ends:
        return data, b""
    at, size = min(ends)
    return data[:at].removesuffix(b"\r"), data[at + size :]


def _read_headers(lines: list[str]) -> tuple[tuple[str, str], ...] | None:
    if len(lines) > _MAX_HEADERS:
        return None
    headers: list[tuple[str, str]] = []
    once: set[str] = set()
    for line in lines:
        written, colon, value = line.partition(":")
        name = _NAMES.get(written) or _full_name(written)
        if not colon or not name:
            continue
        if name in _ONCE:
            if name in once:
                return None
            once.add(name)
        headers.append((name, value.strip()))
    return tuple(headers)


def _full_name(written: str) -> str:
    found = _NAME.fullmatch(written)
    name = found[1].lower() if found else ""
    return _COMPACT.get(name, name)


def _cut(body: bytes, headers: tuple[tuple[str, str], ...]) -> bytes | None:
    for name, length in headers:
        if name == "content-length":
            if not (length.isascii() and length.isdigit() and len(length) <= _MAX_DIGITS):
                return None
            return body[: int(length)] if int(length) <= len(body) else None
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
    lines = [start, *[f"{name}: {value}" for name, value in headers], f"Content-Length: {len(body)}", "", ""]
    text = "\r\n".join(lines)
    breaks = len(lines) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks:
        text = "\r\n".join([one_line(line) for line in lines])
    return to_bytes(text) + body


def one_line(text: str) -> str:
    """Return `text` with blanks for its line breaks, so that it cannot begin another header."""
    if "\n" in text or "\r" in text:
        return text.replace("\r", " ").replace("\n", " ")
    return text


def to_bytes(text: str) -> bytes:
    """Return `text` as UTF-8, with the bytes that `parse_message` kept; what has no bytes becomes `?`."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def uri_in(value: str) -> str:
    """Return the URI of a name-addr such as `"Anne" <sip:a@b>;tag=1`; the value itself without brackets."""
    found = _ADDRESS.search(value)
    return found.group(1) if found else value.partition(";")[0].strip()
