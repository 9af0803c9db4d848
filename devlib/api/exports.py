"""Exports of the service: each runs in a thread of its own, is told about, cancelled, fetched, and not lost.

Admission (who runs, waits, shares or is refused) is the portal's; here is only what a client that went away
and came back needs. Every export is written down when it arrives and when it ends: after a stop or a crash
the service goes on with those that had not ended.
"""

import json
import logging
import secrets
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from devlib.api.export_job import Abandoned, ExportJob
from devlib.api.export_record import ExportRecord, JobState, load, save
from devlib.api.signing import Bearer
from devlib.errors import DevlibError, ExportRejected, IdempotencyMismatch, NotFound, TryLater
from devlib.export import ReportRequest
from devlib.language import message, visible
from devlib.portal import Portal, Services
from devlib.portal.token_sign_in import StoredSignIn, TokenSignIn

LOG = logging.getLogger("devlib.api")
_REFUSED_IN = 5.0


class ExportDesk:
    """Takes exports in, and keeps them until they were fetched or are old.

    Args:
        services: what the portals work with.
    """

    def __init__(self, services: Services) -> None:
        self.services = services
        self._settings = services.settings.api
        self.folder = services.settings.home / "service-exports"
        self._jobs: dict[str, ExportJob] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(self._settings.exports, "devlib-export")
        self.closing = False

    def open(self) -> None:
        """Take up what an earlier service left: finished files are there, unfinished exports go on."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in sorted(each for each in self.folder.iterdir() if each.is_dir()):
            record = load(folder)
            if record is None or self._old(record):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            job = ExportJob(
                replace(record, state=record.state if record.state.ended else JobState.WAITING),
                self.services.clock,
            )
            self._jobs[record.id] = job
            if not record.state.ended:
                LOG.info(json.dumps({"event": "export resumed", "export": record.id}))
                self._start(job, self._resumed_portal(record))

    def close(self) -> None:
        """End in order: let running exports finish; those that last too long go on at the next start."""
        self.closing = True
        live = [job.future for job in self._jobs.values() if job.future is not None]
        left = wait(live, timeout=self._settings.drain_seconds).not_done
        for job in self._jobs.values():
            job.abandon()
        wait(left)
        self._threads.shutdown(wait=True)

    def levels(self) -> dict[str, tuple[str, float]]:
        """Return the counts for `/metrics`."""
        states = [job.record.state for job in list(self._jobs.values())]
        return {
            f"exports_{state.value}": (f"Exports of this service: {state.value}.", states.count(state))
            for state in JobState
        }

    def submit(
        self, bearer: Bearer, request: ReportRequest, *, from_snapshot: bool, idempotency: str
    ) -> tuple[ExportJob, bool]:
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
        with self._lock:
            self._purge()
            if (earlier := self._repeated(record)) is not None:
                return earlier, True
            self._require_room()
            job = self._jobs[record.id] = ExportJob(record, self.services.clock)
        try:
            save(record, self.folder / record.id)
            self._start(job, bearer.portal(self.services))
        except BaseException:
            self._forget(job)
            raise
        return job, False

    def find(self, bearer: Bearer, number: str) -> ExportJob:
        """Return an export of the one who asks.

        Raises:
            NotFound: it has none of that number (any more).
        """
        with self._lock:
            self._purge()
            job = self._jobs.get(number)
        theirs = job is not None and job.record.identity.principal == bearer.identity.principal
        if job is None or not theirs or job.cancelled:
            raise NotFound(
                message("There is no export {number}, or not any more.", number=visible(number, 40)),
                remedy=message("Export again; a finished export is kept for a few minutes only."),
            )
        return job

    def cancel(self, job: ExportJob) -> None:
        """End an export, and forget it with its file; who shares it goes on."""
        job.cancel()
        if job.future is None or job.future.done():
            self._forget(job)

    def _start(self, job: ExportJob, portal: Portal) -> None:
        job.future = self._threads.submit(self._run, job, portal)

    def _run(self, job: ExportJob, portal: Portal) -> None:
        record, folder = job.record, self.folder / job.record.id
        try:
            report = portal.export_line_states(
                record.request,
                folder,
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
            save(ended, self.folder / ended.id)
        except DevlibError:
            # Only after a crash would this be missed, and then the export runs once more.
            LOG.exception("export %s is not written down", ended.id)
        job.changed(ended)

    def _resumed_portal(self, record: ExportRecord) -> Portal:
        if not record.stored:
            return Portal(record.identity, self.services)
        signed_in = StoredSignIn(self.services, record.identity.principal, record.via)
        return Portal(record.identity, self.services, signed_in)

    def _repeated(self, record: ExportRecord) -> ExportJob | None:
        if not record.idempotency:
            return None
        for job in self._jobs.values():
            other = job.record
            same = (other.identity.principal, other.idempotency) == (
                record.identity.principal,
                record.idempotency,
            )
            if same and not job.may_be_repeated:
                if other.fingerprint != record.fingerprint:
                    raise IdempotencyMismatch(
                        message("This idempotency key was used for another export."),
                        remedy=message("Use a new key for each export."),
                    )
                return job
        return None

    def _require_room(self) -> None:
        if self.closing:
            raise TryLater(message("The service is stopping."), retry_after=_REFUSED_IN)
        live = sum(not job.record.state.ended for job in self._jobs.values())
        if live >= self._settings.exports:
            raise ExportRejected(message("Too many exports are waiting."), retry_after=_REFUSED_IN)

    def _old(self, record: ExportRecord) -> bool:
        if record.ended_at is None:
            return False
        return self.services.clock.now() - record.ended_at > timedelta(seconds=self._settings.keep_seconds)

    def _purge(self) -> None:
        for job in [each for each in self._jobs.values() if self._old(each.record)]:
            self._forget(job)

    def _forget(self, job: ExportJob) -> None:
        self._jobs.pop(job.record.id, None)
        shutil.rmtree(Path(self.folder / job.record.id), ignore_errors=True)
