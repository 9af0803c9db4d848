"""What a simulated phone is, how it takes a request, and what is kept of each request that it heard."""

import itertools
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum

from devlib.network.hostile import clean_text
from devlib.network.sip import SipMessage
from devlib.network.sip_digest import Credentials, challenge, is_right_answer

OK, UNAUTHORIZED, NOT_ALLOWED, BAD_EVENT = 200, 401, 405, 489
_BRANCH_LIMIT = 256


class AfterNotify(StrEnum):
    """What a phone does after it has answered 200 to a check-sync.

    `DIES` starts to reboot and is never heard of again; `IGNORES` goes on as if nothing had been said.
    """

    REBOOTS = "reboots"
    IGNORES = "ignores"
    DIES = "dies"


@dataclass(frozen=True, slots=True)
class Challenge:
    """How a phone asks whoever sends it a request for a password (RFC 3261 §22.2).

    Args:
        credentials: the right answer.
        realm: of the challenge; empty for the domain of the line port.
        algorithm: `MD5` or `SHA-256`.
        options: whether OPTIONS is challenged too, not only NOTIFY.
    """

    credentials: Credentials
    realm: str = ""
    algorithm: str = "SHA-256"
    options: bool = False


@dataclass(frozen=True, slots=True)
class Phone:
    """One line of a simulated phone.

    Args:
        line_port: `user@domain` under which it registers.
        user_agent: what it says of itself; may be hostile, that is what trials are for.
        instance: `+sip.instance` without angle brackets; empty for none.
        expires: seconds for which it asks to be registered; it refreshes at half of them.
        notify_status: its answer to a check-sync; `None` for silence. See `after_notify` for what 200 does.
        boot_seconds: seconds between that answer and its new REGISTER; meanwhile it hears nothing.
        after_notify: what follows a 200.
        options_status: its answer to OPTIONS; `None` for silence.
        challenge: asked for before any of this; `None` for no password.
        device: lines of one device share this name and reboot together; empty for a device of one line.
    """

    line_port: str
    user_agent: str = "devlib trial phone/1.0"
    instance: str = ""
    expires: int = 3600
    notify_status: int | None = 200
    boot_seconds: float = 0.0
    after_notify: AfterNotify = AfterNotify.REBOOTS
    options_status: int | None = 200
    challenge: Challenge | None = None
    device: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """One request that arrived at a fleet.

    Args:
        at: when, UTC.
        line_port: whose phone it was for; empty where the fleet has none at that contact.
        method: of the request.
        branch: names its transaction; hostile.
        repeated: whether it is a retransmission of one heard before (RFC 3261 §17.2.2).
        answer: the status that went back; `None` for silence.
        event: value of its Event header; hostile.
        authorized: whether it proved a password.
    """

    at: datetime
    line_port: str
    method: str
    branch: str
    repeated: bool
    answer: int | None
    event: str = ""
    authorized: bool = False

    def values(self) -> dict[str, object]:
        """Return it for JSON."""
        return asdict(self) | {"at": self.at.isoformat()}


@dataclass(slots=True)
class Door:
    """Where one phone asks for a password; each nonce opens it once.

    Args:
        challenge: what it asks for.
        realm: of the challenge.
        name: makes its nonces differ from those of other phones.
    """

    challenge: Challenge
    realm: str
    name: str
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _nonce: str = ""

    def opens(self, request: SipMessage) -> bool:
        """Return whether `request` answers the last challenge rightly; does not raise."""
        right = bool(self._nonce) and any(
            is_right_answer(each, request.method, self.challenge.credentials, self.realm, self._nonce)
            for each in request.all("authorization")
        )
        if right:
            self._nonce = ""
        return right

    def ask(self) -> str:
        """Return the value of a WWW-Authenticate header with a new nonce."""
        self._nonce = f"{self.name}-{next(self._numbers)}"
        return challenge(self.realm, self._nonce, self.challenge.algorithm)


def status_for(phone: Phone, request: SipMessage) -> int | None:
    """Return what `phone` answers to a request that it lets in; `None` for silence."""
    if request.method == "OPTIONS":
        return phone.options_status
    if request.method != "NOTIFY":
        return NOT_ALLOWED
    if phone.notify_status == OK and event_of(request) != "check-sync":
        return BAD_EVENT
    return phone.notify_status


def is_challenged(phone: Phone, method: str) -> bool:
    """Return whether `phone` asks for a password before it takes a request of this method."""
    asks = phone.challenge
    if asks is None:
        return False
    return (method == "NOTIFY" and phone.notify_status is not None) or (method == "OPTIONS" and asks.options)


def event_of(request: SipMessage) -> str:
    """Return the event of a NOTIFY in lower case, without its parameters."""
    return request.header("event").partition(";")[0].strip().lower()


def heard(
    request: SipMessage,
    at: datetime,
    line_port: str,
    answer: int | None,
    *,
    repeated: bool,
    authorized: bool = False,
) -> Heard:
    """Return what is kept of a request; texts of the sender are bounded and printable."""
    return Heard(
        at=at,
        line_port=line_port,
        method=request.method,
        branch=clean_text(request.branch, _BRANCH_LIMIT) or "",
        repeated=repeated,
        answer=answer,
        event=clean_text(request.header("event"), _BRANCH_LIMIT) or "",
        authorized=authorized,
    )
