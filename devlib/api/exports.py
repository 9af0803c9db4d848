"""Exports of the service: each runs in a thread of its own, is told about, cancelled, fetched, and not lost.

Admission (who runs, waits, shares or is refused) is the portal's; here is only what a client that went away
and came back needs. Every export is written down when it arrives and when it ends: after a stop or a crash
the service goes on with those that had not ended. Several workers may share one home: any of them tells of
any export, and goes on with those of one that died.
"""

import json
import logging
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import timedelta

from devlib.api.export_folder import EXPORTS, ExportFolder
from devlib.api.export_job import Abandoned, Export, ExportJob, WatchedExport
from devlib.api.export_record import ExportRecord, JobState
from devlib.api.signing import Bearer
from devlib.errors import DevlibError, ExportRejected, IdempotencyMismatch, NotFound, TryLater
from devlib.export import ReportRequest
from devlib.language import message, visible
from devlib.portal import Portal, Services
from devlib.portal.token_sign_in import StoredSignIn, TokenSignIn
from devlib.storage import WriteLock

LOG = logging.getLogger("devlib.api")
_REFUSED_IN = 5.0
_PURGED_EVERY = 5.0  # seconds


class ExportDesk:
    """Takes exports in, and keeps them until they were fetched or are old.

    Args:
        services: what the portals work with.
    """

    def __init__(self, services: Services) -> None:
        self.services = services
        self._settings = services.settings.api
        self.folder = services.settings.home / EXPORTS
        # What is taken in is compared with all that is there: one worker does that at a time.
        self._taking_in = WriteLock(self.folder / ".lock")
        self._jobs: dict[str, ExportJob] = {}  # those that this process runs
        self._threads = ThreadPoolExecutor(self._settings.exports, "devlib-export")
        self._purging = threading.Lock()
        self._purged_at = float("-inf")
        self.closing = False

    def open(self) -> None:
        """Take up what an earlier service left: finished files are there, unfinished exports go on."""
        ExportFolder.prepare(self.folder)
        self._purge()
        with self._taking_in:
            ExportFolder.sweep(self.folder)
        for folder in ExportFolder.every(self.folder):
            record = folder.record()
            if record is None and folder.take():
                folder.remove()
            elif record is not None and not record.state.ended:
                self._adopt(folder)

    def close(self) -> None:
        """End in order: let running exports finish; those that last too long go on at the next start."""
        self.closing = True
        live = [job.future for job in list(self._jobs.values()) if job.future is not None]
        left = wait(live, timeout=self._settings.drain_seconds).not_done
        for job in list(self._jobs.values()):
            job.abandon()
        wait(left)
        self._threads.shutdown(wait=True)

    def levels(self) -> dict[str, tuple[str, float]]:
        """Return the counts for `/metrics`."""
        states = Counter(export.record.state for export in self._all())
        return {
            f"exports_{state.value}": (f"Exports of this service: {state.value}.", states[state])
            for state in JobState
        }

    def submit(
        self, bearer: Bearer, request: ReportRequest, *, from_snapshot: bool, idempotency: str
    ) -> tuple[Export, bool]:
        """Take an export in; returns it, and whether it is a repetition of an earlier one.

        Raises:
            IdempotencyMismatch: the key came before with another request.
            ExportRejected: this service has too many exports to look after.
            TryLater: it is stopping.
            StorageUnavailable: the export cannot be written down.
        """
        record = ExportRecord(
            secrets.token_hex(16),
            bearer.identity,
            bearer.signed_in.via,
            isinstance(bearer.signed_in, TokenSignIn),
            request,
            from_snapshot,
            idempotency,
            self.services.clock.now(),
        )
        self._purge()
        with self._taking_in:
            there = [each for each in self._all() if not self._old(each.record)]
            if (earlier := _repeated(record, there)) is not None:
                return self._running(earlier), True
            self._require_room(there)
            job = ExportJob(ExportFolder.make(self.folder, record), record, self.services.clock)
        try:
            self._start(job, bearer.portal(self.services))
        except BaseException:
            self._forget(job)
            raise
        return job, False

    def find(self, bearer: Bearer, number: str) -> Export:
        """Return an export of the one who asks.

        Raises:
            NotFound: it has none of that number (any more).
        """
        self._purge()
        export = self._export(ExportFolder(self.folder / number))
        theirs = export is not None and export.record.identity.principal == bearer.identity.principal
        if export is None or not theirs or export.cancelled or self._old(export.record):
            raise NotFound(
                message("There is no export {number}, or not any more.", number=visible(number, 40)),
                remedy=message("Export again; a finished export is kept for a few minutes only."),
            )
        return self._running(export)

    def cancel(self, export: Export) -> None:
        """End an export, and forget it with its file; who shares it goes on."""
        # Whoever runs it learns that at its next step, within a second.
        if isinstance(export, ExportJob):
            export.give_up()
        export.folder.give_up()
        if export.folder.take():
            self._forget(export)

    def _export(self, folder: ExportFolder) -> Export | None:
        """Return the export of a folder: the one that runs here, or as it lies there."""
        job = self._jobs.get(folder.path.name)
        if job is not None and folder.path.is_dir():
            return job
        record = folder.record()
        return None if record is None else WatchedExport(folder, record)

    def _all(self) -> Iterator[Export]:
        for folder in ExportFolder.every(self.folder):
            if (export := self._export(folder)) is not None:
                yield export

    def _running(self, export: Export) -> Export:
        """Return an export that somebody runs, or that has ended: where nobody does, it runs here now."""
        if export.record.state.ended or isinstance(export, ExportJob):
            return export
        return self._adopt(export.folder) or export

    def _adopt(self, folder: ExportFolder) -> ExportJob | None:
        """Go on with an export whose process is gone; `None` where it is not, or nothing is left to do."""
        if self.closing or not folder.take():
            return None
        record = folder.record()
        if record is None or folder.given_up:
            folder.remove()
            return None
        if record.state.ended:
            folder.free()
            return None
        job = ExportJob(folder, replace(record, state=JobState.WAITING), self.services.clock)
        LOG.info(json.dumps({"event": "export resumed", "export": record.id}))
        self._start(job, self._resumed_portal(record))
        return job

    def _start(self, job: ExportJob, portal: Portal) -> None:
        self._jobs[job.record.id] = job
        if self.closing:
            job.abandon()
        job.future = self._threads.submit(self._run, job, portal)

    def _run(self, job: ExportJob, portal: Portal) -> None:
        try:
            self._export_now(job, portal)
        finally:
            if not job.record.state.ended:
                job.folder.free()
            elif job.cancelled:
                self._forget(job)  # cancelled after its last step
            elif job.written:
                self._jobs.pop(job.record.id, None)
                job.folder.free()

    def _export_now(self, job: ExportJob, portal: Portal) -> None:
        record = job.record
        try:
            report = portal.export_line_states(
                record.request,
                job.folder.path,
                from_snapshot=record.from_snapshot,
                progress=job.progressed,
                waiting=job.waited,
                idempotency=record.idempotency or record.id,
            )
        except Abandoned:
            if job.cancelled:
                self._end(job, lambda r: replace(r, state=JobState.CANCELLED))
                self._forget(job)
            return
        except DevlibError as error:
            job.error = error
            self._end(job, lambda r: replace(r, state=JobState.FAILED))
        except Exception as error:  # a thread has nobody to raise to; its asker learns that it failed
            LOG.exception("export %s", record.id)
            job.fail_unexpectedly(error)
            self._end(job, lambda r: replace(r, state=JobState.FAILED))
        else:
            self._end(job, lambda r: replace(r, state=JobState.DONE, report=report))

    def _end(self, job: ExportJob, change: Callable[[ExportRecord], ExportRecord]) -> None:
        ended = replace(change(job.record), ended_at=self.services.clock.now(), problem=job.problem())
        try:
            job.folder.write(ended)
            job.written = True
        except DevlibError:
            # Only after a crash would this be missed, and then the export runs once more.
            LOG.exception("export %s is not written down", ended.id)
        job.changed(ended)

    def _resumed_portal(self, record: ExportRecord) -> Portal:
        if not record.stored:
            return Portal(record.identity, self.services)
        signed_in = StoredSignIn(self.services, record.identity.principal, record.via)
        return Portal(record.identity, self.services, signed_in)

    def _require_room(self, there: Sequence[Export]) -> None:
        if self.closing:
            raise TryLater(message("The service is stopping."), retry_after=_REFUSED_IN)
        live = sum(not each.record.state.ended for each in there)
        if live >= self._settings.exports:
            raise ExportRejected(message("Too many exports are waiting."), retry_after=_REFUSED_IN)

    def _old(self, record: ExportRecord) -> bool:
        if record.ended_at is None:
            return False
        return self.services.clock.now() - record.ended_at > timedelta(seconds=self._settings.keep_seconds)

    def _purge(self) -> None:
        with self._purging:
            now = self.services.clock.monotonic()
            if now - self._purged_at < _PURGED_EVERY:
                return
            self._purged_at = now
        for export in self._all():
            if self._old(export.record):
                self._forget(export)
            else:
                self._running(export)  # the worker that ran it may have ended

    def _forget(self, export: Export) -> None:
        self._jobs.pop(export.record.id, None)
        export.folder.remove()


def _repeated(record: ExportRecord, there: Sequence[Export]) -> Export | None:
    """Return the export that a new one repeats under its idempotency key.

    Raises:
        IdempotencyMismatch: the key came before with another request.
    """
    if not record.idempotency:
        return None
    mine = (record.identity.principal, record.idempotency)
    for each in there:
        other = each.record
        if (other.identity.principal, other.idempotency) != mine or each.may_be_repeated:
            continue
        if other.fingerprint != record.fingerprint:
            raise IdempotencyMismatch(
                message("This idempotency key was used for another export."),
                remedy=message("Use a new key for each export."),
            )
        return each
    return None
