"""What the suite asks of a network, whatever it is: bindings, changes, health, and a restart.

Failure is data: a line port whose registrar did not answer stands in `Answers.unanswered` with the reason,
and is never mistaken for one that holds no binding.
"""

import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import pyarrow as pa

from devlib.errors import UsageError
from devlib.language import Message, message
from devlib.model import Binding
from devlib.network.hostile import clean_text
from devlib.network.reach import Prober

CHECK_SYNC = "check-sync;reboot=true"
NO_LINE_PORT = message("This is no SIP address of the form user@domain.")

WHOLE = pa.schema(
    [
        *((name, pa.string()) for name in ("line_port", "contact", "user_agent", "received")),
        *((name, pa.string()) for name in ("instance", "call_id")),
        *((name, pa.timestamp("us")) for name in ("expires_at", "registered_at")),
    ]
)
"""Columns of `RegistrationSource.whole`; the moments are UTC without a zone, an empty expiry is permanent."""

_LINE_PORT = re.compile(r"[^\s@<>\";?,\\]{1,128}@[A-Za-z0-9.\-\[\]:]{1,255}")
_EVENT = re.compile(r"[A-Za-z0-9\-._~!%*+`']{1,64}(?:;[A-Za-z0-9\-._=]{1,64}){0,4}")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a network can tell and do.

    Args:
        user_agent: bindings carry the user agent.
        instance: bindings carry `+sip.instance`.
        snapshot: all bindings can be read without knowing the line ports.
        delta: `changes` works.
        push: changes arrive by themselves.
        explicit_unregister: a change tells a sign-off from an expiry.
        restart: phones can be restarted through it.
        whole: all bindings come cheaply as one table (`whole`).
        probe: phones can be asked whether they answer.
    """

    user_agent: bool = False
    instance: bool = False
    snapshot: bool = False
    delta: bool = False
    push: bool = False
    explicit_unregister: bool = False
    restart: bool = False
    whole: bool = False
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Answers:
    """The outcome of one lookup; each line port asked stands in exactly one of the two.

    Args:
        bindings: live bindings by line port as the caller wrote it; empty where the registrar holds none.
        unanswered: why the network could not be asked, by line port.
        knows_since: when the registrar's memory began, UTC, where it keeps bindings in memory only: of what
            was registered before, it says nothing; `None` where a restart makes it forget nothing.
    """

    bindings: dict[str, tuple[Binding, ...]] = field(default_factory=dict)
    unanswered: dict[str, Message] = field(default_factory=dict)
    knows_since: datetime | None = None

    def __repr__(self) -> str:
        # Short: logs need no hostile text, and asyncio.run writes the result of its task out (CPython 3.11,
        # `signal.signal`), which cost 0.1 s for 20 000 line ports.
        return f"Answers({len(self.bindings)} answered, {len(self.unanswered)} unanswered)"


class ChangeKind(StrEnum):
    """What happened to a binding."""

    REGISTERED = "registered"
    REFRESHED = "refreshed"
    SIGNED_OFF = "signed off"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one line port.

    Args:
        kind: what happened.
        line_port: of the binding.
        at: when, UTC.
        binding: as it is after the change; the last known one where it is gone.
    """

    kind: ChangeKind
    line_port: str
    at: datetime
    binding: Binding


@dataclass(frozen=True, slots=True)
class FeedLost:
    """The event feed broke off: what happens from now on is not heard.

    Args:
        at: when that was noticed, UTC.
        reason: why.
    """

    at: datetime
    reason: Message


@dataclass(frozen=True, slots=True)
class FeedBack:
    """The event feed is connected, for the first time or again: what went before has to be read elsewhere.

    Args:
        at: since when events arrive, UTC.
    """

    at: datetime


FeedEvent = Change | FeedLost | FeedBack


@dataclass(frozen=True, slots=True)
class Health:
    """What `devlib doctor` shows of a network.

    Args:
        name: of the network.
        answers: whether all of it can be asked now.
        detail: one sentence, with version or reason.
        contacts: bindings that it holds; `None` where it does not tell.
        seconds: how long the answer took.
    """

    name: str
    answers: bool
    detail: Message
    contacts: int | None = None
    seconds: float = 0.0


