"""Which act of the portal answers at which address: declared once, for the service and for its client.

A plain act needs one line here and nothing else: names, types and defaults of its parameters are those of
the method, the schema of the answer is that of its return type.
"""

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from devlib.model import DEVICE_LIST, OBSERVATIONS, SITE_TYPES, SUPPORTED_DEVICES, Table
from devlib.portal.connecting import Portal
from devlib.portal.wire import hints_of

Verb = Literal["GET", "POST", "PUT", "DELETE"]

LEFT_OUT = frozenset({"progress", "waiting", "tell", "beside", "tables"})
"""Parameters that are functions of the caller; they stay on its side."""


@dataclass(frozen=True, eq=False)
class Route:
    """One act over HTTP.

    Args:
        act: name of the method of `Portal`.
        verb: HTTP method.
        path: address, with the names of parameters in braces.
        status: of a good answer; 204 where the method gives nothing.
        spread: name of a parameter whose fields stand in its place.
        bounds: least and greatest value of numbers, by parameter.
        whole: parameters for which the one word `all` stands for `None`.
        table: columns of the frame that the method gives, where they are always the same.
        glance: whether it only looks a few rows of the inventory up by their key.
    """

    act: str
    verb: Verb
    path: str
    status: int = 200
    spread: str = ""
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    whole: tuple[str, ...] = ()
    table: Table | None = None
    glance: bool = False

    @cached_property
    def signature(self) -> inspect.Signature:
        """Parameters of the method, without `self`."""
        whole = inspect.signature(getattr(Portal, self.act))
        return whole.replace(parameters=list(whole.parameters.values())[1:])

    @property
    def hints(self) -> Mapping[str, Any]:
        """Types of parameters and of the answer."""
        return hints_of(getattr(Portal, self.act))

    @property
    def answer(self) -> Any:  # noqa: ANN401 - a type
        """Type of the answer."""
        return self.hints["return"]

    @property
    def gives_frame(self) -> bool:
        """Whether the answer is a frame, which travels as Arrow or as a list of records."""
        return self.answer is pd.DataFrame

    @property
    def in_body(self) -> bool:
        """Whether parameters that are not in the path travel in a JSON body."""
        return self.verb in ("POST", "PUT")

    @cached_property
    def parameters(self) -> dict[str, tuple[Any, Any]]:
        """Type and default (`inspect.Parameter.empty` for none) of each parameter on the wire."""
        found: dict[str, tuple[Any, Any]] = {}
        for name, each in self.signature.parameters.items():
            if name in LEFT_OUT:
                continue
            if name == self.spread:
                found |= _fields(spread_type(self.hints[name]))
            else:
                found[name] = (self.hints[name], each.default)
        return {name: each for name, each in found.items() if name != "session"}

    @property
    def in_path(self) -> list[str]:
        """Names of the parameters in the path."""
        return [name for name in self.parameters if f"{{{name}}}" in self.path]


def spread_type(hint: Any) -> Any:  # noqa: ANN401 - types
    """Return the dataclass of a parameter that is spread, which may be optional."""
    return next(each for each in (hint, *getattr(hint, "__args__", ())) if dataclasses.is_dataclass(each))


def _fields(kind: Any) -> dict[str, tuple[Any, Any]]:  # noqa: ANN401 - a dataclass
    hints = hints_of(kind)
    found = {}
    for each in dataclasses.fields(kind):
        default = each.default
        if each.default_factory is not dataclasses.MISSING:
            default = each.default_factory()
        missing = default is dataclasses.MISSING
        found[each.name] = (hints[each.name], inspect.Parameter.empty if missing else default)
    return found


_LIMIT = {"limit": (1, 10_000)}
_QUESTIONS = "/v1/questions"


def _question(act: str, **bounds: tuple[float, float]) -> Route:
    """Return the route of a question over snapshots: it changes nothing and gives a frame."""
    return Route(act, "GET", f"{_QUESTIONS}/{act.replace('_', '-')}", bounds=bounds)


_SPAN = (1.0, 366 * 86_400.0)  # seconds


