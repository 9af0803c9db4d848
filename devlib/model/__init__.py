"""Plain values of the suite; nothing here knows a file, a database or a network."""

from devlib.model.catalogue import (
    Catalogue,
    Certainty,
    DeviceKind,
    DeviceType,
    load_catalogue,
    normal_form,
)
from devlib.model.contradiction import Contradiction, contradiction
from devlib.model.examination import DECT_HANDSETS, DECT_STATIONS, FINDINGS, UNRECOGNISED
from devlib.model.fleet import Customer, Device, Line, LineType, NewDevice, Provider, Site, User
from devlib.model.identification import Identification, MacSource, identify
from devlib.model.identity import EVERYTHING, Identity, Role, Scope
from devlib.model.mac import Mac, mac_number
from devlib.model.observation import (
    ARTICLE_COLUMNS,
    DEVICE_LIST,
    FIRST_LAYOUT_COLUMNS,
    IMPORT_RESULT,
    IMPORT_TEMPLATE,
    LINE_STATES,
    OBSERVATIONS,
    OBSERVATIONS_LAYOUT,
    SITE_TYPES,
    SUPPORTED_DEVICES,
)
from devlib.model.restarting import RESTART_DEVICES, RESTART_RUNS
from devlib.model.states import Binding, LineState, roll_up
from devlib.model.tables import Column, ColumnType, Table

__all__ = [
    "ARTICLE_COLUMNS",
    "DECT_HANDSETS",
    "DECT_STATIONS",
    "DEVICE_LIST",
    "EVERYTHING",
    "FINDINGS",
    "FIRST_LAYOUT_COLUMNS",
    "IMPORT_RESULT",
    "IMPORT_TEMPLATE",
    "LINE_STATES",
    "OBSERVATIONS",
    "OBSERVATIONS_LAYOUT",
    "RESTART_DEVICES",
    "RESTART_RUNS",
    "SITE_TYPES",
    "SUPPORTED_DEVICES",
    "UNRECOGNISED",
    "Binding",
    "Catalogue",
    "Certainty",
    "Column",
    "ColumnType",
    "Contradiction",
    "Customer",
    "Device",
    "DeviceKind",
    "DeviceType",
    "Identification",
    "Identity",
    "Line",
    "LineState",
    "LineType",
    "Mac",
    "MacSource",
    "NewDevice",
    "Provider",
    "Role",
    "Scope",
    "Site",
    "Table",
    "User",
    "contradiction",
    "identify",
    "load_catalogue",
    "mac_number",
    "normal_form",
    "roll_up",
]
