"""Acts that take or give files: who I am, the device list, the bulk file, and its template."""

import io
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, BinaryIO, cast

from fastapi import FastAPI, Query
from fastapi.concurrency import run_in_threadpool
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from devlib.api.answers import JSON
from devlib.api.delivery import Delivered, deliver
from devlib.api.documentation import refusals
from devlib.api.problems import as_json, language_of, plain_problem
from devlib.api.routing import Body, Text
from devlib.api.signing import Doorkeeper
from devlib.fleet import ImportMode, ImportReport
from devlib.language import Language, message
from devlib.model import Identity
from devlib.portal import Portal, Services
from devlib.portal.wire import encode, schema

CSV = "text/csv"
ZIP = "application/zip"
_FILE = {"schema": {"type": "string", "format": "binary"}}


class DeviceListOrder(Body):
    """What of the device list one wants."""

    customer: Text | None = None
    site: Text | None = None
    columns: tuple[Text, ...] = ()
    language: Language | None = None


class ImportOrder(Body):
    """How a bulk file is to be imported."""

    customer: Text | None = None
    mode: ImportMode = ImportMode.ALL_OR_NOTHING
    result: bool = False


class FileRoutes:
    """Addresses whose body or answer is a file.

    Args:
        services: what portals work with.
        doorkeeper: signs requests in.
    """

    def __init__(self, services: Services, doorkeeper: Doorkeeper) -> None:
        self._services = services
        self._doorkeeper = doorkeeper

    async def identity(self, request: Request) -> Response:
        """Tell who one is: principal, role and scope, and whether states come from the simulator."""
        return await run_in_threadpool(self._identity, request)

    async def device_list(self, request: Request, query: Annotated[DeviceListOrder, Query()]) -> Response:
        """Write the device list as CSV: the article's four columns, or the ones wanted."""
        return await run_in_threadpool(self._device_list, request, query)

    async def template(self, request: Request, customer: Annotated[Text | None, Query()] = None) -> Response:
        """Give the bulk template, the supported devices, the sites and the instructions, as a ZIP archive."""
        return await run_in_threadpool(self._template, request, customer)

    async def import_devices(self, request: Request, query: Annotated[ImportOrder, Query()]) -> Response:
        """Import devices from a bulk file, in one transaction; the body is the CSV file as people have it."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != CSV:
            what = message("The body must be a CSV file: Content-Type: text/csv.")
            return plain_problem(
                request, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, what, {"Accept": CSV}, error="UsageError"
            )
        # Before the body is read: who is not known does not fill the disk.
        portal = await run_in_threadpool(self._portal, request)
        with tempfile.SpooledTemporaryFile(max_size=1 << 20) as body:
            async for piece in request.stream():
                body.write(piece)
            body.seek(0)
            return await run_in_threadpool(self._import, request, portal, cast("BinaryIO", body), query)

    def _portal(self, request: Request) -> Portal:
        portal = self._doorkeeper.sign_in(request).portal(self._services)
        request.scope["devlib.principal"] = portal.identity.principal
        return portal

    def _identity(self, request: Request) -> Response:
        identity = self._portal(request).identity
        networks = self._services.settings.networks
        values = {**encode(identity), "simulated": any(each.kind == "simulator" for each in networks)}
        return Response(as_json(values), 200, {"Cache-Control": "no-store"}, JSON)

    def _device_list(self, request: Request, query: DeviceListOrder) -> Response:
        folder = self._folder()
        try:
            written = self._portal(request).export_devices(
                folder, query.customer, query.site, columns=query.columns,
                language=query.language or language_of(request),
            )  # fmt: skip
            file = Delivered(written.path, f"{CSV}; charset=utf-8", folder.name, self._services.clock.now())
            after = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
            return deliver(request, file, {"Devlib-Rows": str(written.rows)}, after)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _template(self, request: Request, customer: str | None) -> Response:
        folder = self._folder()
        try:
            paths = self._portal(request).template(folder, customer)
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in paths:
                    archive.write(path, path.name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        named = {
            "Content-Disposition": 'attachment; filename="devices_template.zip"',
            "Cache-Control": "no-store",
        }
        return Response(packed.getvalue(), 200, named, ZIP)

    def _import(self, request: Request, portal: Portal, body: BinaryIO, query: ImportOrder) -> Response:
        folder = self._folder()
        try:
            result = folder / "result.csv" if query.result else None
            report = portal.import_devices(body, customer=query.customer, mode=query.mode, result=result)
            language = language_of(request)
            values = {**encode(report, language), "result": None, "result_text": None}
            if result is not None:
                values["result_text"] = result.read_text(encoding="utf-8")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        given = {"Cache-Control": "no-store", "Content-Language": language}
        return Response(as_json(values), 200, given, JSON)

    def _folder(self) -> Path:
        above = self._services.settings.home / "service-files"
        above.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Path(tempfile.mkdtemp(dir=above))


def add_file_routes(application: FastAPI, services: Services, doorkeeper: Doorkeeper) -> None:
    """Add the addresses of files."""
    routes = FileRoutes(services, doorkeeper)
    who = {JSON: {"schema": schema(Identity, {})}}
    report = {JSON: {"schema": schema(ImportReport, {})}}
    body = {"requestBody": {"required": True, "content": {CSV: _FILE}}}
    for path, verb, endpoint, content, more in (
        ("/v1/identity", "GET", routes.identity, who, {}),
        ("/v1/device-list", "GET", routes.device_list, {CSV: _FILE}, {}),
        ("/v1/template", "GET", routes.template, {ZIP: _FILE}, {}),
        ("/v1/imports", "POST", routes.import_devices, report, body),
    ):
        add_file_route(application, path, verb, endpoint, {"content": content, "more": more})


def add_file_route(
    application: FastAPI, path: str, verb: str, endpoint: Callable[..., Any], answer: dict[str, Any]
) -> None:
    """Add one address whose answer is described by hand."""
    good: dict[int | str, dict[str, Any]] = {
        200: {"description": "Done.", "content": answer["content"]},
        304: {"description": "Unchanged."},
    }
    application.add_api_route(
        path, endpoint, methods=[verb], response_class=Response, operation_id=endpoint.__name__,
        responses={**refusals(415, 416), **good}, openapi_extra=answer["more"] or None,
        summary=(endpoint.__doc__ or "").strip().split("\n")[0],
    )  # fmt: skip
