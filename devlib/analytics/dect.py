"""Questions about DECT: which base stations there are, and at which of them each handset is."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from devlib.analytics.tables import device_table
from devlib.config import QueryLimits
from devlib.model import DECT_HANDSETS, DECT_STATIONS, Catalogue, Scope
from devlib.storage import Inventory, Lake, LineFilter, arrow_schema, choose_lines

# A base that has no chain, or is the only one of it, has its handsets also where they name no base.
# Relations: `devices` (inventory), `lines` (newest observation of each line).
_AT_BASES = """
stations AS (
    SELECT *, chain_id = '' OR count(*) OVER (PARTITION BY provider, customer, chain_id) = 1 AS alone
    FROM devices WHERE kind = 'dect_base'
), handsets AS (
    SELECT {rows}.* EXCLUDE (current_base),
        coalesce({rows}.current_base, if(stations.alone, {rows}.mac, NULL)) AS current_base
    FROM {lines} AS {rows} LEFT JOIN stations USING (mac)
    WHERE {rows}.kind = 'dect_base'
)
"""

_STATIONS = """
WITH {at_bases}, here AS (
    SELECT current_base AS mac,
        count(*) FILTER (state = 'registered') AS handsets_here,
        sum(ghosts) FILTER (state = 'registered')::BIGINT AS ghosts,
        CASE WHEN bool_or(state = 'registered') THEN 'registered' WHEN bool_or(state = 'aged') THEN 'aged'
            WHEN bool_or(state = 'unknown') THEN 'unknown' ELSE 'unregistered' END AS state,
        max(last_registered_at) AS last_seen, max(observed_at) AS observed_at
    FROM handsets WHERE last_registered_at IS NOT NULL GROUP BY current_base
)
SELECT provider, customer, site, chain_id, base_station_id, mac, device_type, name,
    assigned_lines AS handsets_assigned, coalesce(handsets_here, 0) AS handsets_here,
    coalesce(ghosts, 0) AS ghosts, state, last_seen, observed_at
FROM stations LEFT JOIN here USING (mac)
WHERE ($site IS NULL OR site = $site)
    AND ($station IS NULL OR lower(base_station_id) = lower($station))
ORDER BY provider, customer, chain_id, site, try_cast(base_station_id AS BIGINT), base_station_id, mac
"""

# A handset is at its base since the first observation there after the last one anywhere else.
_HANDSETS = """
WITH {at_bases}, elsewhere AS (
    SELECT line_key, max(past.observed_at) AS until
    FROM handsets JOIN {past} AS past USING (line_key)
    WHERE coalesce(past.current_base, if(handsets.current_base = past.mac, past.mac, NULL))
        IS DISTINCT FROM handsets.current_base
    GROUP BY line_key
), here AS (
    SELECT line_key, min(past.observed_at) AS since
    FROM handsets JOIN {past} AS past USING (line_key) LEFT JOIN elsewhere USING (line_key)
    WHERE elsewhere.until IS NULL OR past.observed_at > elsewhere.until
    GROUP BY line_key
)
SELECT handsets.provider, handsets.customer, handsets.site, handsets.chain_id, line_port, user_id,
    handsets.state, handsets.mac AS home_base, handsets.base_station_id AS home_station_id, current_base,
    stations.base_station_id AS current_station_id, if(current_base IS NULL, NULL, since) AS since, ghosts,
    last_registered_at, observed_at
FROM handsets LEFT JOIN here USING (line_key) LEFT JOIN stations ON stations.mac = current_base
WHERE ($site IS NULL OR handsets.site = $site) AND ($station IS NULL
    OR lower($station) IN (lower(handsets.base_station_id), lower(stations.base_station_id)))
ORDER BY ALL
"""


def dect_stations(
    inventory: Inventory,
    lake: Lake,
    catalogue: Catalogue,
    scope: Scope,
    site: str | None = None,
    station: str | None = None,
) -> pa.Table:
    """Return the DECT base stations.

    Args:
        inventory: the bases.
        lake: the handsets' newest observations.
        catalogue: tells which devices are bases.
        scope: what the asker may see; handsets of all of it are looked for at each base.
        site: only bases of this one.
        station: only the one with this multicell station ID.

    Returns:
        An Arrow table with the columns of `DECT_STATIONS`, also when empty.
    """
    found = _ask(_STATIONS, inventory, lake, catalogue, scope, {"site": site, "station": station})
    return found.select(list(DECT_STATIONS.names)).cast(arrow_schema(DECT_STATIONS))


def dect_handsets(
    inventory: Inventory,
    lake: Lake,
    catalogue: Catalogue,
    scope: Scope,
    site: str | None = None,
    station: str | None = None,
) -> pa.Table:
    """Return the handsets: their home, the base at which each is, and since when.

    Args:
        inventory: the bases.
        lake: the observations.
        catalogue: tells which devices are bases.
        scope: what the asker may see.
        site: only handsets whose home is there.
        station: only handsets whose home or current base has this multicell station ID.

    Returns:
        An Arrow table with the columns of `DECT_HANDSETS`, also when empty.
    """
    found = _ask(_HANDSETS, inventory, lake, catalogue, scope, {"site": site, "station": station})
    return found.select(list(DECT_HANDSETS.names)).cast(arrow_schema(DECT_HANDSETS))


def _ask(
    question: str,
    inventory: Inventory,
    lake: Lake,
    catalogue: Catalogue,
    scope: Scope,
    values: Mapping[str, str | None],
) -> pa.Table:
    rows = choose_lines(lake, lake.current(scope), scope, LineFilter(), QueryLimits.model_construct())
    with inventory.read() as reader:
        past = lake.relation(lake.present(reader.manifest(scope)))
    at_bases = _AT_BASES.format(lines=rows.sql, rows="newest")
    inputs = {**rows.inputs, "devices": device_table(inventory, catalogue, scope)}
    with lake.connection(inputs) as cursor:
        found: Any = cursor.sql(question.format(at_bases=at_bases, past=past), params=dict(values))
        return found.to_arrow_table()
