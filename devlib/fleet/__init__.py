"""Changes of the fleet: one device or line, a whole file, the templates, a restart."""

from devlib.fleet.bulk import Progress, import_devices
from devlib.fleet.changes import add_device, assign_line, release_line, remove_device
from devlib.fleet.report import ImportMode, ImportReport, Outcome
from devlib.fleet.restart import Restart, RestartResult, restart_device, restart_words
from devlib.fleet.templates import write_templates

__all__ = [
    "ImportMode",
    "ImportReport",
    "Outcome",
    "Progress",
    "Restart",
    "RestartResult",
    "add_device",
    "assign_line",
    "import_devices",
    "release_line",
    "remove_device",
    "restart_device",
    "restart_words",
    "write_templates",
]