ROUTES = (
    Route("customers", "GET", "/v1/customers"),
    Route("add_customer", "POST", "/v1/customers", 201),
    Route("add_provider", "POST", "/v1/providers", 201),
    Route("switch_export", "PUT", "/v1/providers/{provider}/export", 204),
    Route("sites", "GET", "/v1/sites", table=SITE_TYPES),
    Route("add_site", "POST", "/v1/sites", 201),
    Route("approve_types", "POST", "/v1/sites/{site}/types", 204),
    Route("types", "GET", "/v1/types", table=SUPPORTED_DEVICES),
    Route(
        "devices", "GET", "/v1/devices", whole=("columns",), bounds={"min_available": (0, 10_000)},
        table=DEVICE_LIST,
    ),
    Route("add", "POST", "/v1/devices", 201),
    Route("device", "GET", "/v1/devices/{mac}", glance=True),
    Route("remove", "DELETE", "/v1/devices/{mac}"),
    Route("status", "GET", "/v1/devices/{mac}/status"),
    Route("reboot", "POST", "/v1/devices/{mac}/reboot", bounds={"wait": (0, 600)}),
    Route("assign", "POST", "/v1/devices/{mac}/lines", 201, spread="line", bounds={"port": (1, 10_000)}),
    Route("release", "DELETE", "/v1/devices/{mac}/lines/{port}", bounds={"port": (1, 10_000)}),
    Route("line_states", "GET", "/v1/line-states", spread="line_filter", table=OBSERVATIONS),
    Route("summary", "GET", "/v1/summary"),
    Route("sql", "POST", "/v1/sql"),
    Route("collect", "POST", "/v1/collections", 201),
    Route("exports", "GET", "/v1/export-queue", bounds={"recent": (0, 5_000)}),
    Route("release_export", "POST", "/v1/export-queue/{ticket}/release", 204),
    Route("put_identity", "PUT", "/v1/identities/{principal}", 204, spread="identity"),
    Route("audit", "GET", "/v1/audit", bounds=_LIMIT),
    Route("verify_audit", "POST", "/v1/audit/verify"),
    Route("new_token", "POST", "/v1/tokens", 201, bounds={"days": (1, 366)}),
    Route("tokens", "GET", "/v1/tokens"),
    Route("revoke_token", "DELETE", "/v1/tokens/{number}", 204),
    Route("probe", "POST", "/v1/probes"),
    Route("plan_restart", "POST", "/v1/restart-plans"),
    Route("restarts", "GET", "/v1/restarts"),
    Route("restart_run", "GET", "/v1/restarts/{number}"),
    Route("compact", "POST", "/v1/compactions"),
    Route("dect_stations", "GET", "/v1/dect/stations"),
    Route("dect_handsets", "GET", "/v1/dect/handsets"),
    Route("findings", "GET", "/v1/findings"),
    Route("unrecognised", "GET", "/v1/unrecognised"),
    _question("aged_lines"),
    _question("availability", bucket=(60.0, 366 * 86_400.0)),
    _question("capacity"),
    _question("compare"),
    _question("comparison_summary"),
    _question("firmware_census"),
    _question("flapping_lines", changes=(1, 1_000_000)),
    _question("heat_map"),
    _question("line_history"),
    _question("outages", share=(0.0, 1.0), least=(1, 1_000_000), tolerance=_SPAN),
    _question("state_changes"),
    _question("state_counts"),
    _question("states_at"),
    _question("sunburst"),
    _question("time_in_state"),
    _question("user_agent_census"),
)  # fmt: skip

FILE_ACTS: Mapping[str, str] = {
    "export_line_states": "/v1/exports",
    "export_devices": "/v1/device-list",
    "import_devices": "/v1/imports",
    "template": "/v1/template",
}
"""Acts that take or give files; both ends have code of their own for them."""

NOT_OVER_HTTP: Mapping[str, str] = {
    "authorise_delivery": "the service asks it before it hands out a report",
    "clock": "no act: each side has its own time",
    "close": "ends the use of a portal; the service closes its own",
    "identity": "no act: GET /v1/identity tells it",
    "language": "no act: each request says the language of its answer",
    "simulated": "no act: GET /v1/identity tells it",
    "services": "what the portal works with stays on its machine",
    "keep_collecting": "a collector runs beside the database: devlib collect --every",
    "restart": "a run takes minutes to hours and belongs beside the registrars: devlib restart",
    "resume_restart": "a run takes minutes to hours and belongs beside the registrars: devlib restart",
    "restart_devices": "shows a plan or a report that one has; no service is asked",
    "trial_lines": "phones of the lab are tried on the machine beside the registrar: devlib lab",
    "runbooks": "notebooks lie where the kernel runs: devlib runbook --list",
    "run_runbook": "a runbook runs in a kernel of the caller's own machine: devlib runbook",
    "lake_version": "a page asks it of the lake beside it; over HTTP `snapshots` in SQL tells the same",
    "line_choices": "fills the filters of a page; over HTTP `sites`, `device_types` and the census tell it",
    "view_lines": "pages of a table are cut where the page is drawn; over HTTP the export gives all rows",
    "migrate": "a copy of everything runs beside the database: devlib migrate",
    "back_up": "a copy of everything runs beside the database: devlib backup",
    "follow": "a follower runs beside the database: devlib follow",
}
"""Public names of `Portal` without an address of their own, and why."""
