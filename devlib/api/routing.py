"""Makes the endpoints of the plain acts out of their declarations."""

import inspect
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin

from fastapi import FastAPI, Path, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    create_model,
)
from starlette.requests import Request
from starlette.responses import Response

from devlib.api.answers import answer
from devlib.api.documentation import responses_of
from devlib.api.glances import Act, GlanceRoute, Scribe
from devlib.api.signing import Doorkeeper
from devlib.model import Mac
from devlib.portal import Portal, Services
from devlib.portal.routes import ROUTES, Route, spread_type

LONGEST_TEXT = 10_000
_FIRST_YEAR, _LAST_YEAR = 1970, 2200
_LARGEST = 2**53 - 1  # JSON of other languages has no larger exact number
Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT)]


def plausible(moment: datetime) -> datetime:
    """Return a moment with which every database and Python can calculate.

    Raises:
        ValueError: it lies before 1970 or after 2200.
    """
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError("a moment between 1970 and 2200 is needed")
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(plausible)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class Body(BaseModel):
    """Base of bodies and queries: unknown names are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


def add_routes(application: FastAPI, services: Services, doorkeeper: Doorkeeper) -> None:
    """Add an endpoint for each plain act."""
    scribe = Scribe(services.inventory)
    for route in ROUTES:
        act = _act(route, services, doorkeeper)
        if route.glance and services.inventory.reads_at_once:
            # Before all others: addresses are tried in their order.
            application.router.routes.insert(
                0, GlanceRoute(route, services.inventory, scribe, doorkeeper, act)
            )
        application.add_api_route(
            route.path,
            _endpoint(route, act),
            methods=[route.verb],
            status_code=route.status,
            response_class=Response,
            operation_id=route.act,
            summary=_summary(route),
            description=_description(route),
            responses=responses_of(route),
        )


def _act(route: Route, services: Services, doorkeeper: Doorkeeper) -> Act:
    def act(request: Request, given: Mapping[str, Any]) -> Response:
        portal = doorkeeper.sign_in(request).portal(services)
        request.scope["devlib.principal"] = portal.identity.principal
        result = getattr(portal, route.act)(**_arguments(route, given))
        return answer(request, route, result, portal.warnings)

    return act


def _endpoint(route: Route, act: Act) -> Any:  # noqa: ANN401 - a function
    async def endpoint(request: Request, **given: Any) -> Response:  # noqa: ANN401 - as the schema says
        for holder in ("query", "body"):
            if (model := given.pop(holder, None)) is not None:
                given |= {name: getattr(model, name) for name in type(model).model_fields}
        return await run_in_threadpool(act, request, given)

    endpoint.__signature__ = inspect.Signature(_parameters(route))  # type: ignore[attr-defined]
    endpoint.__name__ = route.act
    return endpoint


def _parameters(route: Route) -> list[inspect.Parameter]:
    def parameter(name: str, kind: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:  # noqa: ANN401
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)

    found = [parameter("request", Request)]
    for name in route.in_path:
        kind, _ = route.parameters[name]
        limits = _limits(route, name) or (
            {"min_length": 1, "max_length": 500} if wire_type(kind) is str else {}
        )
        found.append(parameter(name, Annotated[wire_type(kind), Path(**limits)]))
    model = model_of(route)
    if model is not None and route.in_body:
        optional = not any(each.is_required() for each in model.model_fields.values())
        found.append(parameter("body", model, model() if optional else inspect.Parameter.empty))
    elif model is not None:
        found.append(parameter("query", Annotated[model, Query()]))
    return found


@lru_cache(maxsize=256)
def model_of(route: Route) -> type[Body] | None:
    """Return the model of everything that is not in the path; `None` where that is nothing."""
    fields: dict[str, Any] = {}
    for name, (kind, default) in route.parameters.items():
        if name in route.in_path:
            continue
        wire, limits = wire_type(kind), _limits(route, name)
        if wire is float:
            limits.setdefault("le", 1e9)
        shown = ["all"] if default is None and name in route.whole else default
        if isinstance(default, timedelta):
            shown = default.total_seconds()
        needed = default is inspect.Parameter.empty
        fields[name] = (_bounded(wire), Field(**limits) if needed else Field(shown, **limits))
    if not fields:
        return None
    return create_model(f"{route.act.title().replace('_', '')}Request", __base__=Body, **fields)


def _limits(route: Route, name: str) -> dict[str, Any]:
    kind = wire_type(route.parameters[name][0])
    if name in route.bounds:
        low, high = route.bounds[name]
        return {"ge": low, "le": high}
    return {"ge": -_LARGEST, "le": _LARGEST} if kind is int else {}


def wire_type(kind: Any) -> Any:  # noqa: ANN401 - types
    """Return the type of a parameter as JSON has it: a MAC address is text."""
    if kind is timedelta:
        return float  # seconds
    if kind is datetime:
        return Moment
    if kind is Mac or (get_origin(kind) is not None and Mac in get_args(kind)):
        return str
    if getattr(get_origin(kind), "__name__", "") in ("Iterable", "Sequence"):
        return tuple.__class_getitem__((get_args(kind)[0], ...))
    if get_origin(kind) is not None and type(None) in get_args(kind):
        inner = wire_type(next(each for each in get_args(kind) if each is not type(None)))
        return Union[inner, None]  # noqa: UP007 - built at run time
    return kind


def _bounded(kind: Any) -> Any:  # noqa: ANN401 - types
    if kind is str:
        return Text
    if get_origin(kind) is tuple and get_args(kind)[0] is str:
        return tuple[Text, ...]
    return kind


def _arguments(route: Route, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the method out of what travelled."""
    values = dict(given)
    for name in route.whole:
        if values.get(name) is not None and tuple(values[name]) == ("all",):
            values[name] = None
    for name, (kind, _) in route.parameters.items():
        if kind is timedelta and name in values:
            values[name] = timedelta(seconds=values[name])
    if route.spread:
        kind = spread_type(route.hints[route.spread])
        theirs = {name: values.pop(name) for name in list(values) if name in kind.__dataclass_fields__}
        values[route.spread] = kind(**theirs)
    return values


def _summary(route: Route) -> str:
    return (inspect.getdoc(getattr(Portal, route.act)) or "").split("\n")[0]


def _description(route: Route) -> str:
    whole = (inspect.getdoc(getattr(Portal, route.act)) or "").split("\nReturns:")[0]
    return whole.split("\nRaises:")[0].strip()
