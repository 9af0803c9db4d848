"""Every error that the suite raises on purpose, in one tree.

    DevlibError                     says what, where and what to do
    ├── UsageError                  400  the call itself is wrong
    │   ├── MacInvalid              400  not a usable MAC address
    │   ├── ConfigurationError      500  devlib.toml, an environment variable or a catalogue file
    │   ├── QueryRefused            400  the analyst's SQL is wrong or may not run
    │   └── IdempotencyMismatch     422  an idempotency key came before with another request
    ├── FileUnreadable              422  a file that is no CSV, has no usable header, …
    ├── RowsRefused                 422  rows of a bulk file break rules; nothing was imported
    ├── NotFound                    404  no such site, device, line, snapshot in the asker's scope
    ├── Conflict                    409  a MAC or line port exists already; a line is taken
    ├── NotAllowed                  403  the role or scope does not cover the act
    │   ├── ExportSwitchedOff       403  the service provider has not enabled the report
    │   └── NotSignedIn             401  no token, or none that is worth anything (any more)
    ├── TryLater                    503  nothing is wrong with the request
    │   ├── NetworkUnreachable      502  a registrar or cloud does not answer
    │   ├── StorageUnavailable      503  the database or the lake cannot be reached or locked
    │   ├── LeadLost                503  another process has taken over what this one was doing
    │   ├── QueryTimeout            503  the analyst's SQL took longer than allowed
    │   ├── ExportRejected          429  too many exports at once
    │   └── ExportQueueTimeout      408  waited in the queue for too long
    ├── CheckFailed                 500  what a runbook left behind is not as its Check wants it
    ├── CapabilityMissing           501  this network cannot do that
    └── ExportFailed                500  the export failed at the server

Doors turn them into exit codes (`exit_code`) and HTTP answers (`http_status`).
"""

from typing import ClassVar

from devlib.language import Language, Message, message, translate


class DevlibError(Exception):
    """A failure that says what happened, where, and what to do.

    Args:
        what: what is wrong.
        where: file, row, field, device or address; empty where `what` says it.
        remedy: what the reader can do about it.
        retry_after: seconds after which a retry makes sense; `None` where it does not.
    """

    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    notebook_language: ClassVar[Language] = "en"  # chosen by `devlib.ui.start`

    def __init__(
        self,
        what: Message,
        *,
        where: str = "",
        remedy: Message | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(what, where, remedy)
        self.what = what
        self.where = where
        self.remedy = remedy
        self.retry_after = retry_after

    def in_language(self, language: Language) -> str:
        """Return the whole text in `language`: where, what, and what to do."""
        text = self.what.in_language(language)
        if self.where:
            text = f"{self.where}: {text}"
        if self.remedy is not None:
            text += "\n" + translate("What to do:", language) + " " + self.remedy.in_language(language)
        return text

    def __str__(self) -> str:
        return self.in_language("en")

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: no traceback, for nothing is wrong with the code (IPython's hook)."""
        return f"{type(self).__name__}: {self.in_language(self.notebook_language)}".splitlines()

    def __reduce__(self) -> tuple[object, ...]:
        # An error crosses process borders (pytest-xdist, workers) with everything it carries.
        return _rebuild, (type(self), self.what, self.where, self.remedy, self.retry_after)


def _rebuild(
    kind: type[DevlibError], what: Message, where: str, remedy: Message, retry_after: float | None
) -> DevlibError:
    return kind(what, where=where, remedy=remedy, retry_after=retry_after)


class UsageError(DevlibError):
    """The call itself is wrong."""

    http_status = 400
    exit_code = 2


class MacInvalid(UsageError):
    """Text that is not the MAC address of one device; `code` is the row code of the bulk file."""

    def __init__(self, code: str, what: Message, remedy: Message | None = None) -> None:
        super().__init__(
            what,
            remedy=remedy or message("Copy the twelve hexadecimal digits from the label of the device."),
        )
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        return MacInvalid, (self.code, self.what, self.remedy)


class ConfigurationError(UsageError):
    """A wrong setting in `devlib.toml`, the environment or a catalogue file."""

    http_status = 500


class QueryRefused(UsageError):
    """An analyst's SQL that is wrong or that may not run."""


class IdempotencyMismatch(UsageError):
    """An idempotency key that came before with another request."""

    http_status = 422


class FileUnreadable(DevlibError):
    """A file that cannot be read as the table it should be."""

    http_status = 422


class RowsRefused(DevlibError):
    """Rows that break rules, so that nothing was imported."""

    http_status = 422


class NotFound(DevlibError):
    """Something that does not exist in the scope of the one who asks."""

    http_status = 404


class Conflict(DevlibError):
    """Something exists already or is taken."""

    http_status = 409


class NotAllowed(DevlibError):
    """An act that the role or the scope does not cover."""

    http_status = 403
    exit_code = 3


class ExportSwitchedOff(NotAllowed):
    """The line-state report is not enabled for the service provider (article, `Party Manager`)."""


class NotSignedIn(NotAllowed):
    """No token, or one that is unknown, expired or revoked; over HTTP only."""

    http_status = 401


class TryLater(DevlibError):
    """Nothing is wrong with the request; it cannot be served now."""

    http_status = 503
    exit_code = 3


class NetworkUnreachable(TryLater):
    """A registrar or cloud that does not answer as it should."""

    http_status = 502


class StorageUnavailable(TryLater):
    """The database or the lake cannot be reached or locked."""


class LeadLost(TryLater):
    """Another process has taken over what this one was doing; what it writes would be there twice."""


class QueryTimeout(TryLater):
    """An analyst's SQL that took longer, or needed more memory, than allowed."""


class ExportRejected(TryLater):
    """Too many exports at once (article: 429); `code` names the limit, such as `export-queue-full`."""

    http_status = 429
    code = "export-queue-full"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_rejected, (self.code, self.what, self.where, self.remedy, self.retry_after)


def _rebuild_rejected(
    code: str, what: Message, where: str, remedy: Message, retry_after: float | None
) -> ExportRejected:
    error = ExportRejected(what, where=where, remedy=remedy, retry_after=retry_after)
    error.code = code
    return error


class ExportQueueTimeout(TryLater):
    """The export waited in the queue for too long (article: 408)."""

    http_status = 408


class CapabilityMissing(DevlibError):
    """A network that cannot do what is asked of it."""

    http_status = 501


class ExportFailed(DevlibError):
    """The export failed at the server (article: 500)."""


class CheckFailed(DevlibError):
    """What the Check of a runbook found is not as it must be."""

    http_status = 500
