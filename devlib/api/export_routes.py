"""Export Device Line States over HTTP, as the admission study has it (§1.5).

`POST /v1/exports` answers with the file, with 202 and a place to ask, or with the refusal; what `GET` tells
of an export later is what `POST` would have told, had it waited.
"""

import math
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Header, Path, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import AwareDatetime, Field
from starlette.requests import Request
from starlette.responses import Response

from devlib.api.answers import JSON
from devlib.api.delivery import Delivered, deliver
from devlib.api.documentation import refusals
from devlib.api.export_folder import Standing
from devlib.api.export_job import Export
from devlib.api.export_record import JobState, counts
from devlib.api.exports import ExportDesk
from devlib.api.problems import as_json, language_of, on_devlib_error, plain_problem, problem
from devlib.api.routing import Body, Text
from devlib.api.signing import Bearer, Doorkeeper
from devlib.config import ExportPolicy
from devlib.errors import DevlibError, ExportRejected
from devlib.export import ReportFormat, ReportRequest
from devlib.language import Language, message
from devlib.model import LineState
from devlib.storage import LineFilter

KINDS = {
    ReportFormat.CSV: "text/csv; charset=utf-8",
    ReportFormat.PARQUET: "application/vnd.apache.parquet",
    ReportFormat.ARROW: "application/vnd.apache.arrow.stream",
}
LONGEST_WAIT = 120
_AT_FIRST = 30.0
_ASK_AGAIN = 1
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,4})\"?(?:$|[,;\s])", re.IGNORECASE)
_POLICIES = {"export-queue-full": "queue", "session-queue-full": "session", "followers-full": "followers"}
Number = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="Number of the export.")]
Prefer = Annotated[
    str, Header(max_length=200, description="`wait=N`: answer within N seconds (RFC 7240); at most 120.")
]
Key = Annotated[
    str,
    Header(alias="Idempotency-Key", max_length=200, description="A repetition with it is the same export."),
]


class ExportOrder(Body):
    """What one reader wants."""

    customer: Text | None = Field(None, description="Whose lines; needed where you may see several.")
    site: Text | None = Field(None, description="One site; by default all.")
    states: tuple[LineState, ...] = ()
    device_types: tuple[Text, ...] = ()
    firmware: tuple[Text, ...] = ()
    seen_before: AwareDatetime | None = Field(None, description="Last REGISTER before this moment, or never.")
    search: Text = ""
    condition: Text = Field("", description="SQL condition over the columns.")
    columns: tuple[Text, ...] = Field((), description="Columns of `observations`; none for the report's 22.")
    language: Language | None = Field(None, description="Of the headers; by default as Accept-Language.")
    format: ReportFormat = ReportFormat.CSV
    from_snapshot: bool = Field(default=False, description="Take the newest snapshot; ask no network.")


