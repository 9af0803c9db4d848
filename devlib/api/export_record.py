"""What the service writes down of an export, so that neither a stop nor a crash loses it."""

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from devlib.errors import DevlibError
from devlib.export import ReportFile, ReportRequest
from devlib.model import Identity
from devlib.portal.wire import decode, encode
from devlib.storage import write_whole

_FILE = "export.json"


class JobState(StrEnum):
    """Where an export of the service stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class ExportRecord:
    """One export as it lies on the disk.

    Args:
        id: a random name; who knows it must still be the one who asked.
        identity: who asked, as it was then.
        via: how it was signed in.
        stored: whether the identity is of the store, and read there again.
        request: what was asked for.
        from_snapshot: whether no network is asked.
        idempotency: the asker's own key; empty for none.
        asked_at: when, UTC.
        state: waiting, running, done, failed or cancelled.
        ended_at: when it ended, UTC.
        report: the file and what is in it, once done.
        problem: members of the problem, once failed.
    """

    id: str
    identity: Identity
    via: str
    stored: bool
    request: ReportRequest
    from_snapshot: bool
    idempotency: str
    asked_at: datetime
    state: JobState = JobState.WAITING
    ended_at: datetime | None = None
    report: ReportFile | None = None
    problem: dict[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """What a repetition under the same idempotency key must repeat."""
        return json.dumps([encode(self.request), self.from_snapshot], sort_keys=True)


def save(record: ExportRecord, folder: Path) -> None:
    """Write a record into its folder, whole or not at all.

    Raises:
        StorageUnavailable: the folder cannot be written.
    """
    text = json.dumps(encode(record), ensure_ascii=True)

    def write(temporary: Path) -> None:
        temporary.touch(mode=0o600)
        temporary.write_text(text, encoding="utf-8")

    write_whole(folder / _FILE, write)


def load(folder: Path) -> ExportRecord | None:
    """Return the record of a folder; `None` where there is none, or none that this version can read."""
    try:
        values = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        record: ExportRecord = decode(ExportRecord, values)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, DevlibError):
        return None
    if record.report is not None and not record.report.path.is_file():
        return replace(record, state=JobState.WAITING, report=None, ended_at=None)
    return record


def counts(record: ExportRecord) -> dict[str, Any]:
    """Return what is in the file of a finished export."""
    if record.report is None:
        return {}
    values = {name: value for name, value in asdict(record.report).items() if name in _TOLD}
    return {**encode(values), "file_name": record.report.path.name}


_TOLD = frozenset({"rows", "states", "observed_at", "shared", "age"})
