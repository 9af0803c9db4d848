"""Line-state operations suite: devices, lines and their states over real networks.

`devlib.connect()` gives a `Portal`, with everything that one identity may do as its methods.

The names below are looked up when they are first used: whoever wants one floor alone (the rules of a bulk
file, say) does not pay for the databases of the others, which are most of the memory.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devlib.export import ReportRequest
    from devlib.fleet import ImportMode
    from devlib.model import EVERYTHING, Identity, LineState, Mac, Role, Scope, User
    from devlib.portal import Portal, connect
    from devlib.storage import LineFilter, NewLine

__all__ = [
    "EVERYTHING",
    "Identity",
    "ImportMode",
    "LineFilter",
    "LineState",
    "Mac",
    "NewLine",
    "Portal",
    "ReportRequest",
    "Role",
    "Scope",
    "User",
    "connect",
]

_FLOORS = {
    "EVERYTHING": "model",
    "Identity": "model",
    "ImportMode": "fleet",
    "LineFilter": "storage",
    "LineState": "model",
    "Mac": "model",
    "NewLine": "storage",
    "Portal": "portal",
    "ReportRequest": "export",
    "Role": "model",
    "Scope": "model",
    "User": "model",
    "connect": "portal",
}


def __getattr__(name: str) -> object:
    """Return a public name from its floor (PEP 562)."""
    if name not in _FLOORS:
        raise AttributeError(f"module 'devlib' has no attribute {name!r}")
    value: object = getattr(import_module(f"devlib.{_FLOORS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, for completion in notebooks."""
    return __all__
