"""Reports for people: the line-state report and the device list."""

from devlib.export.device_list import DeviceListFile, device_columns, write_device_list
from devlib.export.files import file_name
from devlib.export.report import ReportFile, ReportRequest, write_report

__all__ = [
    "DeviceListFile",
    "ReportFile",
    "ReportRequest",
    "device_columns",
    "file_name",
    "write_device_list",
    "write_report",
]
