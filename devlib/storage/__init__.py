"""Keeps things: the inventory in a database, snapshots in a lake of Parquet files."""

from devlib.storage.audit_ledger import AuditCheck
from devlib.storage.connected import in_batches
from devlib.storage.csv_file import csv_expression, write_csv
from devlib.storage.engine import WAL_SAFE_SINCE
from devlib.storage.filters import DeviceFilter, DeviceOrder, Page
from devlib.storage.inventory import Inventory, open_inventory
from devlib.storage.lake import Lake, arrow_schema, naive, utc
from devlib.storage.line_rows import LineFilter, LineRows, choose_lines
from devlib.storage.manifest import Collected, Snapshot, current
from devlib.storage.publishing import write_whole
from devlib.storage.query import Newest, Source, observations, to_frame
from devlib.storage.query import run as run_query
from devlib.storage.reader import Reader
from devlib.storage.records import ApiToken, AuditEntry, DeviceRow, LineRow, NewAuditEntry, NewLine, Place
from devlib.storage.restart_ledger import RestartRun, RestartStep
from devlib.storage.typed_files import write_arrow, write_parquet
from devlib.storage.writer import Writer

__all__ = [
    "WAL_SAFE_SINCE",
    "ApiToken",
    "AuditCheck",
    "AuditEntry",
    "Collected",
    "DeviceFilter",
    "DeviceOrder",
    "DeviceRow",
    "Inventory",
    "Lake",
    "LineFilter",
    "LineRow",
    "LineRows",
    "NewAuditEntry",
    "NewLine",
    "Newest",
    "Page",
    "Place",
    "Reader",
    "RestartRun",
    "RestartStep",
    "Snapshot",
    "Source",
    "Writer",
    "arrow_schema",
    "choose_lines",
    "csv_expression",
    "current",
    "in_batches",
    "naive",
    "observations",
    "open_inventory",
    "run_query",
    "to_frame",
    "utc",
    "write_arrow",
    "write_csv",
    "write_parquet",
    "write_whole",
]
