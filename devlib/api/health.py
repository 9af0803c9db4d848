"""Addresses for those who watch the service: alive, ready, counts, and the document of the interface."""

from collections.abc import Callable

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from devlib.api.answers import JSON
from devlib.api.exports import ExportDesk
from devlib.api.metrics import Metrics
from devlib.api.problems import as_json, plain_problem
from devlib.errors import DevlibError, StorageUnavailable
from devlib.language import message
from devlib.portal import Services

_KEPT = {"Cache-Control": "no-store"}


def add_health_routes(
    application: FastAPI,
    services: Services,
    desk: ExportDesk,
    metrics: Metrics,
    document: Callable[[], dict[str, object]],
) -> None:
    """Add `/health`, `/ready`, `/metrics` and `/openapi.json`; none of them tells of any customer."""

    @application.get("/health", summary="Whether the service is alive", responses=_answers("Alive."))
    async def health() -> Response:
        return Response(as_json({"status": "alive"}), 200, _KEPT, JSON)

    @application.get(
        "/ready",
        summary="Whether requests can be served: everything answers, and the service is not stopping",
        responses={**_answers("Ready."), 503: {"description": "Not ready.", "content": _PROBLEM}},
    )
    async def ready(request: Request) -> Response:
        try:
            await run_in_threadpool(_require_ready, services, desk)
        except DevlibError as error:
            # What exactly is broken stands in the log; who asks here has not signed in.
            return plain_problem(
                request, 503, message("Not ready."), {"Retry-After": "5"}, error=type(error).__name__
            )
        return Response(as_json({"status": "ready"}), 200, _KEPT, JSON)

    @application.get(
        "/metrics", summary="Counts for Prometheus", responses={200: {"content": {"text/plain": {}}}}
    )
    async def counts() -> Response:
        text = await run_in_threadpool(metrics.text)
        return Response(text, 200, _KEPT, CONTENT_TYPE_LATEST)

    @application.get("/openapi.json", summary="This document", responses=_answers("The document."))
    async def interface() -> Response:
        return Response(as_json(document()), 200, None, JSON)


def _require_ready(services: Services, desk: ExportDesk) -> None:
    if desk.closing:
        raise StorageUnavailable(message("Not ready."))
    with services.inventory.read() as reader:
        reader.identity("")
    try:
        services.lake.folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise StorageUnavailable(message("Not ready.")) from None
    services.lake.files.present([_NO_FILE])
    services.open_coordinator().overview(0)


# A name that no file has: asking for it tells whether the bucket answers.
_NO_FILE = "2000-01/20000101T000000-000000000000.parquet"

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _answers(meaning: str) -> dict[int | str, dict[str, object]]:
    return {200: {"description": meaning, "content": {JSON: {"schema": {"type": "object"}}}}}
