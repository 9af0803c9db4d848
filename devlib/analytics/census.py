"""What is now: lines by state, firmware, user agents, capacity."""

from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from devlib.analytics.answering import answer, one_of
from devlib.analytics.tables import device_table
from devlib.config import QueryLimits
from devlib.model import (
    CAPACITY,
    FIRMWARE_CENSUS,
    STATE_COUNTS,
    SUNBURST,
    USER_AGENT_CENSUS,
    Catalogue,
    Scope,
)
from devlib.storage import Inventory, Lake, LineFilter, LineRows, choose_lines

GROUPS = STATE_COUNTS.names[: STATE_COUNTS.names.index("lines")]
"""Columns by which lines can be counted."""

_STATE_COUNTS = """
SELECT *, registered / nullif(registered + aged + unregistered, 0) AS share
FROM (
    SELECT {columns} count(*) AS lines,
        count(*) FILTER (state = 'registered') AS registered,
        count(*) FILTER (state = 'aged') AS aged,
        count(*) FILTER (state = 'unregistered') AS unregistered,
        count(*) FILTER (state = 'unknown') AS unknown,
        max(observed_at) AS observed_at
    FROM {rows} GROUP BY ALL HAVING lines > 0
) ORDER BY {order}
"""

_FIRMWARE = """
SELECT vendor, device_type, said_model, firmware, count(DISTINCT mac) AS devices, count(*) AS lines,
    count(*) FILTER (state = 'registered') AS registered,
    count(DISTINCT (provider, customer, site)) AS sites
FROM {rows} GROUP BY ALL ORDER BY vendor, device_type, devices DESC, said_model, firmware
"""

_USER_AGENTS = """
SELECT user_agent, count(DISTINCT mac) AS devices, count(*) AS lines,
    count(*) FILTER (state = 'registered') AS registered,
    count(DISTINCT (provider, customer, site)) AS sites, any_value(said_vendor) AS said_vendor,
    any_value(said_model) AS said_model, any_value(firmware) AS firmware
FROM {rows} GROUP BY user_agent ORDER BY lines DESC, user_agent
"""

_SUNBURST = """
SELECT provider, customer, site, device_type, state, count(*) AS lines
FROM {rows} GROUP BY ALL ORDER BY ALL
"""

_CAPACITY = """
SELECT *, assigned_lines / nullif(total_lines, 0) AS share
FROM (
    SELECT provider, customer, site, device_type, any_value(vendor) AS vendor, any_value(kind) AS kind,
        count(*) AS devices, sum(total_lines) AS total_lines, sum(assigned_lines) AS assigned_lines,
        sum(available_lines) AS available_lines
    FROM listed GROUP BY provider, customer, site, device_type
) ORDER BY provider, customer, site, device_type
"""


def state_counts(
    lake: Lake, scope: Scope, by: Sequence[str] = ("customer", "site"), *, at: datetime | None = None
) -> pd.DataFrame:
    """How many lines are in which state, by site, model, firmware or whatever else?

    Args:
        lake: the snapshots.
        scope: what the asker may see.
        by: columns to group by, in their order: those of `GROUPS`; none for one row of all lines.
        at: as the newest snapshots of that moment had it, UTC; `None` for now.

    Returns:
        A frame with those columns of `STATE_COUNTS`: the groups, lines in each state, the share of
        registered ones, and the time of the data.

    Raises:
        UsageError: lines cannot be grouped by one of these.
    """
    names = [one_of(name, GROUPS) for name in dict.fromkeys(by)]
    rows = _newest(lake, scope, at)
    columns = "".join(f"{name}, " for name in names)
    sql = _STATE_COUNTS.format(rows=rows.sql, columns=columns, order=", ".join(names) or "1")
    shown = (*names, *STATE_COUNTS.names[len(GROUPS) :])
    return answer(lake, STATE_COUNTS.part("state_counts", STATE_COUNTS.meaning, shown), sql, rows.inputs)


def firmware_census(lake: Lake, scope: Scope) -> pd.DataFrame:
    """Which firmware runs on which models, on how many devices?

    Args:
        lake: the snapshots.
        scope: what the asker may see.

    Returns:
        A frame with the columns of `FIRMWARE_CENSUS`; an empty firmware for phones that never said one.
    """
    rows = _newest(lake, scope)
    return answer(lake, FIRMWARE_CENSUS, _FIRMWARE.format(rows=rows.sql), rows.inputs)


def user_agent_census(lake: Lake, scope: Scope) -> pd.DataFrame:
    """What do phones say of themselves, word by word, and how many say it?

    Args:
        lake: the snapshots.
        scope: what the asker may see.

    Returns:
        A frame with the columns of `USER_AGENT_CENSUS`, most lines first.
    """
    rows = _newest(lake, scope)
    return answer(lake, USER_AGENT_CENSUS, _USER_AGENTS.format(rows=rows.sql), rows.inputs)


def sunburst(lake: Lake, scope: Scope) -> pd.DataFrame:
    """How do the lines divide into customers, sites, device types and states?

    Args:
        lake: the snapshots.
        scope: what the asker may see.

    Returns:
        A frame with the columns of `SUNBURST`: one row for each outermost piece.
    """
    rows = _newest(lake, scope)
    return answer(lake, SUNBURST, _SUNBURST.format(rows=rows.sql), rows.inputs)


def capacity(inventory: Inventory, lake: Lake, catalogue: Catalogue, scope: Scope) -> pd.DataFrame:
    """How many lines are free and how many do users hold, by site and device type?

    Args:
        inventory: devices and lines as they are now.
        lake: runs the query.
        catalogue: how many lines each type has.
        scope: what the asker may see.

    Returns:
        A frame with the columns of `CAPACITY`.
    """
    return answer(lake, CAPACITY, _CAPACITY, {"listed": device_table(inventory, catalogue, scope)})


def _newest(lake: Lake, scope: Scope, at: datetime | None = None) -> LineRows:
    return choose_lines(lake, lake.current(scope, at), scope, LineFilter(), QueryLimits.model_construct())
