"""The application: routes, errors, limits, health, and an orderly end."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

import anyio.to_thread
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from devlib.api.documentation import document
from devlib.api.export_routes import add_export_routes
from devlib.api.exports import ExportDesk
from devlib.api.file_routes import add_file_routes
from devlib.api.health import add_health_routes
from devlib.api.intake import Intake
from devlib.api.metrics import Metrics
from devlib.api.openid import OpenIdProviders, Provider
from devlib.api.problems import on_accident, on_devlib_error, on_http_error, problem, wrong_request
from devlib.api.routing import add_routes
from devlib.api.signing import Doorkeeper
from devlib.errors import DevlibError
from devlib.fleet import ImportReport
from devlib.model import Identity
from devlib.portal import Services
from devlib.portal.routes import ROUTES

_ABOUT = (
    "The portal over HTTP: the same acts, under the same rules, for programs. Errors are problem+json "
    "(RFC 9457) in the language of Accept-Language. See docs/api.md."
)


def create_application(services: Services, at_end: Callable[[], None] | None = None) -> Intake:
    """Return the ASGI application of one service.

    Args:
        services: what its portals work with; whoever opened them closes them.
        at_end: done when everything else has ended.
    """
    desk = ExportDesk(services)
    metrics = Metrics(desk.levels)
    doorkeeper = _doorkeeper(services)
    application = FastAPI(
        title="devlib", version=version("devlib"), description=_ABOUT,
        docs_url=None, redoc_url=None, openapi_url=None, lifespan=_lifespan(services, desk, at_end),
        redirect_slashes=False,
    )  # fmt: skip
    application.add_exception_handler(DevlibError, on_devlib_error)
    application.add_exception_handler(HTTPException, on_http_error)
    application.add_exception_handler(Exception, on_accident)
    application.add_exception_handler(RequestValidationError, _on_wrong_request(doorkeeper))
    add_routes(application, services, doorkeeper)
    add_export_routes(application, desk, doorkeeper)
    add_file_routes(application, services, doorkeeper)
    add_health_routes(application, services, desk, metrics, lambda: _document(application))
    return Intake(application, services.settings.api, metrics, services.clock)


def _doorkeeper(services: Services) -> Doorkeeper:
    settings = services.settings.api.oidc
    if not settings:
        return Doorkeeper(services)
    providers = OpenIdProviders([Provider(each, services.clock) for each in settings], services.clock)
    return Doorkeeper(services, providers.sign_in)


def _on_wrong_request(doorkeeper: Doorkeeper) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for no other
        try:
            await run_in_threadpool(doorkeeper.sign_in, request)
        except DevlibError as refused:
            # Who is not known learns that, and not what else is wrong.
            return problem(request, refused)
        return wrong_request(request, error)

    return answer


def _document(application: FastAPI) -> dict[str, object]:
    if application.openapi_schema is None:
        application.openapi_schema = document(
            application, [Identity, ImportReport, *(each.answer for each in ROUTES if not each.gives_frame)]
        )
    return application.openapi_schema


def _lifespan(  # type: ignore[no-untyped-def]  # noqa: ANN202
    services: Services, desk: ExportDesk, at_end: Callable[[], None] | None
):
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = services.settings.api.threads
        desk.open()
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(desk.close)
            if at_end is not None:
                at_end()

    return lifespan
