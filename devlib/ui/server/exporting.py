"""Exports that a page asks for: started, followed, cancelled and fetched by the one who asked, and nobody else."""

import asyncio
import json
import secrets
import shutil
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import tornado.web
from jupyter_server.base.handlers import APIHandler
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

from devlib.clock import Clock
from devlib.config import Settings, own_environment
from devlib.language import Language, message
from devlib.ui.link import LineQuery
from devlib.ui.server.identity import Visitor, language_of
from devlib.ui.server.pages import Guarded

_PIECE = 1 << 20
_MOST_OF_ONE = 4
_MOST_BODY = 20_000


@dataclass
class Job:
    """One export under way or done.

    Args:
        principal: who asked.
        folder: where its file lies.
        state: what its process told last.
        ended: monotonic seconds at its end; `None` while it runs.
    """

    principal: str
    folder: Path
    state: dict[str, Any] = field(default_factory=lambda: {"kind": "starting"})
    process: asyncio.subprocess.Process | None = None
    ended: float | None = None


class ExportJobs:
    """The exports of one server.

    Args:
        settings: of this home.
        clock: for how long files are kept.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._jobs: dict[str, Job] = {}
        self._following: set[asyncio.Task[None]] = set()
        self._folder = settings.home / "exports" / "dashboards"

    async def begin(self, visitor: Visitor, query: LineQuery, language: Language) -> str:
        """Start an export; return its number.

        Raises:
            HTTPError: 429: this identity has several already.
        """
        self.sweep()
        live = [job for job in self._jobs.values() if job.principal == visitor.username and job.ended is None]
        if len(live) >= _MOST_OF_ONE:
            raise HTTPError(429)
        number = secrets.token_hex(16)
        job = Job(visitor.username, self._folder / number)
        self._jobs[number] = job
        wanted = {
            "id": number,
            "principal": visitor.username,
            "session": visitor.session,
            "language": language,
            "query": query.to_values(),
            "folder": str(job.folder),
        }
        following = asyncio.ensure_future(self._run(job, wanted, language))
        self._following.add(following)
        following.add_done_callback(self._following.discard)
        return number

    def job(self, visitor: Visitor, number: str) -> Job:
        """Return the job of that number, where it is this visitor's.

        Raises:
            HTTPError: 404: it is not, whether it exists or not.
        """
        job = self._jobs.get(number)
        if job is None or job.principal != visitor.username:
            raise HTTPError(404)
        return job

    def cancel(self, job: Job) -> None:
        """Cancel an export: its place in the queue is free at once."""
        if job.process is not None and job.process.returncode is None:
            with suppress(ProcessLookupError):
                job.process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Cancel all exports and remove their files."""
        for job in self._jobs.values():
            self.cancel(job)
        shutil.rmtree(self._folder, ignore_errors=True)

    def sweep(self) -> None:
        """Forget exports that ended long ago, with their files."""
        over = self._clock.monotonic() - self._settings.dashboards.exports_kept_seconds
        for number, job in list(self._jobs.items()):
            if job.ended is not None and job.ended < over:
                shutil.rmtree(job.folder, ignore_errors=True)
                del self._jobs[number]

    async def _run(self, job: Job, wanted: dict[str, Any], language: Language) -> None:
        environment = own_environment() | {"DEVLIB_HOME": str(self._settings.home)}
        job.process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "devlib.ui.server.export_child", env=environment,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        process.stdin.write(json.dumps(wanted).encode() + b"\n")
        process.stdin.close()
        async for line in process.stdout:
            job.state = json.loads(line)
        await process.wait()
        if job.state["kind"] not in ("done", "error"):
            cancelled = message("The export was cancelled.").in_language(language)
            job.state = {"kind": "cancelled", "text": cancelled}
        job.ended = self._clock.monotonic()


class ExportHandler(Guarded, APIHandler):  # type: ignore[misc]
    """The way of a page to its exports."""

    def initialize(self, jobs: ExportJobs) -> None:
        """Take the exports of this server."""
        self._jobs = jobs

    @property
    def _visitor(self) -> Visitor:
        return cast("Visitor", self.current_user)

    @tornado.web.authenticated
    async def post(self, number: str | None = None, file: str | None = None) -> None:
        """Start an export of what the body says."""
        if number is not None or file is not None or len(self.request.body) > _MOST_BODY:
            raise HTTPError(400)
        body = self.get_json_body()
        if not isinstance(body, dict) or not isinstance(body.get("query"), dict):
            raise HTTPError(400)
        language: Language = "fr" if body.get("language") == "fr" else "en"
        begun = await self._jobs.begin(self._visitor, LineQuery.from_values(body["query"]), language)
        self.finish(json.dumps({"id": begun}))

    @tornado.web.authenticated
    async def get(self, number: str | None = None, file: str | None = None) -> None:
        """Tell where an export stands, or hand out its file."""
        job = self._jobs.job(self._visitor, number or "")
        if file is None:
            self.finish(json.dumps(job.state))
            return
        if job.state["kind"] != "done":
            raise HTTPError(409)
        await self._stream(job.folder / job.state["name"])

    @tornado.web.authenticated
    async def delete(self, number: str | None = None, file: str | None = None) -> None:
        """Cancel an export."""
        self._jobs.cancel(self._jobs.job(self._visitor, number or ""))
        self.set_status(204)
        self.finish()

    async def _stream(self, path: Path) -> None:
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        self.set_header("Content-Disposition", f'attachment; filename="{path.name}"')
        self.set_header("Content-Length", str(path.stat().st_size))
        # Packed on the way it would have no length, and the browser no progress.
        self.clear_header("Content-Encoding")
        with path.open("rb") as file, suppress(StreamClosedError):
            while piece := file.read(_PIECE):
                self.write(piece)
                await self.flush()
        await self.finish()

    def write_error(self, status_code: int, **given: Any) -> None:  # noqa: ANN401, ARG002
        """Write an error as JSON in words."""
        language = language_of(self, "en")
        texts = {
            403: message("You are no longer signed in. Load the page again."),
            404: message("This export is no longer there. Start it again."),
            429: message("You have several exports already. Cancel one, or wait for it."),
        }
        text = texts.get(status_code, message("The server could not do this. Load the page again."))
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"kind": "error", "status": status_code, "text": text.in_language(language)}))