class ExportRoutes:
    """The four addresses of an export.

    Args:
        desk: keeps the exports.
        doorkeeper: signs requests in.
        policy: the limits, as they are published.
    """

    def __init__(self, desk: ExportDesk, doorkeeper: Doorkeeper, policy: ExportPolicy) -> None:
        self._desk = desk
        self._doorkeeper = doorkeeper
        self._policy = policy

    async def submit(
        self, request: Request, body: ExportOrder, prefer: Prefer = "", key: Key = ""
    ) -> Response:
        """Export line states: the file itself, or 202 and where to ask."""
        seconds = _seconds(prefer)
        job, bearer = await run_in_threadpool(self._submit, request, body, key)
        await job.wait(_AT_FIRST, for_end=False)
        if seconds:
            await job.wait(seconds)
        headers = {"Location": f"/v1/exports/{job.record.id}"}
        if seconds:
            headers["Preference-Applied"] = f"wait={seconds}"
        if job.record.state is JobState.DONE and seconds:
            return await self._file_answer(request, bearer, job, headers)
        if job.record.state is JobState.DONE:
            return self._accepted(job, headers)
        return self._state_answer(request, job, headers)

    async def state(
        self, request: Request, number: Number, wait: Annotated[int, Query(ge=0, le=LONGEST_WAIT)] = 0
    ) -> Response:
        """Tell where an export stands; with `wait`, only when it has ended or the seconds are over."""
        job, _ = await run_in_threadpool(self._find, request, number)
        await job.wait(wait)
        return self._state_answer(request, job, {})

    async def file(self, request: Request, number: Number) -> Response:
        """Fetch the file of a finished export, or a part of it."""
        job, bearer = await run_in_threadpool(self._find, request, number)
        if not job.record.state.ended:
            what = message("The export has not ended yet.")
            return plain_problem(request, HTTPStatus.CONFLICT, what, {"Retry-After": "1"}, error="Conflict")
        if job.record.report is None:
            return self._state_answer(request, job, {})
        return await self._file_answer(request, bearer, job, {})

    async def cancel(self, request: Request, number: Number) -> Response:
        """Cancel an export, or forget a finished one and its file."""
        job, _ = await run_in_threadpool(self._find, request, number)
        await run_in_threadpool(self._desk.cancel, job)
        return Response(None, HTTPStatus.NO_CONTENT)

    def _submit(self, request: Request, body: ExportOrder, key: str) -> tuple[Export, Bearer]:
        bearer = self._sign_in(request)
        chosen = LineFilter(
            states=body.states,
            device_types=body.device_types,
            search=body.search,
            condition=body.condition,
            firmware=body.firmware,
            seen_before=body.seen_before,
        )
        wanted = ReportRequest(
            body.customer, body.site, chosen, body.language or language_of(request), body.columns, body.format
        )
        job, _ = self._desk.submit(bearer, wanted, from_snapshot=body.from_snapshot, idempotency=key)
        return job, bearer

    def _find(self, request: Request, number: str) -> tuple[Export, Bearer]:
        bearer = self._sign_in(request)
        return self._desk.find(bearer, number), bearer

    def _sign_in(self, request: Request) -> Bearer:
        bearer = self._doorkeeper.sign_in(request)
        request.scope["devlib.principal"] = bearer.identity.principal
        return bearer

    async def _file_answer(
        self, request: Request, bearer: Bearer, job: Export, headers: dict[str, str]
    ) -> Response:
        report, record = job.record.report, job.record
        assert report is not None  # noqa: S101 - asked before
        portal = bearer.portal(self._desk.services)
        scope = await run_in_threadpool(portal.authorise_delivery, record.request)
        if scope != report.scope or not report.path.is_file():
            # Its rows were cut to a scope that the reader has no longer: they are not handed out.
            return plain_problem(
                request, HTTPStatus.GONE, message("The file is not there any more: export again.")
            )
        kind = KINDS[record.request.format]
        file = Delivered(report.path, kind, record.id, report.observed_at)
        given = {
            **headers,
            **self._cache_headers(job),
            "RateLimit-Policy": policy_field(self._policy),
            "Content-Location": f"/v1/exports/{record.id}/file",
            "Devlib-Rows": str(report.rows),
        }
        if record.request.format is ReportFormat.CSV:
            given["Content-Language"] = record.request.language
        return deliver(request, file, given)

    def _cache_headers(self, job: Export) -> dict[str, str]:
        report, record = job.record.report, job.record
        assert report is not None  # noqa: S101 - asked before
        told = "fwd=miss; stored"
        if record.from_snapshot:
            told = 'hit; detail="snapshot"'
        elif report.collapsed:
            told = "fwd=miss; collapsed"
        elif report.shared:
            told = f"hit; ttl={max(0, math.ceil(self._policy.cache_ttl - report.age))}"
        headers = {"Cache-Status": f"devlib; {told}", "Server-Timing": job.timing}
        return headers | ({"Age": str(math.floor(report.age))} if report.shared else {})

    def _accepted(self, job: Export, headers: dict[str, str]) -> Response:
        given = {**headers, "Cache-Control": "no-store", "RateLimit-Policy": policy_field(self._policy)}
        return Response(as_json(_told(job)), HTTPStatus.ACCEPTED, given, JSON)

    def _state_answer(self, request: Request, job: Export, headers: dict[str, str]) -> Response:
        state = job.record.state
        if job.error is not None:
            return problem_of_export(request, job.error, self._policy)
        if state is JobState.CANCELLED:
            return plain_problem(request, HTTPStatus.GONE, message("The export was cancelled."))
        if state is JobState.DONE:
            given = {**headers, **self._cache_headers(job), "Cache-Control": "no-store"}
            return Response(as_json(_told(job)), HTTPStatus.OK, given, JSON)
        return self._accepted(job, {**headers, "Retry-After": str(_ASK_AGAIN)})


