"""Whether phones answer: the outcome of a probe, and what can probe."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from devlib.language import Message


class ReachOutcome(StrEnum):
    """What a probe found (OPTIONS, RFC 3261 §11)."""

    ANSWERS = "answers"
    SILENT = "silent"
    NOT_REGISTERED = "not registered"
    UNROUTABLE = "unroutable"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Reach:
    """What a probe found of one line port.

    Any final answer of the phone proves that it can be reached, a refusal too (SIP study §5).

    Args:
        line_port: as the caller wrote it.
        outcome: `answers` and `silent` are registered; `unroutable` is registered, but the network does not
            pass requests on to it; of an `unreachable` one nothing is known.
        code: SIP status where there was one.
        seconds: from sending to the phone's answer; `None` where it did not answer.
        user_agent: what it said of itself, cleaned; `None` where it said nothing.
        reason: why the outcome is not `answers`, where more is known than that.
    """

    line_port: str
    outcome: ReachOutcome
    code: int | None = None
    seconds: float | None = None
    user_agent: str | None = None
    reason: Message | None = None


class Prober(Protocol):
    """A network that can be asked whether phones answer."""

    def probe(self, line_ports: Iterable[str]) -> AsyncIterator[Reach]:
        """Yield one outcome for each of `line_ports`, as they come; does not raise for what fails.

        Args:
            line_ports: of the inventory; each is asked at most once.
        """
        ...
