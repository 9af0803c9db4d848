"""What can become of a restart."""

from collections.abc import Mapping
from enum import StrEnum

from devlib.language import Message, message
from devlib.network import RestartAnswer, RestartOutcome


class RestartResult(StrEnum):
    """What became of the restart of one device; exactly one for each device."""

    CONFIRMED = "confirmed"
    ACCEPTED = "accepted but unconfirmed"
    REFUSED = "refused"
    NO_ANSWER = "no answer"
    NOT_REGISTERED = "not registered"
    UNROUTABLE = "unroutable"
    UNREACHABLE = "network unreachable"
    SKIPPED = "skipped"


FAILURES = frozenset(
    {RestartResult.ACCEPTED, RestartResult.REFUSED, RestartResult.NO_ANSWER, RestartResult.UNROUTABLE}
)
"""Outcomes of a NOTIFY that count against the fleet; a device that was sent none is no failure."""

UNTOUCHED = frozenset({RestartResult.REFUSED, RestartResult.UNROUTABLE, RestartResult.NOT_REGISTERED})
"""Outcomes after which the device surely did not restart, so that it may be asked again at once."""

_RESULTS: Mapping[RestartOutcome, RestartResult] = {
    RestartOutcome.ACCEPTED: RestartResult.ACCEPTED,
    RestartOutcome.AUTH_NEEDED: RestartResult.REFUSED,
    RestartOutcome.REFUSED: RestartResult.REFUSED,
    RestartOutcome.NO_ANSWER: RestartResult.NO_ANSWER,
    RestartOutcome.NOT_REGISTERED: RestartResult.NOT_REGISTERED,
    RestartOutcome.UNROUTABLE: RestartResult.UNROUTABLE,
    RestartOutcome.UNREACHABLE: RestartResult.UNREACHABLE,
}


def result_of(answer: RestartAnswer) -> RestartResult:
    """Return the outcome that the answer of a network is, before anything confirms it."""
    return _RESULTS[answer.outcome]


def said(answer: RestartAnswer) -> Message | None:
    """Return what the phone or the network said, in words; `None` where there is nothing to say."""
    if answer.outcome is RestartOutcome.AUTH_NEEDED:
        return message("It asks for a login: set notify_user and notify_password of the network.")
    if answer.code is not None:
        return message("The phone answered {code} {reason}.", code=answer.code, reason=answer.reason)
    return message("{error}", error=answer.reason) if answer.reason else None


def result_words(result: RestartResult) -> Message:
    """Return an outcome in words."""
    return {
        RestartResult.CONFIRMED: message("confirmed: it registered again"),
        RestartResult.ACCEPTED: message("accepted, but it has not registered again yet"),
        RestartResult.REFUSED: message("refused"),
        RestartResult.NO_ANSWER: message("no answer"),
        RestartResult.NOT_REGISTERED: message(
            "not registered, so it cannot be restarted through the network"
        ),
        RestartResult.UNROUTABLE: message("the network cannot route to it"),
        RestartResult.UNREACHABLE: message("the network cannot be reached"),
        RestartResult.SKIPPED: message("skipped: it was restarted a moment ago"),
    }[result]
