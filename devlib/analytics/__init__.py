"""Questions over snapshots and inventory, answered by DuckDB."""

from devlib.analytics.dect import dect_handsets, dect_stations
from devlib.analytics.findings import findings, unrecognised
from devlib.analytics.questions import device_list, run_sql, state_counts
from devlib.analytics.tables import (
    INVENTORY_COLUMNS,
    SNAPSHOTS,
    analyst_tables,
    device_table,
    site_table,
    snapshot_table,
    type_table,
)

__all__ = [
    "INVENTORY_COLUMNS",
    "SNAPSHOTS",
    "analyst_tables",
    "dect_handsets",
    "dect_stations",
    "device_list",
    "device_table",
    "findings",
    "run_sql",
    "site_table",
    "snapshot_table",
    "state_counts",
    "type_table",
    "unrecognised",
]
