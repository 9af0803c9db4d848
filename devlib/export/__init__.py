"""The line-state report and its admission, and the device list."""

from devlib.export.admission import ExportKey
from devlib.export.coordinator import Coordinator, open_coordinator
from devlib.export.coordinator_values import ExportRequest, Overview, Progress, QueuedExport, RecentExport
from devlib.export.coordinator_waiting import Grant, OnProgress, acquire, acquire_async
from devlib.export.device_list import DeviceListFile, device_columns, write_device_list
from devlib.export.files import file_name
from devlib.export.memory_coordinator import MemoryCoordinator, MemoryStore
from devlib.export.report import ReportFile, ReportFormat, ReportRequest, write_report
from devlib.export.rows import ExportRows, obtain_rows

__all__ = [
    "Coordinator",
    "DeviceListFile",
    "ExportKey",
    "ExportRequest",
    "ExportRows",
    "Grant",
    "MemoryCoordinator",
    "MemoryStore",
    "OnProgress",
    "Overview",
    "Progress",
    "QueuedExport",
    "RecentExport",
    "ReportFile",
    "ReportFormat",
    "ReportRequest",
    "acquire",
    "acquire_async",
    "device_columns",
    "file_name",
    "obtain_rows",
    "open_coordinator",
    "write_device_list",
    "write_report",
]
