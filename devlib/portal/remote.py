"""The same portal over HTTP: what `devlib.connect("https://…", token=…)` gives.

Plain acts are made from the declarations in `routes`; those with files are below. The service authorises,
audits and limits; this side only asks and reads.
"""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

import pandas as pd
import pyarrow as pa

from devlib.clock import Clock
from devlib.errors import CapabilityMissing, NetworkUnreachable
from devlib.fleet import RestartPlan, RestartReport
from devlib.fleet.restart_report import device_rows
from devlib.language import Language, message
from devlib.model import Identity
from devlib.network.service_client import ServiceAnswer, ServiceClient
from devlib.portal.connecting import Portal
from devlib.portal.remote_files import RemoteFiles
from devlib.portal.routes import NOT_OVER_HTTP, ROUTES, Route, spread_type
from devlib.portal.services import Services
from devlib.portal.wire import decode, decoded_message, encode
from devlib.portal.wire_errors import decoded_error
from devlib.storage import to_frame

ARROW = "application/vnd.apache.arrow.stream"


class RemotePortal(RemoteFiles, Portal):
    """A portal whose acts are done by a service.

    Args:
        client: sends the requests; closed with the portal.
        language: of headers and texts.
    """

    def __init__(self, client: ServiceClient, language: Language = "en") -> None:
        self._client = client
        self._language: Language = language
        self.warnings = []

    def __repr__(self) -> str:
        return f"RemotePortal({self._client.address!r})"

    @property
    def identity(self) -> Identity:
        """Who acts, as the service has it now."""
        found: Identity = decode(Identity, self._ask("GET", "/v1/identity").values())
        return found

    @property
    def clock(self) -> Clock:
        """The time of this machine."""
        return self._clock

    @property
    def language(self) -> Language:
        """Of headers and texts."""
        return self._language

    @property
    def simulated(self) -> bool:
        """Whether the service's states come from the simulator."""
        return bool(self._ask("GET", "/v1/identity").values().get("simulated"))

    @property
    def services(self) -> Services:
        """Nothing: what the portal works with is on the other machine.

        Raises:
            CapabilityMissing: always.
        """
        raise _only_there("services")

    def restart_devices(self, plan: RestartPlan | RestartReport) -> pd.DataFrame:
        """Return the devices of a plan or a run as a frame with the columns of `RESTART_DEVICES`."""
        return to_frame(device_rows(plan.steps, self._language))

    def close(self) -> None:
        """Close the connections to the service."""
        self._client.close()

    def _ask(
        self,
        verb: str,
        path: str,
        **more: Any,  # noqa: ANN401 - as `ServiceClient.send` has it
    ) -> ServiceAnswer:
        answer = self._client.send(verb, path, **more)
        self._require_good(answer)
        if noted := answer.headers.get("devlib-warnings"):
            self.warnings += [decoded_message(each) for each in json.loads(unquote(noted))]
        return answer

    def _require_good(self, answer: ServiceAnswer) -> None:
        if answer.good:
            return
        values = answer.values()
        raise decoded_error(values if isinstance(values, dict) else {}, answer.status)

    def _act(self, route: Route, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as the act has it
        if arguments.get("tables"):
            raise CapabilityMissing(
                message("Tables of one's own do not travel to a service."),
                where=route.act,
                remedy=message(
                    "Fetch what you need with a question, and join it here with pandas or DuckDB."
                ),
            )
        values = _on_the_wire(route, arguments)
        places = {name: quote(str(values.pop(name)), safe="") for name in route.in_path}
        headers = {"Accept": ARROW} if route.gives_frame else {}
        has_body = route.in_body and len(route.parameters) > len(route.in_path)
        sent = {"values": values} if has_body else {"query": values or None}
        answer = self._ask(route.verb, route.path.format(**places), headers=headers, **sent)
        if route.gives_frame:
            return _frame(answer)
        return None if route.answer is type(None) else decode(route.answer, answer.values())


def _on_the_wire(route: Route, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as they travel; those that are as the method has them by itself stay at home."""
    values: dict[str, Any] = {}
    for name, value in arguments.items():
        if name == route.spread:
            kind = spread_type(route.hints[name])
            if value is not None:
                values |= {
                    field: each for field, each in encode(value).items() if field in kind.__dataclass_fields__
                }
        elif value is None and name in route.whole:
            values[name] = ["all"]
        elif name in route.parameters:
            values[name] = encode(value if not _is_iterator(value) else tuple(value))
    known = route.parameters
    return {
        name: each
        for name, each in values.items()
        if name in known
        and (name in route.in_path or each is not None)
        and not _as_it_is(known[name][1], each)
    }


def _as_it_is(default: object, value: object) -> bool:
    return default is not inspect.Parameter.empty and encode(default) == value


def _is_iterator(value: object) -> bool:
    return hasattr(value, "__next__")


def _frame(answer: ServiceAnswer) -> Any:  # noqa: ANN401 - a frame
    try:
        with pa.ipc.open_stream(answer.body) as reader:
            return to_frame(reader.read_all())
    except pa.ArrowException:
        raise NetworkUnreachable(
            message("What answered ({status}) is no service of devlib.", status=answer.status),
            remedy=message("Check the address, and the proxy in between."),
        ) from None


def _only_there(name: str) -> CapabilityMissing:
    return CapabilityMissing(
        message("{name} is not done over HTTP.", name=name),
        remedy=message("Do it on the machine of the service."),
    )


def _method(route: Route) -> Callable[..., Any]:
    own = getattr(Portal, route.act)

    def act(self: RemotePortal, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - as the act has it
        bound = route.signature.bind(*given, **named)
        return self._act(route, bound.arguments)

    return _named_like(own, act)


def _refusal(name: str) -> Callable[..., Any]:
    def act(self: RemotePortal, *_: Any, **__: Any) -> Any:  # noqa: ANN401, ARG001 - as the act has it
        raise _only_there(name)

    return _named_like(getattr(Portal, name), act)


def _named_like(own: Callable[..., Any], act: Callable[..., Any]) -> Callable[..., Any]:
    act.__name__, act.__qualname__ = own.__name__, f"RemotePortal.{own.__name__}"
    act.__doc__ = own.__doc__
    act.__signature__ = inspect.signature(own)  # type: ignore[attr-defined]
    return act


def _add_methods() -> None:
    for route in ROUTES:
        setattr(RemotePortal, route.act, _method(route))
    for name in NOT_OVER_HTTP:
        if callable(getattr(Portal, name)) and name not in vars(RemotePortal):
            setattr(RemotePortal, name, _refusal(name))


_add_methods()


def connect_over_http(address: str, token: str, language: Language) -> RemotePortal:
    """Return the portal of a service; see `devlib.connect`."""
    return RemotePortal(ServiceClient(address, token, language=language), language)


def remote_names() -> Sequence[str]:
    """Return the names that the remote portal has of its own; a test holds them against the portal's."""
    own = {name for kind in (RemotePortal, RemoteFiles) for name in vars(kind)}
    return sorted(name for name in own if not name.startswith("_"))