def add_export_routes(application: FastAPI, desk: ExportDesk, doorkeeper: Doorkeeper) -> None:
    """Add the addresses of exports."""
    policy = desk.services.settings.export
    routes = ExportRoutes(desk, doorkeeper, policy)
    file = {kind.partition(";")[0]: {"schema": _BINARY} for kind in KINDS.values()}
    state = {JSON: {"schema": STATE_SCHEMA}}
    accepted = {"description": "Admitted; ask at Location.", "content": state}
    whole = {"description": "The file.", "content": file}
    one = "/v1/exports/{number}"
    _add(application, "/v1/exports", "POST", routes.submit, {200: whole, 202: accepted})
    _add(application, one, "GET", routes.state, {200: {**accepted, "description": "Done."}, 202: accepted})
    part, same = {**whole, "description": "A part of it."}, {"description": "The file that you have."}
    _add(application, f"{one}/file", "GET", routes.file, {200: whole, 206: part, 304: same})
    _add(application, one, "DELETE", routes.cancel, {204: {"description": "Cancelled or forgotten."}})
    application.add_exception_handler(ExportRejected, _on_rejected(policy))


def _add(
    application: FastAPI, path: str, verb: str, endpoint: Callable[..., Any], good: dict[int, Any]
) -> None:
    answers: dict[int | str, dict[str, Any]] = {**refusals(410, 416)}
    answers |= {status: meaning for status, meaning in good.items()}  # noqa: C416 - of another type
    application.add_api_route(
        path, endpoint, methods=[verb], response_class=Response, responses=answers,
        operation_id=f"{endpoint.__name__}_export", status_code=next(iter(good)),
        summary=(endpoint.__doc__ or "").strip().split("\n")[0],
    )  # fmt: skip


_BINARY = {"type": "string", "format": "binary"}


def _on_rejected(policy: ExportPolicy) -> Any:  # noqa: ANN401 - a handler
    async def answer(request: Request, error: Exception) -> Response:
        if isinstance(error, ExportRejected):
            return problem_of_export(request, error, policy)
        return await on_devlib_error(request, error)

    return answer


def problem_of_export(request: Request, error: DevlibError, policy: ExportPolicy) -> Response:
    """Return the refusal of an export; where a limit is the reason, with that limit."""
    if not isinstance(error, ExportRejected):
        return problem(request, error)
    violated = _POLICIES.get(error.code, "queue")
    answer = problem(request, error, **{"violated-policies": [violated], "code": error.code})
    answer.headers["RateLimit-Policy"] = policy_field(policy)
    answer.headers["RateLimit"] = f'"{violated}";r=0;t={answer.headers["retry-after"]}'
    return answer


def policy_field(policy: ExportPolicy) -> str:
    """Return the field `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers)."""
    window, many = math.ceil(policy.period), 'qu="concurrent-requests"'
    return ", ".join(
        [
            f'"session";q=1;w={window}',
            f'"customer";q=1;w={window}',
            f'"parallel";q={policy.max_running};{many}',
            f'"queue";q={policy.max_waiting};{many}',
            f'"followers";q={policy.max_followers};{many}',
        ]
    )


def _seconds(prefer: str) -> int:
    found = _WAIT.search(prefer)
    return min(int(found[1]), LONGEST_WAIT) if found else 0


def _told(job: Export) -> dict[str, object]:
    record, standing = job.record, job.standing or Standing()
    values: dict[str, object] = {
        "id": record.id,
        "state": record.state.value,
        "place": standing.place,
        "seconds_to_go": round(standing.seconds_to_go, 1),
        "delayed": standing.delayed,
        "done": standing.done,
        "total": standing.total,
        "self": f"/v1/exports/{record.id}",
    }
    if record.state is JobState.DONE:
        values |= {**counts(record), "file": f"/v1/exports/{record.id}/file"}
    return values


STATE_SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "state": {"type": "string", "enum": [each.value for each in JobState]},
        "place": {"type": "integer", "description": "Place in the queue, from 1; 0 where it runs or shares."},
        "seconds_to_go": {"type": "number", "description": "Estimate until the rows are there."},
        "delayed": {"type": "boolean", "description": "Only the spacing of the own session holds it back."},
        "done": {"type": "integer", "description": "Lines asked so far."},
        "total": {"type": ["integer", "null"], "description": "Lines in all."},
        "self": {"type": "string"},
        "file": {"type": "string", "description": "Where the file is, once done."},
        "file_name": {"type": "string"},
        "rows": {"type": "integer"},
        "states": {"type": "object", "additionalProperties": {"type": "integer"}},
        "observed_at": {"type": "string", "format": "date-time"},
        "shared": {"type": "boolean"},
        "age": {"type": "number"},
    },
    "required": ["id", "state", "place", "seconds_to_go", "delayed", "done", "total", "self"],
}
