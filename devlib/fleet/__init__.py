"""Changes of the fleet: one device or line, a whole file, the templates, a restart."""

from devlib.fleet.bulk import Progress, import_devices
from devlib.fleet.changes import add_device, assign_line, release_line, remove_device
from devlib.fleet.report import ImportMode, ImportReport, Outcome
from devlib.fleet.restart import Restart, Restarting, until_interrupted
from devlib.fleet.restart_book import Beside, at_once
from devlib.fleet.restart_outcome import FAILURES, RestartResult, result_words
from devlib.fleet.restart_plan import RestartOptions, RestartPlan
from devlib.fleet.restart_report import RestartReport, device_rows, run_rows
from devlib.fleet.restart_run import RestartProgress
from devlib.fleet.restart_vendors import VENDOR_PROFILES, VendorProfile, profile_of
from devlib.fleet.templates import write_templates

__all__ = [
    "FAILURES",
    "VENDOR_PROFILES",
    "Beside",
    "ImportMode",
    "ImportReport",
    "Outcome",
    "Progress",
    "Restart",
    "RestartOptions",
    "RestartPlan",
    "RestartProgress",
    "RestartReport",
    "RestartResult",
    "Restarting",
    "VendorProfile",
    "add_device",
    "assign_line",
    "at_once",
    "device_rows",
    "import_devices",
    "profile_of",
    "release_line",
    "remove_device",
    "result_words",
    "run_rows",
    "until_interrupted",
    "write_templates",
]
