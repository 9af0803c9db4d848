"""Questions over snapshots and inventory, answered by DuckDB."""

from devlib.analytics.availability import availability, heat_map, time_in_state
from devlib.analytics.census import (
    GROUPS,
    capacity,
    firmware_census,
    state_counts,
    sunburst,
    user_agent_census,
)
from devlib.analytics.dect import dect_handsets, dect_stations
from devlib.analytics.findings import findings, unrecognised
from devlib.analytics.history import (
    compare,
    comparison_summary,
    line_history,
    state_changes,
    states_at,
)
from devlib.analytics.incidents import aged_lines, flapping_lines, outages
from devlib.analytics.questions import device_list, run_sql
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
    "GROUPS",
    "INVENTORY_COLUMNS",
    "SNAPSHOTS",
    "aged_lines",
    "analyst_tables",
    "availability",
    "capacity",
    "compare",
    "comparison_summary",
    "dect_handsets",
    "dect_stations",
    "device_list",
    "device_table",
    "findings",
    "firmware_census",
    "flapping_lines",
    "heat_map",
    "line_history",
    "outages",
    "run_sql",
    "site_table",
    "snapshot_table",
    "state_changes",
    "state_counts",
    "states_at",
    "sunburst",
    "time_in_state",
    "type_table",
    "unrecognised",
    "user_agent_census",
]
