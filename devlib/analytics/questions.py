"""Questions over snapshots, each a query that one can read."""

from collections.abc import Iterable
from typing import Any

import pandas as pd
import pyarrow as pa

from devlib.analytics.tables import device_table
from devlib.config import QueryLimits
from devlib.model import DEVICE_LIST, Catalogue, Scope
from devlib.storage import (
    DeviceFilter,
    Inventory,
    Lake,
    Source,
    run_query,
    to_frame,
)

_DEVICE_STATUS = """
SELECT listed.*, status.status, status.registered_lines, status.last_seen
FROM listed LEFT JOIN (
    SELECT mac,
        CASE WHEN bool_or(state = 'aged') THEN 'aged' WHEN bool_or(state = 'unknown') THEN 'unknown'
            WHEN bool_and(state = 'registered') THEN 'registered' ELSE 'unregistered' END AS status,
        count(*) FILTER (state = 'registered') AS registered_lines,
        max(last_registered_at) AS last_seen
    FROM {rows} GROUP BY mac
) AS status USING (mac)
ORDER BY provider, customer, site, mac
"""


def device_list(
    inventory: Inventory, lake: Lake, catalogue: Catalogue, scope: Scope, chosen: DeviceFilter
) -> pa.Table:
    """Return the devices of the scope with their status in the last snapshot.

    Args:
        inventory: the devices.
        lake: the last snapshot.
        catalogue: line counts, vendors and kinds.
        scope: what the asker may see.
        chosen: search and filters.

    Returns:
        An Arrow table with the columns of `DEVICE_LIST`, in order, also when empty.
    """
    listed = device_table(inventory, catalogue, scope, chosen)
    rows = lake.current_relation(lake.current(scope))
    with lake.connection({"listed": listed}) as cursor:
        table: Any = cursor.sql(_DEVICE_STATUS.format(rows=rows)).to_arrow_table()
    return table.select(list(DEVICE_LIST.names))


def run_sql(text: str, tables: Iterable[Source], limits: QueryLimits) -> pd.DataFrame:
    """Return the answer to an analyst's SQL over some tables, as a frame; see `devlib.storage.run_query`."""
    return to_frame(run_query(text, tables, limits))
