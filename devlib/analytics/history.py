"""What was: states at a moment, changes in a window, the life of a line, two moments compared.

Moments are UTC. A window that leaves out its beginning starts with the first observation; one that leaves out
its end ends with the last, and never later: nothing is known after it.
"""

from datetime import datetime

import pandas as pd

from devlib.analytics.answering import answer, periods_at, periods_of
from devlib.collect.collection import lines_sql
from devlib.model import (
    COMPARISON,
    COMPARISON_SUMMARY,
    LINE_HISTORY,
    STATE_CHANGES,
    STATES_AT,
    LineState,
    Scope,
)
from devlib.storage import Lake

CHANGED = "began IN ('changed', 'moved') AND state <> 'unknown' AND state <> state_before"
"""SQL: whether a period began with a change from one known state to another."""

_STATES_AT = "SELECT * FROM {periods} ORDER BY provider, customer, site, mac, port"

_CHANGES = f"""
SELECT since AS changed_at, * FROM {{periods}}
WHERE {CHANGED} AND (len($states) = 0 OR state IN $states)
ORDER BY changed_at, provider, customer, site, mac, port
"""  # noqa: S608 - own texts

# A span that midnight cut is put together again: it has one beginning, `state_since`.
_HISTORY = """
SELECT line_key, provider, customer, site, mac, device_type, port, line_port, user_id, phone_number, state,
    greatest(state_since, $since) AS since, if(last.ended IS NULL, NULL, until) AS until,
    date_diff('second', greatest(state_since, $since), until) AS seconds,
    evidence, state_before, last.ended AS ended
FROM (
    SELECT line_key, state_since, provider, customer, site, any_value(mac) AS mac,
        any_value(device_type) AS device_type, any_value(port) AS port, any_value(line_port) AS line_port,
        any_value(user_id) AS user_id, any_value(phone_number) AS phone_number, any_value(state) AS state,
        max(until) AS until, any_value(evidence) AS evidence, any_value(state_before) AS state_before,
        arg_max(struct_pack(ended), until) AS last
    FROM {periods}
    WHERE {chosen} AND (mac = upper($line) OR lower(line_port) = lower($line))
    GROUP BY line_key, state_since, provider, customer, site
)
ORDER BY provider, customer, site, mac, port, line_key, since
"""

# First the keys: of three columns of a month the lines are found sooner than of all.
_KEYS = """
SELECT DISTINCT line_key FROM {periods} WHERE mac = upper($line) OR lower(line_port) = lower($line)
"""

_COMPARISON = """
WITH earlier AS (SELECT * FROM {first}), later AS (SELECT * FROM {second})
SELECT line_key, {line}, earlier.site AS first_site, earlier.state AS first_state,
    later.state AS second_state,
    CASE WHEN earlier.state IS NULL THEN 'added' WHEN later.state IS NULL THEN 'removed'
        WHEN earlier.state <> later.state THEN 'changed'
        WHEN earlier.customer <> later.customer OR earlier.site <> later.site THEN 'moved'
        ELSE 'same' END AS change
FROM earlier FULL JOIN later USING (line_key)
"""

_OF_LINE = (
    "provider",
    "customer",
    "site",
    "mac",
    "device_type",
    "port",
    "line_port",
    "user_id",
    "phone_number",
)


def states_at(lake: Lake, scope: Scope, moment: datetime) -> pd.DataFrame:
    """In which state was each line at a moment?

    Args:
        lake: the snapshots.
        scope: what the asker may see.
        moment: UTC; for one after the last observation, that one answers.

    Returns:
        A frame with the columns of `STATES_AT`: one row for each line that was there.
    """
    periods = periods_at(lake, scope, moment)
    return answer(lake, STATES_AT, _STATES_AT.format(periods=periods.sql), periods.inputs)


def state_changes(
    lake: Lake,
    scope: Scope,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    states: tuple[LineState, ...] = (),
) -> pd.DataFrame:
    """Which lines changed their state in a window, from what to what, when, and on what evidence?

    Only changes between known states count: a line that was registered, unknown while its network could not
    be asked, and registered again, did not change.

    Args:
        lake: the snapshots.
        scope: what the asker may see.
        since: beginning of the window, UTC.
        until: its end, UTC.
        states: only changes into these; empty for all.

    Returns:
        A frame with the columns of `STATE_CHANGES`, in the order of time.
    """
    periods = periods_of(lake, scope, since, until)
    sql = _CHANGES.format(periods=periods.sql)
    return answer(lake, STATE_CHANGES, sql, periods.inputs, states=[each.value for each in states])


def line_history(
    lake: Lake, scope: Scope, line: str, since: datetime | None = None, until: datetime | None = None
) -> pd.DataFrame:
    """What was the life of one line, or of the lines of one device?

    Args:
        lake: the snapshots.
        scope: what the asker may see.
        line: a line port `user@domain`, or the MAC address of a device, upper case with colons.
        since: beginning of the window, UTC.
        until: its end, UTC.

    Returns:
        A frame with the columns of `LINE_HISTORY`: spans line by line, in the order of time; of an unknown
        line none.
    """
    periods = periods_of(lake, scope, since, until)
    with lake.connection(periods.inputs) as cursor:
        found = cursor.execute(_KEYS.format(periods=periods.sql), {"line": line}).fetchall()
    sql = _HISTORY.format(periods=periods.sql, chosen=lines_sql([key for (key,) in found]))
    return answer(lake, LINE_HISTORY, sql, periods.inputs, line=line, since=periods.span.since)


def compare(lake: Lake, scope: Scope, first: datetime, second: datetime) -> pd.DataFrame:
    """What is different between two moments, line by line?

    Args:
        lake: the snapshots.
        scope: what the asker may see.
        first: the earlier moment, UTC.
        second: the later one, UTC.

    Returns:
        A frame with the columns of `COMPARISON`: every line that was there at either moment.
    """
    sql, inputs = _compared(lake, scope, first, second)
    order = "change = 'same', provider, customer, site, mac, port"
    return answer(lake, COMPARISON, f"{sql} ORDER BY {order}", inputs)


def comparison_summary(lake: Lake, scope: Scope, first: datetime, second: datetime) -> pd.DataFrame:
    """How many lines of each customer went from which state to which, between two moments?

    Args:
        lake: the snapshots.
        scope: what the asker may see.
        first: the earlier moment, UTC.
        second: the later one, UTC.

    Returns:
        A frame with the columns of `COMPARISON_SUMMARY`.
    """
    sql, inputs = _compared(lake, scope, first, second)
    counted = (
        f"SELECT customer, change, first_state, second_state, count(*) AS lines FROM ({sql}) "  # noqa: S608
        "GROUP BY customer, change, first_state, second_state "
        "ORDER BY customer, change, lines DESC, first_state, second_state"
    )
    return answer(lake, COMPARISON_SUMMARY, counted, inputs)


def _compared(lake: Lake, scope: Scope, first: datetime, second: datetime) -> tuple[str, dict[str, object]]:
    earlier, later = periods_at(lake, scope, first, "first"), periods_at(lake, scope, second, "second")
    line = ", ".join(f"coalesce(later.{name}, earlier.{name}) AS {name}" for name in _OF_LINE)
    sql = _COMPARISON.format(first=earlier.sql, second=later.sql, line=line)
    return sql, {**earlier.inputs, **later.inputs}
