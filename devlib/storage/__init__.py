"""Keeps things: the inventory in a database, snapshots in a lake of Parquet files."""

from devlib.storage.arrow_types import arrow_schema, naive, utc
from devlib.storage.audit_ledger import AuditCheck
from devlib.storage.bucket_files import BucketFiles
from devlib.storage.compaction import Compaction, Compactor
from devlib.storage.connected import in_batches
from devlib.storage.copying import Copied, Copier, CopyKind, CopyStep, Store
from devlib.storage.csv_file import csv_expression, write_csv
from devlib.storage.day_ledger import DayFile, DayFileKind
from devlib.storage.engine import SQLITE_VERSION, WAL_SAFE_SINCE
from devlib.storage.filters import DeviceFilter, DeviceOrder, Page
from devlib.storage.index_pages import IndexPages
from devlib.storage.inventory import Inventory, MustWait, open_inventory
from devlib.storage.lake import Lake
from devlib.storage.lake_engine import spare_memory
from devlib.storage.lake_files import FolderFiles, LakeFiles
from devlib.storage.lease_ledger import FREE, Lease
from devlib.storage.line_index import Chosen, LineIndex, ScopeIndex
from devlib.storage.line_index_file import IndexShelf
from devlib.storage.line_rows import LineFilter, LineRows, choose_lines
from devlib.storage.manifest import Collected, Snapshot, current
from devlib.storage.pages import Kind, Order, Paged, Pages, empty_pages, frame_pages, table_kinds
from devlib.storage.periods import PeriodRows, Span, period_dataset, state_periods
from devlib.storage.process_name import ended, own_name, own_place
from devlib.storage.publishing import write_whole
from devlib.storage.query import Newest, Source, newest_observations, observations, to_frame
from devlib.storage.query import run as run_query
from devlib.storage.reader import Reader
from devlib.storage.records import ApiToken, AuditEntry, DeviceRow, LineRow, NewAuditEntry, NewLine, Place
from devlib.storage.restart_ledger import no_run
from devlib.storage.restart_records import RestartRun, RestartStep, RunState, StepState
from devlib.storage.typed_files import write_arrow, write_parquet
from devlib.storage.write_lock import WriteLock
from devlib.storage.writer import Writer

__all__ = [
    "FREE",
    "SQLITE_VERSION",
    "WAL_SAFE_SINCE",
    "ApiToken",
    "AuditCheck",
    "AuditEntry",
    "BucketFiles",
    "Chosen",
    "Collected",
    "Compaction",
    "Compactor",
    "Copied",
    "Copier",
    "CopyKind",
    "CopyStep",
    "DayFile",
    "DayFileKind",
    "DeviceFilter",
    "DeviceOrder",
    "DeviceRow",
    "FolderFiles",
    "IndexPages",
    "IndexShelf",
    "Inventory",
    "Kind",
    "Lake",
    "LakeFiles",
    "Lease",
    "LineFilter",
    "LineIndex",
    "LineRow",
    "LineRows",
    "MustWait",
    "NewAuditEntry",
    "NewLine",
    "Newest",
    "Order",
    "Page",
    "Paged",
    "Pages",
    "PeriodRows",
    "Place",
    "Reader",
    "RestartRun",
    "RestartStep",
    "RunState",
    "ScopeIndex",
    "Snapshot",
    "Source",
    "Span",
    "StepState",
    "Store",
    "WriteLock",
    "Writer",
    "arrow_schema",
    "choose_lines",
    "csv_expression",
    "current",
    "empty_pages",
    "ended",
    "frame_pages",
    "in_batches",
    "naive",
    "newest_observations",
    "no_run",
    "observations",
    "open_inventory",
    "own_name",
    "own_place",
    "period_dataset",
    "run_query",
    "spare_memory",
    "state_periods",
    "table_kinds",
    "to_frame",
    "utc",
    "write_arrow",
    "write_csv",
    "write_parquet",
    "write_whole",
]
