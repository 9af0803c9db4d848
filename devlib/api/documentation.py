"""The OpenAPI document: schemas of answers out of the types of the portal, problems, and how to sign in."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from devlib.model import Column, ColumnType, Table
from devlib.portal.routes import Route
from devlib.portal.wire import schema

ARROW = "application/vnd.apache.arrow.stream"
_PROBLEM_REF = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
REFUSALS = (400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 501, 502, 503)
"""What any act may answer besides its good answer, always as a problem."""

_PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457): what, where, what to do.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "error": {"type": "string", "description": "Name of the error in Python."},
        "what": {"$ref": "#/components/schemas/Message"},
        "where": {"type": "string"},
        "remedy": {"anyOf": [{"$ref": "#/components/schemas/Message"}, {"type": "null"}]},
        "retry_after": {"type": "number", "description": "Seconds after which a retry makes sense."},
        "code": {"type": "string"},
        "violated-policies": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["type", "title", "status", "detail", "instance", "error"],
}
_CELLS: Mapping[ColumnType, Any] = {
    ColumnType.TEXT: {"type": ["string", "null"]},
    ColumnType.INTEGER: {"type": ["integer", "null"]},
    ColumnType.MOMENT: {"type": ["string", "null"], "format": "date-time"},
}


def refusals(*more: int) -> dict[int | str, dict[str, Any]]:
    """Return the problems that an address may answer with."""
    return {
        status: {"description": HTTPStatus(status).phrase, "content": _PROBLEM_REF}
        for status in (*REFUSALS, *more)
    }


def responses_of(route: Route) -> dict[int | str, dict[str, Any]]:
    """Return the documented answers of a plain act; schemas of its values are added by `document`."""
    good: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.gives_frame:
        good["content"] = {
            "application/json": {"schema": {"type": "array", "items": row_schema(route.table)}},
            ARROW: {"schema": {"type": "string", "format": "binary"}},
        }
    elif route.answer is not type(None):
        good["content"] = {"application/json": {"schema": schema(route.answer, {})}}
    return {**refusals(), route.status: good}


def row_schema(table: Table | None) -> dict[str, Any]:
    """Return the schema of one record of a frame."""
    if table is None:
        return {"type": "object", "additionalProperties": True}
    return {"type": "object", "properties": {each.name: _cell(each) for each in table}}


def _cell(column: Column) -> dict[str, Any]:
    return {**_CELLS[column.type], "description": column.meaning}


def document(application: FastAPI, answers: Iterable[Any]) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        application: with all its routes.
        answers: types of answers, whose schemas are to be in it.
    """
    whole = get_openapi(
        title=application.title,
        version=application.version,
        description=application.description,
        routes=application.routes,
    )
    named: dict[str, Any] = {"Problem": _PROBLEM}
    for kind in answers:
        schema(kind, named)
    components = whole.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    # What also travels to the service is described there already, with what may be left out.
    for name, each in named.items():
        schemas.setdefault(name, each)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "devlib token new, or OpenID Connect."}
    }
    for path, verbs in whole["paths"].items():
        for operation in verbs.values():
            if path.startswith("/v1/"):
                operation["security"] = [{"bearer": []}]
    return whole
