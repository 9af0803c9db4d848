"""Line-state operations suite: devices, lines and their states over real networks.

`devlib.connect()` gives a `Portal`, with everything that one identity may do as its methods.
"""

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
