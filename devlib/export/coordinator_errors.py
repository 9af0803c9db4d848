"""What people read when an export is refused or fails."""

from devlib.errors import DevlibError, ExportFailed, ExportQueueTimeout, ExportRejected, IdempotencyMismatch
from devlib.export.admission_events import Answer, Why
from devlib.language import Message, message

_WENT_AWAY = frozenset({Why.LOST, Why.UNKNOWN, Why.ATTEMPTS})
_SOON = 1.0  # seconds


def refusal(answer: Answer) -> DevlibError:
    """Return the error for a final answer without rows (article: 408, 429, 500)."""
    if answer.why == Why.OTHER_PAYLOAD:
        return IdempotencyMismatch(
            message("This idempotency key was used for another export."),
            remedy=message("Use a new key for each export."),
        )
    if answer.http == ExportRejected.http_status:
        rejected = ExportRejected(
            _rejected(answer.why), remedy=_later(answer), retry_after=answer.retry_after
        )
        rejected.code = str(answer.why) or rejected.code
        return rejected
    if answer.http == ExportQueueTimeout.http_status:
        return ExportQueueTimeout(
            message("The export waited in the queue for too long."),
            remedy=_later(answer),
            retry_after=answer.retry_after,
        )
    return failure(answer.ticket, answer.why)


def failure(ticket: str, why: str) -> ExportFailed:
    """Return the error of a failed export; it names the ticket, never the text of the backend.

    A text of the backend may tell things about a customer that not every follower may know.
    """
    remedy = message("Export again; if it fails again, give this number to your administrator.")
    # Where a process or the database went away, the next attempt has every chance.
    retry_after = _SOON if why in _WENT_AWAY else None
    return ExportFailed(_failed(why), where=ticket, remedy=remedy, retry_after=retry_after)


def _rejected(why: str) -> Message:
    if why == Why.SESSION_FULL:
        return message("Too many exports of your session are waiting.")
    if why == Why.FOLLOWERS_FULL:
        return message("Too many requests share this export already.")
    return message("Too many exports are waiting.")


def _later(answer: Answer) -> Message:
    return message("Try again in {seconds} s.", seconds=round(answer.retry_after or 1.0))


def _failed(why: str) -> Message:
    if why == Why.ATTEMPTS:
        return message("The export was given up: those who ran it went away.")
    if why in (Why.LOST, Why.RELEASED):
        return message("The place of this export was given to another one; its rows do not count.")
    if why == Why.UNKNOWN:
        return message("The export queue does not know this export any more.")
    return message("The export failed at the server.")