class RestartOutcome(StrEnum):
    """What became of the wish that a phone restarts (RFC 3265 NOTIFY, event check-sync)."""

    ACCEPTED = "accepted"
    AUTH_NEEDED = "auth needed"
    REFUSED = "refused"
    NO_ANSWER = "no answer"
    NOT_REGISTERED = "not registered"
    UNROUTABLE = "unroutable"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class RestartAnswer:
    """The answer of one phone.

    Accepted is no proof: that is a REGISTER with a new Call-ID after it (SIP study §4).

    Args:
        line_port: through which the phone was addressed.
        outcome: what became of the wish.
        code: SIP status where there was one.
        reason: text beside it, hostile.
    """

    line_port: str
    outcome: RestartOutcome
    code: int | None = None
    reason: str = ""


class RegistrationSource(Protocol):
    """A network that can be asked for bindings."""

    @property
    def name(self) -> str:
        """The name of the network in `devlib.toml`."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the network can tell and do."""
        ...

    async def lookup(self, line_ports: Iterable[str]) -> Answers:
        """Return the live bindings of `line_ports`; their domains are matched without regard to case."""
        ...

    def snapshot(self) -> AsyncIterator[Binding]:
        """Yield every live binding.

        Raises:
            CapabilityMissing: the network cannot, or holds too many.
            NetworkUnreachable: a part of it does not answer.
        """
        ...

    def changes(self, since: datetime) -> AsyncIterator[Change]:
        """Yield what changed after `since` (UTC).

        Raises:
            CapabilityMissing: the network does not keep changes.
        """
        ...

    async def whole(self) -> pa.Table:
        """Return every binding that the network holds, as one table with the schema `WHOLE`.

        Bindings whose expiry has passed and that the network still shows are among them: they are evidence.

        Raises:
            CapabilityMissing: the network cannot.
            NetworkUnreachable: it does not answer.
        """
        ...

    def events(self) -> AsyncIterator[FeedEvent]:
        """Yield what happens, from now on, for ever; a feed that breaks off is connected again by itself.

        Raises:
            CapabilityMissing: the network pushes nothing.
        """
        ...

    async def check(self) -> Health:
        """Return whether the network answers; does not raise."""
        ...

    async def close(self) -> None:
        """Give back what the source holds; calling twice is harmless."""
        ...


class Restarter(Protocol):
    """A network that can pass a restart on to a phone."""

    async def restart(
        self, line_port: str, event: str = CHECK_SYNC, limit_seconds: float = 8.0
    ) -> RestartAnswer:
        """Ask the phone behind `line_port` to restart.

        Args:
            line_port: any line of the device.
            event: the Event header that this vendor's phones understand.
            limit_seconds: seconds to wait for the phone's answer.

        Returns:
            The outcome; does not raise for a phone or a network that fails.

        Raises:
            UsageError: line port or event is not of that form.
        """
        ...


class Network(RegistrationSource, Restarter, Prober, Protocol):
    """What `open_network` gives."""


def is_line_port(text: str) -> bool:
    """Return whether `text` has the form `user@domain` of a SIP address."""
    return _LINE_PORT.fullmatch(text) is not None


def network_form(line_port: str) -> str:
    """Return `line_port` with its domain in lower case: the form under which registrars compare them."""
    user, at, domain = line_port.rpartition("@")
    return f"{user}{at}{domain.lower()}"


def require_restartable(line_port: str, event: str) -> None:
    """Make sure that a restart can be written into a SIP message.

    Raises:
        UsageError: `line_port` is no SIP address, or `event` no value of an Event header (RFC 6665 §8.4).
    """
    if not is_line_port(line_port):
        raise UsageError(NO_LINE_PORT, where=clean_text(line_port, 80) or "")
    if not _EVENT.fullmatch(event):
        raise UsageError(message("This is no SIP event."), where=clean_text(event, 80) or "")
